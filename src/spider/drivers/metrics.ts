import type { Metric } from '../../domain.ts';
import { numberOf } from './numbers.ts';

/**
 * How the archives' event types become metrics.
 *
 * | metric         | event type           | value                                                                    |
 * | -------------- | -------------------- | ------------------------------------------------------------------------ |
 * | throughputMbps | `throughput`         | bit/s / 10^6                                                             |
 * | retransmits    | `packet-retransmits` | as given                                                                 |
 * | lossRate       | `packet-loss-rate`   | as given                                                                 |
 * | oneWayDelayMs  | `histogram-owdelay`  | median                                                                   |
 * | rttMs          | `histogram-rtt`      | median, else mean, else minimum: elmond has no median of round trips     |
 *
 * Throughput of a test that was told its rate is left out: it says what was offered, not what the path carries (the
 * captured archive of 2018 has a TCP test with a target of 50 Mb/s on a path of 940 Mb/s).
 *
 * Two kinds of loss are left out because they do not say what the path loses in its direction:
 * `packet-loss-rate-bidir` belongs to round-trip tests, and `packet-loss-rate` of a UDP throughput test tells how
 * far the test overran the path.
 */
export interface MetricSource {
  metric: Metric;
  eventType: string;
  /** Delays are given as distributions, and as statistics of them: `statistics/<window>`. */
  isHistogram: boolean;
  /** Not taken from tests that have this event type too. */
  unlessTestHas?: string;
  /** Not taken from tests that were told at which rate to send: UDP tests, and TCP tests with a target bandwidth. */
  unlessRateIsSet?: boolean;
  /** The metric's value from an archive's `val`; null where it holds no number. */
  valueOf(val: unknown): number | null;
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
    valueOf: (val) => firstNumber(val, ['median', 'mean', 'minimum']) ?? histogramMedian(val),
  },
  {
    metric: 'rttMs',
    eventType: 'histogram-rtt',
    isHistogram: true,
    valueOf: (val) => firstNumber(val, ['median', 'mean', 'minimum']) ?? histogramMedian(val),
  },
];

export const scaled = (value: number | null, factor: number) => (value === null ? null : value * factor);

export function firstNumber(val: unknown, fields: string[]): number | null {
  if (typeof val !== 'object' || val === null) return null;
  for (const field of fields) {
    const number = numberOf((val as Record<string, unknown>)[field]);
    if (number !== null) return number;
  }
  return null;
}

/** The (lower) median of `{"<ms>": count}`; null for anything else. */
export function histogramMedian(val: unknown): number | null {
  if (typeof val !== 'object' || val === null) return null;
  const bins = Object.entries(val)
    .map(([ms, count]) => ({ ms: numberOf(ms), count: numberOf(count) }))
    .filter(
      (bin): bin is { ms: number; count: number } => bin.ms !== null && bin.count !== null && bin.count > 0,
    )
    .sort((a, b) => a.ms - b.ms);
  let left = bins.reduce((sum, { count }) => sum + count, 0) / 2;
  for (const { ms, count } of bins) {
    left -= count;
    if (left <= 0) return ms;
  }
  return null;
}
