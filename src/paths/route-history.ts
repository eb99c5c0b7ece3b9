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
   * How often packets went back to a way that they had taken within the day before: load balanced over several ways,
   * or a route that flaps. These are no changes.
   */
  returns: number;
  /** The way of the last run that got to the destination, with what other runs told of its silent hops. */
  current?: { sinceMs: number; lastSeenMs: number; hops: readonly Hop[] };
}

const RETURN_MS = 24 * 3_600_000;

/** A way that several runs went, and what they told of it together. */
interface Way {
  hops: readonly Hop[];
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
  let current: (Way & { sinceMs: number }) | undefined;
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
    if (current) {
      if (known) history.returns += 1;
      else history.changes.push({ atMs, before: current.hops, after: hops });
      recent.push(current);
    }
    if (earlier >= 0) recent.splice(earlier, 1);
    current = { hops: known ? together(known.hops, hops) : hops, sinceMs: atMs, lastMs: atMs };
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
