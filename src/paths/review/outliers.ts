import type { Metric } from '../../domain.ts';
import type { SeriesReview } from './verdicts.ts';

/**
 * In which direction a value can stand alone. Low throughput does not: a slow transfer is what Lark looks for. Loss,
 * retransmits and the like come in bursts by nature: their peaks are results.
 */
const DIRECTIONS: ReadonlyMap<Metric, 'high' | 'both'> = new Map([
  ['throughputMbps', 'high'],
  ['oneWayDelayMs', 'both'],
  ['rttMs', 'both'],
]);

const EACH_SIDE = 5;
const FEWEST_NEIGHBOURS = 6;
const ROBUST_DEVIATIONS = 10;
const LEAST_FACTOR = 3;

/**
 * Excludes the samples that stand alone: more than three times the median of their (up to ten) nearest neighbours, and
 * further from it than ten robust standard deviations (1.4826 × the median absolute deviation); of delays, less than a
 * third of it too. Against near neighbours, so that a lasting change of level is never taken for an outlier.
 */
export function excludeOutliers(review: SeriesReview): void {
  const direction = DIRECTIONS.get(review.series.metric);
  if (!direction || review.counting <= FEWEST_NEIGHBOURS) return;
  const indices = review.remainingIndices();
  for (const index of standingAlone(review.remaining().values, direction === 'both')) {
    review.exclude(indices ? indices[index]! : index, 'outlier');
  }
}

/** Indices of the values that stand alone, in the order of time. */
export function standingAlone(values: Float64Array, alsoLow: boolean): number[] {
  const found: number[] = [];
  if (!spreadsWidely(values)) return found;
  const last = values.length - 1;
  for (let i = 0; i <= last; i++) {
    const from = Math.max(0, i - EACH_SIDE);
    const to = Math.min(last, i + EACH_SIDE);
    const neighbours = to - from;
    if (neighbours < FEWEST_NEIGHBOURS) continue;
    // Cheap, and nearly always enough: the median cannot be beyond the limit unless half of them are.
    const value = values[i]!;
    let far = 0;
    for (let j = from; j <= to; j++) {
      const other = values[j]!;
      if (value > LEAST_FACTOR * other) far += 1;
      else if (alsoLow && other > LEAST_FACTOR * value) far += 1;
    }
    if (2 * far >= neighbours && isAlone(values, i, from, to, alsoLow)) found.push(i);
  }
  return found;
}

function spreadsWidely(values: Float64Array): boolean {
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return greatest > LEAST_FACTOR * least;
}

function isAlone(values: Float64Array, index: number, from: number, to: number, alsoLow: boolean): boolean {
  const value = values[index]!;
  const neighbours = new Float64Array(to - from);
  neighbours.set(values.subarray(from, index));
  neighbours.set(values.subarray(index + 1, to + 1), index - from);
  const centre = median(neighbours);
  const isHigh = value > LEAST_FACTOR * centre;
  const isLow = alsoLow && LEAST_FACTOR * value < centre;
  if (!isHigh && !isLow) return false;
  const deviation = 1.4826 * median(neighbours.map((each) => Math.abs(each - centre)));
  return Math.abs(value - centre) > ROBUST_DEVIATIONS * deviation;
}

/** Sorts what it is given. */
function median(values: Float64Array): number {
  values.sort();
  const middle = values.length >> 1;
  return values.length % 2 === 1 ? values[middle]! : (values[middle - 1]! + values[middle]!) / 2;
}
