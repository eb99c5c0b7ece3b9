/** What is old goes. */
import type { Database } from './database.ts';
import { dropPartitions, SAMPLE_TABLES } from './partitions.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** How long each is kept, in days. */
export interface RetentionPolicy {
  /** At least: they go by whole partitions. */
  samplesDays: number;
  /** Transitions of breakers. */
  eventsDays: number;
  cyclesDays: number;
  /** Hosts, archives, expected tests and sources of discovery, since they were last seen. */
  hostsDays: number;
}

export interface RetentionResult {
  droppedPartitions: string[];
  /** By table. */
  deletedRows: Record<string, number>;
}

const DAY_OF = `($1::timestamptz at time zone 'UTC')::date`;

export async function applyRetention(
  db: Database,
  policy: RetentionPolicy,
  now: Date,
): Promise<RetentionResult> {
  const before = (days: number) => new Date(now.getTime() - days * DAY_MS);
  const samplesHorizon = before(policy.samplesDays);
  // An hour's grace: a batch that another process judged a moment ago still finds its partition.
  const droppedPartitions = await dropPartitions(db, new Date(samplesHorizon.getTime() - HOUR_MS));
  const hostsHorizon = before(policy.hostsDays);
  const deletedRows: Record<string, number> = {};
  const remove = async (table: string, condition: string, horizon: Date) => {
    const [row] = await db.query<{ count: number }>(
      `with deleted as (delete from ${table} where ${condition} returning 1) select count(*) as count from deleted`,
      [horizon],
    );
    deletedRows[table] = row?.count ?? 0;
  };
  await remove('breaker_transitions', 'at < $1', before(policy.eventsDays));
  await remove('forcings', 'until < $1', before(policy.eventsDays));
  await remove('cycles', 'started_at < $1', before(policy.cyclesDays));
  await remove('discovery_sources', 'at < $1', hostsHorizon);
  await remove('expected_tests', 'last_seen < $1', hostsHorizon);
  await remove('hosts', 'last_seen < $1', hostsHorizon);
  // Neither read nor measured since: none of its samples is left, nor a partition that had one. Its checkpoint goes
  // with it.
  await remove(
    'series',
    'id in (select series_id from checkpoints where greatest(read_to, last_sample_at) < $1)',
    new Date(samplesHorizon.getTime() - Math.max(...SAMPLE_TABLES.map(({ partitionMs }) => partitionMs))),
  );
  // Runs go by whole days, and a route when none of its runs is left.
  await remove('trace_runs', `day < ${DAY_OF}`, samplesHorizon);
  await remove('routes', `(last_seen at time zone 'UTC')::date < ${DAY_OF}`, samplesHorizon);
  await remove(
    'trace_tests',
    'greatest(read_to, last_run_at) < $1',
    new Date(samplesHorizon.getTime() - DAY_MS),
  );
  await remove(
    'archives',
    `last_seen < $1 and not exists (select from series where archive_key = archives.key)
       and not exists (select from trace_tests where archive_key = archives.key)`,
    hostsHorizon,
  );
  return { droppedPartitions, deletedRows };
}
