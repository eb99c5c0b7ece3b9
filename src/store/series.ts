/** Series, and up to where each has been read. */
import { type Series, seriesKey } from '../domain.ts';
import { CLOCKS_APART_MS } from './data-clock.ts';
import type { Database, Queryable, Statement } from './database.ts';
import { StoreError } from './error.ts';
import { ADVISORY_LOCKS } from './locks.ts';
import {
  byKey,
  dateFromMs,
  epochMs,
  numberArray,
  queryTuples,
  sameTexts,
  textArray,
  withoutNulls,
} from './values.ts';

export interface StoredSeries extends Series {
  id: number;
  /** The newest sample stored, whatever its verdict. */
  lastSampleAt?: Date;
  checkpoint: Date;
}

/**
 * By `seriesKey`: up to where each series of the archive has been read. One after `now` was written by a clock that
 * was wrong: then the newest sample is all that is sure.
 */
export async function checkpoints(db: Database, archiveKey: string, now: Date): Promise<Map<string, Date>> {
  const rows = await queryTuples<[string, Series['metric'], number]>(
    db,
    `metadata_key, metric, ${epochMs('sure')}`,
    `(select *, ${sureCheckpoint('last_sample_at')} as sure from series join checkpoints on series_id = id) as read
     where archive_key = $1 and sure is not null`,
    [archiveKey, latestSure(now)],
  );
  return new Map(
    rows.map(([metadataKey, metric, readTo]) => [seriesKey({ metadataKey, metric }), dateFromMs(readTo)]),
  );
}

/** Null where neither is before $2. */
export const sureCheckpoint = (lastAt: string): string =>
  `case when read_to <= $2 then read_to when ${lastAt} <= $2 then ${lastAt} end`;

export const latestSure = (now: Date): Date => new Date(now.getTime() + CLOCKS_APART_MS);

export async function mark(db: Database): Promise<Date> {
  const [row] = await db.query<{ now: Date }>('select now()');
  return row!.now;
}

export async function touchedSince(db: Database, since: Date): Promise<Set<number>> {
  const rows = await db.query<{ id: number }>(
    'select series_id as id from checkpoints where touched_at >= $1',
    [since],
  );
  return new Set(rows.map(({ id }) => id));
}

/** By id. */
export async function series(db: Database): Promise<StoredSeries[]> {
  type Row = [
    number,
    string,
    string,
    Series['metric'],
    string,
    string,
    string | null,
    string | null,
    string,
    4 | 6 | null,
    string,
    number,
    number | null,
  ];
  const same = sameTexts();
  return byKey(
    ['id'],
    (condition, after) =>
      queryTuples<Row>(
        db,
        `id, archive_key, metadata_key, metric, source, destination, source_name, destination_name, tool, ip_version,
         event_type, ${epochMs('read_to')}, ${epochMs('last_sample_at')}`,
        `(select * from series join checkpoints on series_id = id where ${condition}) as s`,
        after,
      ),
    (r) =>
      withoutNulls<StoredSeries>({
        id: r[0],
        archiveKey: same(r[1]),
        metadataKey: same(r[2]),
        metric: same(r[3]),
        source: same(r[4]),
        destination: same(r[5]),
        sourceName: r[6] && same(r[6]),
        destinationName: r[7] && same(r[7]),
        tool: same(r[8]),
        ipVersion: r[9],
        eventType: same(r[10]),
        checkpoint: dateFromMs(r[11]),
        lastSampleAt: r[12] === null ? null : dateFromMs(r[12]),
      }),
  );
}

/**
 * Writers of the same archive wait for each other; so what a later statement of the transaction finds stored stays as
 * it is. Always taken in the order of the hash, so that two writers never wait for each other both.
 */
export async function lockArchives(tx: Queryable, keys: ReadonlySet<string>): Promise<void> {
  // Without JIT: compiling a plan would take longer than any of the transaction's statements runs.
  const rows = await tx.query<{ key: string; known: boolean }>(
    `select key, known, pg_advisory_xact_lock($2, hash), set_config('jit', 'off', true)
     from (
       select key, hashtext(key) as hash, exists (select from archives where archives.key = input.key) as known
       from unnest($1::text[]) as input(key)
       order by hash
     ) as ordered`,
    [textArray(keys), ADVISORY_LOCKS.archiveClass],
  );
  const unknown = rows.filter((row) => !row.known);
  if (unknown.length > 0) {
    const names = unknown.map((row) => row.key).join(', ');
    throw new StoreError(`Reads of archives that discovery never saved cannot be stored: ${names}`);
  }
}

const SERIES_COLUMNS = `archive_key, metadata_key, metric, source, destination, source_name, destination_name, tool,
  ip_version, event_type`;
const SERIES_INPUT = `unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
  $8::text[], $9::smallint[], $10::text[]) with ordinality as input(${SERIES_COLUMNS}, position)`;
