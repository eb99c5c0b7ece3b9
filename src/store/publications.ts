/** What stands in the collector, by the ad's name. */
import type { Database } from './database.ts';
import { dateFromMs, epochMs, queryTuples, textArray } from './values.ts';

export interface Publication {
  contentHash: string;
  advertisedAt: Date;
}

export interface PublicationChange {
  advertised: readonly { name: string; contentHash: string }[];
  withdrawn: readonly string[];
  at: Date;
}

export async function publications(db: Database): Promise<Map<string, Publication>> {
  const rows = await queryTuples<[string, string, number]>(
    db,
    `name, content_hash, ${epochMs('advertised_at')}`,
    'publications',
  );
  return new Map(
    rows.map(([name, contentHash, advertisedAt]) => [
      name,
      { contentHash, advertisedAt: dateFromMs(advertisedAt) },
    ]),
  );
}

export async function recordPublications(db: Database, change: PublicationChange): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query('delete from publications where name = any($1::text[])', [textArray(change.withdrawn)]);
    await tx.query(
      `insert into publications (name, content_hash, advertised_at)
       select name, content_hash, $3
       from unnest($1::text[], $2::text[]) as advertised(name, content_hash)
       order by name
       on conflict (name) do update set
         content_hash = excluded.content_hash, advertised_at = excluded.advertised_at`,
      [
        textArray(change.advertised.map((ad) => ad.name)),
        textArray(change.advertised.map((ad) => ad.contentHash)),
        change.at,
      ],
    );
  });
}
