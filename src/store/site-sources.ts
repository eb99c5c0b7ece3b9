/** What the site sources said, version by version: one JSON document for each, since it is always read whole. */
import type { Database, Queryable } from './database.ts';
import { jsonParameter, type Nullable, withoutNulls } from './values.ts';

/** What a source said, as it was read once. */
export interface SourceDocument {
  contentHash: string;
  /** How many sites, hosts, … */
  counts: Record<string, number>;
  /** Plain JSON data. */
  facts: object;
}

/** What is kept to ask only for what has changed: headers of a server's answer, or the time of a file. */
export type SourceValidators = Record<string, string | number>;

export interface StoredSource {
  name: string;
  /** Format and place: where this changes, what was known of the old place says nothing of the new one. */
  definition: string;
  checkedAt: Date;
  validators: SourceValidators;
  /** Why the last reading brought nothing; absent where it did. */
  failure?: string;
  /** What was read and not believed; absent where the last reading was. */
  refusal?: { at: Date; reason: string } & Partial<Omit<SourceDocument, 'facts'>>;
  /** What is in force; absent where nothing ever was. */
  current?: { version: number; fetchedAt: Date } & Omit<SourceDocument, 'facts'>;
}

/** How a reading of a source ended. A refused document is kept as well, where there is one, so that it can be accepted. */
export type SourceOutcome =
  | { type: 'unchanged'; validators?: SourceValidators }
  | { type: 'failed'; message: string }
  | { type: 'refused'; reason: string; document?: SourceDocument }
  | { type: 'accepted'; document: SourceDocument; validators: SourceValidators };

/** By name. */
export async function siteSources(db: Database): Promise<StoredSource[]> {
  const rows = await db.query<Nullable<StoredSource>>(
    `select
       name, definition, checked_at as "checkedAt", validators, failure,
       case when refused_at is not null then json_build_object(
         'at', extract(epoch from refused_at) * 1000, 'reason', refused_reason,
         'contentHash', refused_document -> 'contentHash', 'counts', refused_document -> 'counts') end as refusal,
       case when version is not null then json_build_object(
         'version', version, 'fetchedAt', extract(epoch from fetched_at) * 1000, 'contentHash', content_hash,
         'counts', counts) end as current
     from site_sources
     left join lateral (
       select version, fetched_at, content_hash, counts from site_source_versions
       where source = name order by version desc limit 1) as latest on true
     order by name`,
  );
  return rows.map((row) => {
    const { refusal, current, ...source } = withoutNulls<StoredSource>(row);
    return {
      ...source,
      ...(refusal && { refusal: { ...withoutNulls(refusal), at: new Date(refusal.at) } }),
      ...(current && { current: { ...current, fetchedAt: new Date(current.fetchedAt) } }),
    };
  });
}

/** What the source says by the version in force; undefined where there is none. */
export async function siteSourceFacts(db: Database, name: string): Promise<object | undefined> {
  const [row] = await db.query<{ facts: object }>(
    'select facts from site_source_versions where source = $1 order by version desc limit 1',
    [name],
  );
  return row?.facts;
}

/** @param keep how many versions of the source are kept */
export async function saveSourceOutcome(
  db: Database,
  { name, definition }: Pick<StoredSource, 'name' | 'definition'>,
  outcome: SourceOutcome,
  at: Date,
  keep: number,
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query(
      `insert into site_sources as before (name, definition, checked_at) values ($1, $2, $3)
       on conflict (name) do update set
         definition = excluded.definition, checked_at = excluded.checked_at, failure = null,
         validators = case when before.definition = excluded.definition then before.validators else '{}' end`,
      [name, definition, at],
    );
    if (outcome.type === 'failed') {
      await tx.query('update site_sources set failure = $2 where name = $1', [name, outcome.message]);
      return;
    }
    const refusal = outcome.type === 'refused' ? outcome : undefined;
    await tx.query(
      `update site_sources set refused_at = $2, refused_reason = $3, refused_document = $4::json where name = $1`,
      [
        name,
        refusal ? at : null,
        refusal?.reason,
        refusal?.document ? jsonParameter(refusal.document) : null,
      ],
    );
    if (outcome.type !== 'refused' && outcome.validators) {
      const validators = jsonParameter(outcome.validators);
      await tx.query('update site_sources set validators = $2::json where name = $1', [name, validators]);
    }
    if (outcome.type === 'accepted') await addVersion(tx, name, outcome.document, at, keep);
  });
}

/** Puts into force what was refused. False where nothing was, or nothing that can be. */
export async function acceptRefused(db: Database, name: string, at: Date, keep: number): Promise<boolean> {
  return db.transaction(async (tx) => {
    const [row] = await tx.query<{ document: SourceDocument | null }>(
      'select refused_document as document from site_sources where name = $1 for update',
      [name],
    );
    if (!row?.document) return false;
    await addVersion(tx, name, row.document, at, keep);
    await tx.query(
      `update site_sources set refused_at = null, refused_reason = null, refused_document = null, validators = '{}'
       where name = $1`,
      [name],
    );
    return true;
  });
}

async function addVersion(
  tx: Queryable,
  name: string,
  { contentHash, counts, facts }: SourceDocument,
  at: Date,
  keep: number,
): Promise<void> {
  await tx.query(
    `insert into site_source_versions (source, version, fetched_at, content_hash, counts, facts)
     select $1, coalesce(max(version), 0) + 1, $2::timestamptz, $3, $4::json, $5::json
     from site_source_versions where source = $1`,
    [name, at, contentHash, jsonParameter(counts), jsonParameter(facts)],
  );
  await tx.query(
    `delete from site_source_versions where source = $1 and version <= (
       select max(version) from site_source_versions where source = $1) - $2::integer`,
    [name, keep],
  );
}
