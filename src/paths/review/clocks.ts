import type { PairSummary } from '../../domain.ts';
import { hourlyFloors, hourOf, merged, recentFloor } from './floors.ts';
import { hostsOf } from './types.ts';
import type { SeriesReview } from './verdicts.ts';

/** A route may take another way: a floor that moves by less is no step of a clock. */
const LEAST_STEP_MS = 5;
const STEP_SHARE = 0.5;
/** A one-way delay above the round trip by more is the clocks', not the measurement's. */
const LEAST_EXCESS_MS = 2;
const EXCESS_SHARE = 0.1;

/**
 * Takes the difference of two known clocks off a pair's one-way delays; what cannot be mended does not count.
 *
 * Where hosts of the pair have a known offset, the delays of every hour in which the clocks stood as they do now are
 * corrected, those among them that the clocks had made impossible too. Where the pair's delays cannot be true all the
 * same (one direction below zero, or a one-way delay above the round trip), one pair alone cannot say whose clock it is
 * or how uneven the route: then no delay of either direction counts. The one that looks right is too high by as much as
 * the other is too low.
 */
export function settleClocks(
  delays: readonly SeriesReview[],
  pair: string,
  clocks: ReadonlyMap<string, number>,
  forward: PairSummary | undefined,
  backward: PairSummary | undefined,
): void {
  const [source, destination] = hostsOf(pair);
  const offsetMs = (clocks.get(destination) ?? 0) - (clocks.get(source) ?? 0);
  if (isImpossible(forward, backward, offsetMs)) {
    for (const review of delays) review.excludeAll('clock-offset');
  } else if (offsetMs !== 0) {
    for (const review of delays) correct(review, offsetMs);
  }
}

function correct(review: SeriesReview, offsetMs: number): void {
  // Those of a copy are in the other archive as well.
  const impossible = review.note.duplicateOf === undefined ? review.series.impossible : undefined;
  const remaining = review.remaining();
  const all = impossible ? merged(remaining, impossible) : remaining;
  const recent = recentFloor([all]);
  if (!recent) return;
  const step = Math.max(LEAST_STEP_MS, STEP_SHARE * Math.abs(offsetMs));
  const floors = hourlyFloors(all);
  const values = all.values.map((value) => value - offsetMs);
  const kept = new Uint8Array(values.length);
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    const floor = floors.get(hourOf(all.atMs[i]!))!;
    if (values[i]! <= 0 || Math.abs(floor - recent.floorMs) > step) continue;
    kept[i] = 1;
    count += 1;
  }
  const isKept = (_: number, index: number): boolean => kept[index] === 1;
  review.replace({ atMs: all.atMs.filter(isKept), values: values.filter(isKept) });
  review.hasNote = true;
  review.note.correctedMs = offsetMs;
  const gained = count - remaining.values.length;
  if (gained > 0) review.note.regained = gained;
  else if (gained < 0) review.note.excluded['clock-offset'] = -gained;
}

function isImpossible(
  forward: PairSummary | undefined,
  backward: PairSummary | undefined,
  offsetMs: number,
): boolean {
  const rttMs = forward?.rttFloorMs ?? backward?.rttFloorMs;
  const most =
    rttMs === undefined ? Number.POSITIVE_INFINITY : rttMs + Math.max(LEAST_EXCESS_MS, EXCESS_SHARE * rttMs);
  const floors = [
    ...(forward?.delays ?? []).map(({ floorMs }) => floorMs - offsetMs),
    ...(backward?.delays ?? []).map(({ floorMs }) => floorMs + offsetMs),
  ];
  return floors.some((floorMs) => floorMs <= 0 || floorMs > most);
}
