import ipaddr from 'ipaddr.js';
import type { LocateMethod, SiteAssignment } from '../domain.ts';
import { canonicalHost, type SiteMap } from './sites-file.ts';

/** Something to be located: a host, or a test endpoint that no known host claims. */
export interface Subject {
  subject: string;
  names: string[];
  addresses: string[];
}

/** How far each method can be trusted: an override is a person's word, a domain may be shared by neighbours. */
const CONFIDENCE: Record<LocateMethod, number> = {
  override: 1,
  'host-name': 0.99,
  prefix: 0.95,
  domain: 0.8,
};

/**
 * Maps subjects to sites by the strongest evidence that is unanimous: override, exact name or address, longest
 * prefix, longest domain suffix. If the strongest kind that says anything names several sites, the subject stays
 * unmapped, with that as the evidence: a weaker kind must not outvote a stronger one, and Lark never guesses.
 */
export function locate(subjects: readonly Subject[], map: SiteMap): SiteAssignment[] {
  const index = indexSites(map);
  return subjects.map((subject) => locateOne(subject, map, index));
}

interface SiteIndex {
  hosts: Map<string, Set<string>>;
  domains: Map<string, Set<string>>;
  prefixes: PrefixTable;
}

/** One finding: this piece of evidence speaks for these sites (more than one when sites share it). */
interface Finding {
  evidence: string;
  sites: Iterable<string>;
}

function locateOne({ subject, names, addresses }: Subject, map: SiteMap, index: SiteIndex): SiteAssignment {
  const identifiers = [...names, ...addresses].map(canonicalHost);
  const canonicalAddresses = identifiers.filter((id) => ipaddr.isValid(id));
  const canonicalNames = identifiers.filter((id) => !ipaddr.isValid(id));

  const kinds: [LocateMethod, () => Finding[]][] = [
    ['override', () => found(identifiers, (id) => map.overrides.has(id) && [map.overrides.get(id)!])],
    ['host-name', () => found(identifiers, (id) => index.hosts.get(id))],
    [
      'prefix',
      () =>
        canonicalAddresses.flatMap((address) => {
          const hit = index.prefixes.longest(address);
          return hit ? [{ evidence: `${address} in ${hit.prefix}`, sites: hit.sites }] : [];
        }),
    ],
    [
      'domain',
      () =>
        canonicalNames.flatMap((name) => {
          const suffix = suffixes(name).find((candidate) => index.domains.has(candidate));
          return suffix ? [{ evidence: `${name} in ${suffix}`, sites: index.domains.get(suffix)! }] : [];
        }),
    ],
  ];
  for (const [method, find] of kinds) {
    const findings = find();
    if (findings.length === 0) continue;
    const sites = new Set(findings.flatMap((finding) => [...finding.sites]));
    const evidence = findings.map((finding) => finding.evidence).join('; ');
    if (sites.size === 1) {
      return { subject, site: [...sites][0]!, method, evidence, confidence: CONFIDENCE[method] };
    }
    return {
      subject,
      evidence: `ambiguous by ${method}: ${[...sites].sort().join(', ')} (${evidence})`,
      confidence: 0,
    };
  }
  return { subject, evidence: 'no override, name, prefix or domain of sites.yaml fits', confidence: 0 };
}

function found(
  identifiers: string[],
  lookUp: (id: string) => Iterable<string> | undefined | false,
): Finding[] {
  return identifiers.flatMap((id) => {
    const sites = lookUp(id);
    return sites ? [{ evidence: id, sites }] : [];
  });
}

/** `a.b.c` → `a.b.c`, `b.c`, `c`: the longest first. */
function suffixes(name: string): string[] {
  const labels = name.split('.');
  return labels.map((_, i) => labels.slice(i).join('.'));
}

function indexSites(map: SiteMap): SiteIndex {
  const hosts = new Map<string, Set<string>>();
  const domains = new Map<string, Set<string>>();
  const prefixes = new PrefixTable();
  for (const site of map.sites) {
    for (const host of site.hosts) addTo(hosts, host, site.name);
    for (const domain of site.domains) addTo(domains, domain, site.name);
    for (const prefix of site.prefixes) prefixes.add(prefix, site.name);
  }
  return { hosts, domains, prefixes };
}

function addTo(map: Map<string, Set<string>>, key: string, site: string): void {
  const sites = map.get(key);
  if (sites) sites.add(site);
  else map.set(key, new Set([site]));
}

/** Longest-prefix match over both families: one map of network bits for each prefix length in use. */
class PrefixTable {
  #byLength = new Map<string, { length: number; networks: Map<string, Set<string>> }>();
  #ordered: { family: string; length: number; networks: Map<string, Set<string>> }[] | undefined;

  add(prefix: string, site: string): void {
    const [network, length] = ipaddr.parseCIDR(prefix);
    const key = `${network.kind()}/${length}`;
    const table = this.#byLength.get(key) ?? { length, networks: new Map() };
    this.#byLength.set(key, table);
    addTo(table.networks, firstBits(network.toByteArray(), length), site);
    this.#ordered = undefined;
  }

  longest(address: string): { prefix: string; sites: Set<string> } | undefined {
    this.#ordered ??= [...this.#byLength]
      .map(([key, table]) => ({ family: key.slice(0, key.indexOf('/')), ...table }))
      .sort((a, b) => b.length - a.length);
    const parsed = ipaddr.process(address);
    const bytes = parsed.toByteArray();
    for (const { family, length, networks } of this.#ordered) {
      if (family !== parsed.kind()) continue;
      const bits = firstBits(bytes, length);
      const sites = networks.get(bits);
      if (sites) return { prefix: `${networkText(bytes, length)}/${length}`, sites };
    }
    return undefined;
  }
}

function maskedBytes(bytes: number[], length: number): number[] {
  return bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))) & 0xff);
}

const firstBits = (bytes: number[], length: number): string => maskedBytes(bytes, length).join('.');

const networkText = (bytes: number[], length: number): string =>
  ipaddr.fromByteArray(maskedBytes(bytes, length)).toString();
