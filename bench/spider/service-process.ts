import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { startService } from '../../src/service.ts';
import { serve } from './child.ts';

/** Lark's service in a process of its own, so that its memory and its processor time are its own. */
const { configFile, startMs } = JSON.parse(process.argv[2]!) as { configFile: string; startMs: number };
let nowMs = startMs;
const { config } = loadConfig(configFile, {});
const service = await startService(config, {
  log: createLog(config.log.level),
  clock: () => new Date(nowMs),
  version: 'bench',
});

const usage = () => {
  const { user, system } = process.cpuUsage();
  return { cpuSeconds: (user + system) / 1e6, peakRssMb: process.resourceUsage().maxRSS / 1000 };
};

const handlers = {
  usage,
  async cycle(ms: number) {
    nowMs = ms;
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
    await service.close();
  } finally {
    // A parent that was killed cannot clean up.
    await rm(dirname(configFile), { recursive: true, force: true });
  }
});
