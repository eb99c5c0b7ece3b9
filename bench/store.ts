import { availableParallelism, loadavg } from 'node:os';
import { type Child, startChild } from './spider/child.ts';
import type { FloorHandlers } from './store/floor-process.ts';
import type { StoreHandlers, StoreOptions, Timed } from './store/store-process.ts';

/**
 * The embedded store at the size of the world, without the spider: a first harvest, steady cycles, and what estimates
 * read, each against a floor. `docs/bench.md` says how to read the result.
 */
const HOURS = 24;
const CYCLES = 3;
const CYCLE_MS = 300_000;
const OVERLAP_MS = 3_600_000;
const DAY_MS = 86_400_000;
const WORLD: StoreOptions = fromScale(Number(process.env.BENCH_SCALE ?? 1));
/** Of the size that estimates are asked for: a month of throughput of 50,000 pairs. */
const PAIRS: StoreOptions = { archives: 50, denseSeries: 0, sparseSeries: 50_000, samplesPerSave: 5000 };
const PAIRS_DAYS = 30;
const BYTES_PER_SAMPLE = 12;
/** As the schema has them. */
const DENSE_BLOCK_SAMPLES = 120;
const SPARSE_BLOCK_SAMPLES = 42;

interface Measured {
  seconds: number;
  floorSeconds: number;
  ratio: number;
  samples: number;
  rows: number;
  samplesPerSecond: number;
}

interface Result {
  machine: { cores: number; loadBefore: number; loadAfter: number };
  world: { series: number; archives: number; hours: number };
  firstSave: Measured;
  /** An hour that is stored and five minutes that are new; the median of the cycles. */
  steadySave: Measured;
  /** The hour of the last cycle once more: nothing is new. */
  unchangedSave: Measured;
  /** What vacuum and checkpoint take at the end of a cycle. */
  maintainSeconds: number;
  /** The good samples of all dense series of one day, dropped as they come. */
  readDay: Measured;
  /** Those of 50,000 series over 30 days, in a store of their own. */
  readPairs: Measured & { memoryMb: number };
  /** Of the store's process: when it is open, and at its highest over all but `readPairs`. */
  openRssMb: number;
  peakRssMb: number;
}

function fromScale(scale: number): StoreOptions {
  if (!(scale > 0))
    throw new RangeError(`BENCH_SCALE must be a number above 0, not "${process.env.BENCH_SCALE}"`);
  return {
    archives: Math.ceil(300 * scale),
    denseSeries: Math.ceil(21_000 * scale),
    sparseSeries: Math.ceil(19_000 * scale),
    samplesPerSave: 5000,
  };
}

/** @param progress gets one line for each step */
export async function run(progress: (line: string) => void): Promise<Result> {
  const loadBefore = loadavg()[0]!;
  const floor = startChild<FloorHandlers>('../store/floor-process.ts', {});
  try {
    const world = await measureWorld(floor, progress);
    const readPairs = await measurePairs(floor, progress);
    const { archives, denseSeries, sparseSeries } = WORLD;
    const result: Result = {
      machine: { cores: availableParallelism(), loadBefore, loadAfter: loadavg()[0]! },
      world: { series: denseSeries + sparseSeries, archives, hours: HOURS },
      ...world,
      readPairs,
    };
    return rounded(result);
  } finally {
    await floor.close();
  }
}

