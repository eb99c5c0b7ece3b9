/** Saving what reads of series brought. */
import type { JudgedRead, JudgedSamples, Series } from '../domain.ts';
import { joined } from '../judged.ts';
import {
  type Block,
  type Columns,
  cut,
  decode,
  emptyColumns,
  encode,
  encodedBytes,
  GOOD,
  merge,
  packed,
  packedSql,
} from './blocks.ts';
import type { Database, Queryable, Statement } from './database.ts';
import {
  ensurePartitions,
  type Partition,
  partitionAt,
  partitionName,
  SAMPLE_TABLES,
  type SampleTable,
  sampleTable,
} from './partitions.ts';
import { ensureSeries, type KnownSeries, lockArchives, savingProgress } from './series.ts';
import { numberArray, storableText, textArray } from './values.ts';
import { ensureVerdicts, judgementKey } from './verdicts.ts';

const DAY_MS = 86_400_000;
/** Bytes of samples in one statement: PGlite keeps several copies of them, and never gives memory back. */
const STATEMENT_BYTES = 1 << 18;

export interface SavedReads {
  inserted: number;
  /** Samples that were there with another value or verdict. */
  updated: number;
  /** Samples more than a day in the future, or older than samples are kept. */
  rejected: number;
  /** The series of which a sample was inserted or updated. */
  touchedSeriesIds: number[];
}

/** One series of a batch, its samples accepted, ascending, at most one per time. */
interface Prepared {
  series: Series;
  samples: Columns;
  checkpoint: Date;
}

/** What a batch brings to one block. */
interface Change {
  table: SampleTable;
  /** Of the series, in the batch. */
  position: number;
  startMs: number;
  added: Columns;
  /** Absent: there was no such block. */
  stored?: Columns;
}

/**
 * Stores what reads of series brought. Series, samples, totals and checkpoints are one transaction: after a crash a
 * checkpoint never stands without the samples before it, and a batch sent again changes nothing.
 *
 * A sample that is there with the same value and verdict is left alone; with another, it is replaced. Of two for one
 * time in the batch, the later counts. Samples before `oldest` are not kept. Checkpoints never go back; see savingProgress.
 *
 * @throws StoreError when an archive was never saved by saveDiscovery.
 */
export async function saveReads(
  db: Database,
  reads: readonly JudgedRead[],
  at: Date,
  oldest: Date,
): Promise<SavedReads> {
  if (reads.length === 0) return { inserted: 0, updated: 0, rejected: 0, touchedSeriesIds: [] };
  // Before the transaction: a partition or verdict that then stays unused does no harm.
  const verdictIds = await ensureVerdicts(
    db,
    reads.flatMap(({ samples }) => samples.judgements),
  );
  const { prepared, rejected } = prepare(reads, verdictIds, at, oldest);
  const changes = prepared.flatMap(({ series, samples }, position) => {
    const table = sampleTable(series.metric);
    return cut(samples, table.blockMs).map(
      ({ startMs, columns }): Change => ({ table, position, startMs, added: columns }),
    );
  });
  await ensurePartitions(db, partitionsOf(changes));
  return db.transaction(async (tx) => {
    await lockArchives(tx, new Set(prepared.map((p) => p.series.archiveKey)));
    const known = await ensureSeries(
      tx,
      prepared.map((p) => p.series),
    );
    await readStored(tx, changes, known);
    const { written, inserted, updated, totals } = mergeAll(changes, known);
    const touched = new Set(written.map(({ seriesId }) => seriesId));
    const progress = prepared.map(({ checkpoint, samples }, position) => ({
      seriesId: known[position]!.id,
      checkpoint,
      lastSampleMs: samples.atMs.at(-1),
      isTouched: touched.has(known[position]!.id),
    }));
    await tx.queryAll([
      ...SAMPLE_TABLES.flatMap((table) => [...writing(table, written)]),
      savingProgress(progress, at),
      // Last, since all writers meet here.
      ...savingTotals(totals),
    ]);
    return { inserted, updated, rejected, touchedSeriesIds: [...touched] };
  });
}

/**
 * Merges reads of the same series, and leaves out the samples that cannot be kept.
 * @param verdictIds by `judgementKey`
 */
