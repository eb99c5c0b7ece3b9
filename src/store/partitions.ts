/** The tables of sample blocks, and their partitions: `<table>_YYYYMMDD`, named by their first day in UTC. */
import type { Database, Queryable } from './database.ts';
import { ADVISORY_LOCKS } from './locks.ts';
import { textArray } from './values.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export interface SampleTable {
  name: 'dense_samples' | 'sparse_samples';
  /** What one block spans; it divides `partitionMs`. */
  blockMs: number;
  partitionMs: number;
}

/** sql/006-sample-blocks.sql knows these spans too: others need a migration. */
const DENSE: SampleTable = { name: 'dense_samples', blockMs: 2 * HOUR_MS, partitionMs: DAY_MS };
const SPARSE: SampleTable = { name: 'sparse_samples', blockMs: 7 * DAY_MS, partitionMs: 7 * DAY_MS };
export const SAMPLE_TABLES = [DENSE, SPARSE] as const;

/** The metrics of throughput tests, which run a few times a day; all others come every minute or few. */
const SPARSE_METRICS: readonly string[] = ['throughputMbps', 'retransmits'];
export const IS_SPARSE_SQL = `metric in (${SPARSE_METRICS.map((metric) => `'${metric}'`).join(', ')})`;

export function sampleTable(metric: string): SampleTable {
  return SPARSE_METRICS.includes(metric) ? SPARSE : DENSE;
}

export interface Partition {
  table: SampleTable;
  startMs: number;
}

export function partitionName({ table, startMs }: Partition): string {
  return `${table.name}_${dayOf(startMs).replaceAll('-', '')}`;
}

/** The name of the partition that holds what was measured at `ms`. */
export function partitionAt(table: SampleTable, ms: number): Partition {
  return { table, startMs: Math.floor(ms / table.partitionMs) * table.partitionMs };
}

/** `2026-11-21` for any time on that day in UTC. */
function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/**
 * Makes those that are missing; in a transaction of its own, since other writers wait while one is made. Those who want
 * the same one wait for each other.
 */
export async function ensurePartitions(db: Database, wanted: ReadonlyMap<string, Partition>): Promise<void> {
  const names = [...wanted.keys()].sort();
  if ((await missingAmong(db, names)).length === 0) return;
  await db.transaction(async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.partitions]);
    for (const name of await missingAmong(tx, names)) {
      const { table, startMs } = wanted.get(name)!;
      // In two steps, since "create table … partition of" would lock out readers and writers of all partitions.
      await tx.script(
        `create table ${name} (like ${table.name} including storage);
         alter table ${table.name} attach partition ${name}
           for values from ('${dayOf(startMs)} 00:00:00+00') to ('${dayOf(startMs + table.partitionMs)} 00:00:00+00');`,
      );
    }
  });
}

const PARTITIONS_SQL = `pg_inherits join pg_class on pg_class.oid = inhrelid
  where inhparent in (${SAMPLE_TABLES.map(({ name }) => `'${name}'::regclass`).join(', ')})`;

/** Asks the catalog tables: `to_regclass` may answer from this connection's cache what was so before it got the lock. */
async function missingAmong(db: Queryable, names: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `select name from unnest($1::text[]) as name
     where not exists (select from ${PARTITIONS_SQL} and relname = name)
     order by name`,
    [textArray(names)],
  );
  return rows.map((row) => row.name);
}

/** The newest three of each table: where blocks still change; one of them may be tomorrow's, by clocks that are ahead. */
export async function newestPartitions(db: Queryable): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `select name
     from (
       select relname as name, row_number() over (partition by inhparent order by relname desc) as age
       from ${PARTITIONS_SQL}
     ) as partitions
     where age <= 3`,
  );
  return rows.map(({ name }) => name);
}

/** Drops the partitions that end at or before `horizon`, with their totals; gives their names, sorted. */
export async function dropPartitions(db: Database, horizon: Date): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `select relname as name from ${PARTITIONS_SQL} order by relname`,
  );
  const dropped: string[] = [];
  for (const { name } of rows) {
    const [, tableName, year, month, day] = /^(\w+)_(\d{4})(\d{2})(\d{2})$/.exec(name)!;
    const table = SAMPLE_TABLES.find((each) => each.name === tableName)!;
    if (Date.parse(`${year}-${month}-${day}`) + table.partitionMs > horizon.getTime()) continue;
    // One transaction each: readers and writers wait for one drop, never for all of them.
    await db.transaction(async (tx) => {
      await tx.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.partitions]);
      await tx.script(`drop table if exists ${name}`);
      await tx.query('delete from sample_totals where partition = $1', [name]);
    });
    dropped.push(name);
  }
  return dropped;
}
