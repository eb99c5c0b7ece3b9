import {
  type EstimateSource,
  METRICS,
  type Metric,
  type MetricEstimate,
  type PathEstimate,
} from '../domain.ts';
import { type Belief, beliefOf, type EvidenceStream, forecastVariance, fuse } from './evidence.ts';
import { Forecaster, RESIDUALS_KEPT } from './forecast/forecaster.ts';
import { intervalOf } from './interval.ts';
import type { TestSeries } from './pairs.ts';
import {
  agedMetric,
  evidence,
  freshness,
  nearness,
  pathQuality,
  roundedFactors,
  type StaleOptions,
} from './quality.ts';
import { SCALES } from './scale.ts';
import { type Stream, StreamMaker } from './stream.ts';

/** The good samples of one series within the metric's window, ascending in time. */
export interface SeriesSamples extends TestSeries {
  atMs: Float64Array;
  values: Float64Array;
  /** Samples of the window that were not fit to be used. */
  leftOutCount?: number;
}

export interface PathInput {
  srcSite: string;
  dstSite: string;
  series: SeriesSamples[];
  /** What is known of the path besides its tests. */
  evidence?: readonly EvidenceStream[];
}

export type EstimateOptions = StaleOptions;

/**
 * What the next transfer on each path will see: for each metric a forecast and an 80 % interval, from all series of all
 * host pairs between the two sites, by the mixture of methods that forecast this path best so far (docs/estimates.md).
 *
 * A path none of whose series has a sample, and of which there is no evidence, is not in the result.
 */
export function estimate(inputs: readonly PathInput[], options: EstimateOptions, now: Date): PathEstimate[] {
  const estimator = new Estimator(options, now);
  const paths: PathEstimate[] = [];
  for (const input of inputs) {
    const path = estimator.path(input);
    if (path) paths.push(path);
  }
  return paths;
}

/**
 * The same estimate as seen at a later time: figures stay, quality falls with age. Lets a cycle without new
 * samples for a path leave its samples unread.
 */
export function age(path: PathEstimate, options: EstimateOptions, now: Date): PathEstimate {
  if (!path.measured) return path;
  const metrics: PathEstimate['metrics'] = {};
  for (const [name, metric] of Object.entries(path.metrics))
    metrics[name as Metric] = agedMetric(metric, options, now);
  return { ...path, metrics, quality: pathQuality(metrics) };
}

/**
 * The path without the metrics whose newest sample is stale, or that no test tells of: what a breaker may judge by. What
 * jobs moved shows what a path can carry, and seldom what it cannot.
 */
export function freshMetrics(
  path: PathEstimate,
  options: EstimateOptions,
  now: Date,
): PathEstimate['metrics'] {
  const oldest = now.getTime() - options.staleHours * 3_600_000;
  return Object.fromEntries(
    Object.entries(path.metrics).filter(
      ([, { lastMeasured, seriesCount }]) =>
        lastMeasured !== undefined && lastMeasured.getTime() >= oldest && seriesCount > 0,
    ),
  );
}

/** Forecasters and buffers that serve one path after the other. */
class Estimator {
  private readonly options: EstimateOptions;
  private readonly now: Date;
  private readonly streams = new StreamMaker();
  private readonly forecasters = { typical: new Forecaster('typical'), mean: new Forecaster('mean') };

  constructor(options: EstimateOptions, now: Date) {
    this.options = options;
    this.now = now;
  }

  path(input: PathInput): PathEstimate | undefined {
    const metrics: PathEstimate['metrics'] = {};
    let sampleCount = 0;
    let lastMeasured: Date | undefined;
    for (const metric of METRICS) {
      const series = withValues(input.series, metric);
      const others = input.evidence ? withValues(input.evidence, metric) : NONE;
      if (series.length === 0 && others.length === 0) continue;
      const figures = this.metric(metric, series, others);
      metrics[metric] = figures;
      sampleCount += figures.sampleCount;
      if (!lastMeasured || figures.lastMeasured > lastMeasured) lastMeasured = figures.lastMeasured;
    }
    if (!lastMeasured) return undefined;
    return {
      srcSite: input.srcSite,
      dstSite: input.dstSite,
      metrics,
      quality: pathQuality(metrics),
      sampleCount,
      lastMeasured,
      measured: true,
      estimatedAt: this.now,
    };
  }

