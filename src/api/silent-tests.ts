import type { Metric } from '../domain.ts';
import type { StoredExpectedTest, StoredSeries } from '../store/store.ts';

/** What the tests of each pScheduler type measure. Of the others Lark reads no metric: their silence says nothing. */
const MEASURES: Readonly<Record<string, readonly Metric[]>> = {
  throughput: ['throughputMbps'],
  latency: ['oneWayDelayMs', 'lossRate'],
  latencybg: ['oneWayDelayMs', 'lossRate'],
  rtt: ['rttMs'],
};

/** The expected tests whose results Lark reads. Those that were told at which rate to send, UDP above all, are not. */
export function readableTests(expected: readonly StoredExpectedTest[]): StoredExpectedTest[] {
  return expected.filter(({ testType, isRateSet }) => testType in MEASURES && !isRateSet);
}

/**
 * Those of which no series had a sample since.
 * @param keyOf the host that an address or name belongs to
 */
export function silentTests(
  expected: readonly StoredExpectedTest[],
  series: readonly StoredSeries[],
  since: Date,
  keyOf: (end: string, name?: string) => string,
): StoredExpectedTest[] {
  const heard = new Set<string>();
  for (const { source, sourceName, destination, destinationName, metric, lastSampleAt } of series) {
    if (!lastSampleAt || lastSampleAt < since) continue;
    for (const from of [source, sourceName]) {
      for (const to of [destination, destinationName]) {
        if (from && to) heard.add(`${keyOf(from)} ${keyOf(to)} ${metric}`);
      }
    }
  }
  return expected.filter(
    ({ source, destination, testType }) =>
      !MEASURES[testType]!.some((metric) => heard.has(`${keyOf(source)} ${keyOf(destination)} ${metric}`)),
  );
}
