import ipaddr from 'ipaddr.js';
import type { MeasurementHost, Metric, SiteAssignment } from '../domain.ts';
import type { Subject } from './locate.ts';
import { canonicalHost } from './sites-file.ts';

/** The ends of a series, as an archive names them. */
export interface SeriesEnds {
  id: number;
  metric: Metric;
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
    ...hosts.map(({ key, names, addresses }) => ({ subject: key, names, addresses })),
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

/** One name for each end of a test, whatever address or name it was given by: the host's key, else the text itself. */
export function endpointKeys(hosts: readonly MeasurementHost[]): (end: string) => string {
  const owners = hostIndex(hosts);
  return (end) => owners.get(canonicalHost(end)) ?? canonicalHost(end);
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

/** The series both of whose ends have a site. */
export function* locatedSeries(
  series: readonly SeriesEnds[],
  hosts: readonly MeasurementHost[],
  assignments: readonly SiteAssignment[],
): Generator<{ id: number; metric: Metric; srcSite: string; dstSite: string }> {
  const locate = endpointSites(hosts, assignments);
  for (const { id, metric, source, destination, sourceName, destinationName } of series) {
    const srcSite = locate(source, sourceName);
    const dstSite = locate(destination, destinationName);
    if (srcSite !== undefined && dstSite !== undefined) yield { id, metric, srcSite, dstSite };
  }
}
