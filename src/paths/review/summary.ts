import type { PairSummary } from '../../domain.ts';
import { recentFloor } from './floors.ts';
import { usualInterval } from './intervals.ts';
import { ALL_LOST } from './losses.ts';
import type { ReviewSeries } from './types.ts';

const RECENT_MS = 6 * 3_600_000;

/** @param series of one host pair; undefined where none of them has a sample */
export function summarise(pair: string, series: readonly ReviewSeries[]): PairSummary | undefined {
  let newestMs = Number.NEGATIVE_INFINITY;
  let intervalMs: number | undefined;
  const summary: PairSummary = { pair, newestMs };
  for (const one of series) {
    const newest = Math.max(one.atMs.at(-1) ?? newestMs, one.impossible?.atMs.at(-1) ?? newestMs);
    newestMs = Math.max(newestMs, newest);
    const interval = usualInterval(one.atMs);
    if (interval !== undefined && interval < (intervalMs ?? Number.POSITIVE_INFINITY)) intervalMs = interval;
    if (one.metric === 'oneWayDelayMs') addDelay(summary, one);
    else if (one.metric === 'rttMs') addRoundTrip(summary, one);
    else if (one.metric === 'lossRate') addLoss(summary, one);
  }
  if (newestMs === Number.NEGATIVE_INFINITY) return undefined;
  return { ...summary, newestMs, ...(intervalMs !== undefined && { intervalMs }) };
}

function addDelay(summary: PairSummary, series: ReviewSeries): void {
  const floor = recentFloor(series.impossible ? [series, series.impossible] : [series]);
  if (!floor) return;
  const family = series.ipVersion ?? 0;
  summary.delays ??= [];
  const known = summary.delays.find((each) => each.family === family);
  if (!known) summary.delays.push({ family, ...floor });
  else if (floor.newestMs > known.newestMs) Object.assign(known, floor);
}

function addRoundTrip(summary: PairSummary, series: ReviewSeries): void {
  const floor = recentFloor([series]);
  if (floor) summary.rttFloorMs = Math.min(floor.floorMs, summary.rttFloorMs ?? floor.floorMs);
}

function addLoss(summary: PairSummary, { atMs, values }: ReviewSeries): void {
  const newest = atMs.at(-1);
  if (newest === undefined) return;
  summary.loss ??= { samples: 0, allLost: 0, newestMs: newest };
  const { loss } = summary;
  loss.newestMs = Math.max(loss.newestMs, newest);
  for (let i = atMs.length - 1; i >= 0 && atMs[i]! > newest - RECENT_MS; i--) {
    loss.samples += 1;
    if (values[i]! >= ALL_LOST) loss.allLost += 1;
  }
}
