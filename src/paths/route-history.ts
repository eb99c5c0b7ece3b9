import type { Hop } from '../domain.ts';

/** Which way each run went, in order of time. */
export interface RouteRun {
  atMs: number;
  hops: readonly Hop[];
  isReached: boolean;
}

/** From when on packets went another way. */
export interface PathChange {
  atMs: number;
  before: readonly Hop[];
  after: readonly Hop[];
}

export interface RouteHistory {
  runCount: number;
  /** Runs that did not get to the destination. */
  unreached: number;
  /** Runs that met a router twice. */
  looping: number;
  changes: PathChange[];
  /**
   * How often packets left a way and were back within a day, and left it again: they are balanced over several ways, or
   * a route flaps, or there was a detour. None of this is a change.
   */
  returns: number;
  /**
   * The way of the last run that got to the destination, with what other runs told of its silent hops; since when it
   * has been taken with no more than a day between.
   */
  current?: { sinceMs: number; lastSeenMs: number; hops: readonly Hop[] };
}

const RETURN_MS = 24 * 3_600_000;

/** A way that several runs went, and what they told of it together. */
interface Way {
  hops: readonly Hop[];
  sinceMs: number;
  lastMs: number;
}

/**
 * What a test's runs say of its path. Silent hops are nothing that changes: two runs went the same way where no hop
 * answered differently in both. A run that did not get to the destination says nothing of which way packets go that do.
 */
export function routeHistory(runs: readonly RouteRun[]): RouteHistory {
  const history: RouteHistory = {
    runCount: runs.length,
    unreached: runs.filter(({ isReached }) => !isReached).length,
    looping: runs.filter(({ hops }) => isLooping(hops)).length,
    changes: [],
    returns: 0,
  };
  let recent: Way[] = [];
  let current: Way | undefined;
  for (const { atMs, hops, isReached } of runs) {
    if (!isReached) continue;
    if (current && isSameWay(current.hops, hops)) {
      current.hops = together(current.hops, hops);
      current.lastMs = atMs;
      continue;
    }
    recent = recent.filter(({ lastMs }) => atMs - lastMs <= RETURN_MS);
    const earlier = recent.findIndex((way) => isSameWay(way.hops, hops));
    const known = recent[earlier];
    if (current) recent.push(current);
    if (known) {
      // Leaving a way was no change if packets are back.
      const lasting = history.changes.filter(
        (change) => atMs - change.atMs > RETURN_MS || !isSameWay(change.before, hops),
      );
      history.returns += 1 + history.changes.length - lasting.length;
      history.changes = lasting;
      recent.splice(earlier, 1);
      current = { ...known, hops: together(known.hops, hops), lastMs: atMs };
    } else {
      if (current) history.changes.push({ atMs, before: current.hops, after: hops });
      current = { hops, sinceMs: atMs, lastMs: atMs };
    }
  }
  if (current) history.current = { sinceMs: current.sinceMs, lastSeenMs: current.lastMs, hops: current.hops };
  return history;
}

const placeOf = ({ address, name }: Hop): string | undefined => address ?? name;

function isSameWay(a: readonly Hop[], b: readonly Hop[]): boolean {
  if (a.length !== b.length) return false;
  return a.every((hop, i) => {
    const [here, there] = [placeOf(hop), placeOf(b[i]!)];
    return here === undefined || there === undefined || here === there;
  });
}

/** Of each hop what is known of it. */
function together(a: readonly Hop[], b: readonly Hop[]): readonly Hop[] {
  return a.some((hop, i) => placeOf(hop) === undefined && placeOf(b[i]!) !== undefined)
    ? a.map((hop, i) => (placeOf(hop) === undefined ? b[i]! : hop))
    : a;
}

function isLooping(hops: readonly Hop[]): boolean {
  const places = hops.flatMap((hop) => placeOf(hop) ?? []);
  // The same router at neighbouring places answers twice; it need not be met twice.
  const moves = places.filter((place, i) => place !== places[i - 1]);
  return new Set(moves).size < moves.length;
}
