import ipaddr from 'ipaddr.js';
import type { MeasurementHost, SeriesMetric, SiteAssignment } from '../domain.ts';
import type { LookupHints, Subject } from './resolve.ts';
import { canonicalHost } from './sites-file.ts';

/** The ends of a series, as an archive names them. */
export interface SeriesEnds {
  id: number;
  metric: SeriesMetric;
  source: string;
  destination: string;
  sourceName?: string;
  destinationName?: string;
}

/** Which host an endpoint's address or name belongs to. */
function hostIndex(hosts: readonly MeasurementHost[]): Map<string, string> {
  const index = new Map<string, string>();
  for (const host of hosts) {
    for (const id of [...host.addresses, ...host.names]) index.set(canonicalHost(id), host.key);
  }
  return index;
}

/** What the host's lookup record says of its place: hints at most. */
export function hintsOf(host: MeasurementHost): LookupHints | undefined {
  const { siteNameHint, communities, latitude, longitude } = host;
  if (siteNameHint === undefined && latitude === undefined && longitude === undefined) return undefined;
  return {
    communities,
    ...(siteNameHint !== undefined && { siteNameHint }),
    ...(latitude !== undefined && { latitude }),
    ...(longitude !== undefined && { longitude }),
  };
}

/**
 * Everything that needs a site: each host, and each test endpoint that no known host claims, with every name that
 * tests gave it.
 */
export function subjectsOf(hosts: readonly MeasurementHost[], series: readonly SeriesEnds[]): Subject[] {
  const owners = hostIndex(hosts);
  const strangers = new Map<string, Set<string>>();
  for (const { source, destination, sourceName, destinationName } of series) {
    for (const [end, name] of [
      [source, sourceName],
      [destination, destinationName],
    ] as const) {
      const endpoint = canonicalHost(end);
      if (owners.has(endpoint) || (name && owners.has(canonicalHost(name)))) continue;
      const names = strangers.get(endpoint) ?? new Set();
      strangers.set(endpoint, names);
      if (name) names.add(canonicalHost(name));
    }
  }
  return [
    ...hosts.map((host) => ({
      subject: host.key,
      names: host.names,
      addresses: host.addresses,
      ...(hintsOf(host) && { hints: hintsOf(host) }),
    })),
    ...[...strangers].map(([endpoint, names]) => {
      const ids = [...names, endpoint];
      return {
        subject: endpoint,
        names: ids.filter((id) => !ipaddr.isValid(id)),
        addresses: ids.filter((id) => ipaddr.isValid(id)),
      };
    }),
  ];
}

/**
 * One key for each end of a test, whichever of its addresses or names a test was given: the key of the host that claims
 * it; else, of the names that tests gave that address, the first in the alphabet, so that the IPv4 and IPv6 address of
 * an unknown host are one; else the text itself.
 */
export function endpointKeys(
  hosts: readonly MeasurementHost[],
  series: readonly SeriesEnds[] = [],
): (end: string, name?: string) => string {
  const owners = hostIndex(hosts);
  const aliases = new Map<string, string>();
  for (const { source, destination, sourceName, destinationName } of series) {
    for (const [end, name] of [
      [source, sourceName],
      [destination, destinationName],
    ] as const) {
      if (!name) continue;
      const endpoint = canonicalHost(end);
      const alias = canonicalHost(name);
      const earlier = aliases.get(endpoint);
      if (earlier === undefined || alias < earlier) aliases.set(endpoint, alias);
    }
  }
  return (end, name) => {
    const endpoint = canonicalHost(end);
    const known = owners.get(endpoint) ?? (name && owners.get(canonicalHost(name)));
    return known ?? aliases.get(endpoint) ?? endpoint;
  };
}

/** The site of an address or name that a test uses for one of its ends; undefined where it has none. */
export function endpointSites(
  hosts: readonly MeasurementHost[],
  assignments: readonly SiteAssignment[],
): (end: string, name?: string) => string | undefined {
  const owners = hostIndex(hosts);
  const siteOf = new Map(assignments.map(({ subject, site }) => [subject, site]));
  return (end, name) => {
    const endpoint = canonicalHost(end);
    return siteOf.get(owners.get(endpoint) ?? (name && owners.get(canonicalHost(name))) ?? endpoint);
  };
}

/** The series both of whose ends have a site, with the two hosts between which they were measured. */
export function* locatedSeries<S extends SeriesEnds>(
  series: readonly S[],
  hosts: readonly MeasurementHost[],
  assignments: readonly SiteAssignment[],
): Generator<S & { srcSite: string; dstSite: string; pair: string }> {
  const locate = endpointSites(hosts, assignments);
  const keyOf = endpointKeys(hosts, series);
  for (const one of series) {
    const { source, destination, sourceName, destinationName } = one;
    const srcSite = locate(source, sourceName);
    const dstSite = locate(destination, destinationName);
    if (srcSite === undefined || dstSite === undefined) continue;
    const pair = `${keyOf(source, sourceName)}>${keyOf(destination, destinationName)}`;
    yield { ...one, srcSite, dstSite, pair };
  }
}
