import { type HostContext, hostsOf, type ReviewReason } from './types.ts';
import type { SeriesReview } from './verdicts.ts';

/** From here on, a run lost every packet. */
export const ALL_LOST = 0.999;
/** A gap of so many of its intervals is silence, not a late run. */
const SILENCE_INTERVALS = 3;

/** Runs in a row that lost everything, by their places in the series and in time. */
interface Episode {
  from: number;
  to: number;
  fromMs: number;
  toMs: number;
}

/**
 * Tells the loss of a path from the failure of a host, where all packets of a loss test are lost:
 *
 * - nothing from anywhere gets to the destination, or from the source to anywhere: `blocked`, or `host-down` for a host
 *   that stopped testing altogether
 * - throughput or round trips of the same two hosts were measured meanwhile: `blocked`, as it is by a firewall on the
 *   test's own port
 * - packets of other hosts passed meanwhile on the same path: `host-down`
 * - the way back, tested by the other host, brought no result at all meanwhile though it used to: `host-down`
 *
 * Otherwise it stays what it is, a path that lost everything.
 * @param path all series between the two sites, in this direction
 * @param back all series in the other direction between the hosts of the pair; empty where they are not known
 */
export function tellFailures(
  losses: readonly SeriesReview[],
  pair: string,
  path: readonly SeriesReview[],
  back: readonly SeriesReview[],
  context: HostContext,
): void {
  for (const review of losses) {
    for (const episode of episodesOf(review)) {
      const reason = byHost(pair, context) ?? byWitness(review, episode, pair, path, back);
      if (!reason) continue;
      for (let i = episode.from; i <= episode.to; i++) review.exclude(i, reason);
    }
  }
}

function byHost(pair: string, context: HostContext): ReviewReason | undefined {
  const [source, destination] = hostsOf(pair);
  if (context.stopped.has(destination)) return 'host-down';
  return context.blockedIn.has(destination) || context.blockedOut.has(source) ? 'blocked' : undefined;
}

function byWitness(
  review: SeriesReview,
  episode: Episode,
  pair: string,
  path: readonly SeriesReview[],
  back: readonly SeriesReview[],
): ReviewReason | undefined {
  const passed = path.filter((other) => other !== review && hasPassed(other, episode));
  if (passed.some(({ series }) => series.pair === pair && series.metric !== 'lossRate')) return 'blocked';
  if (passed.some(({ series }) => series.pair !== pair)) return 'host-down';
  const wayBack = back.filter(({ series }) => series.metric === 'lossRate');
  return wayBack.length > 0 && wayBack.every((each) => fellSilent(each, episode)) ? 'host-down' : undefined;
}

function* episodesOf({ columns: { atMs, values } }: SeriesReview): Generator<Episode> {
  let from = -1;
  for (let i = 0; i <= values.length; i++) {
    if (i < values.length && values[i]! >= ALL_LOST) {
      if (from < 0) from = i;
    } else if (from >= 0) {
      yield { from, to: i - 1, fromMs: atMs[from]!, toMs: atMs[i - 1]! };
      from = -1;
    }
  }
}

/** Whether something of the test got through within the episode. */
function hasPassed({ series, columns: { atMs, values } }: SeriesReview, { fromMs, toMs }: Episode): boolean {
  const { metric } = series;
  if (metric !== 'throughputMbps' && metric !== 'rttMs' && metric !== 'lossRate') return false;
  for (let i = firstAtOrAfter(atMs, fromMs); i < atMs.length && atMs[i]! <= toMs; i++) {
    if (metric !== 'lossRate' || values[i]! < ALL_LOST) return true;
  }
  return false;
}

/** It brought samples before the episode, at its own pace, and none in it, although it lasted long enough for some. */
function fellSilent({ columns: { atMs } }: SeriesReview, { fromMs, toMs }: Episode): boolean {
  const first = firstAtOrAfter(atMs, fromMs);
  if (first < 2) return false;
  const intervalMs = (atMs[first - 1]! - atMs[0]!) / (first - 1);
  if (toMs - fromMs < SILENCE_INTERVALS * intervalMs || fromMs - atMs[first - 1]! > toMs - fromMs)
    return false;
  return first === atMs.length || atMs[first]! > toMs;
}

function firstAtOrAfter(atMs: Float64Array, time: number): number {
  let low = 0;
  let high = atMs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (atMs[middle]! < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
