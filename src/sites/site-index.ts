import ipaddr from 'ipaddr.js';
import { nameKey } from './join.ts';
import type { AliasKind, Knowledge, KnownSite } from './knowledge.ts';
import { PrefixTable } from './prefix-table.ts';
import { isAddress } from './sites-file.ts';
import { domainsOf, registeredDomain, stemsOf, wordsOf } from './tokens.ts';

/** Who claims a host: the sites that the strongest source names for it. */
export interface HostClaim {
  sites: string[];
  /** The source it comes from, e.g. `cric https://…`. */
  from: string;
}

/** What a resolver looks things up in; made once from what is known. */
export interface SiteIndex {
  knowledge: Knowledge;
  site: Map<string, KnownSite>;
  /** `nameKey` of a name or alias → the sites that go by it, and as what. */
  byName: Map<string, { site: string; kind: AliasKind | 'name' }[]>;
  hosts: Map<string, HostClaim>;
  prefixes: PrefixTable;
  /** Domains that sites.yaml itself declares. */
  ownDomains: Map<string, Set<string>>;
  /** Domain → the known host names in it that stand for exactly one site. */
  hostsIn: Map<string, string[]>;
  /** Domain → how many sites have hosts in it. */
  sitesIn: Map<string, number>;
  /**
   * Sites known to a source that describes networks (sites.yaml, CRIC). Where they share a domain with others, a name
   * is judged among them first: OSG Topology lists submit hosts, caches and trial set-ups as groups of their own.
   */
  leading: Set<string>;
  /** Word of a site's name → the sites that bear it. Words that say what a site is (`grid`, `t2`) are left out. */
  byWord: Map<string, Set<string>>;
  /** What of a site's name is its own: without such words, and without its country. */
  coreWords: Map<string, string[]>;
  /** Start of a host name's stem (2 to 6 letters) → registered domain → the known hosts there with such a start. */
  starts: Map<string, Map<string, string[]>>;
}

/** A word borne by more sites than this, under more domains than this, says what they are, not which. */
const COMMON_WORD = 6;

export function indexSites(knowledge: Knowledge): SiteIndex {
  const index: SiteIndex = {
    knowledge,
    site: new Map(knowledge.sites.map((site) => [site.name, site])),
    byName: new Map(),
    hosts: hostClaims(knowledge),
    prefixes: new PrefixTable(),
    ownDomains: new Map(),
    hostsIn: new Map(),
    sitesIn: new Map(),
    leading: leadingSites(knowledge),
    byWord: new Map(),
    coreWords: new Map(),
    starts: new Map(),
  };
  for (const site of knowledge.sites) {
    push(index.byName, nameKey(site.name), { site: site.name, kind: 'name' });
    for (const { text, kind } of site.aliases) push(index.byName, nameKey(text), { site: site.name, kind });
    for (const { domain, source } of site.domains) {
      if (knowledge.sources[source]?.kind === 'file') addTo(index.ownDomains, domain, site.name);
    }
  }
  addPrefixes(index);
  for (const [host, { sites }] of index.hosts) {
    if (sites.length !== 1 || isAddress(host)) continue;
    for (const domain of domainsOf(host)) push(index.hostsIn, domain, host);
  }
  for (const [domain, hosts] of index.hostsIn)
    index.sitesIn.set(domain, new Set(hosts.map((host) => index.hosts.get(host)!.sites[0])).size);
  indexWords(index);
  indexStems(index);
  return index;
}

/** Where two sources claim the same prefix for different sites, the stronger one's word counts. */
function addPrefixes({ knowledge, prefixes }: SiteIndex): void {
  const strongest = new Map<string, number>();
  for (const site of knowledge.sites) {
    for (const { prefix, source } of site.prefixes)
      strongest.set(prefix, Math.min(source, strongest.get(prefix) ?? source));
  }
  for (const site of knowledge.sites) {
    for (const { prefix, source } of site.prefixes)
      if (strongest.get(prefix) === source) prefixes.add(prefix, site.name);
  }
}

/** The strongest source's word for each host; within a source, a service in use before one that is not. */
function hostClaims({ sites, sources }: Knowledge): Map<string, HostClaim> {
  const best = new Map<string, { rank: number; names: Set<string>; source: number }>();
  for (const { name, hosts } of sites) {
    for (const { host, active, source } of hosts) {
      if (sources[source]!.kind !== 'file' && isPrivate(host)) continue;
      const rank = 2 * source + (active ? 0 : 1);
      const known = best.get(host);
      if (!known || rank < known.rank) best.set(host, { rank, names: new Set([name]), source });
      else if (rank === known.rank) known.names.add(name);
    }
  }
  return new Map(
    [...best].map(([host, { names, source }]) => {
      const { kind, origin } = sources[source]!;
      return [host, { sites: [...names].sort(), from: `${kind} ${origin}` }];
    }),
  );
}

/** Ranges whose addresses many places have: only sites.yaml can mean the one here. */
const PRIVATE_RANGES: ReadonlySet<string> = new Set([
  'private',
  'uniqueLocal',
  'linkLocal',
  'loopback',
  'carrierGradeNat',
  'unspecified',
]);
export const isPrivate = (host: string): boolean =>
  isAddress(host) && PRIVATE_RANGES.has(ipaddr.process(host).range());

function leadingSites({ sites, sources }: Knowledge): Set<string> {
  const describes = (source: number): boolean => ['file', 'cric'].includes(sources[source]!.kind);
  return new Set(sites.filter((site) => site.sources.some(describes)).map(({ name }) => name));
}

function indexWords({ knowledge, byWord, coreWords }: SiteIndex): void {
  const bearers = new Map<string, KnownSite[]>();
  for (const site of knowledge.sites)
    for (const word of new Set(wordsOf(site.name))) push(bearers, word, site);
  const common = new Set(
    [...bearers]
      .filter(([, sites]) => sites.length > COMMON_WORD && placesOf(sites) > COMMON_WORD)
      .map(([word]) => word),
  );
  for (const site of knowledge.sites) {
    const country = site.countryCode?.toLowerCase();
    const own = [...new Set(wordsOf(site.name))].filter((word) => word !== country && !common.has(word));
    coreWords.set(site.name, own);
    for (const word of own) {
      if (word.length >= 3 && !/^(t|tier)\d$/.test(word)) addTo(byWord, word, site.name);
    }
  }
}

/** In how many registered domains the hosts of these sites are; a site without hosts is a place of its own. */
function placesOf(sites: readonly KnownSite[]): number {
  const places = new Set<string>();
  for (const { name, hosts } of sites) {
    places.add(registeredDomain(hosts[0]?.host ?? '') ?? name);
  }
  return places.size;
}

function indexStems({ hostsIn, starts }: SiteIndex): void {
  for (const [domain, hosts] of hostsIn) {
    if (registeredDomain(domain) !== domain) continue;
    for (const host of hosts) {
      const found = new Set<string>();
      for (const stem of stemsOf(host, domain))
        for (let length = 2; length <= Math.min(6, stem.length); length++) found.add(stem.slice(0, length));
      for (const start of found) {
        const domains = starts.get(start) ?? new Map<string, string[]>();
        starts.set(start, domains);
        push(domains, domain, host);
      }
    }
  }
}

/** Whether hosts with such a start are known under more than one registered domain, the one asked for left out. */
export function isWidespread(start: string, host: string, { starts }: SiteIndex): boolean {
  let spread = 0;
  for (const hosts of starts.get(start)?.values() ?? [])
    if ((hosts.length > 1 || hosts[0] !== host) && ++spread > 1) return true;
  return false;
}

function addTo<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
