/** What the routers next to a test's end say of its site: one weak hint, which counts together with another only. */
import type { LocateMethod, SiteAssignment } from '../domain.ts';
import type { Neighbours, Router, TestEnd } from './neighbours.ts';
import { isNetwork } from './organisation.ts';
import type { NeighbourHint, Subject } from './resolve.ts';
import { isPrivate, type SiteIndex } from './site-index.ts';
import { canonicalHost, isAddress } from './sites-file.ts';
import { registeredDomain } from './tokens.ts';

/** The site of an address or name in canonical form, and how it is known. */
export type SiteOfEnd = (id: string) => Located | undefined;
type Located = Required<Pick<SiteAssignment, 'site' | 'method'>>;

/**
 * Routers at most two hops away that all speak for one site, each by itself: its address or name is known at the site,
 * or its domain is that site's alone, or the hosts behind it are. A router that stands next to ends of other sites says
 * nothing: it is the network between them.
 */
export function neighbourHint(
  subject: Subject,
  neighbours: Neighbours,
  siteOf: SiteOfEnd,
  index: SiteIndex,
): NeighbourHint | undefined {
  const own = new Set(idsOf(subject).flatMap((id) => neighbours.ends.get(id) ?? []));
  const near = new Map<Router, number>();
  for (const { routers } of own)
    for (const [router, hopsAway] of routers)
      near.set(router, Math.min(hopsAway, near.get(router) ?? hopsAway));
  /** Whether its network stands next to ends of other sites too. */
  const isShared = ({ asn }: Router, site: string): boolean =>
    asn !== undefined &&
    (neighbours.ofAs.get(asn) ?? []).some((router) =>
      othersOf(router, own, siteOf).some((other) => other.site !== site),
    );
  const said = [...near].flatMap(([router, hopsAway]) => {
    const others = othersOf(router, own, siteOf);
    const told = byKnown(router, index) ?? byDomain(router, isShared, index);
    const hint = told ?? (hopsAway === 1 ? byOthers(router, others) : undefined);
    if (!hint || isNetwork(hint.site) || others.some(({ site }) => site !== hint.site)) return [];
    return [{ ...hint, hopsAway }];
  });
  // The routes come in no order that means anything, and the nearest router says the most.
  const order = (a: (typeof said)[number], b: (typeof said)[number]): number =>
    a.hopsAway - b.hopsAway || (a.text < b.text ? -1 : 1);
  const first = said.sort(order)[0];
  if (!first || said.some(({ site }) => site !== first.site)) return undefined;
  const where = first.hopsAway === 1 ? 'the router next to it' : 'a router two hops away';
  return { site: first.site, text: `on traces, ${where} is ${first.text}` };
}

/** What `neighbourHint` asks for, of subjects that have a site. */
export function siteOfEnds(
  located: Iterable<{ ids: readonly string[]; assignment: SiteAssignment }>,
): SiteOfEnd {
  const known = new Map<string, Located>();
  for (const { ids, assignment } of located) {
    const { site, method } = assignment;
    if (site === undefined || method === undefined) continue;
    for (const id of ids) known.set(canonicalHost(id), { site, method });
  }
  return (id) => known.get(id);
}

export const idsOf = ({ names, addresses }: Pick<Subject, 'names' | 'addresses'>): string[] => [
  ...new Set([...names, ...addresses].map(canonicalHost)),
];

interface Other extends Located {
  hopsAway: number;
}

/** The ends beside the subject's own that a router stands next to, as far as their sites are known. */
function othersOf({ ends }: Router, own: ReadonlySet<TestEnd>, siteOf: SiteOfEnd): Other[] {
  return [...ends].flatMap(([end, hopsAway]) => {
    const located = own.has(end) ? undefined : siteOfEnd(end, siteOf);
    return located ? [{ ...located, hopsAway }] : [];
  });
}

function siteOfEnd({ ids }: TestEnd, siteOf: SiteOfEnd): Located | undefined {
  for (const id of ids) {
    const located = siteOf(id);
    if (located) return located;
  }
  return undefined;
}

type Said = NeighbourHint | undefined;

/** Its exact address or name is of one site, or the prefix that it is in. */
function byKnown(router: Router, { hosts, prefixes }: SiteIndex): Said {
  const claimed = [router.id, ...router.names].flatMap((id) => hosts.get(id) ?? []);
  if (claimed.length > 0) {
    const site = onlyOne(claimed.flatMap(({ sites }) => sites));
    const from = claimed[0]!.from;
    return site === undefined ? undefined : { site, text: `${label(router)} (${from})` };
  }
  const hit = prefixes.longest(router.id);
  const site = hit && onlyOne(hit.sites);
  return hit && site !== undefined ? { site, text: `${label(router)} in ${hit.prefix}` } : undefined;
}

/** All that is known under its name's registered domain is of one site, and so is what its network stands next to. */
function byDomain(
  router: Router,
  isShared: (router: Router, site: string) => boolean,
  index: SiteIndex,
): Said {
  for (const name of router.names) {
    const domain = isAddress(name) ? undefined : registeredDomain(name);
    const site = domain === undefined ? undefined : onlyOne(sitesUnder(domain, index));
    if (site === undefined) continue;
    if (isShared(router, site)) continue;
    return { site, text: `${label(router)}, and all that is known in ${domain} is of ${site}` };
  }
  return undefined;
}

function sitesUnder(domain: string, { hostsIn, hosts, ownDomains }: SiteIndex): string[] {
  const declared = [...ownDomains].filter(([own]) => registeredDomain(own) === domain);
  return [
    ...(hostsIn.get(domain) ?? []).flatMap((host) => hosts.get(host)!.sites),
    ...declared.flatMap(([, sites]) => [...sites]),
  ];
}

/** Evidence from which nothing further may follow. */
const WEAK: ReadonlySet<LocateMethod> = new Set(['hints']);

/**
 * It is the router next to other ends too, which are known to be of one site. An address that many places have is not
 * one router.
 */
function byOthers(router: Router, others: readonly Other[]): Said {
  if (isPrivate(router.id)) return undefined;
  const sure = others.filter(({ method, hopsAway }) => hopsAway === 1 && !WEAK.has(method));
  const site = onlyOne(sure.map((other) => other.site));
  if (site === undefined) return undefined;
  const hosts = sure.length === 1 ? 'a host' : `${sure.length} hosts`;
  return { site, text: `${label(router)}, which is next to ${hosts} of ${site} too` };
}

function onlyOne(sites: Iterable<string>): string | undefined {
  const [site, ...others] = new Set(sites);
  return others.length === 0 ? site : undefined;
}

function label({ id, names, asn }: Router): string {
  const beside = [
    ...[...names].filter((name) => name !== id).sort(),
    ...(asn === undefined ? [] : [`AS${asn}`]),
  ];
  return beside.length === 0 ? id : `${id} (${beside.join(', ')})`;
}
