import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JudgedRead, Sample, Series } from '../../src/domain.ts';
import { inColumns } from '../../src/judged.ts';
import { openStore } from '../../src/store/store.ts';
import { ignoreSignals, serve } from '../spider/child.ts';

/** The store with nothing around it, in a process of its own, so that its memory is its own. */
export interface StoreOptions {
  archives: number;
  /** Of a sample a minute, and of six a day. */
  denseSeries: number;
  sparseSeries: number;
  /** Samples in one call, as the harvest hands them over. */
  samplesPerSave: number;
}

export interface Timed {
  /** Spent in the store; making the samples is not counted. */
  seconds: number;
  samples: number;
  /** New or changed. */
  rows: number;
}

const MINUTE_MS = 60_000;
const DENSE_MS = MINUTE_MS;
const SPARSE_MS = 4 * 3_600_000;

ignoreSignals();
const options = JSON.parse(process.argv[2]!) as StoreOptions;
const folder = await mkdtemp(join(tmpdir(), 'lark-bench-store-'));
const removeFolder = () => rm(folder, { recursive: true, force: true });
const store = await openStore({ directory: join(folder, 'store') }).catch(async (error: unknown) => {
  await removeFolder();
  throw error;
});

const archives = Array.from({ length: options.archives }, (_, i) => `archive-${i}`);
const kinds = [
  { count: options.denseSeries, metric: 'rttMs', everyMs: DENSE_MS },
  { count: options.sparseSeries, metric: 'throughputMbps', everyMs: SPARSE_MS },
] as const;

/** Samples of one series at or after `fromMs`, before `toMs`; one in 200 is suspect. */
function samplesOf(index: number, everyMs: number, fromMs: number, toMs: number): Sample[] {
  const samples: Sample[] = [];
  const phase = (index * 7919) % everyMs;
  for (let ms = Math.ceil((fromMs - phase) / everyMs) * everyMs + phase; ms < toMs; ms += everyMs) {
    const noise = Math.abs(Math.sin(ms / everyMs + index));
    samples.push({
      at: new Date(ms),
      value: 10 + noise,
      ...(noise < 0.008 ? { verdict: 'suspect', reason: 'outlier' } : { verdict: 'good' }),
    });
  }
  return samples;
}

function* batches(fromMs: number, toMs: number): Generator<JudgedRead[]> {
  for (const [a, archiveKey] of archives.entries()) {
    let reads: JudgedRead[] = [];
    let waiting = 0;
    for (const { count, metric, everyMs } of kinds) {
      for (let index = a; index < count; index += archives.length) {
        const series: Series = {
          archiveKey,
          metadataKey: `${index}`.padStart(32, '0'),
          metric,
          source: `192.0.2.${index % 250}`,
          destination: `198.51.100.${index % 249}`,
          sourceName: `source-${index}.example`,
          destinationName: `destination-${index}.example`,
          tool: 'tool',
          eventType: metric,
        };
        const samples = samplesOf(index, everyMs, fromMs, toMs);
        reads.push(inColumns({ series, samples, checkpoint: new Date(toMs) }));
        waiting += samples.length;
        if (waiting < options.samplesPerSave && reads.length < 500) continue;
        yield reads;
        reads = [];
        waiting = 0;
      }
    }
    if (reads.length > 0) yield reads;
  }
}

const handlers = {
  async discover(atMs: number): Promise<void> {
    const found = archives.map((key) => ({ key, urls: [`https://${key}.example/`], sources: ['bench'] }));
    await store.saveDiscovery({ hosts: [], archives: found, expected: [], sources: [] }, new Date(atMs));
  },
  /** Saves what all series measured in that time. */
  async save(fromMs: number, toMs: number): Promise<Timed> {
    const timed: Timed = { seconds: 0, samples: 0, rows: 0 };
    for (const reads of batches(fromMs, toMs)) {
      const started = performance.now();
      const { inserted, updated } = await store.saveReads(reads, new Date(toMs));
      timed.seconds += (performance.now() - started) / 1000;
      timed.rows += inserted + updated;
      for (const { samples } of reads) timed.samples += samples.atMs.length;
    }
    return timed;
  },
  /** What the end of a cycle costs. */
  async maintain(atMs: number): Promise<number> {
    const started = performance.now();
    const at = new Date(atMs);
    await store.saveCycle({ startedAt: at, finishedAt: at, ok: true, phasesSeconds: {}, counts: {} });
    return (performance.now() - started) / 1000;
  },
  /** Reads the good samples of all series of a metric, and keeps none of them. */
  async read(metric: string, sinceMs: number): Promise<Timed & { sum: number }> {
    const ids = (await store.series()).filter((each) => each.metric === metric).map(({ id }) => id);
    const started = performance.now();
    let samples = 0;
    let sum = 0;
    for await (const part of store.samplesInParts(ids, new Date(sinceMs))) {
      for (const { values } of part.values()) {
        samples += values.length;
        for (const value of values) sum += value;
      }
    }
    return { seconds: (performance.now() - started) / 1000, samples, rows: samples, sum };
  },
  memory(): { peakRssMb: number; rssMb: number; heapMb: number } {
    const { rss, heapUsed } = process.memoryUsage();
    return {
      peakRssMb: process.resourceUsage().maxRSS / 1000,
      rssMb: rss / 1e6,
      heapMb: heapUsed / 1e6,
    };
  },
};

export type StoreHandlers = typeof handlers;

serve(handlers, async () => {
  await store.close();
  await removeFolder();
});
