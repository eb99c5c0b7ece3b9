/** Reading samples back, as columns of numbers. */
import type { Judgement, Sample } from '../domain.ts';
import { type EncodedBlock, emptyColumns, GOOD, packed, packedSql, slice } from './blocks.ts';
import type { Database } from './database.ts';
import { IS_SPARSE_SQL, SAMPLE_TABLES, type SampleTable } from './partitions.ts';
import { type Nullable, numberArray, withoutNulls } from './values.ts';
import { judgements } from './verdicts.ts';

/** The good samples of one series, ascending: value i was measured at time i (ms since 1970). */
export interface SampleColumns {
  atMs: Float64Array;
  values: Float64Array;
}

/** All samples of one series, ascending. A value is NaN where the archive's was no number. */
export interface JudgedColumns extends SampleColumns {
  /** See `judgements`. */
  verdictIds: Uint16Array;
}

export interface SampleFilter {
  seriesId: number;
  since?: Date;
  until?: Date;
}

export interface SampleCounts {
  total: number;
  byVerdict: (Judgement & { count: number })[];
}

/** What one query should bring, in bytes: PGlite keeps several copies of it, and never gives memory back. */
const QUERY_BYTES = 1 << 20;
/** So many series at first, until it is known how much they bring; and so many at most. */
const FIRST_SERIES = 50;
const MOST_SERIES = 10_000;

/**
 * Good samples at or after `since`, of some of the series at a time; a series without any is in no map. The columns of
 * one map share their memory: who keeps one of them for long should copy it.
 */
export async function* samplesInParts(
  db: Database,
  seriesIds: readonly number[],
  since: Date,
): AsyncGenerator<Map<number, SampleColumns>> {
  for await (const part of parts(db, seriesIds, since)) {
    const good = unpack(part, since, 'good');
    yield new Map(good.entries().map(([id, { atMs, values }]) => [id, { atMs, values }]));
  }
}

/** The same of all samples, whatever their verdict. */
export async function* judgedSamplesInParts(
  db: Database,
  seriesIds: readonly number[],
  since: Date,
): AsyncGenerator<Map<number, JudgedColumns>> {
  for await (const part of parts(db, seriesIds, since)) yield unpack(part, since, 'all');
}

/** Good samples at or after `since`. A series without any is not in the map. */
export async function samples(
  db: Database,
  seriesIds: readonly number[],
  since: Date,
): Promise<Map<number, SampleColumns>> {
  const result = new Map<number, SampleColumns>();
  for await (const part of samplesInParts(db, seriesIds, since)) {
    for (const [id, columns] of part) result.set(id, columns);
  }
  return result;
}

/** All samples of one series, whatever their verdict, ascending; `until` is excluded. */
export async function sampleRows(db: Database, filter: SampleFilter): Promise<Sample[]> {
  const rows: Sample[] = [];
  const byId = await judgements(db);
  const untilMs = filter.until?.getTime() ?? Number.POSITIVE_INFINITY;
  for await (const part of judgedSamplesInParts(db, [filter.seriesId], filter.since ?? new Date(0))) {
    for (const { atMs, values, verdictIds } of part.values()) {
      for (let i = 0; i < atMs.length && atMs[i]! < untilMs; i += 1) {
        const value = values[i]!;
        rows.push({
          at: new Date(atMs[i]!),
          value: Number.isNaN(value) ? null : value,
          ...byId.get(verdictIds[i]!)!,
        });
      }
    }
  }
  return rows;
}

/** From the running totals: costs the same however many samples there are. */
export async function sampleCounts(db: Database): Promise<SampleCounts> {
  const rows = await db.query<Nullable<SampleCounts['byVerdict'][number]>>(
    `select verdict, reason, sum(count)::bigint as count
     from sample_totals join verdicts on verdicts.id = verdict_id
     group by verdict, reason
     having sum(count) > 0
     order by verdict, reason`,
  );
  const byVerdict = rows.map((row) => withoutNulls<SampleCounts['byVerdict'][number]>(row));
  return { total: byVerdict.reduce((sum, row) => sum + row.count, 0), byVerdict };
}

/** Blocks of some series, all that those have since then. */
async function* parts(db: Database, seriesIds: readonly number[], since: Date): AsyncGenerator<DataView> {
  const sparse = await sparseAmong(db, seriesIds);
  for (const table of SAMPLE_TABLES) {
    const isSparse = table.name === 'sparse_samples';
    // Neighbours in the index are neighbours on disk.
    const ids = seriesIds.filter((id) => sparse.has(id) === isSparse).sort((a, b) => a - b);
    let atOnce = FIRST_SERIES;
    for (let first = 0; first < ids.length; ) {
      const some = ids.slice(first, first + atOnce);
      first += some.length;
      const blocks = await blocksOf(db, table, some, since);
      if (blocks.byteLength > 0) yield blocks;
      atOnce = Math.ceil((some.length * QUERY_BYTES) / Math.max(blocks.byteLength, 1));
      atOnce = Math.min(atOnce, 4 * some.length, MOST_SERIES);
    }
  }
}

async function sparseAmong(db: Database, seriesIds: readonly number[]): Promise<Set<number>> {
  const [row] = await db.query<{ ids: number[] | null }>(
    `select json_agg(id) as ids from series where id = any($1::integer[]) and ${IS_SPARSE_SQL}`,
    [numberArray(seriesIds)],
  );
  return new Set(row?.ids ?? []);
}

async function blocksOf(
  db: Database,
  table: SampleTable,
  seriesIds: readonly number[],
  since: Date,
): Promise<DataView> {
  const [row] = await db.query<{ blocks: Uint8Array | null }>(
    `select ${packedSql('series_id')} as blocks
     from ${table.name} where series_id = any($1::integer[]) and at >= $2`,
    [numberArray(seriesIds), new Date(Math.floor(since.getTime() / table.blockMs) * table.blockMs)],
  );
  const { buffer, byteOffset, byteLength } = row?.blocks ?? new Uint8Array(0);
  return new DataView(buffer, byteOffset, byteLength);
}

function unpack(from: DataView, since: Date, which: 'good' | 'all'): Map<number, JudgedColumns> {
  const bySeries = Map.groupBy(packed(from), ({ key }) => key);
  let total = 0;
  for (const blocks of bySeries.values()) {
    blocks.sort((a, b) => a.startMs - b.startMs);
    for (const { count } of blocks) total += count;
  }
  const all = emptyColumns(total);
  const result = new Map<number, JudgedColumns>();
  let end = 0;
  for (const [id, blocks] of bySeries) {
    const start = end;
    for (const block of blocks) end = append(all, end, from, block, since.getTime(), which);
    if (end > start) result.set(id, slice(all, start, end));
  }
  return result;
}

/** Appends a block's samples at `end`; gives the new end. */
function append(
  to: JudgedColumns,
  end: number,
  from: DataView,
  block: EncodedBlock,
  sinceMs: number,
  which: 'good' | 'all',
): number {
  const { count, offset, startMs, isAllGood } = block;
  let next = end;
  for (let i = 0; i < count; i += 1) {
    const atMs = startMs + from.getInt32(offset + 8 * count + 4 * i);
    if (atMs < sinceMs) continue;
    const value = from.getFloat64(offset + 8 * i);
    const verdictId = isAllGood ? GOOD : from.getInt16(offset + 12 * count + 2 * i);
    if (which === 'good' && (verdictId !== GOOD || Number.isNaN(value))) continue;
    to.atMs[next] = atMs;
    to.values[next] = value;
    to.verdictIds[next] = verdictId;
    next += 1;
  }
  return next;
}