const SERIES_DETAILS = 'source, destination, source_name, destination_name, tool, ip_version, event_type';

/** A series as a writer finds it. */
export interface KnownSeries {
  id: number;
  /** The newest sample stored; absent where there is none. */
  lastSampleMs: number | null;
}

/** Each of `all`, in their order; adds those that are new and updates those whose details changed. */
export async function ensureSeries(tx: Queryable, all: readonly Series[]): Promise<KnownSeries[]> {
  const input = [
    textArray(all.map((s) => s.archiveKey)),
    textArray(all.map((s) => s.metadataKey)),
    textArray(all.map((s) => s.metric)),
    textArray(all.map((s) => s.source)),
    textArray(all.map((s) => s.destination)),
    textArray(all.map((s) => s.sourceName)),
    textArray(all.map((s) => s.destinationName)),
    textArray(all.map((s) => s.tool)),
    numberArray(all.map((s) => s.ipVersion)),
    textArray(all.map((s) => s.eventType)),
  ];
  const details = (table: string) => SERIES_DETAILS.replaceAll(/\w+/g, (column) => `${table}.${column}`);
  const known = () =>
    queryTuples<[number, number, number | null, boolean]>(
      tx,
      `position, id, ${epochMs('last_sample_at')}, (${details('series')}) is distinct from (${details('input')})`,
      `${SERIES_INPUT} join series using (archive_key, metadata_key, metric)
       left join checkpoints on series_id = id`,
      input,
    );
  const rows = await known();
  if (rows.length < all.length) {
    const found = new Set(rows.map(([position]) => position));
    const missing = all.flatMap((_, i) => (found.has(i + 1) ? [] : [i + 1]));
    // No "on conflict do update": it would draw a number from the id's sequence for every series there already is, at
    // every read, and so use up 2^31 numbers within two years. The archive's lock keeps others from adding the same.
    const added = await tx.query<{ json: string }>(
      `with added as (
         insert into series (${SERIES_COLUMNS})
         select ${SERIES_COLUMNS} from ${SERIES_INPUT} where position = any ($11::bigint[])
         order by position
         returning id, archive_key, metadata_key, metric)
       select string_agg(json_build_array(position, id)::text, ',') as json
       from ${SERIES_INPUT} join added using (archive_key, metadata_key, metric)`,
      [...input, numberArray(missing)],
    );
    for (const [position, id] of JSON.parse(`[${added[0]!.json}]`) as [number, number][])
      rows.push([position, id, null, false]);
  }
  if (rows.some(([, , , changed]) => changed)) {
    await tx.query(
      `update series set (${SERIES_DETAILS}) = row(${details('input')})
       from ${SERIES_INPUT}
       where (series.archive_key, series.metadata_key, series.metric)
           = (input.archive_key, input.metadata_key, input.metric)
         and (${details('series')}) is distinct from (${details('input')})`,
      input,
    );
  }
  const found: KnownSeries[] = [];
  for (const [position, id, lastSampleMs] of rows) {
    found[position - 1] = { id, lastSampleMs: lastSampleMs === null ? null : Math.round(lastSampleMs) };
  }
  return found;
}

export interface Progress {
  seriesId: number;
  checkpoint: Date;
  /** The newest sample of this read. */
  lastSampleMs: number | undefined;
  /** Whether samples were added or changed. */
  isTouched: boolean;
}

/** Checkpoints never go back, but for those that a wrong clock moved ahead: they do, up to the newest sample. */
export function savingProgress(all: readonly Progress[], at: Date): Statement {
  return [
    `insert into checkpoints as earlier (series_id, read_to, last_sample_at, touched_at)
     select series_id, to_timestamp(read_to_ms / 1000), to_timestamp(last_sample_ms / 1000),
       case when is_touched then now() end
     from unnest($1::integer[], $2::float8[], $3::float8[], $4::boolean[])
       as input(series_id, read_to_ms, last_sample_ms, is_touched)
     on conflict (series_id) do update set
       read_to = greatest(
         case when earlier.read_to <= $5 then earlier.read_to else earlier.last_sample_at end, excluded.read_to),
       last_sample_at = greatest(earlier.last_sample_at, excluded.last_sample_at),
       touched_at = coalesce(excluded.touched_at, earlier.touched_at)
     where excluded.read_to > earlier.read_to or earlier.read_to > $5
       or excluded.last_sample_at > coalesce(earlier.last_sample_at, '-infinity')
       or excluded.touched_at is not null`,
    [
      numberArray(all.map((p) => p.seriesId)),
      numberArray(all.map((p) => p.checkpoint.getTime())),
      numberArray(all.map((p) => p.lastSampleMs)),
      `{${all.map((p) => p.isTouched).join(',')}}`,
      latestSure(at),
    ],
  ];
}
