import { loadConfig } from '../config.ts';
import { UserError } from '../errors.ts';
import type { ForecastFigures } from '../paths/backtest/forecasts.ts';
import type { HiddenFigures } from '../paths/backtest/hidden.ts';
import { storePlace } from '../service.ts';
import { backtestEstimates as backtest, type EstimatesBacktest } from '../steps/backtest.ts';
import { openStore } from '../store/store.ts';
import { table } from './table.ts';
import { timeOf } from './times.ts';

export interface BacktestOptions {
  from?: string;
  to?: string;
  json?: boolean;
}

/**
 * `lark backtest estimates`. It takes a processor for a while, so it opens the store itself rather than have a running
 * service do it: with the embedded store, the service must be stopped first (the store says so).
 */
export async function backtestEstimates(
  configFile: string | undefined,
  options: BacktestOptions,
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const from = options.from === undefined ? undefined : timeOf('--from', options.from);
  const to = options.to === undefined ? new Date() : timeOf('--to', options.to);
  if (from && from >= to) throw new UserError('--from must be before --to');
  const store = await openStore(storePlace(config));
  try {
    const result = await backtest(store, config, { to, ...(from && { from }) });
    process.stdout.write(`${options.json ? JSON.stringify(result, null, 2) : backtestText(result)}\n`);
  } finally {
    await store.close();
  }
}

export function backtestText({ forecasts, hidden }: EstimatesBacktest): string {
  if (forecasts.length === 0)
    return 'Nothing could be judged: no series has more than ten values in that time.';
  return [...forecasts.map(forecastsText), hiddenText(hidden)].join('\n\n');
}

export function forecastsText(figures: ForecastFigures): string {
  const { metric, paths, forecasts, methods, mixture, perPath, interval } = figures;
  const rows = [...Object.entries(methods), ['mixture', mixture] as const].map(([method, one]) => ({
    method,
    ...one,
  }));
  return `${metric}: ${forecasts} forecasts on ${paths} paths
${table(rows, [
  { heading: 'METHOD', cell: ({ method }) => method },
  { heading: 'MEDIAN %', cell: ({ medianPercent }) => percent(medianPercent), right: true },
  { heading: 'P75 %', cell: ({ p75Percent }) => percent(p75Percent), right: true },
  { heading: 'MEAN ERROR', cell: ({ meanAbsoluteError }) => String(meanAbsoluteError), right: true },
  { heading: 'RMS ERROR', cell: ({ rootMeanSquareError }) => String(rootMeanSquareError), right: true },
])}
80 % interval: ${share(interval.within)} within, ${share(interval.below)} below, ${share(interval.above)} above
median error of a path: ${percent(perPath.medianPercent)} % for half of the paths, ${percent(perPath.p75Percent)} % for three quarters`;
}

function hiddenText(hidden: HiddenFigures | null): string {
  if (!hidden) return 'Too few pairs to hide some of them.';
  return `hidden pairs (throughput): ${hidden.hidden} of ${hidden.hidden + hidden.visible}, ${hidden.unknown} not predicted, ${hidden.bad} bad
AUC of "bad" ${Number.isNaN(hidden.auc) ? '-' : hidden.auc}, error median ${hidden.medianPercent} %, P75 ${hidden.p75Percent} %, ${share(hidden.within)} within the interval`;
}

const percent = (value: number): string => (Number.isNaN(value) ? '-' : value.toFixed(2));
const share = (value: number): string => `${(100 * value).toFixed(1)} %`;
