import type { MetricEstimate, PathEstimate, QualityFactors } from '../domain.ts';

export interface StaleOptions {
  /** Age at which a metric's newest sample says nothing any more. */
  staleHours: number;
}

const HOUR_MS = 3_600_000;

/**
 * No path with a fresh measurement is worse than this, and no predicted one better: whoever asks for more than this
 * gets only what was measured.
 */
export const LEAST_MEASURED_QUALITY = 0.1;

/** 1 up to half of `staleHours`, then falling to 0 at `staleHours`. */
export function freshness(lastMeasured: Date, { staleHours }: StaleOptions, now: Date): number {
  const share = (now.getTime() - lastMeasured.getTime()) / (staleHours * HOUR_MS);
  return Math.min(1, Math.max(0, 2 - 2 * share));
}

/** Three samples are worth half. */
export const evidence = (sampleCount: number): number => sampleCount / (sampleCount + 3);

/** 1 at no distance, a half at `half`. */
export const nearness = (distance: number, half: number): number => 1 / (1 + distance / half);

/** The product of the factors; 0 when stale, else at least `LEAST_MEASURED_QUALITY`. */
export function metricQuality(factors: QualityFactors): number {
  const { freshness, evidence, agreement, verdicts, predictability } = factors;
  if (freshness === 0) return 0;
  return Math.max(LEAST_MEASURED_QUALITY, freshness * evidence * agreement * verdicts * predictability);
}

/**
 * 0..1, the mean over the metrics that were measured. Two decimals: a path whose quality moved by less is not worth an
 * update to the collector.
 */
export function pathQuality(metrics: PathEstimate['metrics']): number {
  let sum = 0;
  let count = 0;
  for (const metric of Object.values(metrics)) {
    if (!metric.factors) continue;
    sum += metricQuality(metric.factors);
    count++;
  }
  return count === 0 ? 0 : rounded(sum / count);
}

/** Factors are kept with three decimals: what they are made of knows no more. */
export const roundedFactors = (factors: QualityFactors): QualityFactors => ({
  freshness: thousandth(factors.freshness),
  evidence: thousandth(factors.evidence),
  agreement: thousandth(factors.agreement),
  verdicts: thousandth(factors.verdicts),
  predictability: thousandth(factors.predictability),
});

/** The same metric seen at a later time. */
export function agedMetric(metric: MetricEstimate, options: StaleOptions, now: Date): MetricEstimate {
  if (!metric.factors || !metric.lastMeasured) return metric;
  const fresh = thousandth(freshness(metric.lastMeasured, options, now));
  return { ...metric, factors: { ...metric.factors, freshness: fresh } };
}

const thousandth = (value: number): number => Math.round(value * 1000) / 1000;
const rounded = (value: number): number => Math.round(value * 100) / 100;
