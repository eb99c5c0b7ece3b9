import type { Metric, RawSample, Sample, SeriesRead, Verdict } from '../domain.ts';

/**
 * Why a sample is not good. Reasons are looked for in this order; the first that holds is given.
 *
 * | reason            | verdict | holds when                                                                             |
 * | ----------------- | ------- | -------------------------------------------------------------------------------------- |
 * | `not-a-number`    | bad     | the archive's value was no number: a failed run sent as data, or no reply at all       |
 * | `in-the-future`   | bad     | it was measured more than 5 minutes after `now`: the measuring host's clock is off      |
 * | `clock-error`     | bad     | one-way delay ≤ −1000 ms or ≥ 50,000 ms: clocks apart, not a path (as WLCG's alarms do) |
 * | `negative-delay`  | bad     | one-way delay ≤ 0 ms: the two hosts' clocks disagree by more than the path takes        |
 * | `negative`        | bad     | any other metric < 0                                                                   |
 * | `zero-throughput` | bad     | throughput = 0: the run failed, it measured nothing                                    |
 * | `impossible`      | bad     | throughput > 10^7 Mb/s, loss > 1, round trip = 0 or > 60,000 ms, retransmits > 10^9    |
 * | `outlier`         | suspect | throughput or delay far above its neighbours, see `isOutlier`                          |
 *
 * Loss of 1 is a result and good: the path lost all packets. That a host's clock is off by less than its delays
 * cannot be seen in one series; it takes both directions of the pair.
 */
export const REASONS = [
  'not-a-number',
  'in-the-future',
  'clock-error',
  'negative-delay',
  'negative',
  'zero-throughput',
  'impossible',
  'outlier',
] as const;
export type Reason = (typeof REASONS)[number];

const FUTURE_TOLERANCE_MS = 5 * 60_000;

const GREATEST: Record<Metric, number> = {
  throughputMbps: 1e7,
  lossRate: 1,
  oneWayDelayMs: 50_000,
  rttMs: 60_000,
  retransmits: 1e9,
};

/** Gives every sample a verdict. Samples must be in order of time, as harvest hands them out. */
export function clean(read: SeriesRead<RawSample>, now: Date): SeriesRead<Sample> {
  const { metric } = read.series;
  const faults = read.samples.map((sample) => faultOf(metric, sample, now));
  const goodValues = read.samples.flatMap(({ value }, index) =>
    value !== null && faults[index] === undefined ? [value] : [],
  );
  let goodIndex = 0;
  const samples = read.samples.map((sample, index): Sample => {
    const fault = faults[index];
    if (fault !== undefined) return judged(sample, 'bad', fault);
    const outlier = HAS_OUTLIERS.has(metric) && isOutlier(goodValues, goodIndex);
    goodIndex += 1;
    return outlier ? judged(sample, 'suspect', 'outlier') : { ...sample, verdict: 'good' };
  });
  return { ...read, samples };
}

function judged(sample: RawSample, verdict: Verdict, reason: Reason): Sample {
  return { ...sample, verdict, reason };
}

function faultOf(metric: Metric, { at, value }: RawSample, now: Date): Reason | undefined {
  if (value === null || !Number.isFinite(value)) return 'not-a-number';
  if (at.getTime() > now.getTime() + FUTURE_TOLERANCE_MS) return 'in-the-future';
  if (metric === 'oneWayDelayMs') {
    if (value <= -1000 || value >= GREATEST.oneWayDelayMs) return 'clock-error';
    return value <= 0 ? 'negative-delay' : undefined;
  }
  if (value < 0) return 'negative';
  if (metric === 'throughputMbps' && value === 0) return 'zero-throughput';
  if (value > GREATEST[metric] || (metric === 'rttMs' && value === 0)) return 'impossible';
  return undefined;
}

/** Loss and retransmits come in bursts by nature: their peaks are results. */
const HAS_OUTLIERS: ReadonlySet<Metric> = new Set<Metric>(['throughputMbps', 'oneWayDelayMs', 'rttMs']);

const NEIGHBOURS_EACH_SIDE = 5;
const FEWEST_NEIGHBOURS = 6;
const ROBUST_DEVIATIONS = 10;
const LEAST_FACTOR = 3;

/**
 * A value that stands alone: above three times the median of its (up to ten) nearest neighbours, and further from
 * it than ten robust standard deviations (1.4826 × the median absolute deviation). Against near neighbours, so that
 * a lasting change of level is never taken for an outlier. Low values are not: a slow transfer is what Lark looks for.
 */
function isOutlier(values: readonly number[], index: number): boolean {
  const value = values[index]!;
  const neighbours = [
    ...values.slice(Math.max(0, index - NEIGHBOURS_EACH_SIDE), index),
    ...values.slice(index + 1, index + 1 + NEIGHBOURS_EACH_SIDE),
  ];
  if (neighbours.length < FEWEST_NEIGHBOURS) return false;
  const centre = median(neighbours);
  if (value <= LEAST_FACTOR * centre) return false;
  const deviation = 1.4826 * median(neighbours.map((each) => Math.abs(each - centre)));
  return value - centre > ROBUST_DEVIATIONS * deviation;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
