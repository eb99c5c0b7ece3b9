/** Series, their checkpoints, and their samples. */
import {
  type Metric,
  type Sample,
  type Series,
  type SeriesRead,
  seriesKey,
  type Verdict,
} from '../domain.ts';
import type { Database, Queryable } from './database.ts';
import { StoreError } from './error.ts';
import { ADVISORY_LOCKS } from './locks.ts';
import { dayOf, ensurePartitions } from './partitions.ts';
import {
  dateFromMs,
  epochMs,
  type Nullable,
  numberArray,
  queryTuples,
  storableText,
  textArray,
  withoutNulls,
} from './values.ts';

const DAY_MS = 86_400_000;
/** Rows per statement: bounds what one statement holds in PGlite's memory (some 2 MB of text). */
const CHUNK = 20_000;
/** A week of one sample every five minutes, for so many series, is a million rows: 64 MB as PGlite hands them over. */
const SERIES_PER_QUERY = 500;
/** The id of (good, no reason), fixed in sql/002-samples.sql. */
const GOOD = 1;

export interface StoredSeries extends Series {
  id: number;
  /** The newest sample stored, whatever its verdict. */
  lastSampleAt?: Date;
  checkpoint: Date;
}

export interface SavedReads {
  inserted: number;
  /** Samples that were there with another value or verdict. */
  updated: number;
  /** Samples more than a day in the future, or older than samples are kept. */
  rejected: number;
  /** The series of which a sample was inserted or updated. */
  touchedSeriesIds: number[];
}

/** The good samples of one series, ascending: value i was measured at time i (ms since 1970). */
export interface SampleColumns {
  atMs: Float64Array;
  values: Float64Array;
}

export interface SampleFilter {
  seriesId: number;
  since?: Date;
  until?: Date;
}

export interface SampleCounts {
  total: number;
  byVerdict: { verdict: Verdict; reason?: string; count: number }[];
}

/** By `seriesKey`: up to where each series of the archive has been read. */
export async function checkpoints(db: Database, archiveKey: string): Promise<Map<string, Date>> {
  const rows = await queryTuples<[string, Metric, number]>(
    db,
    `metadata_key, metric, ${epochMs('read_to')}`,
    'series join checkpoints on series_id = id where archive_key = $1',
    [archiveKey],
  );
  return new Map(
    rows.map(([metadataKey, metric, readTo]) => [seriesKey({ metadataKey, metric }), dateFromMs(readTo)]),
  );
}

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
    Metric,
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
  const rows = await queryTuples<Row>(
    db,
    `id, archive_key, metadata_key, metric, source, destination, source_name, destination_name, tool, ip_version,
     event_type, ${epochMs('read_to')}, ${epochMs('last_sample_at')}`,
    '(select * from series join checkpoints on series_id = id order by id) as s',
  );
  return rows.map((r) =>
    withoutNulls<StoredSeries>({
      id: r[0],
      archiveKey: r[1],
      metadataKey: r[2],
      metric: r[3],
      source: r[4],
      destination: r[5],
      sourceName: r[6],
      destinationName: r[7],
      tool: r[8],
      ipVersion: r[9],
      eventType: r[10],
      checkpoint: dateFromMs(r[11]),
      lastSampleAt: r[12] === null ? null : dateFromMs(r[12]),
    }),
  );
}

/** One series of a batch, its samples accepted, ascending, at most one per time. */
interface Prepared {
  series: Series;
  samples: Sample[];
  checkpoint: Date;
}

/**
 * Stores what reads of series brought. Series, samples, totals and checkpoints are one transaction: after a crash a
 * checkpoint never stands without the samples before it, and a batch sent again changes nothing.
 *
 * A sample that is there with the same value and verdict is left alone; with another, it is replaced. Of two for one
 * time in the batch, the later counts. Checkpoints never go back.
 *
 * @throws StoreError when an archive was never saved by saveDiscovery.
 */
