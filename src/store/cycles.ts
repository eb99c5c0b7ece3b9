/** The turns of the road, newest first. */
import type { Database } from './database.ts';
import { jsonParameter, type Nullable, withoutNulls } from './values.ts';

export interface CycleRecord {
  startedAt: Date;
  finishedAt: Date;
  ok: boolean;
  phasesSeconds: Record<string, number>;
  counts: Record<string, number>;
  message?: string;
}

export async function saveCycle(db: Database, cycle: CycleRecord): Promise<void> {
  await db.query(
    `insert into cycles (started_at, finished_at, ok, phases_seconds, counts, message)
     select "startedAt", "finishedAt", ok, "phasesSeconds", counts, message
     from jsonb_to_record($1::jsonb) as cycle(
       "startedAt" timestamptz, "finishedAt" timestamptz, ok boolean, "phasesSeconds" json, counts json,
       message text)`,
    [jsonParameter(cycle)],
  );
}

export async function cycles(db: Database, limit: number): Promise<CycleRecord[]> {
  const rows = await db.query<Nullable<CycleRecord>>(
    `select
       started_at as "startedAt", finished_at as "finishedAt", ok, phases_seconds as "phasesSeconds", counts, message
     from cycles
     order by started_at desc, id desc
     limit $1`,
    [limit],
  );
  return rows.map((row) => withoutNulls<CycleRecord>(row));
}
