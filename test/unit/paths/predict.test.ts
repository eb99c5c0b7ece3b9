import { describe, expect, test } from 'vitest';
import { decide } from '../../../src/breaker/decide.ts';
import { parsePolicy } from '../../../src/breaker/policy.ts';
import { pathAd } from '../../../src/collector/path-ad.ts';
import { type MetricEstimate, type PathEstimate, pathName } from '../../../src/domain.ts';
import { aucOf, hiddenPairs } from '../../../src/paths/backtest/hidden.ts';
import { estimate } from '../../../src/paths/estimate.ts';
import { predict } from '../../../src/paths/predict/predict.ts';
import { pathsWorld } from '../../../testbed/paths-world.ts';
import { pathInput } from '../../support/paths-world.ts';

const NOW = new Date('2026-01-10T00:00:00Z');
const ALL = { predictPaths: 1_000_000 };

const figures = (centre: number): MetricEstimate => ({
  centre,
  p10: centre * 0.8,
  p90: centre * 1.1,
  sampleCount: 60,
  seriesCount: 1,
  lastMeasured: NOW,
});
const measured = (srcSite: string, dstSite: string, metrics: PathEstimate['metrics'], quality = 0.8) => ({
  srcSite,
  dstSite,
  metrics,
  quality,
  sampleCount: 60,
  lastMeasured: NOW,
  measured: true,
  estimatedAt: NOW,
});

const SITES = Array.from({ length: 14 }, (_, i) => `S${String(i).padStart(2, '0')}`);
/** What each site sends at most: one is slow. Every third pair is not measured. */
const rate = (a: number, b: number): number => Math.min(a === 3 ? 90 : 2000 + 500 * a, 9000 - 400 * b);
const isMissing = (a: number, b: number): boolean => (a * 5 + b * 3) % 7 === 0;
const ofSites = (missing: (a: number, b: number) => boolean): PathEstimate[] =>
  SITES.flatMap((src, a) =>
    SITES.flatMap((dst, b) =>
      a === b || missing(a, b) ? [] : [measured(src, dst, { throughputMbps: figures(rate(a, b)) })],
    ),
  );

