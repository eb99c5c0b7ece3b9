/** The pool's machines, and where each stands. */
import type { PoolMachine, SiteAssignment } from '../domain.ts';
import type { Database } from './database.ts';
import { jsonParameter, type Nullable, withoutNulls } from './values.ts';

export type StoredMachine = PoolMachine & { lastSeen: Date } & Omit<SiteAssignment, 'subject'>;

/** Those that the pool shows now; the others stay until `forget` before. By key. */
export async function saveMachines(
  db: Database,
  machines: readonly PoolMachine[],
  at: Date,
  forget: Date,
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query(
      `insert into pool_machines (
         key, names, addresses, words, slots, is_access_point, last_seen, evidence, confidence)
       select key, names, addresses, words, slots, "isAccessPoint", $2::timestamptz, 'not looked at yet', 0
       from jsonb_to_recordset($1::jsonb) as machine(
         key text, names text[], addresses text[], words json, slots integer, "isAccessPoint" boolean)
       on conflict (key) do update set
         names = excluded.names, words = excluded.words, slots = excluded.slots,
         is_access_point = excluded.is_access_point, last_seen = excluded.last_seen`,
      [jsonParameter(machines), at],
    );
    await tx.query('delete from pool_machines where last_seen < $1', [forget]);
  });
}

/** `subject` is a machine's key. */
export async function saveMachineSites(db: Database, assignments: readonly SiteAssignment[]): Promise<void> {
  await db.query(
    `update pool_machines as machine
     set site = found.site, method = found.method, evidence = found.evidence, confidence = found.confidence
     from jsonb_to_recordset($1::jsonb) as found(
       subject text, site text, method text, evidence text, confidence float8)
     where key = subject and (machine.site, machine.method, machine.evidence, machine.confidence)
       is distinct from (found.site, found.method, found.evidence, found.confidence)`,
    [jsonParameter(assignments)],
  );
}

/** By key. */
export async function machines(db: Database): Promise<StoredMachine[]> {
  const rows = await db.query<Nullable<StoredMachine>>(
    `select key, names, addresses, words, slots, is_access_point as "isAccessPoint", last_seen as "lastSeen",
       site, method, evidence, confidence
     from pool_machines order by key`,
  );
  return rows.map((row) => withoutNulls<StoredMachine>(row));
}
