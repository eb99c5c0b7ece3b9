import { WindowMedian } from './window-median.ts';

/**
 * The methods, each a forecast of the next value from those before it.
 *
 * `ewma-*` are exponentially weighted means; `holt` has a damped trend; `restart` is a median that begins anew when
 * values in a row stand on one side of it; `rhythm` and `rhythm-ewma` add what the time of day is usually worth, to
 * the `restart` median and to an outlier-proof EWMA of the rest.
 */
export const METHODS = [
  'last',
  'mean',
  'median-5',
  'median-21',
  'ewma-0.1',
  'ewma-0.3',
  'ewma-0.6',
  'holt',
  'restart',
  'rhythm',
  'rhythm-ewma',
] as const;
export type Method = (typeof METHODS)[number];

/**
 * Which value is wanted. typical: the middle of what may come, by methods scored by absolute error, so that a failed
 * run moves little. mean: the long-run mean, by mean-like methods scored by squared error: for loss, where almost all
 * values are 0 and the few others are what matters.
 */
export type Aim = 'typical' | 'mean';

const COUNT = METHODS.length;
const [LAST, MEAN, MEDIAN_5, MEDIAN_21, EWMA_SLOW, EWMA, EWMA_FAST, HOLT, RESTART, RHYTHM, RHYTHM_EWMA] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
];
const MEAN_LIKE = [LAST, MEAN, EWMA_SLOW, EWMA, EWMA_FAST, HOLT];
const ALL = METHODS.map((_, method) => method);

/** What a method's error of one step back counts against that of the newest. */
const ERROR_MEMORY = 0.95;
/** A method so many times as far off as the best would weigh less than two thousandths: it is not reckoned with. */
const OUT_OF_IT = 1.5;
const SQUARED_OUT_OF_IT = 5;
const HOLT_LEVEL = 0.3;
const HOLT_TREND = 0.1;
const HOLT_DAMPING = 0.9;
/** So many values in a row on one side of the level, all by more than this many mean deviations, are a new level. */
const SHIFT_RUN = 3;
const SHIFT_DEVIATIONS = 2;
const RHYTHM_LEVEL = 0.25;
const BUCKETS = 8;
const BUCKET_MS = (24 / BUCKETS) * 3_600_000;
/** A time of day's usual share is believed by half after so many values at that time. */
const BUCKET_BELIEF = 3;
export const RESIDUALS_KEPT = 64;

/**
 * A mixture of forecasters over one stream of values, one pass and constant memory; `reset` makes it as new, so that
 * one serves any number of paths. Values are on the scale on which errors are compared (the logarithm, for
 * throughput and delays). Each method's weight falls with its recent error, to the power −16 of a mean absolute error
 * and −8 of a root mean square: nearly a choice of the best, but those as good share it. Errors are as of before the
 * value that is forecast: no step sees what comes after it.
 *
 * Values may come of several groups (host pair, tool and IP version) that differ by a constant: that constant is
 * learnt, the weighted mean over the groups being 0, and the methods see values without it. What is forecast is the
 * mean over the groups; residuals are of the raw values, so that an interval holds the difference of the groups too.
 */
export class Forecaster {
  /** What each method said when last asked. */
  readonly forecasts = new Float64Array(COUNT);
  /** Recent error of each method, mean absolute or mean squared by aim. */
  readonly errors = new Float64Array(COUNT);
  /** The mixture's newest residuals (value − forecast), in no order; `residualCount` of them are valid. */
  readonly residuals = new Float64Array(RESIDUALS_KEPT);
  residualCount = 0;
  count = 0;
  /** What each group is above the mean of all, as learnt so far. */
  offsets = new Float64Array(1);

  private readonly active: readonly number[];
  private readonly squares: boolean;
  private residualHead = 0;
  private sum = 0;
  private holtLevel = 0;
  private holtTrend = 0;
  private readonly median5 = new WindowMedian(5);
  private readonly median21 = new WindowMedian(21);
  private readonly segment = new WindowMedian(41);
  private spread = 0;
  private run = 0;
  private readonly bucketOffset = new Float64Array(BUCKETS);
  private readonly bucketCount = new Float64Array(BUCKETS);
  private rhythmLevel = 0;
  /** Of the time that was turned to last. */
  private bucket = 0;
  private share = 0;
  private smallest = 0;
  private errorWeight = 0;
  private groupWeights: Float64Array = Float64Array.of(1);
  private groupCounts = new Float64Array(1);

