import type { SiteIndex } from './site-index.ts';
import { domainsOf } from './tokens.ts';

/** What is left out while looking: for leave-one-out. */
export type Hidden = (host: string) => boolean;
export const nothingHidden: Hidden = () => false;

/** The known hosts nearest to a name: those of the longest domain that it shares with any. */
export interface Neighbourhood {
  domain: string;
  hosts: readonly string[];
  sites: readonly string[];
}

/** @param among only hosts of these sites count; all, where absent */
export function neighbourhood(
  name: string,
  index: SiteIndex,
  hidden: Hidden,
  among?: ReadonlySet<string>,
): Neighbourhood | undefined {
  for (const domain of domainsOf(name)) {
    const all = index.hostsIn.get(domain) ?? [];
    const hosts =
      hidden === nothingHidden && !among
        ? all
        : all.filter((host) => !hidden(host) && (!among || among.has(siteOf(host, index))));
    if (hosts.length > 0) return { domain, hosts, sites: sitesOf(hosts, index) };
  }
  return undefined;
}

/** The site of a host of `hostsIn`: they have exactly one. */
export const siteOf = (host: string, index: SiteIndex): string => index.hosts.get(host)!.sites[0]!;

export const sitesOf = (hosts: readonly string[], index: SiteIndex): string[] =>
  [...new Set(hosts.map((host) => siteOf(host, index)))].sort();
