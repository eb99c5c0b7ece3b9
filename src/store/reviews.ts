/** What the review of each path left out, and what was found of hosts. */
import type { FindingKind, HostFinding, PairSummary, PathReview } from '../domain.ts';
import type { Database } from './database.ts';
import type { PathFilter } from './estimates.ts';
import {
  byKey,
  dateFromMs,
  epochMs,
  inParts,
  jsonParameter,
  type Nullable,
  numberArray,
  queryTuples,
  textArray,
  withoutNulls,
} from './values.ts';

export interface StoredFinding extends HostFinding {
  since: Date;
}

/** Adds or replaces `reviews`, and removes those of the paths in `gone`. */
export async function saveReviews(
  db: Database,
  reviews: readonly PathReview[],
  gone: readonly { srcSite: string; dstSite: string }[],
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query(
      `delete from path_reviews using unnest($1::text[], $2::text[]) as gone(src_site, dst_site)
       where path_reviews.src_site = gone.src_site and path_reviews.dst_site = gone.dst_site`,
      [textArray(gone.map((p) => p.srcSite)), textArray(gone.map((p) => p.dstSite))],
    );
    for (const part of inParts(reviews))
      await tx.query(
        `insert into path_reviews (src_site, dst_site, left_out, pairs, reviewed_at)
       select src_site, dst_site, left_out::json, pairs::json, to_timestamp(reviewed_at_ms / 1000)
       from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[])
         as r(src_site, dst_site, left_out, pairs, reviewed_at_ms)
       order by src_site, dst_site
       on conflict (src_site, dst_site) do update set
         left_out = excluded.left_out, pairs = excluded.pairs, reviewed_at = excluded.reviewed_at`,
        [
          textArray(part.map((r) => r.srcSite)),
          textArray(part.map((r) => r.dstSite)),
          textArray(part.map((r) => JSON.stringify(r.excluded))),
          textArray(part.map((r) => JSON.stringify(r.pairs))),
          numberArray(part.map((r) => r.reviewedAt.getTime())),
        ],
      );
  });
}

/** By source, then destination. */
export async function reviews(db: Database, filter: PathFilter = {}): Promise<PathReview[]> {
  return byKey(
    ['src_site', 'dst_site'],
    (condition, after) =>
      queryTuples<[string, string, Record<string, number>, PairSummary[], number]>(
        db,
        `src_site, dst_site, left_out, pairs, ${epochMs('reviewed_at')}`,
        `(select * from path_reviews
          where ($3::text is null or src_site = $3) and ($4::text is null or dst_site = $4) and ${condition}) as r`,
        [...after, filter.srcSite ?? null, filter.dstSite ?? null],
      ),
    ([srcSite, dstSite, excluded, pairs, reviewedAt]) => ({
      srcSite,
      dstSite,
      excluded,
      pairs,
      reviewedAt: dateFromMs(reviewedAt),
    }),
  );
}

/** Samples that the last reviews left out, by reason. */
export async function excludedCounts(db: Database): Promise<{ reason: string; count: number }[]> {
  return db.query(
    `select key as reason, sum(value::bigint)::bigint as count
     from path_reviews cross join json_each_text(left_out) as counts(key, value)
     group by key
     order by key`,
  );
}

/** The full current set: what stood before keeps its `since`. */
export async function saveHostFindings(
  db: Database,
  findings: readonly HostFinding[],
  at: Date,
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.script('lock table host_findings in share row exclusive mode');
    const set = jsonParameter(findings);
    await tx.query(
      `delete from host_findings where (host, kind, direction) not in (
         select host, kind, coalesce(direction, '')
         from jsonb_to_recordset($1::jsonb) as found(host text, kind text, direction text))`,
      [set],
    );
    await tx.query(
      `insert into host_findings (host, kind, direction, since, evidence, advice, offset_ms)
       select host, kind, coalesce(direction, ''), $2, evidence, advice, "offsetMs"
       from jsonb_to_recordset($1::jsonb) as found(
         host text, kind text, direction text, evidence text, advice text, "offsetMs" float8)
       on conflict (host, kind, direction) do update set
         evidence = excluded.evidence, advice = excluded.advice, offset_ms = excluded.offset_ms`,
      [set, at],
    );
  });
}

/** By host. */
export async function hostFindings(db: Database): Promise<StoredFinding[]> {
  type Row = Nullable<Omit<StoredFinding, 'kind'>> & { kind: FindingKind };
  const rows = await db.query<Row>(
    `select host, kind, nullif(direction, '') as direction, since, evidence, advice, offset_ms as "offsetMs"
     from host_findings
     order by host, kind, direction`,
  );
  return rows.map((row) => withoutNulls<StoredFinding>(row));
}
