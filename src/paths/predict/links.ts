import { type Hop, pathName } from '../../domain.ts';

/** The way from one site to another, as one test met it. */
export interface SiteRoute {
  srcSite: string;
  dstSite: string;
  hops: readonly Hop[];
}

/** The links of a pair's routes, each with the share of the routes (0..1] that use it, in the order of their names. */
export type PairLinks = ReadonlyMap<string, number>;

/**
 * By the name of the path. Several tests of a pair of sites may go several ways; in which order they come makes no
 * difference. Pairs of whose ways no link is known are absent.
 */
export function linksOfPairs(routes: Iterable<SiteRoute>): Map<string, PairLinks> {
  const pairs = new Map<string, PairLinks>();
  for (const [name, ways] of Map.groupBy(routes, pathName)) {
    const counts = new Map<string, number>();
    for (const { hops } of ways)
      for (const link of linksOf(hops)) counts.set(link, (counts.get(link) ?? 0) + 1);
    if (counts.size === 0) continue;
    const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
    pairs.set(name, new Map(sorted.map(([link, count]) => [link, count / ways.length])));
  }
  return pairs;
}

/**
 * From router to router where both answered, and from one autonomous system to the next, which is known where routers
 * between them kept silent, too. A link has a direction: the ways there and back are loaded differently.
 */
export function linksOf(hops: readonly Hop[]): Set<string> {
  const links = new Set<string>();
  let as: number | undefined;
  for (const [i, hop] of hops.entries()) {
    const [from, to] = [i > 0 ? placeOf(hops[i - 1]!) : undefined, placeOf(hop)];
    if (from !== undefined && to !== undefined && from !== to) links.add(`${from}>${to}`);
    if (hop.asn === undefined) continue;
    if (as !== undefined && as !== hop.asn) links.add(`AS${as}>AS${hop.asn}`);
    as = hop.asn;
  }
  return links;
}

const placeOf = ({ address, name }: Hop): string | undefined => address ?? name;
