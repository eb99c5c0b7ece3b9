/** The daily partitions of `samples`: `samples_YYYYMMDD`, one per day in UTC. */
import type { Database, Queryable } from './database.ts';
import { ADVISORY_LOCKS } from './locks.ts';

const DAY_MS = 86_400_000;

/** `2026-11-21` for any time on that day in UTC. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

export function partitionName(day: string): string {
  return `samples_${day.replaceAll('-', '')}`;
}

/**
 * Makes the partitions that are missing among those of `days`; in a transaction of its own, since other writers wait
 * while one is made. Those who want the same one wait for each other.
 */
export async function ensurePartitions(db: Database, days: readonly string[]): Promise<void> {
  if ((await missingAmong(db, days)).length === 0) {
    return;
  }
  await db.transaction(async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.partitions]);
    for (const day of await missingAmong(tx, days)) {
      const name = partitionName(day);
      const nextDay = dayOf(Date.parse(day) + DAY_MS);
      // In two steps, since "create table … partition of" would lock out readers and writers of all partitions.
      await tx.script(
        `create table ${name} (like samples);
         alter table samples attach partition ${name}
           for values from ('${day} 00:00:00+00') to ('${nextDay} 00:00:00+00');`,
      );
    }
  });
}

/** Asks the catalog tables: `to_regclass` may answer from this connection's cache what was so before it got the lock. */
async function missingAmong(db: Queryable, days: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ day: string }>(
    `select day from unnest($1::text[]) as day
     where not exists (
       select from pg_inherits join pg_class on pg_class.oid = inhrelid
       where inhparent = 'samples'::regclass and relname = 'samples_' || replace(day, '-', ''))
     order by day`,
    [`{${days.join(',')}}`],
  );
  return rows.map((row) => row.day);
}

/** Drops the partitions that end at or before `horizon`, with their totals; gives their names, oldest first. */
export async function dropPartitions(db: Database, horizon: Date): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `select relname as name from pg_inherits join pg_class on pg_class.oid = inhrelid
     where inhparent = 'samples'::regclass
     order by relname`,
  );
  const dropped: string[] = [];
  for (const { name } of rows) {
    const day = name.replace(/^samples_(\d{4})(\d{2})(\d{2})$/, '$1-$2-$3');
    if (Date.parse(day) + DAY_MS > horizon.getTime()) {
      continue;
    }
    // One transaction each: readers and writers wait for one drop, never for all of them.
    await db.transaction(async (tx) => {
      await tx.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.partitions]);
      await tx.script(`drop table if exists ${name}`);
      await tx.query('delete from sample_counts where day = $1::date', [day]);
    });
    dropped.push(name);
  }
  return dropped;
}
