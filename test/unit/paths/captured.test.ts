import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { forecastsText } from '../../../src/cli/backtest.ts';
import type { Metric } from '../../../src/domain.ts';
import { ForecastBacktest } from '../../../src/paths/backtest/forecasts.ts';

/** Real series of esmond archives, beside the clone where they are at hand. Nothing was tuned to them. */
const FOLDER = resolve(import.meta.dirname, '../../../../shared/samples/perfsonar');

interface Point {
  ts: number;
  val: unknown;
}

const CAPTURED: [metric: Metric, file: string, value: (val: unknown) => number][] = [
  ['throughputMbps', 'esmond-data-throughput-averages-86400.json', (val) => (val as number) * 1e-6],
  [
    'oneWayDelayMs',
    'esmond-data-histogram-owdelay-statistics-300.json',
    (val) => (val as { median: number }).median,
  ],
  // Packets lost in a day of the 600 a minute that powstream sends.
  [
    'lossRate',
    'esmond-data-packet-count-lost-aggregations-86400.json',
    (val) => (val as number) / (600 * 1440),
  ],
];

describe.skipIf(!existsSync(FOLDER))('captured series of ../shared/samples', () => {
  test.each(CAPTURED)('%s of %s: the same backtest, figures printed', (metric, file, value) => {
    const points = (JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Point[]).sort(
      (a, b) => a.ts - b.ts,
    );
    const backtest = new ForecastBacktest(metric);
    backtest.path([
      {
        id: 1,
        metric,
        archiveKey: 'captured',
        tool: 'captured',
        source: 'a',
        destination: 'b',
        pair: 'a>b',
        atMs: Float64Array.from(points, ({ ts }) => ts * 1000),
        values: Float64Array.from(points, ({ val }) => value(val)),
      },
    ]);
    const figures = backtest.figures();
    process.stdout.write(`${forecastsText(figures)}\n\n`);
    // Hourly bins are made of delays and losses; some ten values are learnt from first.
    expect(figures.forecasts).toBe(metric === 'throughputMbps' ? points.length - 10 : figures.forecasts);
    expect(figures.mixture.meanAbsoluteError).toBeLessThanOrEqual(
      Math.max(...Object.values(figures.methods).map(({ meanAbsoluteError }) => meanAbsoluteError)),
    );
    const { within, below, above } = figures.interval;
    if (figures.forecasts > 0) expect(within + below + above).toBeCloseTo(1, 3);
  });
});
