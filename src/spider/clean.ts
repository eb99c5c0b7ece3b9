import type { Judgement, Metric, RawSample, Sample, SeriesMetric, SeriesRead } from '../domain.ts';
import { FAILURE_REASONS } from './drivers/failures.ts';

/**
 * Why a sample is not good. Reasons are looked for in this order; the first that holds is given.
 *
 * | reason            | verdict | holds when                                                                             |
 * | ----------------- | ------- | -------------------------------------------------------------------------------------- |
 * | `run-…`           | bad     | the run failed; why, in the words of drivers/failures.ts                               |
 * | `not-a-number`    | bad     | the archive's value was no number: a failed run sent as data, or no reply at all       |
 * | `in-the-future`   | bad     | it was measured more than 5 minutes after the archive took it in, or after `now` where |
 * |                   |         | the archive does not say when that was: the measuring host's clock is off              |
 * | `clock-error`     | bad     | one-way delay ≤ −1000 ms or ≥ 50,000 ms: clocks apart, not a path (as WLCG's alarms do) |
 * | `negative-delay`  | bad     | one-way delay ≤ 0 ms: the two hosts' clocks disagree by more than the path takes        |
 * | `negative`        | bad     | any other metric < 0                                                                   |
 * | `zero-throughput` | bad     | throughput = 0: the run failed, it measured nothing                                    |
 * | `impossible`      | bad     | throughput > 10^7 Mb/s, loss or reordering > 1, more than 100 duplicates of each       |
 * |                   |         | packet, round trip = 0 or > 60,000 ms, variation > 60,000 ms, retransmits > 10^9        |
 * | `clock-unsure`    | suspect | one-way delay whose two clocks said that they may be apart by more than 10 ms          |
 *
 * Loss of 1 is a result and good: the path lost all packets. That a host's clock is off by less than its delays
 * cannot be seen in one series; it takes both directions of the pair.
 *
 * A verdict depends on nothing but the sample and when it was taken in, so it is the same in whatever order and pieces
 * a series is read. What a value is among its neighbours can only be judged where all of them are at hand, late ones
 * too: see paths/review.
 */
export const REASONS = [
  ...FAILURE_REASONS,
  'not-a-number',
  'in-the-future',
  'clock-error',
  'negative-delay',
  'negative',
  'zero-throughput',
  'impossible',
  'clock-unsure',
] as const;
export type Reason = (typeof REASONS)[number];

const FUTURE_TOLERANCE_MS = 5 * 60_000;
/** With this limit, and one on the delay itself, others saw contaminated delays fall from a third to none of 141 runs. */
const LARGEST_CLOCK_ERROR_MS = 10;

const GREATEST: Record<Metric, number> = {
  throughputMbps: 1e7,
  lossRate: 1,
  oneWayDelayMs: 50_000,
  rttMs: 60_000,
  retransmits: 1e9,
  delayVariationMs: 60_000,
  reorderRate: 1,
  duplicateRate: 100,
};

/** Gives every sample a verdict, and keeps of it what will be stored. */
export function clean({ series, samples, checkpoint }: SeriesRead<RawSample>, now: Date): SeriesRead<Sample> {
  const judged = samples.map((sample) => {
    const { at, value } = sample;
    return { at, value, ...judgementOf(series.metric, sample, now) };
  });
  return { series, samples: judged, checkpoint };
}

export function judgementOf(metric: SeriesMetric, sample: RawSample, now: Date): Judgement {
  if (metric === 'failedRuns') return bad(sample.failure ?? ('run-failed' satisfies Reason));
  const fault = faultOf(metric, sample, now);
  if (fault !== undefined) return bad(fault);
  if (metric === 'oneWayDelayMs' && (sample.clockErrorMs ?? 0) > LARGEST_CLOCK_ERROR_MS)
    return { verdict: 'suspect', reason: 'clock-unsure' satisfies Reason };
  return GOOD;
}

const GOOD: Judgement = { verdict: 'good' };

function bad(reason: string): Judgement {
  return { verdict: 'bad', reason };
}

function faultOf(metric: Metric, { at, value, ingestedAt }: RawSample, now: Date): Reason | undefined {
  if (value === null || !Number.isFinite(value)) return 'not-a-number';
  if (at.getTime() > (ingestedAt ?? now).getTime() + FUTURE_TOLERANCE_MS) return 'in-the-future';
  if (metric === 'oneWayDelayMs') {
    if (value <= -1000 || value >= GREATEST.oneWayDelayMs) return 'clock-error';
    return value <= 0 ? 'negative-delay' : undefined;
  }
  if (value < 0) return 'negative';
  if (metric === 'throughputMbps' && value === 0) return 'zero-throughput';
  if (value > GREATEST[metric] || (metric === 'rttMs' && value === 0)) return 'impossible';
  return undefined;
}
