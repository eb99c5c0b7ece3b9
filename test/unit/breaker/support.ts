/** Paths and readings for tests of the breakers. */
import type { JudgedPath } from '../../../src/breaker/evidence.ts';
import type { MetricEstimate } from '../../../src/domain.ts';

export const T0 = new Date('2026-01-01T00:00:00Z');
export const at = (seconds: number): Date => new Date(T0.getTime() + seconds * 1000);

export interface Reading {
  /** Absent: no throughput is known, only loss. */
  mbps?: number | undefined;
  loss?: number | undefined;
  samples?: number;
  quality?: number;
  measured?: boolean;
  /** When it was measured last. */
  measuredAt?: Date;
}

export function path(src: string, dst: string, reading: Reading): JudgedPath {
  const { mbps, loss, samples = 10, quality = 0.9, measured = true, measuredAt = T0 } = reading;
  const figures = (centre: number): MetricEstimate => ({
    centre,
    p10: centre,
    p90: centre,
    sampleCount: samples,
    seriesCount: 1,
    lastMeasured: measuredAt,
  });
  return {
    srcSite: src,
    dstSite: dst,
    quality,
    measured,
    metrics: {
      ...(mbps !== undefined && { throughputMbps: figures(mbps) }),
      ...(loss !== undefined && { lossRate: figures(loss) }),
    },
  };
}
