/**
 * Blocks of samples: what one series measured in one span of time, as one value in the database. Per sample a double,
 * an int4 and, unless all samples of the block are good, an int2: see sql/006-sample-blocks.sql.
 */

/** The id of (good, no reason), fixed in sql/002-samples.sql. */
export const GOOD = 1;

/**
 * Samples of one series, ascending, one per time: value i was measured at time i (ms since 1970). The value is NaN
 * where the archive's was no number.
 */
export interface Columns {
  atMs: Float64Array;
  values: Float64Array;
  verdictIds: Uint16Array;
}

export interface Block {
  startMs: number;
  columns: Columns;
}

export function emptyColumns(length: number): Columns {
  return {
    atMs: new Float64Array(length),
    values: new Float64Array(length),
    verdictIds: new Uint16Array(length),
  };
}

export function slice({ atMs, values, verdictIds }: Columns, from: number, to: number): Columns {
  return {
    atMs: atMs.subarray(from, to),
    values: values.subarray(from, to),
    verdictIds: verdictIds.subarray(from, to),
  };
}

/** Where spans of `spanMs` begin, the samples part. */
export function cut(columns: Columns, spanMs: number): Block[] {
  const { atMs } = columns;
  const blocks: Block[] = [];
  for (let from = 0; from < atMs.length; ) {
    const startMs = Math.floor(atMs[from]! / spanMs) * spanMs;
    let to = from + 1;
    while (to < atMs.length && atMs[to]! < startMs + spanMs) to += 1;
    blocks.push({ startMs, columns: slice(columns, from, to) });
    from = to;
  }
  return blocks;
}

export interface Merged {
  columns: Columns;
  inserted: number;
  /** Samples that were there with another value or verdict. */
  updated: number;
}

/** What stands after `added` came to `stored`: for a time that both have, the added sample counts. */
export function merge(stored: Columns, added: Columns): Merged {
  if (stored.atMs.length === 0) return { columns: added, inserted: added.atMs.length, updated: 0 };
  const { inserted, updated } = compare(stored, added);
  if (inserted + updated === 0) return { columns: stored, inserted, updated };
  const merged = emptyColumns(stored.atMs.length + inserted);
  let s = 0;
  let a = 0;
  for (let i = 0; i < merged.atMs.length; i += 1) {
    const storedMs = stored.atMs[s] ?? Number.POSITIVE_INFINITY;
    const addedMs = added.atMs[a] ?? Number.POSITIVE_INFINITY;
    const isAdded = addedMs <= storedMs;
    const from = isAdded ? added : stored;
    const at = isAdded ? a : s;
    merged.atMs[i] = from.atMs[at]!;
    merged.values[i] = from.values[at]!;
    merged.verdictIds[i] = from.verdictIds[at]!;
    if (storedMs <= addedMs) s += 1;
    if (isAdded) a += 1;
  }
  return { columns: merged, inserted, updated };
}

function compare(stored: Columns, added: Columns): { inserted: number; updated: number } {
  let inserted = 0;
  let updated = 0;
  let s = 0;
  for (let a = 0; a < added.atMs.length; a += 1) {
    const ms = added.atMs[a]!;
    while (stored.atMs[s]! < ms) s += 1;
    if (stored.atMs[s] !== ms) inserted += 1;
    else if (
      stored.verdictIds[s] !== added.verdictIds[a] ||
      !isSameNumber(stored.values[s]!, added.values[a]!)
    )
      updated += 1;
  }
  return { inserted, updated };
}

/** NaN is NaN, and -0 is 0. */
function isSameNumber(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

export function encodedBytes({ verdictIds }: Columns): number {
  return verdictIds.length * (verdictIds.every((id) => id === GOOD) ? 12 : 14);
}

/** Writes `encodedBytes()` bytes at `offset`. */
export function encode({ startMs, columns }: Block, into: DataView, offset: number, bytes: number): void {
  const { atMs, values, verdictIds } = columns;
  const count = atMs.length;
  for (let i = 0; i < count; i += 1) {
    into.setFloat64(offset + 8 * i, values[i]!);
    into.setInt32(offset + 8 * count + 4 * i, atMs[i]! - startMs);
  }
  if (bytes === 12 * count) return;
  for (let i = 0; i < count; i += 1) into.setInt16(offset + 12 * count + 2 * i, verdictIds[i]!);
}

/** A block as it lies in the bytes that the database gave. */
export interface EncodedBlock {
  startMs: number;
  count: number;
  /** Of the first value. */
  offset: number;
  isAllGood: boolean;
}

export function decode(from: DataView, block: EncodedBlock): Columns {
  const columns = emptyColumns(block.count);
  const { atMs, values, verdictIds } = columns;
  const { startMs, count, offset } = block;
  for (let i = 0; i < count; i += 1) {
    values[i] = from.getFloat64(offset + 8 * i);
    atMs[i] = startMs + from.getInt32(offset + 8 * count + 4 * i);
  }
  if (block.isAllGood) verdictIds.fill(GOOD);
  else for (let i = 0; i < count; i += 1) verdictIds[i] = from.getInt16(offset + 12 * count + 2 * i);
  return columns;
}

/** SQL: one block of `sample` as bytes, under a number of the caller's. Aggregated, they are what `packed` takes apart. */
export function packedSql(key: string): string {
  return `string_agg(int4send(${key}) || float8send(date_part('epoch', at)) || int4send(count)
    || int4send(length(data)) || data, '')`;
}

const HEADER_BYTES = 20;

export function* packed(bytes: DataView): Generator<EncodedBlock & { key: number }> {
  let offset = 0;
  while (offset < bytes.byteLength) {
    const count = bytes.getInt32(offset + 12);
    const length = bytes.getInt32(offset + 16);
    yield {
      key: bytes.getInt32(offset),
      startMs: bytes.getFloat64(offset + 4) * 1000,
      count,
      offset: offset + HEADER_BYTES,
      isAllGood: length === 12 * count,
    };
    offset += HEADER_BYTES + length;
  }
}