describe('predicted paths', () => {
  const known = ofSites(isMissing);
  const predicted = predict(known, [], ALL, NOW);

  test('are all pairs that were not measured, marked so, without samples or a time of measurement', () => {
    expect(predicted.length + known.length).toBe(14 * 13);
    const names = new Set(known.map(pathName));
    for (const path of predicted) {
      expect(names.has(pathName(path))).toBe(false);
      expect(path).toMatchObject({ measured: false, sampleCount: 0 });
      expect(path.lastMeasured).toBeUndefined();
      expect(path.metrics.throughputMbps!.lastMeasured).toBeUndefined();
    }
  });

  test('are near what the sites can, and tell a slow site', () => {
    for (const path of predicted) {
      const actual = rate(SITES.indexOf(path.srcSite), SITES.indexOf(path.dstSite));
      const { centre, p10, p90 } = path.metrics.throughputMbps!;
      expect(Math.abs(Math.log(centre / actual))).toBeLessThan(Math.log(1.6));
      expect(p10).toBeLessThan(centre);
      expect(p90).toBeGreaterThan(centre);
    }
  });

  test('have wider intervals than measured paths usually have, and no better quality than any fresh one', () => {
    for (const { quality, metrics } of predicted) {
      const { centre, p10, p90 } = metrics.throughputMbps!;
      expect(p10 / centre).toBeLessThanOrEqual(0.8 + 1e-9);
      expect(p90 / centre).toBeGreaterThanOrEqual(1.1 - 1e-9);
      expect(quality).toBeLessThanOrEqual(0.1);
    }
    // 0.1 is the floor of what a fresh measurement is worth: a single poor sample, nearly stale.
    const at = new Date(NOW.getTime() - 47 * 3_600_000);
    const poor = estimate(
      [
        {
          srcSite: 'A',
          dstSite: 'B',
          series: [
            {
              id: 1,
              metric: 'throughputMbps',
              archiveKey: 'a',
              tool: 'iperf3',
              source: 'a',
              destination: 'b',
              pair: 'a>b',
              atMs: Float64Array.of(at.getTime()),
              values: Float64Array.of(5),
              leftOutCount: 50,
            },
          ],
        },
      ],
      { staleHours: 48 },
      NOW,
    )[0]!;
    expect(poor.quality).toBe(0.1);
  });

  test('are bounded in number: sites with most measurements first, each with all of its pairs', () => {
    const few = predict(known, [], { predictPaths: 20 }, NOW);
    expect(few.length).toBeGreaterThan(5);
    expect(few.length).toBeLessThanOrEqual(20);
    expect(predict(known, [], { predictPaths: 0 }, NOW)).toEqual([]);
  });

  test('need evidence: not from few pairs, not for a site measured in one direction only, not from what is stale', () => {
    expect(predict(known.slice(0, 20), [], ALL, NOW)).toEqual([]);
    const silent = known.filter(({ srcSite }) => srcSite !== 'S05');
    expect(predict(silent, [], ALL, NOW).some(({ srcSite }) => srcSite === 'S05')).toBe(false);
    expect(
      predict(
        known.map((path) => ({ ...path, quality: 0 })),
        [],
        ALL,
        NOW,
      ),
    ).toEqual([]);
  });

  test('never trip a breaker, however bad they look', () => {
    const policy = parsePolicy(
      'Name = "slow"\nCovers = true\nTrip = ThroughputMbps < 100000.0\nReset = ThroughputMbps > 200000.0\nMinSamples = 0\n' +
        'MinQuality = 0.0\nHoldSeconds = 0\nMinOpenSeconds = 0\nMaxInputMB = 0',
      'slow.ad',
    );
    const states = (paths: readonly PathEstimate[]): Set<string> => {
      const shares = { ofSite: 1, ofPool: 1 };
      let before = decide(paths, [policy], [], shares, NOW).breakers;
      for (let minute = 1; minute < 20; minute++)
        before = decide(paths, [policy], before, shares, new Date(NOW.getTime() + minute * 60_000)).breakers;
      return new Set(before.map(({ state }) => state));
    };
    expect(states(predicted)).toEqual(new Set(['UNKNOWN']));
    expect(states(known)).toContain('OPEN');
  });

  test('have an ad that says so', () => {
    const { text } = pathAd(predicted[0]!, undefined, 60);
    expect(text).toContain('Measured = false\n');
    expect(text).toContain('SampleCount = 0\n');
    expect(text).not.toContain('LastMeasured');
  });

  test('of delays: the reverse path, else between what common neighbours allow', () => {
    // Sites on a line, 10 ms apart; the pair S00>S05 is known in one direction, S02>S09 in none.
    const delays = SITES.flatMap((src, a) =>
      SITES.flatMap((dst, b) => {
        const skip = a === b || (a === 5 && b === 0) || (a === 2 && b === 9) || (a === 9 && b === 2);
        return skip
          ? []
          : [
              measured(src, dst, {
                oneWayDelayMs: figures(10 * Math.abs(a - b) + (a === 0 && b === 5 ? 7 : 0)),
              }),
            ];
      }),
    );
    const found = new Map(
      predict(delays, [], ALL, NOW).map((path) => [pathName(path), path.metrics.oneWayDelayMs!]),
    );
    expect(found.get('S05>S00')!.centre).toBeCloseTo(57, 6);
    expect(found.get('S02>S09')!.centre).toBeGreaterThan(60);
    expect(found.get('S02>S09')!.centre).toBeLessThan(80);
  });
});

test('AUC: told apart, not at all, the wrong way round', () => {
  expect(aucOf([1, 2], [3, 4])).toBe(1);
  expect(aucOf([1, 1], [1, 1])).toBe(0.5);
  expect(aucOf([5], [3, 4, 5, 6])).toBe(0.375);
  expect(aucOf([9], [3, 4])).toBe(0);
});

test('hidden pairs of a small generated world are told better than by their class', () => {
  const world = pathsWorld({ seed: 11, sites: 120, pairs: 2000, days: 20, end: NOW });
  const estimates = world.pairs.flatMap((pair) =>
    estimate([pathInput(pair, ['throughputMbps'])], { staleHours: 48 }, NOW),
  );
  const found = hiddenPairs(estimates, world.sites, NOW)!;
  expect(found.hidden / (found.hidden + found.visible)).toBeCloseTo(0.2, 1);
  expect(found.auc).toBeGreaterThan(0.8);
  expect(found.medianPercent).toBeLessThan(45);
});