async function measureWorld(
  floor: Child<FloorHandlers>,
  progress: (line: string) => void,
): Promise<Omit<Result, 'machine' | 'world' | 'readPairs'>> {
  const nowMs = Date.UTC(2026, 10, 21, 12, 3);
  const store = startChild<StoreHandlers>('../store/store-process.ts', WORLD);
  try {
    const openRssMb = (await store.ask('memory')).rssMb;
    await store.ask('discover', nowMs);
    const first = await store.ask('save', nowMs - HOURS * 3_600_000, nowMs);
    await store.ask('maintain', nowMs);
    const blocks = Math.ceil(first.samples / DENSE_BLOCK_SAMPLES);
    const blockBytes = DENSE_BLOCK_SAMPLES * BYTES_PER_SAMPLE;
    const firstSave = measured(first, await floor.ask('write', blocks, blockBytes, 0));
    progress(`first: ${firstSave.samples} samples in ${firstSave.seconds.toFixed(1)} s`);

    const cycles: { save: Measured; maintainSeconds: number }[] = [];
    let toMs = nowMs;
    for (let cycle = 1; cycle <= CYCLES; cycle++) {
      toMs = nowMs + cycle * CYCLE_MS;
      const timed = await store.ask('save', toMs - OVERLAP_MS - CYCLE_MS, toMs);
      // Every dense series reads a block and a half, and writes one, half full.
      const floorSeconds =
        (await floor.ask('read', WORLD.denseSeries * 1.5, blockBytes, 0)) +
        (await floor.ask('write', WORLD.denseSeries, blockBytes / 2, cycle * 10_000_000));
      const maintainSeconds = await store.ask('maintain', toMs);
      cycles.push({ save: measured(timed, floorSeconds), maintainSeconds });
    }
    const median = cycles.toSorted((a, b) => a.save.ratio - b.save.ratio)[CYCLES >> 1]!;
    progress(`steady: ${median.save.samples} samples in ${median.save.seconds.toFixed(1)} s`);
    const unchangedSave = measured(
      await store.ask('save', toMs - OVERLAP_MS, toMs),
      await floor.ask('read', WORLD.denseSeries * 1.5, blockBytes, 0),
    );
    const read = await store.ask('read', 'rttMs', toMs - DAY_MS);
    const readDay = measured(
      read,
      await floor.ask('read', Math.ceil(read.samples / DENSE_BLOCK_SAMPLES), blockBytes, 0),
    );
    progress(`read: ${readDay.samples} samples in ${readDay.seconds.toFixed(1)} s`);
    const { peakRssMb } = await store.ask('memory');
    return {
      firstSave,
      steadySave: median.save,
      unchangedSave,
      maintainSeconds: median.maintainSeconds,
      readDay,
      openRssMb,
      peakRssMb,
    };
  } finally {
    await store.close();
  }
}

async function measurePairs(
  floor: Child<FloorHandlers>,
  progress: (line: string) => void,
): Promise<Result['readPairs']> {
  const nowMs = Date.UTC(2026, 10, 21, 12, 3);
  const sinceMs = nowMs - PAIRS_DAYS * DAY_MS;
  const store = startChild<StoreHandlers>('../store/store-process.ts', PAIRS);
  try {
    await store.ask('discover', nowMs);
    const saved = await store.ask('save', sinceMs, nowMs);
    progress(
      `saved ${saved.samples} samples of ${PAIRS.sparseSeries} pairs in ${saved.seconds.toFixed(1)} s`,
    );
    const before = (await store.ask('memory')).peakRssMb;
    const read = await store.ask('read', 'throughputMbps', sinceMs);
    const memoryMb = (await store.ask('memory')).peakRssMb - before;
    const blocks = Math.ceil(read.samples / SPARSE_BLOCK_SAMPLES);
    const bytes = SPARSE_BLOCK_SAMPLES * BYTES_PER_SAMPLE;
    const offset = 100_000_000;
    await floor.ask('write', blocks, bytes, offset);
    return { ...measured(read, await floor.ask('read', blocks, bytes, offset)), memoryMb };
  } finally {
    await store.close();
  }
}

function measured({ seconds, samples, rows }: Timed, floorSeconds: number): Measured {
  const ratio = seconds / floorSeconds;
  return { seconds, floorSeconds, ratio, samples, rows, samplesPerSecond: Math.round(samples / seconds) };
}

/** Three significant digits say all that such a measurement can. */
function rounded<T>(value: T): T {
  return JSON.parse(
    JSON.stringify(value, (_, each: unknown) =>
      typeof each === 'number' && !Number.isInteger(each) ? Number(each.toPrecision(3)) : each,
    ),
  ) as T;
}
