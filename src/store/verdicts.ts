/** Each verdict with each reason that was ever given for it has a number, of which a sample carries two bytes. */
import type { Judgement } from '../domain.ts';
import { GOOD } from './blocks.ts';
import type { Database } from './database.ts';
import { type Nullable, textArray, withoutNulls } from './values.ts';

/** By database and `judgementKey`; a verdict keeps its number for ever. */
const known = new WeakMap<Database, Map<string, number>>();

export function judgementKey({ verdict, reason }: Judgement): string {
  return reason === undefined ? verdict : `${verdict}/${reason}`;
}

/** By their ids. */
export async function judgements(db: Database): Promise<Map<number, Judgement>> {
  const rows = await db.query<Nullable<Judgement> & { id: number }>(
    'select id, verdict, reason from verdicts',
  );
  return new Map(rows.map(({ id, ...rest }) => [id, withoutNulls<Judgement>(rest)]));
}

/** By `judgementKey`: the ids of these; adds the ones that are new. */
export async function ensureVerdicts(
  db: Database,
  judgements: Iterable<Judgement>,
): Promise<Map<string, number>> {
  const needed = new Map<string, Judgement>();
  for (const judgement of judgements) {
    if (judgementKey(judgement) !== 'good') needed.set(judgementKey(judgement), judgement);
  }
  if (needed.size === 0) return new Map([['good', GOOD]]);
  const remembered = known.get(db);
  if (remembered && [...needed.keys()].every((key) => remembered.has(key))) return remembered;
  let ids = await verdictIds(db);
  const missing = [...needed].filter(([key]) => !ids.has(key)).map(([, sample]) => sample);
  if (missing.length > 0) {
    await db.query(
      `insert into verdicts (verdict, reason) select * from unnest($1::text[], $2::text[]) on conflict do nothing`,
      [textArray(missing.map((s) => s.verdict)), textArray(missing.map((s) => s.reason))],
    );
    ids = await verdictIds(db);
  }
  known.set(db, ids);
  return ids;
}

async function verdictIds(db: Database): Promise<Map<string, number>> {
  return new Map([...(await judgements(db))].map(([id, judgement]) => [judgementKey(judgement), id]));
}
