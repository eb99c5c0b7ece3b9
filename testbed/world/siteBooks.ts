import { createHash } from 'node:crypto';
import type { Model, Site } from './model.ts';
import type { Reply } from './query.ts';
import type { NodeRequest } from './servers.ts';

/** What the world's documents about sites say at the moment. */
export interface SiteBooksState {
  /** The first part of the sites that they tell of, 0..1. */
  share: number;
}

/**
 * A machine that stands for CRIC, OSG Topology and GOCDB: it describes the world's mapped sites, each in two of the
 * three, with the answers' real shapes. Unchanged documents are said to be so (304).
 */
export function siteBooksServer(model: Model, state: SiteBooksState): (request: NodeRequest) => Reply {
  return ({ path, query, ifNoneMatch }) => {
    const mapped = model.sites.filter((site) => site.mapped);
    const sites = mapped.slice(0, Math.ceil(mapped.length * state.share));
    const reply = documentAt(path, query, model, sites);
    if (reply.status !== 200) return reply;
    const etag = `"${createHash('sha1').update(reply.body).digest('hex')}"`;
    return ifNoneMatch === etag
      ? { status: 304, contentType: reply.contentType, body: '', headers: { etag } }
      : { ...reply, headers: { etag } };
  };
}

function documentAt(path: string, query: URLSearchParams, model: Model, sites: Site[]): Reply {
  switch (path.replace(/\/$/, '')) {
    case '/api/core/rcsite/query':
      return json(
        query.get('preset') === 'domains'
          ? Object.fromEntries(inCric(sites).map((site) => [site.domain, [site.name]]))
          : Object.fromEntries(inCric(sites).map((site) => [site.name, rcsite(model, site)])),
      );
    case '/rgsummary/xml':
      return xml(
        'ResourceSummary',
        inOsg(sites)
          .map((site) => resourceGroup(model, site))
          .join(''),
      );
    case '/miscresource/json':
      return json(Object.fromEntries(inOsg(sites).flatMap((site) => miscResources(model, site))));
    case '/gocdbpi/public':
      return xml(
        'results',
        inGocdb(sites)
          .flatMap((site) => serviceEndpoints(model, site))
          .join(''),
      );
    default:
      return { status: 404, contentType: 'text/plain', body: 'not found' };
  }
}

// Every site is in two of the three, as CRIC's are in OSG Topology or GOCDB.
const inCric = (sites: Site[]): Site[] => sites.filter(({ index }) => index % 3 !== 2);
const inOsg = (sites: Site[]): Site[] => sites.filter(({ index }) => index % 3 !== 1);
const inGocdb = (sites: Site[]): Site[] => sites.filter(({ index }) => index % 3 !== 0);

/** By which CRIC and OSG Topology know that they speak of the same site. */
const groupId = (site: Site): number => 10_000 + site.index;

const hostsAt = (model: Model, site: Site) => model.hosts.filter((host) => host.site === site);

function rcsite(model: Model, site: Site): object {
  const netsite = `${site.name} ${site.city}`;
  return {
    name: site.name,
    state: 'ACTIVE',
    status: 'production',
    country_code: site.country,
    latitude: site.latitude,
    longitude: site.longitude,
    oim_groupid: site.index % 3 === 0 ? groupId(site) : null,
    gocdb_pk: null,
    altname: '',
    description: site.freeTextName,
    institute: '',
    federations: [],
    netsites: { [netsite]: { name: netsite, lhcone_bandwidth: 100 } },
    netroutes:
      site.mappedBy === 'prefix'
        ? {
            [`${site.name} LAN`]: {
              asn: 64_512 + site.index,
              netsite,
              netsite_spare: null,
              networks: { ipv4: [site.prefix4], ipv6: [site.prefix6] },
            },
          }
        : {},
    services: hostsAt(model, site).map((host) => ({
      type: 'PerfSonar',
      name: `${site.name}-PerfSonar-${host.id}`,
      endpoint: host.name,
      flavour: 'PerfSonar',
      state: 'ACTIVE',
      status: 'production',
    })),
    sites: [{ vo_name: 'cms', name: `T2_${site.country}_${site.name}`, tier_level: 2 }],
  };
}

function resourcesOf(model: Model, site: Site) {
  return hostsAt(model, site).map((host) => ({
    name: `${site.name}-PS${host.id}`,
    fqdn: host.name,
    service: host.role === 'latency' ? 'net.perfSONAR.Latency' : 'net.perfSONAR.Bandwidth',
  }));
}

function miscResources(model: Model, site: Site): [string, object][] {
  return resourcesOf(model, site).map(({ name, fqdn, service }, number) => [
    name,
    {
      Name: name,
      Site: site.city,
      Facility: `University of ${site.city}`,
      ResourceGroup: site.name,
      ID: groupId(site) * 10 + number,
      Active: true,
      Disable: false,
      Services: { Service: [{ ID: 130, Name: service, Description: '', Details: { endpoint: fqdn } }] },
      FQDN: fqdn,
      FQDNAliases: null,
      VOOwnership: '(Information not available)',
      WLCGInformation: '(Information not available)',
    },
  ]);
}

function resourceGroup(model: Model, site: Site): string {
  const resources = resourcesOf(model, site).map(
    ({ name, fqdn, service }) =>
      `<Resource><ID>1</ID><Name>${escaped(name)}</Name><Active>True</Active><Disable>False</Disable>` +
      `<Services><Service><ID>130</ID><Name>${service}</Name><Description/>` +
      `<Details><endpoint>${fqdn}</endpoint></Details></Service></Services><FQDN>${fqdn}</FQDN><FQDNAliases/>` +
      '<WLCGInformation>(Information not available)</WLCGInformation></Resource>',
  );
  return (
    `<ResourceGroup><GridType>OSG Production Resource</GridType><GroupID>${groupId(site)}</GroupID>` +
    `<GroupName>${escaped(site.name)}</GroupName><Disable>False</Disable>` +
    `<Facility><ID>1</ID><Name>${escaped(`University of ${site.city}`)}</Name></Facility>` +
    `<Site><ID>${site.index}</ID><Name>${escaped(site.city)}</Name><City>${escaped(site.city)}</City>` +
    `<Latitude>${site.latitude}</Latitude><Longitude>${site.longitude}</Longitude></Site>` +
    `<Resources>${resources.join('')}</Resources></ResourceGroup>\n`
  );
}

function serviceEndpoints(model: Model, site: Site): string[] {
  return hostsAt(model, site).map(
    (host) =>
      `<SERVICE_ENDPOINT PRIMARY_KEY="${host.id}G0"><PRIMARY_KEY>${host.id}G0</PRIMARY_KEY>` +
      `<HOSTNAME>${host.name}</HOSTNAME><SERVICE_TYPE>net.perfSONAR.Bandwidth</SERVICE_TYPE><HOST_IP/>` +
      `<IN_PRODUCTION>Y</IN_PRODUCTION><SITENAME>${escaped(site.name)}</SITENAME>` +
      `<COUNTRY_CODE>${site.country}</COUNTRY_CODE><URL/><ENDPOINTS/></SERVICE_ENDPOINT>\n`,
  );
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

const json = (value: object): Reply => ({
  status: 200,
  contentType: 'application/json',
  body: JSON.stringify(value),
});

const xml = (root: string, body: string): Reply => ({
  status: 200,
  contentType: 'text/xml',
  body: `<?xml version="1.0" encoding="UTF-8"?>\n<${root}>\n${body}</${root}>\n`,
});
