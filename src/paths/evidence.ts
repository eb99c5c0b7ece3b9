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

/**
 * What a stream alone says of now: a level that wanders, seen through values that are each off by their variance (a
 * Kalman filter). The interval is made of what it missed by, as that of a forecast is.
 */
export function beliefOf(stream: EvidenceStream, now: Date): Belief {
  const { to, prior } = SCALES[stream.metric];
  const { atMs, values, variances, sharedVariance = 0 } = stream;
  const misses: number[] = [];
  let level = 0;
  let variance = Number.POSITIVE_INFINITY;
  let surprise = 0;
  for (let i = 0; i < values.length; i++) {
    const own = Math.max(1e-6, variances[i]!);
    const miss = to(values[i]!) - level;
    if (i === 0) {
      level = miss;
      variance = own;
      continue;
    }
    variance += drift(atMs[i]! - atMs[i - 1]!);
    surprise += miss ** 2 / (variance + own);
    misses.push(miss);
    const gain = variance / (variance + own);
    level += gain * miss;
    variance *= 1 - gain;
  }
  // Values that miss by more than their variances allow are less sure than they say.
  variance *= Math.max(1, surprise / Math.max(1, misses.length));
  variance += drift(now.getTime() - atMs[atMs.length - 1]!) + sharedVariance;
  const newest = Float64Array.from(misses.slice(-RESIDUALS_KEPT));
  const [below, above] = intervalOf(newest, newest.length, prior);
  const widen = (offset: number): number => Math.sqrt(offset ** 2 + Z_10 ** 2 * sharedVariance);
  return { centre: level, variance, below: -widen(below), above: widen(above) };
}

/**
 * Two beliefs as one, each weighed by the inverse of its variance. Where they differ by more than their variances allow,
 * neither is as sure as it says: the variance grows by that much, and the interval so that it holds of each what it
 * counts.
 * @returns with what the first counts, 0..1
 */
export function fuse(a: Belief, b: Belief): Belief & { share: number } {
  const share = b.variance / (a.variance + b.variance);
  const apart = (a.centre - b.centre) ** 2;
  const ratio = apart / (a.variance + b.variance);
  const between = ratio > 1 ? share * (1 - share) * apart : 0;
  const widen = (offset: number): number => Math.sqrt(offset ** 2 + Z_10 ** 2 * between);
  return {
    share,
    centre: share * a.centre + (1 - share) * b.centre,
    variance: Math.max(1, ratio) / (1 / a.variance + 1 / b.variance),
    below: -widen(share * a.below + (1 - share) * b.below),
    above: widen(share * a.above + (1 - share) * b.above),
  };
}

/** The variance of a forecast's centre: of the spread of its errors, the more samples the less, and of its age. */
export function forecastVariance(below: number, above: number, count: number, ageMs: number): number {
  const deviation = (above - below) / (2 * Z_10);
  return Math.max(1e-6, deviation ** 2 / Math.min(10, Math.max(1, count))) + drift(ageMs);
}
