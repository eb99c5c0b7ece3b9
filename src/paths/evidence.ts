import type { Metric } from '../domain.ts';
import { RESIDUALS_KEPT } from './forecast/forecaster.ts';
import { intervalOf } from './interval.ts';
import { SCALES } from './scale.ts';

/**
 * Values of a metric that come of something else than its tests, such as the pool's own transfers. They are fused with
 * the tests by age and variance.
 */
export interface EvidenceStream {
  metric: Metric;
  /** What it is, in a word that people are shown: `transfers`. */
  kind: string;
  /** Ascending. */
  atMs: Float64Array;
  /** In the metric's unit. */
  values: Float64Array;
  /** How far each may be off, squared, on the metric's scale: of the logarithm for throughput and delays. */
  variances: Float64Array;
  /** By how much all of them may be off together, squared, on the same scale: no number of values makes that less. */
  sharedVariance?: number;
}

/** A forecast on the metric's scale. */
export interface Belief {
  centre: number;
  /** Variance of the centre itself. */
  variance: number;
  /** Offsets of the 10th and 90th percentile of a next value; ≤ 0 ≤. */
  below: number;
  above: number;
}

const DAY_MS = 86_400_000;
/** What a day may change, as variance on the metric's scale: paths wander, so that old evidence fades. */
const DRIFT_PER_DAY = 0.02;
/** Of a normal distribution, how many deviations below the centre the 10th percentile is. */
const Z_10 = 1.2816;

/** How much more a value of this age may be off by now. */
const drift = (ageMs: number): number => (DRIFT_PER_DAY * Math.max(0, ageMs)) / DAY_MS;

/** What a stream alone says: its mean, each value weighed by the inverse of its variance and its age's. */
export function beliefOf(stream: EvidenceStream, now: Date): Belief {
  const { to, prior } = SCALES[stream.metric];
  let weights = 0;
  let total = 0;
  for (let i = 0; i < stream.values.length; i++) {
    const weight = 1 / (Math.max(1e-6, stream.variances[i]!) + drift(now.getTime() - stream.atMs[i]!));
    weights += weight;
    total += weight * to(stream.values[i]!);
  }
  const centre = total / weights;
  let squares = 0;
  for (let i = 0; i < stream.values.length; i++) squares += (to(stream.values[i]!) - centre) ** 2;
  const spread = Math.sqrt(squares / Math.max(1, stream.values.length - 1));
  // The mean of few values that differ is no better known than their spread says.
  const { sharedVariance = 0 } = stream;
  const variance = Math.max(1 / weights, spread ** 2 / stream.values.length) + sharedVariance;
  const newest = stream.values.subarray(-RESIDUALS_KEPT).map((value) => to(value) - centre);
  const [below, above] = intervalOf(newest, newest.length, prior);
  const widen = (offset: number): number => Math.sqrt(offset ** 2 + Z_10 ** 2 * sharedVariance);
  return { centre, variance, below: -widen(below), above: widen(above) };
}

/**
 * Two beliefs as one, each weighed by the inverse of its variance. Kinds that differ by more than their variances allow
 * measure different things: the excess is added to both, which draws the weights together and widens the interval.
 * @returns with what the first counts, 0..1
 */
export function fuse(a: Belief, b: Belief): Belief & { share: number } {
  const excess = Math.max(0, ((a.centre - b.centre) ** 2 - a.variance - b.variance) / 2);
  const weightA = 1 / (a.variance + excess);
  const weightB = 1 / (b.variance + excess);
  const share = weightA / (weightA + weightB);
  const widen = (offset: number): number => Math.sqrt(offset ** 2 + Z_10 ** 2 * excess);
  return {
    share,
    centre: share * a.centre + (1 - share) * b.centre,
    variance: 1 / (weightA + weightB),
    below: -widen(share * a.below + (1 - share) * b.below),
    above: widen(share * a.above + (1 - share) * b.above),
  };
}

/** The variance of a forecast's centre: of the spread of its errors, the more samples the less, and of its age. */
export function forecastVariance(below: number, above: number, count: number, ageMs: number): number {
  const deviation = (above - below) / (2 * Z_10);
  return Math.max(1e-6, deviation ** 2 / Math.min(10, Math.max(1, count))) + drift(ageMs);
}
