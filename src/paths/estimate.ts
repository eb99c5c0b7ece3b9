import { METRICS, type Metric, type MetricEstimate, type PathEstimate } from '../domain.ts';
import type { TestSeries } from './pairs.ts';
import { mean, quantile } from './percentile.ts';

/** The good samples of one series within the metric's window, ascending in time. */
export interface SeriesSamples extends TestSeries {
  atMs: Float64Array;
  values: Float64Array;
}

export interface PathInput {
  srcSite: string;
  dstSite: string;
  series: SeriesSamples[];
}

export interface EstimateOptions {
  /** Age at which a metric's newest sample says nothing any more. */
  staleHours: number;
}

const HOUR_MS = 3_600_000;

/**
 * What each path is like, from all series of all host pairs between the two sites pooled.
 *
 * The centre is the median, so that a failed run or a burst does not move it; except for loss, where almost every
 * sample is 0 and a median would hide an episode: there it is the mean, which a single sample (at most 1) can move
 * by no more than its share. P10 and P90 are quantiles of the same samples.
 *
 * A path none of whose series has a sample is not in the result.
 */
export function estimate(inputs: readonly PathInput[], options: EstimateOptions, now: Date): PathEstimate[] {
  return inputs.flatMap((input) => {
    const metrics: PathEstimate['metrics'] = {};
    for (const metric of METRICS) {
      const figures = estimateMetric(
        metric,
        input.series.filter((series) => series.metric === metric && series.values.length > 0),
      );
      if (figures) metrics[metric] = figures;
    }
    const figures = Object.values(metrics);
    if (figures.length === 0) return [];
    return [
      {
        srcSite: input.srcSite,
        dstSite: input.dstSite,
        metrics,
        quality: pathQuality(metrics, options, now),
        sampleCount: figures.reduce((sum, { sampleCount }) => sum + sampleCount, 0),
        lastMeasured: latest(figures),
        measured: true,
        estimatedAt: now,
      },
    ];
  });
}

/**
 * The same estimate as seen at a later time: figures stay, quality falls with age. Lets a cycle without new
 * samples for a path leave its samples unread.
 */
export function age(path: PathEstimate, options: EstimateOptions, now: Date): PathEstimate {
  return { ...path, quality: pathQuality(path.metrics, options, now) };
}

function estimateMetric(metric: Metric, series: SeriesSamples[]): MetricEstimate | undefined {
  const sampleCount = series.reduce((sum, { values }) => sum + values.length, 0);
  if (sampleCount === 0) return undefined;
  const pooled = new Float64Array(sampleCount);
  let offset = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const { values, atMs } of series) {
    pooled.set(values, offset);
    offset += values.length;
    lastMs = Math.max(lastMs, atMs[atMs.length - 1]!);
  }
  pooled.sort();
  return {
    centre: metric === 'lossRate' ? mean(pooled) : quantile(pooled, 0.5),
    p10: quantile(pooled, 0.1),
    p90: quantile(pooled, 0.9),
    sampleCount,
    seriesCount: series.length,
    lastMeasured: new Date(lastMs),
  };
}

/**
 * 0..1, the mean over the metrics that were measured of freshness × evidence. Freshness is 1 up to half of
 * `staleHours` and falls to 0 at `staleHours`; evidence is n / (n + 3), so that three samples are worth half.
 * Two decimals: a path whose quality moved by less is not worth an update to the collector.
 */
function pathQuality(metrics: PathEstimate['metrics'], options: EstimateOptions, now: Date): number {
  const parts = Object.values(metrics).map(({ lastMeasured, sampleCount }) => {
    const ageShare = (now.getTime() - lastMeasured.getTime()) / (options.staleHours * HOUR_MS);
    const freshness = Math.min(1, Math.max(0, 2 - 2 * ageShare));
    return freshness * (sampleCount / (sampleCount + 3));
  });
  return Math.round((parts.reduce((sum, part) => sum + part, 0) / parts.length) * 100) / 100;
}

function latest(figures: MetricEstimate[]): Date {
  return new Date(Math.max(...figures.map(({ lastMeasured }) => lastMeasured.getTime())));
}

/** The path without the metrics whose newest sample is stale: what a breaker may judge by. */
export function freshMetrics(
  path: PathEstimate,
  options: EstimateOptions,
  now: Date,
): PathEstimate['metrics'] {
  const oldest = now.getTime() - options.staleHours * HOUR_MS;
  return Object.fromEntries(
    Object.entries(path.metrics).filter(([, { lastMeasured }]) => lastMeasured.getTime() >= oldest),
  );
}
