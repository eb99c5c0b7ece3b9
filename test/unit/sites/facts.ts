import type { SiteFacts, SourceFacts, SourceKind } from '../../../src/sites/knowledge.ts';

/** One site's facts; what is not given is unknown. Hosts are given as texts. */
export function site(
  name: string,
  facts: Partial<Omit<SiteFacts, 'hosts' | 'prefixes' | 'name'>> & {
    hosts?: string[];
    prefixes?: string[];
  } = {},
): SiteFacts {
  const { hosts = [], prefixes = [], ...rest } = facts;
  return {
    name,
    aliases: [],
    texts: [],
    domains: [],
    active: true,
    ...rest,
    hosts: hosts.map((host) => ({ host, service: 'CE', active: true })),
    prefixes: prefixes.map((prefix) => ({ prefix })),
  };
}

export const source = (kind: SourceKind, ...sites: SiteFacts[]): SourceFacts => ({
  kind,
  origin: `${kind}.json`,
  sites,
});
