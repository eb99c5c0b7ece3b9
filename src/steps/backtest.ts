/**
 * Replays the stored history through the forecasters and the predictor, as if each value were yet to come.
 */
import type { Config } from '../config.ts';
import { isMeasured, METRICS, type Metric, type PathEstimate } from '../domain.ts';
import { ForecastBacktest, type ForecastFigures } from '../paths/backtest/forecasts.ts';
import { type HiddenFigures, hiddenPairs } from '../paths/backtest/hidden.ts';
import { estimate, type PathInput } from '../paths/estimate.ts';
import { groupByPath } from '../paths/pairs.ts';
import { locatedSeries } from '../sites/subjects.ts';
import type { Store } from '../store/store.ts';
import { type Places, siteFacts, siteRoutes } from './predict.ts';
import { readSamples } from './sample.ts';

export interface BacktestRange {
  /** Values before it are learnt from and not judged. */
  from?: Date;
  to: Date;
}

export interface EstimatesBacktest {
  from: string | null;
  to: string;
  forecasts: ForecastFigures[];
  /** Null where there are too few pairs to hide some. */
  hidden: HiddenFigures | null;
}

const SERIES_AT_ONCE = 500;

/**
 * The samples are those of verdict good, as they stand now: the review that leaves some out looks at later samples too,
 * which would be cheating here. Everything is judged that the store has.
 */
export async function backtestEstimates(
  store: Store,
  config: Config,
  range: BacktestRange,
): Promise<EstimatesBacktest> {
  const series = (await store.series()).filter(isMeasured);
  const places: Places = {
    sites: await store.sites(),
    hosts: await store.hosts(),
    assignments: await store.assignments(),
  };
  const paths = groupByPath(locatedSeries(series, places.hosts, places.assignments));
  const hours = 24 * config.store.samplesDays;
  const windows = { ...config.estimate, windowHours: hours, latencyWindowHours: hours };
  const tests = new Map<Metric, ForecastBacktest>();
  const estimates: PathEstimate[] = [];
  let batch: typeof paths = [];
  const flush = async (): Promise<void> => {
    const inputs = (await readSamples(store, batch, windows, range.to)).map((input) =>
      until(input, range.to),
    );
    for (const input of inputs) replay(tests, input, range.from);
    estimates.push(...estimate(inputs, config.estimate, range.to));
    batch = [];
  };
  for (const path of paths) {
    batch.push(path);
    if (batch.reduce((sum, one) => sum + one.series.length, 0) >= SERIES_AT_ONCE) await flush();
  }
  await flush();
  const routes = await siteRoutes(store, places, config.estimate.staleHours, range.to);
  return {
    from: range.from?.toISOString() ?? null,
    to: range.to.toISOString(),
    forecasts: METRICS.flatMap((metric) => {
      const figures = tests.get(metric)?.figures();
      return figures && figures.forecasts > 0 ? [figures] : [];
    }),
    hidden: hiddenPairs(estimates, siteFacts(places), range.to, 0, routes) ?? null,
  };
}

function replay(tests: Map<Metric, ForecastBacktest>, input: PathInput, from: Date | undefined): void {
  for (const [metric, series] of Map.groupBy(input.series, (one) => one.metric)) {
    const test = tests.get(metric) ?? new ForecastBacktest(metric);
    tests.set(metric, test);
    test.path(series, from?.getTime());
  }
}

/** Without what was measured at `to` or later. */
function until(input: PathInput, to: Date): PathInput {
  return {
    ...input,
    series: input.series.map((series) => {
      const count = series.atMs.findLastIndex((at) => at < to.getTime()) + 1;
      return { ...series, atMs: series.atMs.subarray(0, count), values: series.values.subarray(0, count) };
    }),
  };
}
