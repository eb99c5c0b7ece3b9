import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { checkedYaml } from '../checked-yaml.ts';
import type { Site } from '../domain.ts';
import { UserError } from '../errors.ts';
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
  sites: Site[];
  /** Host name (lower case) or canonical address → site. */
  overrides: Map<string, string>;
}

/**
 * Reads the text of sites.yaml; site names come back as ads can carry them.
 * @throws UserError: wrong shape (with the line), two sites whose names become the same, an override to a site
 *   that the file does not list
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
    if (!written.has(siteName(site))) {
      throw new UserError(
        `${file}: the override of ${host} names the site "${site}", which the file does not list`,
      );
    }
    overrides.set(canonicalHost(host), siteName(site));
  }
  return { sites, overrides };
}

/** Lower case for names; the shortest form for addresses, IPv4 out of IPv4-mapped IPv6. */
export function canonicalHost(text: string): string {
  const bare = text.trim().toLowerCase().replace(/\.$/, '');
  return ipaddr.isValid(bare) ? ipaddr.process(bare).toString() : bare;
}
