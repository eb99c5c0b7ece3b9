import type { HostFact, SiteFacts } from '../knowledge.ts';
import { aliases, emptySite, filled, hostFacts, inOrder, type ParsedSource } from './parsed.ts';

/** One resource of OSG Topology, whichever of its forms it was read from. */
export interface OsgResource {
  name: string;
  group: string;
  groupId?: number;
  site: string;
  facility: string;
  institutionId?: string;
  fqdn: string;
  fqdnAliases: string[];
  active: boolean;
  services: { name: string; endpoints: string[] }[];
  accountingName?: string;
}

/** Where an OSG Site is; OSG writes countries out, which is no ISO code. */
export type OsgPlace = Pick<SiteFacts, 'latitude' | 'longitude'> & { city?: string };

/**
 * What the resources say of their ResourceGroups: the group is what CRIC calls an rcsite. An OSG Site or facility may
 * have several groups, so their names are aliases, not sites.
 * @param places by OSG Site
 */
export function osgFacts(
  resources: readonly OsgResource[],
  places: ReadonlyMap<string, OsgPlace>,
  origin: string,
  skipped: string[],
  version?: string,
): ParsedSource {
  const groups = Map.groupBy(resources, ({ group }) => group);
  const sites = [...groups].map(([name, members]) => groupFacts(name, members, places, skipped));
  const facts = {
    kind: 'osg' as const,
    origin,
    ...(version !== undefined && { version }),
    sites: inOrder(sites),
  };
  return { facts, skipped };
}

function groupFacts(
  name: string,
  resources: readonly OsgResource[],
  places: ReadonlyMap<string, OsgPlace>,
  skipped: string[],
): SiteFacts {
  const groupId = resources.find((resource) => resource.groupId !== undefined)?.groupId;
  const { city, ...place } = places.get(resources[0]!.site) ?? {};
  const each = <T>(of: (resource: OsgResource) => T): T[] => resources.map(of);
  return {
    ...emptySite(name),
    ...(groupId !== undefined && { oimGroupId: groupId }),
    ...place,
    aliases: [
      ...aliases(
        'osg-site',
        each(({ site }) => site),
      ),
      ...aliases(
        'osg-facility',
        each(({ facility }) => facility),
      ),
      ...aliases(
        'osg-institution',
        each(({ institutionId }) => institutionId),
      ),
      ...aliases(
        'osg-resource',
        each((resource) => resource.name),
      ),
      ...aliases(
        'wlcg-accounting',
        each(({ accountingName }) => accountingName),
      ),
    ],
    texts: filled([city]),
    hosts: resources.flatMap((resource) => hostsOfResource(resource, skipped)),
    active: resources.some(({ active }) => active),
  };
}

function hostsOfResource(resource: OsgResource, skipped: string[]): HostFact[] {
  const { name, fqdn, fqdnAliases, services, active } = resource;
  const own = [fqdn, ...fqdnAliases];
  const facts =
    services.length === 0
      ? hostFacts(own, { service: 'unknown', resource: name, active })
      : services.flatMap((service) =>
          hostFacts([...own, ...service.endpoints], { service: service.name, resource: name, active }),
        );
  if (facts.length === 0) skipped.push(`${resource.group}: resource ${name} has no usable host ("${fqdn}")`);
  return facts;
}
