import type { PairSummary } from '../../domain.ts';
import { hostsOf, reversed } from './types.ts';

/** Both directions must have been measured at the same time, as far as clocks go. */
const SAME_TIME_MS = 6 * 3_600_000;
/**
 * How unequal the two directions of a route may be, as a share of the round trip: what one pair says of its clocks is
 * uncertain by so much.
 */
const ASYMMETRY = 0.1;
const LEAST_TOLERANCE_MS = 1;
const FEWEST_PARTNERS = 3;
const AGREEING_SHARE = 2 / 3;
/** While partners' own clocks are still to be found out, more of them may disagree. */
const MAJORITY = 1 / 2;
/** A host with a wrong clock stands in the way of finding its partners': so it is looked for by and by. */
const ROUNDS = 3;

/** What both directions of a pair say: b's clock is ahead of a's by `aheadMs`, give or take `toleranceMs`. */
interface PairOffset {
  a: string;
  b: string;
  aheadMs: number;
  toleranceMs: number;
}

export interface HostClock {
  /** Its clock is ahead of true time by so much; below zero: behind. */
  offsetMs: number;
  /** Partners measured in both directions, and how many of them agree. */
  partners: number;
  agreeing: number;
}

/**
 * By how much each host's clock is off, as far as the one-way delays of its pairs tell.
 *
 * Of one pair, half the difference of the two directions is the difference of the clocks, if the way there and back
 * takes the same time (NTP's assumption). Which of the two clocks it is, and how much of it is the route's, only other
 * pairs can tell: a host's offset is the median over its partners, those near by weighing more, as there is less room
 * for an uneven route. It is known when three partners or more, and two in three of all, agree; and it is one only if
 * it is beyond what an uneven route would explain.
 */
export function hostClocks(summaries: ReadonlyMap<string, PairSummary>): Map<string, HostClock> {
  const byHost = new Map<string, PairOffset[]>();
  for (const offset of pairOffsets(summaries)) {
    for (const host of [offset.a, offset.b]) {
      const known = byHost.get(host);
      if (known) known.push(offset);
      else byHost.set(host, [offset]);
    }
  }
  let clocks = new Map<string, HostClock>();
  for (let round = 0; round < ROUNDS; round++) clocks = clocksByPartners(byHost, clocks, MAJORITY);
  return clocksByPartners(byHost, clocks, AGREEING_SHARE);
}

function clocksByPartners(
  byHost: ReadonlyMap<string, readonly PairOffset[]>,
  before: ReadonlyMap<string, HostClock>,
  share: number,
): Map<string, HostClock> {
  const clocks = new Map<string, HostClock>();
  for (const [host, offsets] of byHost) {
    const clock = hostClock(host, offsets, before, share);
    if (clock) clocks.set(host, clock);
  }
  return clocks;
}

function hostClock(
  host: string,
  offsets: readonly PairOffset[],
  clocks: ReadonlyMap<string, HostClock>,
  share: number,
): HostClock | undefined {
  if (offsets.length < FEWEST_PARTNERS) return undefined;
  const said = offsets.map(({ a, b, aheadMs, toleranceMs }) => {
    const partner = a === host ? b : a;
    const aheadOfPartner = b === host ? aheadMs : -aheadMs;
    return { offsetMs: aheadOfPartner + (clocks.get(partner)?.offsetMs ?? 0), toleranceMs };
  });
  const offsetMs = weightedMedian(said);
  const agreeing = said.filter((each) => Math.abs(each.offsetMs - offsetMs) <= each.toleranceMs);
  if (agreeing.length < FEWEST_PARTNERS || agreeing.length < share * said.length) return undefined;
  const surest = Math.min(...agreeing.map(({ toleranceMs }) => toleranceMs));
  if (Math.abs(offsetMs) <= 2 * surest) return undefined;
  return { offsetMs, partners: said.length, agreeing: agreeing.length };
}

function weightedMedian(said: { offsetMs: number; toleranceMs: number }[]): number {
  const sorted = said.toSorted((x, y) => x.offsetMs - y.offsetMs);
  const half = sorted.reduce((sum, { toleranceMs }) => sum + 1 / toleranceMs, 0) / 2;
  let weight = 0;
  for (const { offsetMs, toleranceMs } of sorted) {
    weight += 1 / toleranceMs;
    if (weight >= half) return offsetMs;
  }
  return sorted.at(-1)!.offsetMs;
}

function* pairOffsets(summaries: ReadonlyMap<string, PairSummary>): Generator<PairOffset> {
  for (const [pair, there] of summaries) {
    const [a, b] = hostsOf(pair);
    if (!(a < b)) continue;
    const back = summaries.get(reversed(pair));
    const offset = back && pairOffset(there, back);
    if (offset) yield { a, b, ...offset };
  }
}

/** Of the families that were measured both ways, the one with the shorter round trip. */
function pairOffset(
  there: PairSummary,
  back: PairSummary,
): { aheadMs: number; toleranceMs: number } | undefined {
  let best: { aheadMs: number; toleranceMs: number } | undefined;
  for (const out of there.delays ?? []) {
    for (const home of back.delays ?? []) {
      if (out.family !== home.family || Math.abs(out.newestMs - home.newestMs) > SAME_TIME_MS) continue;
      const roundTripMs = out.floorMs + home.floorMs;
      const rttMs = there.rttFloorMs ?? back.rttFloorMs;
      // The clocks cancel out in the sum. Where it is no round trip, a clock moved between the two.
      if (roundTripMs <= 0 || (rttMs !== undefined && !isAbout(roundTripMs, rttMs))) continue;
      const toleranceMs = Math.max(LEAST_TOLERANCE_MS, ASYMMETRY * roundTripMs);
      if (best && best.toleranceMs <= toleranceMs) continue;
      best = { aheadMs: (out.floorMs - home.floorMs) / 2, toleranceMs };
    }
  }
  return best;
}

function isAbout(roundTripMs: number, rttMs: number): boolean {
  return Math.abs(roundTripMs - rttMs) <= Math.max(5, rttMs / 2);
}
