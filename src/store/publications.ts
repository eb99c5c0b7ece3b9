/** What stands in the collector, by the ad's name. */
import type { Database } from './database.ts';

export interface Publication {
  contentHash: string;
  /** Undefined: it was being sent when something failed, and may stand there or not. */
  advertisedAt?: Date;
}

export async function publications(db: Database): Promise<Map<string, Publication>> {
  // As text: one crosses from PGlite's thread more easily than some ten thousand lists.
  const [row] = await db.query<{ standing: string; sending: string }>(
    'select standing::text, sending::text from publications',
  );
  const standing = JSON.parse(row!.standing) as [string, string, number][];
  const known = new Map<string, Publication>(
    standing.map(([name, contentHash, atMs]) => [name, { contentHash, advertisedAt: new Date(atMs) }]),
  );
  for (const name of JSON.parse(row!.sending) as string[]) known.set(name, { contentHash: '' });
  return known;
}

/** Takes down which ads are about to be sent: should this process die, they are sent again. */
export async function beginPublications(db: Database, names: readonly string[]): Promise<void> {
  await db.query('update publications set sending = $1::json', [JSON.stringify(names)]);
}

/** Takes down what stands now, and what may. */
export async function savePublications(
  db: Database,
  standing: ReadonlyMap<string, Publication>,
): Promise<void> {
  const entries = [...standing].flatMap(([name, { contentHash, advertisedAt }]) =>
    advertisedAt ? [[name, contentHash, advertisedAt.getTime()]] : [],
  );
  const unsure = [...standing].flatMap(([name, { advertisedAt }]) => (advertisedAt ? [] : [name]));
  await db.query('update publications set standing = $1::json, sending = $2::json', [
    JSON.stringify(entries),
    JSON.stringify(unsure),
  ]);
}
