import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { createHtcondor } from '../src/collector/htcondor.ts';
import { collectorSink } from '../src/collector/sink.ts';
import type { Breaker, PathEstimate } from '../src/domain.ts';
import { pathAds, publishAds } from '../src/steps/publish.ts';
import { openStore } from '../src/store/store.ts';
import { startPool } from '../testbed/pool/pool.ts';

/**
 * From store to collector: 10,000 paths that have all changed are read from the store, made into ads, sent, and
 * recorded as sent. The floor is a bare condor_advertise of the very same ads, prepared, through the same prefix, in
 * turn with Lark's rounds so that both meet the same machine. Both end when condor_advertise does; the collector may
 * still be working through what it got.
 */
const SITES = 101;
const ROUNDS = 9;
const LIFETIME_SECONDS = 3600;

interface Result {
  paths: number;
  adBytes: number;
  rounds: number;
  larkSeconds: Spread;
  floorSeconds: Spread;
  /** Median of the rounds' own ratios. Target: 2.0 at most. */
  ratio: number;
  /** Lark's seconds in the median round, by part. */
  partsSeconds: Record<'read' | 'makeAndSend', number>;
  adsInCollector: number;
}

interface Spread {
  min: number;
  median: number;
  max: number;
}

/** @param progress gets one line for each step */
export async function run(progress: (line: string) => void): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'lark-bench-'));
  const pool = await startPool({ executionPoints: [{ name: 'ep1', site: 'S0' }], progress });
  const store = await openStore({ directory: join(folder, 'store') });
  try {
    const prefix = pool.commandPrefix('cm');
    const sink = collectorSink(
      createHtcondor({
        commandPrefix: prefix,
        configVal: 'condor_config_val',
        collector: '',
        commandTimeoutSeconds: 60,
      }),
    );
    const rounds: { lark: number; floor: number; parts: Result['partsSeconds'] }[] = [];
    let text = '';
    // The first round warms both sides up and is not counted.
    for (let round = 0; round <= ROUNDS; round++) {
      const { estimates, breakers } = world(round);
      await store.saveEstimates(estimates, []);
      await store.saveDecisions({ changed: breakers, gone: [], transitions: [] });

      const t0 = performance.now();
      const [read, judged] = [await store.estimates(), await store.breakers()];
      const t1 = performance.now();
      const ads = pathAds(read, judged, LIFETIME_SECONDS);
      const failure = await publishAds(store, sink, ads, LIFETIME_SECONDS, new Date());
      const t3 = performance.now();
      if (failure) throw new Error(failure);

      text = [...pathAds(read, judged, LIFETIME_SECONDS)].map((ad) => ad.text).join('\n');
      const t4 = performance.now();
      const [file, ...args] = [...prefix, 'condor_advertise', '-tcp', '-multiple', 'UPDATE_AD_GENERIC', '-'];
      await execa(file!, args, { input: text, timeout: 60_000 });
      const t5 = performance.now();
      const parts = { read: (t1 - t0) / 1000, makeAndSend: (t3 - t1) / 1000 };
      progress(`round ${round}: Lark ${(t3 - t0).toFixed(0)} ms, floor ${(t5 - t4).toFixed(0)} ms`);
      if (round > 0) rounds.push({ lark: (t3 - t0) / 1000, floor: (t5 - t4) / 1000, parts });
    }
    const byRatio = rounds.toSorted((a, b) => a.lark / a.floor - b.lark / b.floor);
    const middle = byRatio[Math.floor(byRatio.length / 2)]!;
    return {
      paths: SITES * (SITES - 1),
      adBytes: text.length,
      rounds: ROUNDS,
      larkSeconds: spread(rounds.map(({ lark }) => lark)),
      floorSeconds: spread(rounds.map(({ floor }) => floor)),
      ratio: Math.round((middle.lark / middle.floor) * 100) / 100,
      partsSeconds: middle.parts,
      adsInCollector: (await sink.standing()).length,
    };
  } finally {
    await store.close();
    await pool.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** All pairs of sites; every figure differs from round to round, so that every ad has changed. */
function world(round: number): { estimates: PathEstimate[]; breakers: Breaker[] } {
  const at = new Date(Date.now() - 60_000 + round * 1000);
  const estimates: PathEstimate[] = [];
  const breakers: Breaker[] = [];
  for (let a = 0; a < SITES; a++) {
    for (let b = 0; b < SITES; b++) {
      if (a === b) continue;
      const figures = (centre: number) => ({
        centre,
        p10: centre * 0.7,
        p90: centre * 1.4,
        sampleCount: 40,
        seriesCount: 2,
        lastMeasured: at,
      });
      const [srcSite, dstSite] = [`T2_EX_Site${a}`, `T2_EX_Site${b}`];
      estimates.push({
        srcSite,
        dstSite,
        metrics: {
          throughputMbps: figures(500 + a * 37 + b * 11 + round),
          lossRate: figures(0.0001 * ((a + b) % 9)),
          oneWayDelayMs: figures(1 + ((a * b) % 90)),
        },
        quality: 0.85,
        sampleCount: 120,
        lastMeasured: at,
        measured: true,
        estimatedAt: at,
      });
      breakers.push({
        srcSite,
        dstSite,
        policy: 'bulk-input',
        state: 'CLOSED',
        reason: `ThroughputMbps ${500 + a * 37 + b * 11 + round}`,
        since: at,
      });
    }
  }
  return { estimates, breakers };
}

function spread(values: number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { min: sorted[0]!, median: sorted[Math.floor(sorted.length / 2)]!, max: sorted.at(-1)! };
}
