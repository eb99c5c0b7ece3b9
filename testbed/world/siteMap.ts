import { stringify } from 'yaml';
import type { Model } from './model.ts';

/** The site map that fits the world, in the shape of Lark's config/sites.yaml. */
export interface SiteMap {
  sites: {
    name: string;
    latitude: number;
    longitude: number;
    hosts?: string[];
    prefixes?: string[];
    domains?: string[];
  }[];
  overrides: { host: string; site: string }[];
}

/**
 * Every host of a mapped site can be placed by one of the ways there are: most by the longest prefix, some sites by
 * domain alone, some hosts by exact name, and hosts without a usable name by an override. Unmapped sites are absent.
 */
export function siteMapOf(model: Model): SiteMap {
  const map: SiteMap = { sites: [], overrides: [] };
  for (const site of model.sites.filter((candidate) => candidate.mapped)) {
    const hosts = model.hosts.filter((host) => host.site === site);
    const base = { name: site.name, latitude: site.latitude, longitude: site.longitude };
    if (site.mappedBy === 'prefix') {
      map.sites.push({
        ...base,
        ...(site.index % 3 === 0 ? { hosts: hosts.map((host) => host.name) } : {}),
        prefixes: [site.prefix4, site.prefix6],
        ...(site.index % 2 === 0 ? { domains: [site.domain] } : {}),
      });
      continue;
    }
    map.sites.push({ ...base, domains: [site.domain] });
    for (const host of hosts) {
      const nameless =
        host.dirt === 'ipOnly' || host.dirt === 'noHostRecord' || host.dirt === 'registeredTwice';
      if (!nameless) continue;
      map.overrides.push({ host: host.address4, site: site.name });
      if (host.address6) map.overrides.push({ host: host.address6, site: site.name });
    }
  }
  return map;
}

export function siteMapYaml(map: SiteMap): string {
  return stringify(map);
}