export function prepare(
  reads: readonly JudgedRead[],
  verdictIds: ReadonlyMap<string, number>,
  at: Date,
  oldest: Date,
): { prepared: Prepared[]; rejected: number } {
  const newest = at.getTime() + DAY_MS;
  const merged = new Map<string, JudgedRead>();
  for (const read of reads) {
    const { archiveKey, metadataKey, metric } = read.series;
    const key = JSON.stringify([archiveKey, metadataKey, metric].map(storableText));
    const earlier = merged.get(key);
    merged.set(key, earlier ? joined(earlier, read) : read);
  }
  let rejected = 0;
  const prepared = [...merged.values()].map(({ series, samples, checkpoint }) => {
    const all = withIds(samples, verdictIds);
    const accepted = within(all, oldest.getTime(), newest);
    rejected += all.atMs.length - accepted.atMs.length;
    return { series, samples: ascendingOnce(accepted), checkpoint };
  });
  return { prepared, rejected };
}

/** Shares the times and values. */
function withIds(
  { atMs, values, judged, judgements }: JudgedSamples,
  verdictIds: ReadonlyMap<string, number>,
): Columns {
  const ids = judgements.map((judgement) => verdictIds.get(judgementKey(judgement))!);
  const [only] = ids;
  if (ids.length === 1) return { atMs, values, verdictIds: new Uint16Array(atMs.length).fill(only!) };
  return { atMs, values, verdictIds: judged.map((place) => ids[place]!) };
}

function within(columns: Columns, oldest: number, newest: number): Columns {
  const isAccepted = (ms: number): boolean => ms >= oldest && ms <= newest;
  if (columns.atMs.every(isAccepted)) return columns;
  return picked(
    columns,
    [...columns.atMs.keys()].filter((i) => isAccepted(columns.atMs[i]!)),
  );
}

function ascendingOnce(columns: Columns): Columns {
  const { atMs } = columns;
  let ascending = true;
  for (let i = 1; i < atMs.length && ascending; i += 1) ascending = atMs[i - 1]! < atMs[i]!;
  if (ascending) return columns;
  const byTime = new Map(atMs.entries().map(([i, ms]) => [ms, i]));
  return picked(
    columns,
    [...byTime].sort(([a], [b]) => a - b).map(([, i]) => i),
  );
}

function picked({ atMs, values, verdictIds }: Columns, places: readonly number[]): Columns {
  const columns = emptyColumns(places.length);
  for (const [i, place] of places.entries()) {
    columns.atMs[i] = atMs[place]!;
    columns.values[i] = values[place]!;
    columns.verdictIds[i] = verdictIds[place]!;
  }
  return columns;
}

function partitionsOf(changes: readonly Change[]): Map<string, Partition> {
  const partitions = new Map<string, Partition>();
  for (const { table, startMs } of changes) {
    const partition = partitionAt(table, startMs);
    partitions.set(partitionName(partition), partition);
  }
  return partitions;
}

/**
 * Adds to each change the block that is stored; there can be none after the series' newest sample. Under the archive's
 * lock, so it stays as it is until the transaction ends. The bounds on time are redundant: they let the planner leave
 * out the partitions of other days. `offset 0` keeps it at one index probe for each block, with or without statistics.
 */
async function readStored(
  tx: Queryable,
  changes: readonly Change[],
  known: readonly KnownSeries[],
): Promise<void> {
  for (const table of SAMPLE_TABLES) {
    const wanted = changes.filter((change) => {
      const { lastSampleMs } = known[change.position]!;
      return change.table === table && lastSampleMs !== null && change.startMs <= lastSampleMs;
    });
    if (wanted.length === 0) continue;
    const starts = wanted.map(({ startMs }) => startMs);
    const [row] = await tx.query<{ blocks: Uint8Array | null }>(
      `select ${packedSql('position::integer')} as blocks
       from unnest($1::integer[], $2::float8[]) with ordinality as key(series_id, start_ms, position)
       cross join lateral (
         select * from ${table.name} as stored
         where stored.series_id = key.series_id and stored.at = to_timestamp(key.start_ms / 1000)
           and stored.at between $3 and $4
         offset 0
       ) as stored`,
      [
        numberArray(wanted.map(({ position }) => known[position]!.id)),
        numberArray(starts),
        new Date(starts.reduce((a, b) => Math.min(a, b))),
        new Date(starts.reduce((a, b) => Math.max(a, b))),
      ],
    );
    if (!row?.blocks) continue;
    const view = new DataView(row.blocks.buffer, row.blocks.byteOffset, row.blocks.byteLength);
    for (const block of packed(view)) wanted[block.key - 1]!.stored = decode(view, block);
  }
}