  private metric(
    metric: Metric,
    series: readonly SeriesSamples[],
    others: readonly EvidenceStream[],
  ): MetricEstimate & { lastMeasured: Date } {
    const scale = SCALES[metric];
    let sampleCount = 0;
    let leftOut = 0;
    let lastMs = Number.NEGATIVE_INFINITY;
    for (const { atMs, leftOutCount = 0 } of series) {
      sampleCount += atMs.length;
      leftOut += leftOutCount;
      lastMs = Math.max(lastMs, atMs[atMs.length - 1]!);
    }
    const verdicts = sampleCount === 0 ? 1 : sampleCount / (sampleCount + leftOut);
    let belief: Belief | undefined;
    let disagreement = 0;
    let method = '';
    const sources: EstimateSource[] = [];
    const source = (kind: string, { centre }: Belief, count: number, share: number): void => {
      for (const earlier of sources) earlier.share *= 1 - share;
      sources.push({ kind, centre: scale.from(centre), sampleCount: count, share });
    };
    if (series.length > 0) {
      const stream = this.streams.make(metric, series);
      const forecaster = this.forecasters[scale.aim];
      run(forecaster, stream);
      const [below, above] = intervalOf(forecaster.residuals, forecaster.residualCount, scale.prior);
      const variance = forecastVariance(below, above, stream.length, this.now.getTime() - lastMs);
      belief = { centre: forecaster.forecast(this.now.getTime()), variance, below, above };
      disagreement = spreadOf(forecaster.offsets, stream.groupWeights);
      method = forecaster.best();
      source('tests', belief, sampleCount, 1);
    }
    for (const other of others) {
      const theirs = beliefOf(other, this.now);
      if (belief) {
        disagreement = Math.max(disagreement, Math.abs(belief.centre - theirs.centre) / 2);
        const fused: Belief & { share: number } = fuse(belief, theirs);
        source(other.kind, theirs, other.values.length, 1 - fused.share);
        belief = fused;
      } else {
        // Nothing says how far this kind is from what tests would have told.
        disagreement = Math.max(disagreement, Math.sqrt(other.sharedVariance ?? 0));
        belief = theirs;
        source(other.kind, theirs, other.values.length, 1);
      }
      method = method ? `${method}+${other.kind}` : other.kind;
      sampleCount += other.values.length;
      lastMs = Math.max(lastMs, other.atMs[other.atMs.length - 1]!);
    }
    const { centre, below, above } = belief!;
    const lastMeasured = new Date(lastMs);
    // Half of a loss is as well known when it is 30 ± 10 % as when it is 3 ± 1 %.
    const half = scale.aim === 'mean' ? scale.half + 2 * Math.max(0, centre) : scale.half;
    return {
      centre: scale.from(centre),
      p10: scale.from(centre + below),
      p90: scale.from(centre + above),
      sampleCount,
      seriesCount: series.length,
      lastMeasured,
      method,
      factors: roundedFactors({
        freshness: freshness(lastMeasured, this.options, this.now),
        evidence: evidence(sampleCount),
        agreement: nearness(disagreement, half / 2),
        verdicts,
        predictability: nearness(above - below, half),
      }),
      ...(others.length > 0 && { sources }),
    };
  }
}

const NONE: never[] = [];

/** Those of the metric that have values. Most paths have one metric or two: no list is made for the others. */
function withValues<T extends { metric: Metric; values: Float64Array }>(
  all: readonly T[],
  metric: Metric,
): readonly T[] {
  let found: T[] = NONE;
  for (const one of all) {
    if (one.metric !== metric || one.values.length === 0) continue;
    if (found === NONE) found = [one];
    else found.push(one);
  }
  return found;
}

/** Shows the whole stream to the forecaster. */
function run(forecaster: Forecaster, stream: Stream): void {
  const { length, atMs, values, groups } = stream;
  forecaster.reset(stream.groupWeights);
  const kept = length - RESIDUALS_KEPT;
  for (let i = 0; i < length; i++) forecaster.observe(atMs[i]!, values[i]!, groups[i]!, i >= kept);
}

/** The weighted standard deviation of what the groups differ by. */
function spreadOf(offsets: Float64Array, weights: Float64Array): number {
  let squares = 0;
  for (let i = 0; i < offsets.length; i++) squares += weights[i]! * offsets[i]! ** 2;
  return Math.sqrt(squares);
}
