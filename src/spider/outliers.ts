import type { Metric, Sample } from '../domain.ts';

/** Loss and retransmits come in bursts by nature: their peaks are results. */
const HAS_OUTLIERS: ReadonlySet<Metric> = new Set<Metric>(['throughputMbps', 'oneWayDelayMs', 'rttMs']);

const NEIGHBOURS_EACH_SIDE = 5;
const FEWEST_NEIGHBOURS = 6;
const ROBUST_DEVIATIONS = 10;
const LEAST_FACTOR = 3;

/**
 * The good samples of a series that stand alone: above three times the median of their (up to ten) nearest good
 * neighbours, and further from it than ten robust standard deviations (1.4826 × the median absolute deviation).
 * Against near neighbours, so that a lasting change of level is never taken for an outlier. Low values are not: a
 * slow transfer is what Lark looks for.
 *
 * To be asked of the stored series, never of one read of it: a read does not have all neighbours yet.
 * @param samples in any order
 */
export function outliers(metric: Metric, samples: readonly Sample[]): Sample[] {
  if (!HAS_OUTLIERS.has(metric)) return [];
  const good = samples
    .filter(({ verdict, value }) => verdict === 'good' && value !== null)
    .sort((a, b) => a.at.getTime() - b.at.getTime());
  const values = good.map(({ value }) => value!);
  return good.filter((_, index) => standsAlone(values, index));
}

function standsAlone(values: readonly number[], index: number): boolean {
  const value = values[index]!;
  const neighbours = [
    ...values.slice(Math.max(0, index - NEIGHBOURS_EACH_SIDE), index),
    ...values.slice(index + 1, index + 1 + NEIGHBOURS_EACH_SIDE),
  ];
  if (neighbours.length < FEWEST_NEIGHBOURS) return false;
  const centre = median(neighbours);
  if (value <= LEAST_FACTOR * centre) return false;
  const deviation = 1.4826 * median(neighbours.map((each) => Math.abs(each - centre)));
  return value - centre > ROBUST_DEVIATIONS * deviation;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
