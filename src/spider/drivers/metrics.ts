import type { Metric } from '../../domain.ts';
import { numberOf } from './numbers.ts';

/**
 * How the archives' event types become metrics.
 *
 * | metric           | event type           | value                                                                |
 * | ---------------- | -------------------- | -------------------------------------------------------------------- |
 * | throughputMbps   | `throughput`         | bit/s / 10^6                                                         |
 * | retransmits      | `packet-retransmits` | as given                                                             |
 * | lossRate         | `packet-loss-rate`   | as given                                                             |
 * | oneWayDelayMs    | `histogram-owdelay`  | median                                                               |
 * | delayVariationMs | `histogram-owdelay`  | 95th percentile − minimum                                            |
 * | reorderRate      | `packet-reorders`    | / `packet-count-sent`                                                |
 * | duplicateRate    | `packet-duplicates`  | / `packet-count-sent`                                                |
 * | rttMs            | `histogram-rtt`      | median, else mean, else minimum: elmond has no median of round trips |
 *
 * Delay variation is RFC 5481's PDV (each packet's delay less the smallest), and of that the 95th percentile. How far
 * the two hosts' clocks are apart cancels out, so it holds where the delay itself is nonsense.
 *
 * Throughput of a test that was told its rate is left out: it says what was offered, not what the path carries (the
 * captured archive of 2018 has a TCP test with a target of 50 Mb/s on a path of 940 Mb/s).
 *
 * Two kinds of loss, reordering and duplicates are left out because they do not say what the path does in its
 * direction: `…-bidir` belongs to round-trip tests, and those of a UDP throughput test tell how far the test overran
 * the path.
 */
export interface MetricSource {
  metric: Metric;
  eventType: string;
  /** Delays are given as distributions, and as statistics of them: `statistics/<window>`. */
  isHistogram: boolean;
  /** A number of packets: it is divided by how many were sent, which `packet-count-sent` tells. */
  isCount?: boolean;
  /** Not taken from tests that have this event type too. */
  unlessTestHas?: string;
  /** Not taken from tests that were told at which rate to send: UDP tests, and TCP tests with a target bandwidth. */
  unlessRateIsSet?: boolean;
  /** The metric's value from an archive's `val`; null where it holds no number, undefined where it says nothing. */
  valueOf(val: unknown): number | null | undefined;
}

export const METRIC_SOURCES: readonly MetricSource[] = [
  {
    metric: 'throughputMbps',
    eventType: 'throughput',
    isHistogram: false,
    unlessRateIsSet: true,
    valueOf: (val) => scaled(numberOf(val), 1e-6),
  },
  { metric: 'retransmits', eventType: 'packet-retransmits', isHistogram: false, valueOf: numberOf },
  {
    metric: 'lossRate',
    eventType: 'packet-loss-rate',
    isHistogram: false,
    unlessTestHas: 'throughput',
    valueOf: numberOf,
  },
  {
    metric: 'oneWayDelayMs',
    eventType: 'histogram-owdelay',
    isHistogram: true,
    valueOf: (val) => firstNumber(val, ['median', 'mean', 'minimum']) ?? histogramQuantile(val, 0.5),
  },
  {
    metric: 'delayVariationMs',
    eventType: 'histogram-owdelay',
    isHistogram: true,
    valueOf: (val) =>
      difference(firstNumber(val, ['percentile-95']), firstNumber(val, ['minimum'])) ??
      difference(histogramQuantile(val, 0.95), histogramQuantile(val, 0)),
  },
  {
    metric: 'reorderRate',
    eventType: 'packet-reorders',
    isHistogram: false,
    isCount: true,
    unlessTestHas: 'throughput',
    valueOf: numberOf,
  },
  {
    metric: 'duplicateRate',
    eventType: 'packet-duplicates',
    isHistogram: false,
    isCount: true,
    unlessTestHas: 'throughput',
    valueOf: numberOf,
  },
  {
    metric: 'rttMs',
    eventType: 'histogram-rtt',
    isHistogram: true,
    valueOf: (val) => firstNumber(val, ['median', 'mean', 'minimum']) ?? histogramQuantile(val, 0.5),
  },
];

export const scaled = (value: number | null, factor: number) => (value === null ? null : value * factor);

/** How much `a` is above `b`; undefined where one of them is missing. */
export const difference = (a: number | null, b: number | null) =>
  a === null || b === null ? undefined : a - b;

/** A part of all packets; null where it is no number, or nobody knows how many were sent. */
export function rateOf(count: number | null, sent: number | null): number | null {
  if (count === 0) return 0;
  return count === null || sent === null || sent <= 0 ? null : count / sent;
}

export function firstNumber(val: unknown, fields: string[]): number | null {
  if (typeof val !== 'object' || val === null) return null;
  for (const field of fields) {
    const number = numberOf((val as Record<string, unknown>)[field]);
    if (number !== null) return number;
  }
  return null;
}

/** The (lower) quantile of `{"<ms>": count}`, 0..1; null for anything else. */
export function histogramQuantile(val: unknown, share: number): number | null {
  if (typeof val !== 'object' || val === null) return null;
  const bins = Object.entries(val)
    .map(([ms, count]) => ({ ms: numberOf(ms), count: numberOf(count) }))
    .filter(
      (bin): bin is { ms: number; count: number } => bin.ms !== null && bin.count !== null && bin.count > 0,
    )
    .sort((a, b) => a.ms - b.ms);
  let left = bins.reduce((sum, { count }) => sum + count, 0) * share;
  for (const { ms, count } of bins) {
    left -= count;
    if (left <= 0) return ms;
  }
  return null;
}
