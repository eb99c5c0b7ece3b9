/** Which routers stand next to which ends of tests, by the routes that their traces met. */
import type { ArchivedTest, Hop, Route } from '../domain.ts';
import { canonicalHost } from './sites-file.ts';

export interface TracedRoute {
  test: Pick<ArchivedTest, 'source' | 'destination' | 'sourceName' | 'destinationName'>;
  route: Route;
}

/** One end of tests, under the address and the name that a test gave it. */
export interface TestEnd {
  ids: readonly string[];
  /** Router → how many hops away: 1 or 2. */
  routers: Map<Router, number>;
}

export interface Router {
  /** Its address in canonical form; its name where it has no address. */
  id: string;
  names: Set<string>;
  asn?: number;
  /** The ends that it stands next to → how many hops away: 1 or 2. */
  ends: Map<TestEnd, number>;
}

export interface Neighbours {
  /** By canonical address or name. */
  ends: ReadonlyMap<string, readonly TestEnd[]>;
  /** By the number of an autonomous system: its routers that stand next to any end. */
  ofAs: ReadonlyMap<number, readonly Router[]>;
}

/** Further off, a router is mostly the network provider's. */
const NEAR_HOPS = 2;

/**
 * A hop belongs to the end that is nearer, and to both where it is as near to either. How far it is from the
 * destination is known only of routes that came there.
 */
export function neighboursOn(routes: Iterable<TracedRoute>): Neighbours {
  const [known, routers] = [new Map<string, TestEnd>(), new Map<string, Router>()];
  const [ends, ofAs] = [new Map<string, TestEnd[]>(), new Map<number, Router[]>()];
  const endOf = (address: string, name: string | undefined): TestEnd => {
    const key = `${address} ${name ?? ''}`;
    const before = known.get(key);
    if (before) return before;
    const ids = [...new Set([address, ...(name ? [name] : [])].map(canonicalHost))];
    const end = { ids, routers: new Map() };
    known.set(key, end);
    for (const id of ids) push(ends, id, end);
    return end;
  };
  const link = (end: TestEnd, { address, name, asn }: Hop, hopsAway: number): void => {
    const text = address ?? name;
    if (text === undefined) return;
    const id = canonicalHost(text);
    if (end.ids.includes(id)) return;
    const router: Router = routers.get(id) ?? { id, names: new Set(), ends: new Map() };
    routers.set(id, router);
    if (name) router.names.add(canonicalHost(name));
    if (asn !== undefined && router.asn === undefined) {
      router.asn = asn;
      push(ofAs, asn, router);
    }
    const nearest = Math.min(hopsAway, router.ends.get(end) ?? hopsAway);
    router.ends.set(end, nearest);
    end.routers.set(router, nearest);
  };
  for (const { test, route } of routes) {
    const [source, destination] = [
      endOf(test.source, test.sourceName),
      endOf(test.destination, test.destinationName),
    ];
    for (const [i, hop] of route.hops.entries()) {
      const fromSource = i + 1;
      const toDestination = route.isReached ? route.hops.length - 1 - i : Number.POSITIVE_INFINITY;
      if (toDestination === 0) continue;
      if (fromSource <= NEAR_HOPS && fromSource <= toDestination) link(source, hop, fromSource);
      if (toDestination <= NEAR_HOPS && toDestination <= fromSource) link(destination, hop, toDestination);
    }
  }
  return { ends, ofAs };
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
