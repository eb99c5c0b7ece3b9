import type { Metric } from '../domain.ts';
import type { Aim } from './forecast/forecaster.ts';

/**
 * How a metric is reckoned with. Throughput and delays differ by factors, so their logarithm is what is averaged and
 * compared; a share of packets, whose zeros count, stays as it is.
 */
export interface Scale {
  aim: Aim;
  to: (value: number) => number;
  from: (scaled: number) => number;
  /** Values are put together by this time first; 0: each counts by itself. */
  binMs: number;
  /** How far the 10th and the 90th percentile of a next value are from the forecast, before anything is known. */
  prior: readonly [below: number, above: number];
  /** Width of the 80 % interval, and difference between sources, at which the quality for it is a half. */
  half: number;
}

const HOUR_MS = 3_600_000;
/** What no test can tell from nothing: keeps logarithms finite. */
const LEAST = 1e-6;

const log = (value: number): number => Math.log(value > LEAST ? value : LEAST);
const delay: Scale = { aim: 'typical', to: log, from: Math.exp, binMs: HOUR_MS, prior: [0.03, 0.1], half: 1 };
/** A share of packets: its zeros count. */
const rate: Scale = {
  aim: 'mean',
  to: (value) => value,
  from: (scaled) => Math.min(1, Math.max(0, scaled)),
  binMs: HOUR_MS,
  prior: [0.001, 0.003],
  half: 0.05,
};
const fromLog1p = (scaled: number): number => Math.max(0, Math.expm1(scaled));

export const SCALES: Readonly<Record<Metric, Scale>> = {
  throughputMbps: { aim: 'typical', to: log, from: Math.exp, binMs: 0, prior: [0.5, 0.3], half: 2 },
  lossRate: rate,
  duplicateRate: rate,
  reorderRate: rate,
  oneWayDelayMs: delay,
  rttMs: delay,
  delayVariationMs: {
    aim: 'typical',
    to: Math.log1p,
    from: fromLog1p,
    binMs: HOUR_MS,
    prior: [0.3, 0.5],
    half: 1,
  },
  retransmits: { aim: 'typical', to: Math.log1p, from: fromLog1p, binMs: 0, prior: [2, 2], half: 4 },
};