  constructor(aim: Aim) {
    this.squares = aim === 'mean';
    this.active = aim === 'mean' ? MEAN_LIKE : ALL;
  }

  /** @param groupWeights how much each group counts; together 1 */
  reset(groupWeights: Float64Array): void {
    this.count = 0;
    this.residualCount = 0;
    this.residualHead = 0;
    this.errorWeight = 0;
    this.sum = 0;
    this.spread = 0;
    this.run = 0;
    this.errors.fill(0);
    this.smallest = 0;
    this.median5.clear();
    this.median21.clear();
    this.segment.clear();
    this.bucketOffset.fill(0);
    this.bucketCount.fill(0);
    this.groupWeights = groupWeights;
    if (this.offsets.length !== groupWeights.length) {
      this.offsets = new Float64Array(groupWeights.length);
      this.groupCounts = new Float64Array(groupWeights.length);
    } else {
      this.offsets.fill(0);
      this.groupCounts.fill(0);
    }
  }

  /** What a value at this time is expected to be; also fills `forecasts`. NaN while there is no value. */
  forecast(atMs: number): number {
    if (this.count === 0) return Number.NaN;
    this.turnTo(atMs);
    const { forecasts, errors } = this;
    let weights = 0;
    let total = 0;
    const least = this.leastError();
    const { active } = this;
    const limit = (this.smallest + least) * (this.squares ? SQUARED_OUT_OF_IT : OUT_OF_IT);
    for (let i = 0; i < active.length; i++) {
      const method = active[i]!;
      const error = errors[method]! + least;
      if (error > limit) continue;
      const inverse = 1 / (error * error);
      const fourth = inverse * inverse;
      const weight = this.squares ? fourth : fourth * fourth * fourth * fourth;
      weights += weight;
      total += weight * forecasts[method]!;
    }
    return total / weights;
  }

  /** Makes the forecasts that depend on it those for this time. */
  private turnTo(atMs: number): void {
    const { forecasts } = this;
    this.bucket = bucketOf(atMs);
    const share = this.bucketShare(this.bucket);
    this.share = share;
    forecasts[RHYTHM] = forecasts[RESTART]! + share;
    forecasts[RHYTHM_EWMA] = this.rhythmLevel + share;
  }

  /** The method that weighs most. */
  best(): Method {
    let best = this.active[0]!;
    for (const method of this.active) if (this.errors[method]! < this.errors[best]!) best = method;
    return METHODS[best]!;
  }

  /** Whether the method, by its place in METHODS, takes part at all. */
  uses(method: number): boolean {
    return this.active.includes(method);
  }

  /** @param keepResidual false saves a third of the time, for values so old that their residual will not be kept */
  observe(atMs: number, raw: number, group = 0, keepResidual = true): void {
    const value = raw - this.offsets[group]!;
    if (this.count === 0) {
      this.begin(value);
      this.turnTo(atMs);
    } else {
      if (keepResidual) this.keep(raw - this.forecast(atMs));
      else this.turnTo(atMs);
      this.score(value);
    }
    this.learn(value);
    if (this.groupWeights.length > 1) this.learnOffset(group, value);
    this.count++;
  }

  private begin(value: number): void {
    this.holtLevel = value;
    this.holtTrend = 0;
    this.rhythmLevel = value;
    this.forecasts.fill(value);
  }

  /** Keeps weights finite where a method never erred, and all alike before any has. */
  private leastError(): number {
    const floor = this.squares ? 1e-14 : 1e-3;
    return this.count < 2 ? 1 : floor;
  }

  private keep(residual: number): void {
    this.residuals[this.residualHead] = residual;
    this.residualHead = this.residualHead + 1 === RESIDUALS_KEPT ? 0 : this.residualHead + 1;
    if (this.residualCount < RESIDUALS_KEPT) this.residualCount++;
  }