export async function saveReads(
  db: Database,
  reads: readonly SeriesRead<Sample>[],
  at: Date,
  samplesDays: number,
): Promise<SavedReads> {
  const { prepared, rejected } = prepare(reads, at, samplesDays);
  if (prepared.length === 0) {
    return { inserted: 0, updated: 0, rejected, touchedSeriesIds: [] };
  }
  // Before the transaction: a partition or verdict that then stays unused does no harm.
  await ensurePartitions(db, daysOf(prepared));
  const verdictIds = await ensureVerdicts(db, prepared);
  return db.transaction(async (tx) => {
    // The planner's guess of what SAVE_SAMPLES costs makes it compile the plan: longer than running it takes.
    await tx.script('set local jit = off');
    await lockArchives(tx, new Set(prepared.map((p) => p.series.archiveKey)));
    const ids = await ensureSeries(
      tx,
      prepared.map((p) => p.series),
    );
    await saveCheckpoints(tx, prepared, ids);
    const saved: SavedReads = { inserted: 0, updated: 0, rejected, touchedSeriesIds: [] };
    const touched = new Set<number>();
    for (const chunk of chunks(prepared, ids, verdictIds)) {
      for (const row of await saveChunk(tx, chunk)) {
        saved.inserted += row.inserted;
        saved.updated += row.updated;
        touched.add(row.seriesId);
      }
    }
    saved.touchedSeriesIds = [...touched];
    if (touched.size > 0) {
      await tx.query('update checkpoints set touched_at = now() where series_id = any($1::integer[])', [
        numberArray(saved.touchedSeriesIds),
      ]);
    }
    return saved;
  });
}

/**
 * Writers of the same archive wait for each other; so what a later statement of the transaction finds stored stays as
 * it is. Always taken in the order of the hash, so that two writers never wait for each other both.
 */
