import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { METRICS, type Metric } from '../../../src/domain.ts';
import {
  age,
  estimate,
  freshMetrics,
  type PathInput,
  type SeriesSamples,
} from '../../../src/paths/estimate.ts';
import type { EvidenceStream } from '../../../src/paths/evidence.ts';
import { groupByPath } from '../../../src/paths/pairs.ts';
import { quantile } from '../../../src/paths/percentile.ts';

const NOW = new Date('2026-01-10T00:00:00Z');
const OPTIONS = { staleHours: 48 };
const HOUR_MS = 3_600_000;

const testSeries = (id: number, metric: Metric) => ({
  id,
  metric,
  archiveKey: 'archive.example',
  tool: 'iperf3',
  source: '192.0.2.1',
  destination: '198.51.100.1',
  pair: 'a>b',
});
const series = (metric: Metric, values: number[], lastHoursAgo = 1): SeriesSamples => ({
  ...testSeries(1, metric),
  values: Float64Array.from(values),
  atMs: Float64Array.from(values, (_, i) => NOW.getTime() - (lastHoursAgo + values.length - 1 - i) * HOUR_MS),
});
const path = (...all: SeriesSamples[]) =>
  estimate([{ srcSite: 'A', dstSite: 'B', series: all }], OPTIONS, NOW)[0];

const throughput = (values: number[], over: Partial<SeriesSamples> = {}) => ({
  ...series('throughputMbps', values),
  ...over,
});
const many = (count: number, value: (i: number) => number) =>
  Array.from({ length: count }, (_, i) => value(i));