interface WrittenBlock extends Block {
  table: SampleTable;
  seriesId: number;
}

interface MergedChanges {
  /** The blocks that changed. */
  written: WrittenBlock[];
  inserted: number;
  updated: number;
  /** By partition and verdict id, by how much they change. */
  totals: Map<string, Map<number, number>>;
}

function mergeAll(changes: readonly Change[], known: readonly KnownSeries[]): MergedChanges {
  const result: MergedChanges = { written: [], inserted: 0, updated: 0, totals: new Map() };
  for (const { table, position, startMs, added, stored } of changes) {
    const { columns, inserted, updated } = merge(stored ?? emptyColumns(0), added);
    if (inserted + updated === 0) continue;
    result.inserted += inserted;
    result.updated += updated;
    result.written.push({ table, seriesId: known[position]!.id, startMs, columns });
    const partition = partitionName(partitionAt(table, startMs));
    const totals = result.totals.get(partition) ?? new Map<number, number>();
    result.totals.set(partition, totals);
    count(totals, columns.verdictIds, 1);
    if (stored) count(totals, stored.verdictIds, -1);
  }
  return result;
}

function count(totals: Map<number, number>, verdictIds: Uint16Array, change: 1 | -1): void {
  let good = 0;
  for (const id of verdictIds) {
    if (id === GOOD) good += change;
    else totals.set(id, (totals.get(id) ?? 0) + change);
  }
  totals.set(GOOD, (totals.get(GOOD) ?? 0) + good);
}

function* writing(table: SampleTable, written: readonly WrittenBlock[]): Generator<Statement> {
  let chunk: WrittenBlock[] = [];
  let lengths: number[] = [];
  let bytes = 0;
  for (const block of written) {
    if (block.table !== table) continue;
    const length = encodedBytes(block.columns);
    if (bytes + length > STATEMENT_BYTES && chunk.length > 0) {
      yield writingAtOnce(table, chunk, lengths, bytes);
      chunk = [];
      lengths = [];
      bytes = 0;
    }
    chunk.push(block);
    lengths.push(length);
    bytes += length;
  }
  if (chunk.length > 0) yield writingAtOnce(table, chunk, lengths, bytes);
}

function writingAtOnce(
  table: SampleTable,
  blocks: readonly WrittenBlock[],
  lengths: readonly number[],
  bytes: number,
): Statement {
  const data = new Uint8Array(bytes);
  const view = new DataView(data.buffer);
  const offsets: number[] = [];
  let offset = 0;
  for (const [i, block] of blocks.entries()) {
    encode(block, view, offset, lengths[i]!);
    offsets.push(offset + 1);
    offset += lengths[i]!;
  }
  return [
    `insert into ${table.name} (at, series_id, count, data)
     select to_timestamp(start_ms / 1000), series_id, count, substr($6::bytea, first, length)
     from unnest($1::float8[], $2::integer[], $3::integer[], $4::integer[], $5::integer[])
       as input(start_ms, series_id, count, first, length)
     on conflict (series_id, at) do update set count = excluded.count, data = excluded.data`,
    [
      numberArray(blocks.map(({ startMs }) => startMs)),
      numberArray(blocks.map(({ seriesId }) => seriesId)),
      numberArray(blocks.map(({ columns }) => columns.atMs.length)),
      numberArray(offsets),
      numberArray(lengths),
      data,
    ],
  ];
}

function savingTotals(totals: MergedChanges['totals']): Statement[] {
  const changes = [...totals].flatMap(([partition, byVerdict]) =>
    [...byVerdict].filter(([, change]) => change !== 0).map(([id, change]) => ({ partition, id, change })),
  );
  if (changes.length === 0) return [];
  return [
    [
      `insert into sample_totals as earlier (partition, verdict_id, count)
     select * from unnest($1::text[], $2::smallint[], $3::bigint[]) as input(partition, verdict_id, change)
     order by partition, verdict_id
     on conflict (partition, verdict_id) do update set count = earlier.count + excluded.count`,
      [
        textArray(changes.map(({ partition }) => partition)),
        numberArray(changes.map(({ id }) => id)),
        numberArray(changes.map(({ change }) => change)),
      ],
    ],
  ];
}
