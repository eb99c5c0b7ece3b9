import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { type Service, startService } from '../../src/service.ts';
import { ignoreSignals, serve } from './child.ts';

/** Lark's service in a process of its own, so that its memory and its processor time are its own. */
export interface ServiceOptions {
  searchUrl: string;
  aggregates: { url: string; user: string; password: string }[];
  concurrency: number;
  perHostConcurrency: number;
  lookbackHours: number;
  overlapMinutes: number;
  startMs: number;
}

ignoreSignals();
const options = JSON.parse(process.argv[2]!) as ServiceOptions;
let nowMs = options.startMs;
const folder = await mkdtemp(join(tmpdir(), 'lark-bench-spider-'));
const removeFolder = () => rm(folder, { recursive: true, force: true });
let running: Service | undefined;

/** The sites are no option: too long for a command line. */
async function start(sitesYaml: string): Promise<Service> {
  const { searchUrl, aggregates, concurrency, perHostConcurrency, lookbackHours, overlapMinutes } = options;
  const configFile = join(folder, 'lark.yaml');
  const sitesFile = join(folder, 'sites.yaml');
  await writeFile(sitesFile, sitesYaml);
  const settings = {
    store: { directory: join(folder, 'store') },
    discover: { bootstrapUrls: [], searchUrls: [searchUrl] },
    http: { concurrency, perHostConcurrency },
    harvest: { lookbackHours, overlapMinutes, aggregates },
    sites: { file: sitesFile, sources: [] },
    breaker: { policies: fileURLToPath(new URL('../../config/policies', import.meta.url)) },
    publish: { directory: join(folder, 'ads') },
    log: { level: 'silent' },
  };
  await writeFile(configFile, stringify(settings));
  const { config } = loadConfig(configFile, {});
  return startService(config, {
    log: createLog(config.log.level),
    clock: () => new Date(nowMs),
    version: 'bench',
  });
}

/** What the process held when it held the most, as far as a look every so often sees it. */
let peak = { rssMb: 0, heapMb: 0, buffersMb: 0, outsideHeapMb: 0 };
setInterval(() => {
  const { rss, heapTotal, arrayBuffers, external } = process.memoryUsage();
  if (rss / 1e6 <= peak.rssMb) return;
  peak = {
    rssMb: rss / 1e6,
    heapMb: heapTotal / 1e6,
    buffersMb: arrayBuffers / 1e6,
    outsideHeapMb: (external - arrayBuffers) / 1e6,
  };
}, 100).unref();

const usage = () => {
  const { user, system } = process.cpuUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    // In kilobytes of 1024.
    peakRssMb: (process.resourceUsage().maxRSS * 1024) / 1e6,
    peak,
  };
};

const handlers = {
  async start(sitesYaml: string) {
    running = await start(sitesYaml);
  },
  usage,
  async cycle(ms: number) {
    nowMs = ms;
    const service = running!;
    const before = (await service.store.sampleCounts()).total;
    const cpuBefore = usage().cpuSeconds;
    const started = performance.now();
    const { phases, counts, archives } = await service.cycle();
    const seconds = (performance.now() - started) / 1000;
    const failed = archives.filter(({ outcome }) => outcome === 'failed');
    return {
      seconds,
      cpuSeconds: usage().cpuSeconds - cpuBefore,
      phases,
      counts,
      samplesRead: archives.reduce((sum, { samplesRead }) => sum + samplesRead, 0),
      newRows: counts.samples - before,
      outcomes: Object.fromEntries(
        [...Map.groupBy(archives, ({ outcome, fault }) => (fault ? `${outcome}: ${fault}` : outcome))].map(
          ([name, reports]) => [name, reports.length],
        ),
      ),
      /** The longest that a dead archive had its job, seconds. */
      longestDeadSeconds: Math.max(0, ...failed.map((report) => report.seconds)),
      slowest: archives
        .toSorted((a, b) => b.seconds - a.seconds)
        .slice(0, 5)
        .map(({ archiveKey, kind, seconds: took, requests, samplesRead }) => ({
          archiveKey,
          kind,
          seconds: took,
          requests,
          samplesRead,
        })),
    };
  },
};
export type ServiceHandlers = typeof handlers;

serve(handlers, async () => {
  try {
    await running?.close();
  } finally {
    await removeFolder();
  }
});