describe('estimate', () => {
  test('a steady path: its level, a narrow interval, counts and the newest sample', () => {
    const found = path(
      series(
        'throughputMbps',
        many(60, (i) => 940 + (i % 5)),
        2,
      ),
    )!;
    const { centre, p10, p90, sampleCount, seriesCount, lastMeasured } = found.metrics.throughputMbps!;
    expect(centre).toBeGreaterThan(939);
    expect(centre).toBeLessThan(945);
    expect(p90 - p10).toBeLessThan(10);
    expect({ sampleCount, seriesCount, lastMeasured }).toEqual({
      sampleCount: 60,
      seriesCount: 1,
      lastMeasured: new Date(NOW.getTime() - 2 * HOUR_MS),
    });
    expect(found).toMatchObject({ sampleCount: 60, measured: true, estimatedAt: NOW });
  });

  test('one wild reading does not move the centre', () => {
    const values = many(40, (i) => 20 + 0.1 * (i % 3));
    values[38] = 9000;
    expect(path(series('oneWayDelayMs', values))!.metrics.oneWayDelayMs!.centre).toBeLessThan(21);
  });

  test('a new level counts after a few readings', () => {
    const { centre } = path(throughput(many(40, (i) => (i < 34 ? 900 : 300) + (i % 4))))!.metrics
      .throughputMbps!;
    expect(centre).toBeGreaterThan(280);
    expect(centre).toBeLessThan(340);
  });

  test('a daily rhythm is told from the time of day', () => {
    // NOW is midnight: nights carry 900, working hours 450.
    const values = many(240, (i) => ((240 - i) % 24 > 5 && (240 - i) % 24 < 16 ? 450 : 900) + 3 * (i % 3));
    const noon = new Date(NOW.getTime() - 12 * HOUR_MS);
    const all = series('throughputMbps', values, 1);
    const until = (end: Date): SeriesSamples => {
      const count = all.atMs.filter((at) => at < end.getTime()).length;
      return { ...all, atMs: all.atMs.slice(0, count), values: all.values.slice(0, count) };
    };
    const at = (end: Date) =>
      estimate([{ srcSite: 'A', dstSite: 'B', series: [until(end)] }], OPTIONS, end)[0]!.metrics
        .throughputMbps!;
    expect(at(NOW).centre).toBeGreaterThan(800);
    expect(at(noon).centre).toBeLessThan(550);
  });

  test('loss is a mean: an episode shows though the median is 0', () => {
    const values = many(24, (i) => (i % 8 === 3 ? 0.2 : 0));
    const { centre } = path(series('lossRate', values))!.metrics.lossRate!;
    expect(centre).toBeGreaterThan(0.01);
    expect(centre).toBeLessThan(0.06);
  });

  test('two host pairs count the same, however often each is tested; their difference is in the interval', () => {
    const fast = throughput(
      many(60, () => 9000),
      { id: 1, pair: 'a>b' },
    );
    const slow: SeriesSamples = {
      ...throughput(
        many(12, () => 1000),
        { id: 2, pair: 'c>d' },
      ),
      atMs: Float64Array.from(many(12, (i) => NOW.getTime() - (61 - 5 * i) * HOUR_MS)),
    };
    const found = path(fast, slow)!.metrics.throughputMbps!;
    // The geometric mean of both is 3000.
    expect(found.centre).toBeGreaterThan(2400);
    expect(found.centre).toBeLessThan(3800);
    expect(found.p90).toBeGreaterThan(8000);
    expect(found.factors!.agreement).toBeLessThan(0.6);
    expect(path(fast)!.metrics.throughputMbps!.factors!.agreement).toBe(1);
  });

  test('the same run in two archives counts once', () => {
    const values = many(30, (i) => 500 + ((i * 37) % 11) * 40);
    const one = path(throughput(values))!.metrics.throughputMbps!;
    const two = path(throughput(values), throughput(values, { id: 2, archiveKey: 'other' }))!.metrics
      .throughputMbps!;
    expect([two.centre, two.p10, two.p90]).toEqual([one.centre, one.p10, one.p90]);
  });

  test('a path without samples is absent, a metric without samples too', () => {
    expect(path()).toBeUndefined();
    expect(path(series('rttMs', []))).toBeUndefined();
    expect(Object.keys(path(series('rttMs', []), series('lossRate', [0]))!.metrics)).toEqual(['lossRate']);
  });

  test('law: P10 ≤ centre ≤ P90, finite; in another unit, the same figures in that unit', () => {
    const values = fc.array(fc.double({ min: 0.01, max: 1e5, noNaN: true }), {
      minLength: 1,
      maxLength: 150,
    });
    fc.assert(
      fc.property(values, fc.double({ min: 0.1, max: 50, noNaN: true }), (all, factor) => {
        const one = path(throughput(all))!.metrics.throughputMbps!;
        const other = path(throughput(all.map((value) => value * factor)))!.metrics.throughputMbps!;
        expect(one.p10).toBeLessThanOrEqual(one.centre);
        expect(one.centre).toBeLessThanOrEqual(one.p90);
        for (const figure of ['centre', 'p10', 'p90'] as const) {
          expect(Number.isFinite(one[figure])).toBe(true);
          expect(other[figure] / one[figure] / factor).toBeCloseTo(1, 6);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('law: whatever the metric, figures are possible values', () => {
    const values = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(values, fc.constantFrom(...METRICS), (all, metric) => {
        const { centre, p10, p90 } = path(series(metric, all))!.metrics[metric]!;
        expect(p10).toBeGreaterThanOrEqual(0);
        expect(p10).toBeLessThanOrEqual(centre);
        expect(centre).toBeLessThanOrEqual(p90);
        if (metric.endsWith('Rate')) expect(p90).toBeLessThanOrEqual(1);
      }),
      { numRuns: 100 },
    );
  });
});

describe('evidence of another kind', () => {
  const transfers = (values: number[], variance = 0.05, hoursAgo = 1): EvidenceStream => ({
    metric: 'throughputMbps',
    kind: 'transfers',
    values: Float64Array.from(values),
    variances: new Float64Array(values.length).fill(variance),
    atMs: Float64Array.from(values, (_, i) => NOW.getTime() - (hoursAgo + values.length - 1 - i) * HOUR_MS),
  });
  const both = (input: Pick<PathInput, 'series' | 'evidence'>) =>
    estimate([{ srcSite: 'A', dstSite: 'B', ...input }], OPTIONS, NOW)[0]?.metrics.throughputMbps;

  test('alone, it is the estimate', () => {
    const found = both({ series: [], evidence: [transfers([100, 110, 105])] })!;
    expect(found.centre).toBeGreaterThan(100);
    expect(found.centre).toBeLessThan(110);
    expect(found).toMatchObject({ sampleCount: 3, seriesCount: 0, method: 'transfers' });
  });

  test('is drawn together with the tests, the nearer the surer it is', () => {
    const tests = throughput(many(30, (i) => 400 + ((i * 7) % 5) * 20));
    const alone = both({ series: [tests] })!;
    const sure = both({
      series: [tests],
      evidence: [
        transfers(
          many(20, () => 200),
          0.01,
        ),
      ],
    })!;
    const unsure = both({ series: [tests], evidence: [transfers([200], 4)] })!;
    expect(sure.centre).toBeLessThan(unsure.centre);
    expect(unsure.centre).toBeLessThan(alone.centre);
    expect(unsure.centre).toBeGreaterThan(0.95 * alone.centre);
    // Where they contradict each other, the interval holds both.
    expect(sure.p10).toBeLessThan(230);
    expect(sure.p90).toBeGreaterThan(400);
    expect(sure.factors!.agreement).toBeLessThan(alone.factors!.agreement);
    expect(sure.method).toMatch(/\+transfers$/);
  });

  test('old evidence counts less', () => {
    const tests = throughput(many(30, (i) => 400 + ((i * 7) % 5) * 20));
    const fresh = both({
      series: [tests],
      evidence: [
        transfers(
          many(5, () => 300),
          0.01,
          1,
        ),
      ],
    })!;
    const old = both({
      series: [tests],
      evidence: [
        transfers(
          many(5, () => 300),
          0.01,
          600,
        ),
      ],
    })!;
    expect(old.centre).toBeGreaterThan(fresh.centre);
  });
});

describe('quality', () => {
  const q = (count: number, hoursAgo: number) =>
    path(series('rttMs', Array<number>(count).fill(1), hoursAgo))!;

  test('grows with samples, falls with age, ends at staleness', () => {
    expect(q(27, 1).quality).toBeGreaterThan(q(3, 1).quality);
    expect(q(27, 1).quality).toBeGreaterThan(0.85);
    expect(q(27, 36).quality).toBeCloseTo(q(27, 24).quality / 2, 1);
    expect(q(27, 47.9).quality).toBe(0.1);
    expect(q(27, 48).quality).toBe(0);
    expect(q(27, 500).quality).toBe(0);
  });

  test('is the product of its factors', () => {
    const { quality, metrics } = path({
      ...throughput(many(20, (i) => 100 + 50 * (i % 3))),
      leftOutCount: 5,
    })!;
    const { freshness, evidence, agreement, verdicts, predictability } = metrics.throughputMbps!.factors!;
    expect(verdicts).toBe(0.8);
    expect(evidence).toBeCloseTo(20 / 23, 3);
    expect(predictability).toBeLessThan(1);
    expect(quality).toBeCloseTo(freshness * evidence * agreement * verdicts * predictability, 2);
  });

  test('a path that swings is worth less than a steady one; one that loses a third stays fit to be judged', () => {
    const steady = path(throughput(many(40, () => 500)))!.quality;
    const swinging = path(throughput(many(40, (i) => ((i * 7919) % 13 ** 2) + 10)))!.quality;
    expect(swinging).toBeLessThan(steady);
    const lossy = path(
      series(
        'lossRate',
        many(24, (i) => 0.3 + 0.1 * ((i * 5) % 3)),
      ),
    )!.quality;
    expect(lossy).toBeGreaterThan(0.4);
  });

  test('ageing is what a fresh estimate of the same samples would say', () => {
    const later = new Date(NOW.getTime() + 30 * HOUR_MS);
    const samples = series('rttMs', [1, 2, 3], 1);
    const again = estimate([{ srcSite: 'A', dstSite: 'B', series: [samples] }], OPTIONS, later)[0]!;
    expect(age(path(samples)!, OPTIONS, later).quality).toBe(again.quality);
    expect(again.quality).toBeLessThan(path(samples)!.quality);
  });

  test('stale metrics are left out of judgement', () => {
    const found = path(series('throughputMbps', [5], 60), series('lossRate', [0], 1))!;
    expect(Object.keys(freshMetrics(found, OPTIONS, NOW))).toEqual(['lossRate']);
  });
});

test('quantile: known values', () => {
  expect(quantile(Float64Array.of(7), 0.9)).toBe(7);
  expect(quantile(Float64Array.of(1, 2, 3, 4), 0.5)).toBe(2.5);
  expect(quantile(Float64Array.of(1, 2, 3, 4), 1)).toBe(4);
});

test('pairs: by direction, none within a site', () => {
  const s = (id: number, srcSite: string, dstSite: string, metric: Metric) => ({
    ...testSeries(id, metric),
    srcSite,
    dstSite,
  });
  expect(
    groupByPath([
      s(1, 'A', 'B', 'lossRate'),
      s(2, 'B', 'A', 'lossRate'),
      s(3, 'A', 'A', 'lossRate'),
      s(4, 'A', 'B', 'throughputMbps'),
    ]),
  ).toEqual([
    {
      srcSite: 'A',
      dstSite: 'B',
      series: [testSeries(4, 'throughputMbps'), testSeries(1, 'lossRate')],
    },
    { srcSite: 'B', dstSite: 'A', series: [testSeries(2, 'lossRate')] },
  ]);
});
