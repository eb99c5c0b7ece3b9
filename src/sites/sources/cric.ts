import { z } from 'zod';
import type { AliasKind, SiteFacts } from '../knowledge.ts';
import {
  aliases,
  BadDocument,
  coordinates,
  country,
  emptySite,
  filled,
  hostFacts,
  inOrder,
  type ParsedSource,
  prefixFacts,
} from './parsed.ts';

const text = z.string().nullish();

const netroute = z.object({
  asn: z.number().nullish(),
  netsite: text,
  networks: z
    .object({ ipv4: z.array(z.string()).default([]), ipv6: z.array(z.string()).default([]) })
    .nullish(),
});

/** The fields of a CRIC `rcsite` that Lark reads. */
const rcsite = z.object({
  name: z.string().min(1),
  state: text,
  oim_groupid: z.number().nullish(),
  gocdb_pk: text,
  country_code: text,
  latitude: z.number().nullish(),
  longitude: z.number().nullish(),
  altname: text,
  description: text,
  institute: text,
  federations: z.array(z.string()).nullish(),
  netsites: z.record(z.string(), z.unknown()).nullish(),
  netroutes: z.record(z.string(), netroute).nullish(),
  services: z
    .array(z.object({ type: z.string(), name: text, endpoint: text, state: text, status: text }))
    .nullish(),
  sites: z.array(z.object({ vo_name: z.string(), name: z.string() })).nullish(),
});

/**
 * CRIC's `rcsite` query as JSON: a map of sites by name, each with its network ranges, services and the names that
 * experiments give it.
 * @throws BadDocument when it is no such map
 */
export function parseCric(document: unknown, origin: string): ParsedSource {
  const byName = z.record(z.string(), z.unknown()).safeParse(document);
  if (!byName.success) throw new BadDocument('is no map of sites by name, as CRIC gives it');
  const skipped: string[] = [];
  const sites: SiteFacts[] = [];
  for (const [name, value] of Object.entries(byName.data)) {
    const checked = rcsite.safeParse(value);
    if (checked.success) sites.push(siteOf(checked.data, skipped));
    else skipped.push(`${name}: ${z.prettifyError(checked.error).replace(/\s+/g, ' ')}`);
  }
  return { facts: { kind: 'cric', origin, sites: inOrder(sites) }, skipped };
}

function siteOf(site: z.infer<typeof rcsite>, skipped: string[]): SiteFacts {
  const routes = Object.entries(site.netroutes ?? {});
  return {
    ...emptySite(site.name),
    ...(site.oim_groupid != null && { oimGroupId: site.oim_groupid }),
    ...(site.gocdb_pk && { gocdbKey: site.gocdb_pk }),
    ...coordinates(site.latitude, site.longitude),
    ...country(site.country_code),
    aliases: [
      ...(site.sites ?? []).flatMap((named) => aliases(experiment(named.vo_name), [named.name])),
      ...aliases('netsite', Object.keys(site.netsites ?? {})),
      ...aliases('wlcg-accounting', site.federations ?? []),
    ],
    texts: filled([site.altname, site.description, site.institute]),
    hosts: (site.services ?? []).flatMap(({ type, name, endpoint, state, status }) =>
      hostFacts([endpoint], {
        service: type,
        ...(name && { resource: name }),
        active: isActive(state) && status?.toUpperCase() !== 'DISABLED',
      }),
    ),
    prefixes: routes.flatMap(([routeName, { asn, netsite, networks }]) =>
      prefixFacts(
        [...(networks?.ipv4 ?? []), ...(networks?.ipv6 ?? [])],
        { ...(netsite && { netsite }), ...(asn && { asn }) },
        (bad) => skipped.push(`${site.name}: "${bad}" of netroute ${routeName} is no usable prefix`),
      ),
    ),
    active: isActive(site.state),
  };
}

/** CRIC leaves the state out of some lists, where only active entries are shown. */
const isActive = (state: string | null | undefined): boolean => !state || state.toUpperCase() === 'ACTIVE';

const EXPERIMENTS = new Set<AliasKind>(['cms', 'atlas', 'alice', 'lhcb']);

function experiment(vo: string): AliasKind {
  const name = vo.toLowerCase() as AliasKind;
  return EXPERIMENTS.has(name) ? name : 'vo';
}

/**
 * CRIC's `preset=domains`: which sites have hosts in a domain. One domain may have several sites; such a one tells
 * sites apart no better than none, but that is for the resolver to say.
 * @throws BadDocument when it is no map of domains to lists of sites
 */
export function parseCricDomains(document: unknown, origin: string): ParsedSource {
  const domains = z.record(z.string(), z.array(z.string().min(1))).safeParse(document);
  if (!domains.success) throw new BadDocument('is no map of domains to lists of sites, as CRIC gives it');
  const sites = new Map<string, SiteFacts>();
  for (const [domain, names] of Object.entries(domains.data)) {
    for (const name of names) {
      const site = sites.get(name) ?? emptySite(name);
      sites.set(name, site);
      site.domains.push(domain.toLowerCase().replace(/^\.|\.$/g, ''));
    }
  }
  return { facts: { kind: 'cric', origin, sites: inOrder(sites.values()) }, skipped: [] };
}