async function lockArchives(tx: Queryable, keys: ReadonlySet<string>): Promise<void> {
  const rows = await tx.query<{ key: string; known: boolean }>(
    `select key, known, pg_advisory_xact_lock($2, hash)
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

/** Merges reads of the same series, and leaves out the samples that cannot be kept. */
export function prepare(
  reads: readonly SeriesRead<Sample>[],
  at: Date,
  samplesDays: number,
): { prepared: Prepared[]; rejected: number } {
  const oldest = at.getTime() - samplesDays * DAY_MS;
  const newest = at.getTime() + DAY_MS;
  const merged = new Map<string, Prepared>();
  let rejected = 0;
  for (const read of reads) {
    const accepted = read.samples.filter((s) => s.at.getTime() >= oldest && s.at.getTime() <= newest);
    rejected += read.samples.length - accepted.length;
    const { archiveKey, metadataKey, metric } = read.series;
    const key = JSON.stringify([archiveKey, metadataKey, metric].map(storableText));
    const earlier = merged.get(key);
    merged.set(key, {
      series: read.series,
      samples: earlier ? [...earlier.samples, ...accepted] : accepted,
      checkpoint: earlier && earlier.checkpoint > read.checkpoint ? earlier.checkpoint : read.checkpoint,
    });
  }
  const prepared = [...merged.values()].map((p) => ({ ...p, samples: ascendingOnce(p.samples) }));
  return { prepared, rejected };
}

function ascendingOnce(samples: Sample[]): Sample[] {
  let ascending = true;
  for (let i = 1; i < samples.length && ascending; i += 1) {
    ascending = samples[i - 1]!.at.getTime() < samples[i]!.at.getTime();
  }
  if (ascending) {
    return samples;
  }
  const byTime = new Map(samples.map((s) => [s.at.getTime(), s]));
  return [...byTime.values()].sort((a, b) => a.at.getTime() - b.at.getTime());
}

function daysOf(prepared: readonly Prepared[]): string[] {
  const dayNumbers = new Set<number>();
  for (const { samples } of prepared) {
    for (const sample of samples) {
      dayNumbers.add(Math.floor(sample.at.getTime() / DAY_MS));
    }
  }
  return [...dayNumbers].map((n) => dayOf(n * DAY_MS));
}

function verdictKey(verdict: string, reason: string | null | undefined): string {
  return reason === null || reason === undefined ? verdict : `${verdict}/${reason}`;
}

/** By `verdictKey`: the id of each verdict and reason that occurs. */
async function ensureVerdicts(db: Database, prepared: readonly Prepared[]): Promise<Map<string, number>> {
  const needed = new Map<string, Sample>();
  for (const { samples } of prepared) {
    for (const sample of samples) {
      needed.set(verdictKey(sample.verdict, sample.reason), sample);
    }
  }
  let ids = await verdictIds(db);
  const missing = [...needed].filter(([key]) => !ids.has(key)).map(([, sample]) => sample);
  if (missing.length > 0) {
    await db.query(
      `insert into verdicts (verdict, reason) select * from unnest($1::text[], $2::text[]) on conflict do nothing`,
      [textArray(missing.map((s) => s.verdict)), textArray(missing.map((s) => s.reason))],
    );
    ids = await verdictIds(db);
  }
  return ids;
}

async function verdictIds(db: Database): Promise<Map<string, number>> {
  const rows = await db.query<{ id: number; verdict: string; reason: string | null }>(
    'select id, verdict, reason from verdicts',
  );
  return new Map(rows.map((row) => [verdictKey(row.verdict, row.reason), row.id]));
}

const SERIES_COLUMNS = `archive_key, metadata_key, metric, source, destination, source_name, destination_name, tool,
  ip_version, event_type`;
const SERIES_INPUT = `unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
  $8::text[], $9::smallint[], $10::text[]) with ordinality as input(${SERIES_COLUMNS}, position)`;
const SERIES_DETAILS = 'source, destination, source_name, destination_name, tool, ip_version, event_type';

/** The id of each of `all`, in their order; adds those that are new and updates those whose details changed. */
async function ensureSeries(tx: Queryable, all: readonly Series[]): Promise<number[]> {
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
  // No "on conflict do update": it would draw a number from the id's sequence for every series there already is, at
  // every read, and so use up 2^31 numbers within two years.
  await tx.query(
    `insert into series (${SERIES_COLUMNS})
     select ${SERIES_COLUMNS} from ${SERIES_INPUT}
     where not exists (
       select from series where (series.archive_key, series.metadata_key, series.metric)
         = (input.archive_key, input.metadata_key, input.metric))
     order by position`,
    input,
  );
  const details = (table: string) => SERIES_DETAILS.replaceAll(/\w+/g, (column) => `${table}.${column}`);
  const rows = await queryTuples<[number, number, boolean]>(
    tx,
    `position, id, (${details('series')}) is distinct from (${details('input')})`,
    `${SERIES_INPUT} join series using (archive_key, metadata_key, metric)`,
    input,
  );
  if (rows.some(([, , changed]) => changed)) {
    await tx.query(
      `update series set (${SERIES_DETAILS}) = row(${details('input')})
       from ${SERIES_INPUT}
       where (series.archive_key, series.metadata_key, series.metric)
           = (input.archive_key, input.metadata_key, input.metric)
         and (${details('series')}) is distinct from (${details('input')})`,
      input,
    );
  }
  const ids: number[] = [];
  for (const [position, id] of rows) {
    ids[position - 1] = id;
  }
  return ids;
}

async function saveCheckpoints(
  tx: Queryable,
  prepared: readonly Prepared[],
  ids: readonly number[],
): Promise<void> {
  await tx.query(
    `insert into checkpoints as earlier (series_id, read_to, last_sample_at)
     select series_id, to_timestamp(read_to_ms / 1000), to_timestamp(last_sample_ms / 1000)
     from unnest($1::integer[], $2::float8[], $3::float8[]) as input(series_id, read_to_ms, last_sample_ms)
     on conflict (series_id) do update set
       read_to = greatest(earlier.read_to, excluded.read_to),
       last_sample_at = greatest(earlier.last_sample_at, excluded.last_sample_at)
     where excluded.read_to > earlier.read_to
       or excluded.last_sample_at > coalesce(earlier.last_sample_at, '-infinity')`,
    [
      numberArray(ids),
      numberArray(prepared.map((p) => p.checkpoint.getTime())),
      numberArray(prepared.map((p) => p.samples.at(-1)?.at.getTime())),
    ],
  );
}

interface Chunk {
  seriesIds: number[];
  atMs: number[];
  values: (number | null)[];
  verdictIds: number[];
}

function* chunks(
  prepared: readonly Prepared[],
  ids: readonly number[],
  verdictIds: ReadonlyMap<string, number>,
): Generator<Chunk> {
  let chunk: Chunk = { seriesIds: [], atMs: [], values: [], verdictIds: [] };
  for (const [index, { samples }] of prepared.entries()) {
    for (const sample of samples) {
      chunk.seriesIds.push(ids[index]!);
      chunk.atMs.push(sample.at.getTime());
      chunk.values.push(sample.value);
      chunk.verdictIds.push(verdictIds.get(verdictKey(sample.verdict, sample.reason))!);
      if (chunk.atMs.length === CHUNK) {
        yield chunk;
        chunk = { seriesIds: [], atMs: [], values: [], verdictIds: [] };
      }
    }
  }
  if (chunk.atMs.length > 0) {
    yield chunk;
  }
}

/**
 * All parts of the statement see the samples as they were before it, so `judged` tells new ones from changed ones, and
 * the totals know the verdict that a changed one had. The bounds on time are redundant: they let the planner leave out
 * the partitions of other days. `offset 0` keeps it at one index probe per row: free to choose, and without statistics
 * on new partitions, it read all samples of those days for every small batch.
 */
const SAVE_SAMPLES = `
  with input as materialized (
    select series_id, to_timestamp(at_ms / 1000) as at, value, verdict_id
    from unnest($1::integer[], $2::float8[], $3::float8[], $4::smallint[])
      as input(series_id, at_ms, value, verdict_id)
  ), judged as materialized (
    select
      input.*, stored.verdict_id as earlier_verdict_id, stored.series_id is null as is_new
    from input
    left join lateral (
      select * from samples
      where samples.series_id = input.series_id and samples.at = input.at and samples.at between $5 and $6
      offset 0
    ) as stored on true
    where stored.series_id is null
      or (stored.value, stored.verdict_id) is distinct from (input.value, input.verdict_id)
  ), written as (
    insert into samples (series_id, at, value, verdict_id)
    select series_id, at, value, verdict_id from judged order by series_id, at
    on conflict (series_id, at) do update set value = excluded.value, verdict_id = excluded.verdict_id
  ), tallied as (
    insert into sample_counts as total (day, verdict_id, count)
    select day, verdict_id, sum(change)
    from (
      select (at at time zone 'UTC')::date as day, verdict_id, 1 as change from judged
      union all
      select (at at time zone 'UTC')::date, earlier_verdict_id, -1 from judged where not is_new
    ) as changes
    group by day, verdict_id
    having sum(change) <> 0
    order by day, verdict_id
    on conflict (day, verdict_id) do update set count = total.count + excluded.count
  )
  select
    series_id as "seriesId",
    count(*) filter (where is_new) as inserted,
    count(*) filter (where not is_new) as updated
  from judged
  group by series_id`;

async function saveChunk(
  tx: Queryable,
  chunk: Chunk,
): Promise<{ seriesId: number; inserted: number; updated: number }[]> {
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const ms of chunk.atMs) {
    first = Math.min(first, ms);
    last = Math.max(last, ms);
  }
  return tx.query(SAVE_SAMPLES, [
    numberArray(chunk.seriesIds),
    numberArray(chunk.atMs),
    numberArray(chunk.values),
    numberArray(chunk.verdictIds),
    new Date(first),
    new Date(last),
  ]);
}

/**
 * Good samples at or after `since`. A series without any is not in the map.
 *
 * They cross as two strings of big-endian doubles per series: some twenty times fewer values for the driver to make
 * than rows would be, and no digit lost.
 */
export async function samples(
  db: Database,
  seriesIds: readonly number[],
  since: Date,
): Promise<Map<number, SampleColumns>> {
  const result = new Map<number, SampleColumns>();
  for (let first = 0; first < seriesIds.length; first += SERIES_PER_QUERY) {
    const rows = await db.query<{ seriesId: number; atMs: Uint8Array; values: Uint8Array }>(
      `select
         series_id as "seriesId",
         string_agg(float8send(round(${epochMs('at')})), '' order by at) as "atMs",
         string_agg(float8send(value), '' order by at) as values
       from samples
       where series_id = any($1::integer[]) and at >= $2 and verdict_id = ${GOOD} and value is not null
       group by series_id`,
      [numberArray(seriesIds.slice(first, first + SERIES_PER_QUERY)), since],
    );
    for (const row of rows) {
      result.set(row.seriesId, { atMs: doubles(row.atMs), values: doubles(row.values) });
    }
  }
  return result;
}

function doubles(bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const result = new Float64Array(bytes.byteLength / 8);
  for (let i = 0; i < result.length; i += 1) {
    result[i] = view.getFloat64(i * 8);
  }
  return result;
}

/** All samples of one series, whatever their verdict, ascending; `until` is excluded. */
export async function sampleRows(db: Database, filter: SampleFilter): Promise<Sample[]> {
  const rows = await db.query<Nullable<Sample>>(
    `select at, value, verdict, reason
     from samples join verdicts on verdicts.id = verdict_id
     where series_id = $1
       and ($2::timestamptz is null or at >= $2)
       and ($3::timestamptz is null or at < $3)
     order by at`,
    [filter.seriesId, filter.since, filter.until],
  );
  return rows.map(({ at, value, verdict, reason }) => ({
    at,
    value,
    verdict,
    ...(reason !== null && { reason }),
  })) as Sample[];
}

/** From the running totals: costs the same however many samples there are. */
export async function sampleCounts(db: Database): Promise<SampleCounts> {
  const rows = await db.query<Nullable<SampleCounts['byVerdict'][number]>>(
    `select verdict, reason, sum(count)::bigint as count
     from sample_counts join verdicts on verdicts.id = verdict_id
     group by verdict, reason
     having sum(count) > 0
     order by verdict, reason`,
  );
  const byVerdict = rows.map((row) => withoutNulls<SampleCounts['byVerdict'][number]>(row));
  return { total: byVerdict.reduce((sum, row) => sum + row.count, 0), byVerdict };
}
