import { describe, expect, test } from 'vitest';
import { forecastsText } from '../../../src/cli/backtest.ts';
import { ForecastBacktest, type MethodFigures } from '../../../src/paths/backtest/forecasts.ts';
import { hiddenPairs } from '../../../src/paths/backtest/hidden.ts';
import { estimate } from '../../../src/paths/estimate.ts';
import { pathsWorld } from '../../../testbed/paths-world.ts';
import { pathInput } from '../../support/paths-world.ts';

const END = new Date('2026-01-10T00:00:00Z');
/** Methods and penalties were chosen by the first set. The second was first looked at when all was chosen. */
const SEEDS = { chosenBy: [1, 2], keptForTheEnd: [101, 102] };
const FORECAST_PAIRS = 1500;

describe.each(Object.entries(SEEDS).flatMap(([set, seeds]) => seeds.map((seed) => [set, seed] as const)))(
  '400 sites, 8,000 measured pairs, 30 days; seeds %s: %i',
  (_, seed) => {
    const world = pathsWorld({ seed, sites: 400, pairs: 8000, days: 30, end: END });

    test('the mixture beats the last value and EWMA on median and P75 error; 80 % intervals cover 75 to 85 %', () => {
      const backtest = new ForecastBacktest('throughputMbps');
      for (const pair of world.pairs.slice(0, FORECAST_PAIRS))
        backtest.path(pathInput(pair, ['throughputMbps']).series);
      const figures = backtest.figures();
      process.stdout.write(`seed ${seed}, ${forecastsText(figures)}\n\n`);
      const { mixture, methods, interval } = figures;
      for (const name of ['last', 'ewma-0.1', 'ewma-0.3', 'ewma-0.6'] as const) {
        const other = methods[name] as MethodFigures;
        expect(mixture.medianPercent).toBeLessThan(other.medianPercent);
        expect(mixture.p75Percent).toBeLessThan(other.p75Percent);
      }
      expect(mixture.medianPercent).toBeLessThanOrEqual(21);
      expect(mixture.p75Percent).toBeLessThanOrEqual(32);
      expect(interval.within).toBeGreaterThanOrEqual(0.75);
      expect(interval.within).toBeLessThanOrEqual(0.85);
    });

    test('hidden pairs: which are bad is told with an AUC of 0.9 or more', () => {
      const estimates = world.pairs.flatMap((pair) =>
        estimate([pathInput(pair, ['throughputMbps'])], { staleHours: 48 }, END),
      );
      const turns = [0, 1, 2, 3, 4].map((turn) => hiddenPairs(estimates, world.sites, END, turn)!);
      process.stdout.write(`seed ${seed}, ${turns.map((one) => JSON.stringify(one)).join('\n')}\n\n`);
      const auc = turns.reduce((sum, one) => sum + one.auc, 0) / turns.length;
      expect(auc).toBeGreaterThanOrEqual(0.9);
      for (const { within } of turns) {
        expect(within).toBeGreaterThan(0.75);
        expect(within).toBeLessThan(0.9);
      }
    });

    // Both go on as they were more than throughput does: the last value is hard to beat. Loss is judged as a mean is.
    test('loss and delay: intervals hold 75 % or more, root mean square errors stay near those of the last value', () => {
      for (const metric of ['lossRate', 'oneWayDelayMs'] as const) {
        const backtest = new ForecastBacktest(metric);
        for (const pair of world.pairs.slice(0, 300)) backtest.path(pathInput(pair, [metric], 3).series);
        const figures = backtest.figures();
        process.stdout.write(`seed ${seed}, ${forecastsText(figures)}\n\n`);
        expect(figures.interval.within).toBeGreaterThan(0.75);
        const { mixture, methods } = figures;
        expect(mixture.rootMeanSquareError).toBeLessThan(1.25 * methods.last!.rootMeanSquareError);
      }
    });
  },
  300_000,
);
