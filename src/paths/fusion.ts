import type { SeriesSamples } from './estimate.ts';
import type { EvidenceStream } from './evidence.ts';
import { type CarriedWindow, carriedWindows, type MovedFiles } from './fusion-windows.ts';
import { quantile } from './percentile.ts';

/** Newest windows that are looked at: as many as tests. */
const MOST_WINDOWS = 400;
const DAY_MS = 86_400_000;
/** A test within so much of a window tells what the window should have seen. */
const NEAR_MS = DAY_MS / 2;
/** How far transfers may be from tests for good, before both were seen side by side; and how far one day may be. */
const BIAS_VARIANCE = 0.35 ** 2;
const DAY_VARIANCE = 0.3 ** 2;
/** Of a window by itself: files are not sent evenly, disks are busy. */
const WINDOW_VARIANCE = 0.1 ** 2;
/** Of one length that is known in whole seconds, in s². */
const SECONDS_VARIANCE = 1 / 6;

/**
 * The pool's own transfers as evidence of a path's throughput, to be fused with its tests by age and variance. All on
 * the logarithm:
 *
 * - **Bias.** Files come from disks, through a scheduler that lets some wait, by another number of streams than a test
 *   has. How far transfers are from tests is learnt where both were there within twelve hours, day by day: the mean of
 *   the days, drawn to nothing while they are few. It is taken off, and how well it is known is the shared variance.
 * - **Lower bounds.** A window in which jobs asked for little says little. So one that lies below what the same day's
 *   better windows show (their 75th percentile) is uncertain by at least that much; one above is believed.
 */
export function transferEvidence(
  transfers: readonly MovedFiles[],
  tests: readonly SeriesSamples[],
): EvidenceStream | undefined {
  const windows = carriedWindows(transfers).slice(-MOST_WINDOWS);
  if (windows.length === 0) return undefined;
  const bias = biasOf(windows, tests);
  const upper = upperByDay(windows);
  return {
    metric: 'throughputMbps',
    kind: 'transfers',
    atMs: Float64Array.from(windows, ({ atMs }) => atMs),
    values: Float64Array.from(windows, ({ mbps }) => mbps * Math.exp(-bias.centre)),
    variances: Float64Array.from(windows, ({ atMs, mbps, busySeconds, stretches }) => {
      const short = Math.max(0, upper.get(dayOf(atMs))! - Math.log(mbps));
      return WINDOW_VARIANCE + (stretches * SECONDS_VARIANCE) / busySeconds ** 2 + short ** 2;
    }),
    sharedVariance: bias.variance,
  };
}

/** How far transfers are above what tests of the same hours say, and how well that is known. */
function biasOf(
  windows: readonly CarriedWindow[],
  tests: readonly SeriesSamples[],
): { centre: number; variance: number } {
  const near = nearTests(tests);
  const days = new Map<number, number[]>();
  for (const { atMs, mbps } of windows) {
    const level = near(atMs);
    if (level === undefined) continue;
    const day = days.get(dayOf(atMs)) ?? [];
    days.set(dayOf(atMs), day);
    day.push(Math.log(mbps) - level);
  }
  const daily = [...days.values()].map(median);
  const sum = daily.reduce((total, value) => total + value, 0);
  const variance = 1 / (1 / BIAS_VARIANCE + daily.length / DAY_VARIANCE);
  return { centre: (variance * sum) / DAY_VARIANCE, variance };
}

/** The median of the tests' logarithms within NEAR_MS; asked for ascending times. */
function nearTests(tests: readonly SeriesSamples[]): (atMs: number) => number | undefined {
  const all = tests
    .filter(({ metric }) => metric === 'throughputMbps')
    .flatMap(({ atMs, values }) => Array.from(atMs, (at, i) => ({ at, log: Math.log(values[i]!) })))
    .sort((a, b) => a.at - b.at);
  let [from, to] = [0, 0];
  return (atMs) => {
    while (from < all.length && all[from]!.at < atMs - NEAR_MS) from++;
    while (to < all.length && all[to]!.at <= atMs + NEAR_MS) to++;
    return to > from ? median(all.slice(from, to).map(({ log }) => log)) : undefined;
  };
}

function upperByDay(windows: readonly CarriedWindow[]): Map<number, number> {
  const byDay = Map.groupBy(windows, ({ atMs }) => dayOf(atMs));
  return new Map(
    [...byDay].map(([day, some]) => {
      const logs = Float64Array.from(some, ({ mbps }) => Math.log(mbps)).sort();
      return [day, quantile(logs, 0.75)];
    }),
  );
}

const dayOf = (ms: number): number => Math.floor(ms / DAY_MS);

function median(values: readonly number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}
