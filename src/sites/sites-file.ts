import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { checkedYaml } from '../checked-yaml.ts';
import type { Site } from '../domain.ts';
import { UserError } from '../errors.ts';
import type { SourceFacts } from './knowledge.ts';
import { siteName } from './name.ts';

const prefix = z
  .string()
  .refine(ipaddr.isValidCIDR, { error: 'an address prefix such as 192.0.2.0/24 or 2001:db8::/32' });
const dnsName = z
  .string()
  .regex(/^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i, {
    error: 'a DNS name',
  })
  .transform((name) => name.toLowerCase().replace(/\.$/, ''));
const nameOrAddress = z.string().refine((text) => ipaddr.isValid(text) || dnsName.safeParse(text).success, {
  error: 'a DNS name or an address',
});

const schema = z.strictObject({
  sites: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        latitude: z.number().min(-90).max(90).optional(),
        longitude: z.number().min(-180).max(180).optional(),
        hosts: z.array(nameOrAddress).default([]),
        prefixes: z.array(prefix).default([]),
        domains: z.array(dnsName).default([]),
      }),
    )
    .default([]),
  overrides: z.array(z.strictObject({ host: nameOrAddress, site: z.string().min(1) })).default([]),
});

export interface SiteMap {
  /** Where it was read from. */
  file: string;
  sites: Site[];
  /** Host name (lower case) or canonical address → any name of a site, as written. */
  overrides: Map<string, string>;
}

/**
 * Reads the text of sites.yaml; site names come back as ads can carry them.
 * @throws UserError: wrong shape (with the line), two sites whose names become the same, a site name of which
 *   an ad can carry nothing
 */
export function parseSites(text: string, file: string): SiteMap {
  const parsed = checkedYaml(schema, text, file);
  const written = new Map<string, string>();
  const sites = parsed.sites.map((site) => {
    const name = siteName(site.name);
    if (!name)
      throw new UserError(`${file}: site "${site.name}" has no letter or digit that an ad can carry`);
    const twin = written.get(name);
    if (twin !== undefined) {
      throw new UserError(
        `${file}: sites "${twin}" and "${site.name}" would both be called ${name} in ads; rename one`,
      );
    }
    written.set(name, site.name);
    return { ...site, name, hosts: site.hosts.map(canonicalHost) };
  });
  const overrides = new Map<string, string>();
  for (const { host, site } of parsed.overrides) {
    if (!siteName(site)) {
      throw new UserError(
        `${file}: the override of ${host} names the site "${site}", which has no letter or digit that an ad can carry`,
      );
    }
    overrides.set(canonicalHost(host), site);
  }
  return { file, sites, overrides };
}

/** The file as one source among others. */
export function factsOfFile({ sites, file }: SiteMap): SourceFacts {
  return {
    kind: 'file',
    origin: file,
    sites: sites.map(({ name, latitude, longitude, hosts, prefixes, domains }) => ({
      name,
      aliases: [],
      ...(latitude !== undefined && { latitude }),
      ...(longitude !== undefined && { longitude }),
      texts: [],
      hosts: hosts.map((host) => ({ host, service: 'sites.yaml', active: true })),
      prefixes: prefixes.map((prefix) => ({ prefix })),
      domains,
      active: true,
    })),
  };
}

/** Lower case for names; the shortest form for addresses, IPv4 out of IPv4-mapped IPv6. */
export function canonicalHost(text: string): string {
  const bare = text.trim().toLowerCase().replace(/\.$/, '');
  if (PLAIN_IPV4.test(bare)) return bare;
  return isAddress(bare) ? ipaddr.process(bare).toString() : bare;
}

/** Four decimal numbers up to 255, without leading zeros: the shortest form as it is. */
const PLAIN_IPV4 = /^(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/** Whether a text is an address; the library is asked only of what begins like one, as its answer is dear. */
export const isAddress = (text: string): boolean =>
  PLAIN_IPV4.test(text) ||
  ((text.includes(':') || /^(0x[\da-f]+|\d+)(\.|$)/i.test(text)) && ipaddr.isValid(text));
