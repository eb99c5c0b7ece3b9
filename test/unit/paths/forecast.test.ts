import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ErrorHistogram } from '../../../src/paths/backtest/error-histogram.ts';
import { ForecastBacktest } from '../../../src/paths/backtest/forecasts.ts';
import { Forecaster } from '../../../src/paths/forecast/forecaster.ts';
import { WindowMedian } from '../../../src/paths/forecast/window-median.ts';
import { intervalOf } from '../../../src/paths/interval.ts';
import { quantile } from '../../../src/paths/percentile.ts';
import { pathsWorld } from '../../../testbed/paths-world.ts';
import { pathInput } from '../../support/paths-world.ts';

const HOUR_MS = 3_600_000;
const ONE = Float64Array.of(1);
const number = fc.double({ min: -100, max: 100, noNaN: true });

test('law: a window median is the median of the last values, also after forgetting', () => {
  fc.assert(
    fc.property(
      fc.array(number, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      (all, size) => {
        const window = new WindowMedian(size);
        const expected = (values: number[]): number => quantile(Float64Array.from(values).sort(), 0.5);
        for (const [i, value] of all.entries()) {
          window.push(value);
          expect(window.median()).toBeCloseTo(expected(all.slice(Math.max(0, i + 1 - size), i + 1)), 9);
        }
        window.keepNewest(2);
        expect(window.median()).toBeCloseTo(expected(all.slice(-Math.min(2, size))), 9);
      },
    ),
  );
});

describe('the mixture', () => {
  const shown = (values: number[], aim: 'typical' | 'mean' = 'typical'): Forecaster => {
    const forecaster = new Forecaster(aim);
    forecaster.reset(ONE);
    for (const [i, value] of values.entries()) forecaster.observe(i * HOUR_MS, value);
    return forecaster;
  };

  test('follows the method that was right: the last value where values stay until they move', () => {
    const steps = Array.from({ length: 60 }, (_, i) => Math.floor(i / 6) * (i % 12 < 6 ? 1 : -1));
    const forecaster = shown(steps);
    expect(forecaster.forecast(60 * HOUR_MS)).toBeCloseTo(steps.at(-1)!, 0);
  });

  test('follows the method that was right: the mean where loss comes and goes at random', () => {
    const losses = Array.from({ length: 96 }, (_, i) => ((i * 2654435761) % 97 < 12 ? 0.04 : 0));
    const mean = losses.reduce((sum: number, loss) => sum + loss, 0) / losses.length;
    expect(shown(losses, 'mean').forecast(96 * HOUR_MS)).toBeCloseTo(mean, 2);
  });

  test('law: never outside what its methods say, and the same however often it was used before', () => {
    fc.assert(
      fc.property(fc.array(number, { minLength: 1, maxLength: 80 }), (values) => {
        const used = shown([5, -80, 3, 3, 3, 90]);
        used.reset(ONE);
        for (const [i, value] of values.entries()) used.observe(i * HOUR_MS, value);
        const forecast = used.forecast(values.length * HOUR_MS);
        expect(forecast).toBe(shown(values).forecast(values.length * HOUR_MS));
        expect(forecast).toBeGreaterThanOrEqual(Math.min(...used.forecasts) - 1e-9);
        expect(forecast).toBeLessThanOrEqual(Math.max(...used.forecasts) + 1e-9);
      }),
      { numRuns: 60 },
    );
  });
});

test('intervals cover 80 % of what is exchangeable, and few residuals do not make a narrow one', () => {
  let state = 7;
  const draw = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.log((state + 0.5) / 2 ** 32);
  };
  let within = 0;
  for (let round = 0; round < 4000; round++) {
    const residuals = Float64Array.from({ length: 60 }, draw);
    const centred = residuals.map((value) => value + Math.LN2);
    const [below, above] = intervalOf(centred, 60, [0.5, 0.3]);
    const next = draw() + Math.LN2;
    if (next >= below && next <= above) within++;
  }
  expect(within / 4000).toBeGreaterThan(0.77);
  expect(within / 4000).toBeLessThan(0.83);
  const [below, above] = intervalOf(Float64Array.of(0, 0.001), 2, [0.5, 0.3]);
  expect(below).toBeLessThan(-0.3);
  expect(above).toBeGreaterThan(0.2);
});

test('the histogram knows quantiles to a percent', () => {
  const histogram = new ErrorHistogram();
  expect(histogram.quantile(0.5)).toBeNaN();
  const errors = Float64Array.from({ length: 999 }, (_, i) => 1e-4 * 1.012 ** i);
  for (const error of errors) histogram.add(error);
  for (const share of [0.1, 0.5, 0.75, 0.99])
    expect(histogram.quantile(share) / quantile(errors, share)).toBeCloseTo(1, 1);
  histogram.add(0);
  expect(histogram.quantile(0)).toBe(0);
});

test('no look ahead: what comes after a value does not change how its forecast is judged', () => {
  const { pairs } = pathsWorld({
    seed: 5,
    sites: 20,
    pairs: 12,
    days: 20,
    end: new Date('2026-01-10T00:00:00Z'),
  });
  const cut = Date.parse('2026-01-03T00:00:00Z');
  const judgedHead = (tail: number): unknown => {
    const test = new ForecastBacktest('throughputMbps');
    for (const pair of pairs) {
      const { series } = pathInput(pair, ['throughputMbps']);
      test.path(
        series.map((one) => ({
          ...one,
          values: one.values.map((v, i) => (one.atMs[i]! < cut ? v : v * tail)),
        })),
        Number.NEGATIVE_INFINITY,
        cut,
      );
    }
    return test.figures();
  };
  expect(judgedHead(1)).toEqual(judgedHead(50));
});
