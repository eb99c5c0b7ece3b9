import { z } from 'zod';
import { coordinates, countryCode, type HostClaim, identifiersOf } from '../claims.ts';
import { firstText } from '../texts.ts';
import { archiveClaims, type Contents, endpoint, flag, isObject, listOf, MAX_PAIRS } from './contents.ts';

/**
 * MeshConfig, the format before pSConfig (perfSONAR 3.3 to 3.5), still served beside it. Administrators, who are in it
 * at every level, are not read.
 */
const archives = listOf(z.object({ read_url: z.string() }).transform(({ read_url }) => read_url));
const location = z
  .object({ city: firstText, country: firstText, latitude: firstText, longitude: firstText })
  .catch({ city: undefined, country: undefined, latitude: undefined, longitude: undefined });
const hostSpec = z.object({
  addresses: listOf(
    z.union([z.string(), z.object({ address: z.string() }).transform(({ address }) => address)]),
  ),
  description: firstText,
  location,
  measurement_archives: archives,
  no_agent: flag,
});
const hosts = listOf(hostSpec);
const siteSpec = z.object({ description: firstText, location, hosts, measurement_archives: archives });
const organizationSpec = z.object({ ...siteSpec.shape, sites: listOf(siteSpec) });
const members = listOf(z.string());
const testSpec = z.object({
  description: firstText,
  disabled: flag,
  measurement_archives: archives,
  members: z.object({
    type: z.string(),
    members,
    a_members: members,
    b_members: members,
    center_address: firstText,
    no_agents: members,
  }),
  parameters: z.object({
    type: z.string(),
    interval: firstText,
    test_interval: firstText,
    ipv4_only: flag,
    ipv6_only: flag,
    protocol: firstText,
    udp_bandwidth: firstText,
    tcp_bandwidth: firstText,
  }),
});
const meshSpec = z.object({
  organizations: listOf(organizationSpec),
  hosts,
  measurement_archives: archives,
  tests: listOf(testSpec),
});
type TestSpec = z.infer<typeof testSpec>;

export const isMeshConfig = (document: unknown): document is Record<string, unknown> =>
  isObject(document) && (Array.isArray(document.organizations) || Array.isArray(document.hosts));

/** What pScheduler calls the tests that MeshConfig calls by their tool. */
const TEST_TYPES: Record<string, string> = {
  'perfsonarbuoy/bwctl': 'throughput',
  'perfsonarbuoy/owamp': 'latencybg',
  pinger: 'rtt',
  traceroute: 'trace',
};

/** `url` is that of the document: what it tells is told by it. */
export function readMeshConfig(document: unknown, url: string): Contents {
  const mesh = meshSpec.parse(document);
  const sites = mesh.organizations.flatMap((organization) => [organization, ...organization.sites]);
  const entries = [
    ...mesh.hosts.map((host) => ({ host, site: undefined })),
    ...sites.flatMap((site) => site.hosts.map((host) => ({ host, site }))),
  ];
  const claims = entries.map(({ host, site }): HostClaim => {
    const place = [host.location, site?.location].find((each) => each?.latitude !== undefined);
    return {
      ...identifiersOf(host.addresses),
      siteNameHint: site?.description ?? host.description,
      city: host.location.city ?? site?.location.city,
      countryCode: countryCode(host.location.country ?? site?.location.country),
      ...coordinates(place?.latitude, place?.longitude),
      sources: [url],
    };
  });
  const archiveUrls = [
    mesh,
    ...sites,
    ...mesh.tests.filter(({ disabled }) => !disabled),
    ...entries.map(({ host }) => host),
  ].flatMap(({ measurement_archives }) => measurement_archives);
  const hostIndex = new Map(
    entries.flatMap(({ host }, index) =>
      host.addresses.map((address) => [address.toLowerCase(), index] as const),
    ),
  );
  const isAgentless = (address: string, { no_agents }: TestSpec['members']) => {
    const index = hostIndex.get(address.toLowerCase());
    return no_agents.includes(address) || (index !== undefined && entries[index]!.host.no_agent);
  };
  const isSameHost = (a: string, b: string) => {
    const index = hostIndex.get(a.toLowerCase());
    return index !== undefined && index === hostIndex.get(b.toLowerCase());
  };
  const ofArchives = archiveClaims(archiveUrls, url);
  const tests = mesh.tests.map((test, number) => ({ test, number })).filter(({ test }) => !test.disabled);
  const measured = tests.filter(({ test: { members } }) => mostPairs(members) <= MAX_PAIRS);
  return {
    hosts: [...claims, ...ofArchives.hosts],
    archives: ofArchives.archives,
    expected: measured.flatMap(({ test, number }) =>
      pairsOf(test.members)
        .filter(([a, b]) => !isSameHost(a, b))
        .filter(([a, b]) => !(isAgentless(a, test.members) && isAgentless(b, test.members)))
        .flatMap(([a, b]) => expectedTest(test, number, a, b, url)),
    ),
    remarks: measured.length < tests.length ? ['a group has members beyond all measure'] : [],
  };
}

function expectedTest(test: TestSpec, number: number, a: string, b: string, template: string) {
  const [source, destination] = [endpoint(a), endpoint(b)];
  if (source === undefined || destination === undefined || source === destination) return [];
  const { parameters } = test;
  const intervalSeconds = Number(parameters.interval ?? parameters.test_interval);
  const name = test.description ?? parameters.type;
  return [
    {
      template,
      // Nothing keeps two tests from having the same description.
      task: `${name} (${number + 1})`,
      source,
      destination,
      testType: TEST_TYPES[parameters.type] ?? parameters.type,
      ...(parameters.ipv4_only !== parameters.ipv6_only && {
        ipVersion: parameters.ipv4_only ? (4 as const) : (6 as const),
      }),
      ...(intervalSeconds > 0 && { intervalSeconds }),
      ...(isRateSet(parameters) && { isRateSet: true as const }),
    },
  ];
}

const isRateSet = ({ protocol, udp_bandwidth, tcp_bandwidth }: TestSpec['parameters']): boolean =>
  protocol?.toLowerCase() === 'udp' || Number(udp_bandwidth) > 0 || Number(tcp_bandwidth) > 0;

const mostPairs = ({ members, a_members, b_members }: TestSpec['members']) =>
  members.length ** 2 + 2 * a_members.length * b_members.length;

/** Directed pairs: an ordered mesh tests from each member towards those after it only. */
function pairsOf(group: TestSpec['members']): [string, string][] {
  const list = [...new Set(group.members)];
  const between = (from: readonly string[], to: readonly string[]) =>
    from.flatMap((a) => to.filter((b) => b !== a).map((b): [string, string] => [a, b]));
  switch (group.type) {
    case 'mesh':
      return between(list, list);
    case 'ordered_mesh':
      return list.flatMap((a, index) => between([a], list.slice(index + 1)));
    case 'star': {
      const center = group.center_address === undefined ? [] : [group.center_address];
      return [...between(center, list), ...between(list, center)];
    }
    case 'disjoint':
      return [...between(group.a_members, group.b_members), ...between(group.b_members, group.a_members)];
    default:
      return [];
  }
}