  private score(value: number): void {
    const { errors, forecasts } = this;
    // A mean of the errors so far until the memory is full, then exponential.
    this.errorWeight = this.errorWeight * ERROR_MEMORY + 1;
    const step = 1 / this.errorWeight;
    const { active, squares } = this;
    let smallest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < active.length; i++) {
      const method = active[i]!;
      const distance = Math.abs(value - forecasts[method]!);
      const error = errors[method]! + step * ((squares ? distance * distance : distance) - errors[method]!);
      errors[method] = error;
      if (error < smallest) smallest = error;
    }
    this.smallest = smallest;
  }

  private learn(value: number): void {
    const { forecasts } = this;
    forecasts[LAST] = value;
    this.sum += value;
    forecasts[MEAN] = this.sum / (this.count + 1);
    forecasts[EWMA_SLOW]! += 0.1 * (value - forecasts[EWMA_SLOW]!);
    forecasts[EWMA]! += 0.3 * (value - forecasts[EWMA]!);
    forecasts[EWMA_FAST]! += 0.6 * (value - forecasts[EWMA_FAST]!);
    const ahead = this.holtLevel + HOLT_DAMPING * this.holtTrend;
    const level = ahead + HOLT_LEVEL * (value - ahead);
    this.holtTrend = HOLT_TREND * (level - this.holtLevel) + (1 - HOLT_TREND) * HOLT_DAMPING * this.holtTrend;
    this.holtLevel = level;
    forecasts[HOLT] = level + HOLT_DAMPING * this.holtTrend;
    if (this.squares) return;
    this.median5.push(value);
    forecasts[MEDIAN_5] = this.median5.median();
    this.median21.push(value);
    forecasts[MEDIAN_21] = this.median21.median();
    this.learnLevel(value);
  }

  private learnLevel(value: number): void {
    const { segment, bucket, share } = this;
    if (segment.size > 0) {
      const whole = value - this.forecasts[RESTART]!;
      const deviation = whole - share;
      const size = Math.abs(deviation);
      if (this.count === 1) this.spread = size;
      const far = SHIFT_DEVIATIONS * this.spread;
      this.run =
        deviation > far ? Math.max(0, this.run) + 1 : deviation < -far ? Math.min(0, this.run) - 1 : 0;
      this.spread += 0.1 * (Math.min(size, 4 * this.spread + 1e-6) - this.spread);
      // A time of day is told from the level's own deviations, each cut to what is usual.
      const cut = 3 * this.spread + 1e-6;
      const seen = ++this.bucketCount[bucket]!;
      const rate = Math.max(1 / seen, 0.1);
      this.bucketOffset[bucket]! +=
        rate * (Math.max(-cut, Math.min(cut, whole)) - this.bucketOffset[bucket]!);
      const innovation = value - share - this.rhythmLevel;
      this.rhythmLevel += RHYTHM_LEVEL * Math.max(-cut, Math.min(cut, innovation));
    }
    segment.push(value);
    if (Math.abs(this.run) >= SHIFT_RUN) {
      segment.keepNewest(SHIFT_RUN);
      this.rhythmLevel = segment.median();
      this.run = 0;
    }
    this.forecasts[RESTART] = segment.median();
  }

  private bucketShare(bucket: number): number {
    const seen = this.bucketCount[bucket]!;
    return (this.bucketOffset[bucket]! * seen) / (seen + BUCKET_BELIEF);
  }

  /** Moves the group's constant towards what its value had left over, and all of them back to a mean of 0. */
  private learnOffset(group: number, value: number): void {
    const { offsets, groupCounts, groupWeights } = this;
    const seen = ++groupCounts[group]!;
    const level = this.squares ? this.forecasts[EWMA_SLOW]! : this.segment.median();
    const cut = this.squares ? Number.POSITIVE_INFINITY : 3 * this.spread + 0.1;
    const left = Math.max(-cut, Math.min(cut, value - level));
    offsets[group]! += left / Math.min(seen + 1, 20);
    let mean = 0;
    let weights = 0;
    for (let i = 0; i < offsets.length; i++) {
      if (groupCounts[i] === 0) continue;
      mean += groupWeights[i]! * offsets[i]!;
      weights += groupWeights[i]!;
    }
    mean /= weights;
    for (let i = 0; i < offsets.length; i++) if (groupCounts[i]! > 0) offsets[i]! -= mean;
  }
}

const bucketOf = (atMs: number): number => Math.floor(atMs / BUCKET_MS) % BUCKETS;
