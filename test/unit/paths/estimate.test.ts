import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Metric } from '../../../src/domain.ts';
import { age, estimate, freshMetrics, type SeriesSamples } from '../../../src/paths/estimate.ts';
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

describe('estimate', () => {
  test('median, P10 and P90 of all series pooled; newest sample', () => {
    const found = path(
      series('throughputMbps', [100, 200, 300], 5),
      series('throughputMbps', [400, 500], 2),
    )!;
    expect(found.metrics.throughputMbps).toEqual({
      centre: 300,
      p10: 140,
      p90: 460,
      sampleCount: 5,
      seriesCount: 2,
      lastMeasured: new Date(NOW.getTime() - 2 * HOUR_MS),
    });
    expect(found.sampleCount).toBe(5);
    expect(found.measured).toBe(true);
  });

  test('one wild reading does not move the centre', () => {
    expect(path(series('oneWayDelayMs', [20, 20, 21, 21, 9000]))!.metrics.oneWayDelayMs!.centre).toBe(21);
  });

  test('loss is a mean: an episode shows though the median is 0', () => {
    expect(path(series('lossRate', [0, 0, 0, 0.2]))!.metrics.lossRate!.centre).toBeCloseTo(0.05, 12);
  });

  test('a path without samples is absent, a metric without samples too', () => {
    expect(path()).toBeUndefined();
    expect(path(series('rttMs', []))).toBeUndefined();
    expect(Object.keys(path(series('rttMs', []), series('lossRate', [0]))!.metrics)).toEqual(['lossRate']);
  });

  test('law: P10 ≤ centre ≤ P90 for medians, all within the samples, whatever the split into series', () => {
    const values = fc.array(fc.double({ min: 0, max: 1e5, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(values, fc.nat(40), (all, cut) => {
        const whole = path(series('throughputMbps', all))!.metrics.throughputMbps!;
        const split = path(
          series('throughputMbps', all.slice(0, cut)),
          series('throughputMbps', all.slice(cut)),
        )!;
        expect(split.metrics.throughputMbps).toMatchObject({
          centre: whole.centre,
          p10: whole.p10,
          p90: whole.p90,
        });
        expect(whole.p10).toBeLessThanOrEqual(whole.centre);
        expect(whole.centre).toBeLessThanOrEqual(whole.p90);
        expect(whole.p10).toBeGreaterThanOrEqual(Math.min(...all));
        expect(whole.p90).toBeLessThanOrEqual(Math.max(...all));
      }),
    );
  });
});

describe('quality', () => {
  test('grows with samples, falls with age, ends at staleness', () => {
    const q = (count: number, hoursAgo: number) =>
      path(series('rttMs', Array<number>(count).fill(1), hoursAgo))!.quality;
    expect(q(3, 1)).toBe(0.5);
    expect(q(27, 1)).toBe(0.9);
    expect(q(27, 24)).toBe(0.9);
    expect(q(27, 36)).toBe(0.45);
    expect(q(27, 48)).toBe(0);
    expect(q(27, 500)).toBe(0);
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
