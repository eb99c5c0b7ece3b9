import ipaddr from 'ipaddr.js';
import type { HostFact, PrefixFact, SiteAlias, SiteFacts, SourceFacts } from '../knowledge.ts';
import { canonicalHost } from '../sites-file.ts';

/** What a document of one source held. */
export interface ParsedSource {
  facts: SourceFacts;
  /** What of it could not be used, one short sentence each: the rest of the document is good all the same. */
  skipped: string[];
}

/** A document that is not what its format promises. The message is one sentence without the document's name. */
export class BadDocument extends Error {
  override readonly name = 'BadDocument';
}

/** A site of which nothing is known yet but its name. */
export function emptySite(name: string): SiteFacts {
  return { name, aliases: [], texts: [], hosts: [], prefixes: [], domains: [], active: true };
}

/** By name, and each list without duplicates: two documents that say the same give the same text. */
export function inOrder(sites: Iterable<SiteFacts>): SiteFacts[] {
  return [...sites]
    .map((site) => ({
      ...site,
      aliases: unique(site.aliases),
      texts: unique(site.texts),
      hosts: unique(site.hosts),
      prefixes: unique(site.prefixes),
      domains: unique(site.domains),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function unique<T>(items: readonly T[]): T[] {
  const seen = new Map(items.map((item) => [JSON.stringify(item), item]));
  return [...seen].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item);
}

const DNS_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+$/;

/**
 * The hosts that an endpoint names: `host`, `host:port`, `scheme://host:port/path`, an address (IPv6 with or without
 * brackets), or several of these with commas or blanks between them. Names without a dot name nothing outside their own
 * site and are left out, as are addresses of no use to anybody else (loopback and the like).
 */
export function hostsOf(endpoint: string): string[] {
  return endpoint.split(/[\s,;]+/).flatMap((part) => {
    const bare = part
      .replace(/^[a-z][a-z0-9+.-]*:\/\//i, '')
      .replace(/[/?#].*$/, '')
      .replace(/^[^@]*@/, '');
    const host = ipaddr.isValid(bare) ? bare : (/^\[([^\]]+)\]/.exec(bare)?.[1] ?? bare.replace(/:\d*$/, ''));
    const canonical = canonicalHost(host);
    if (ipaddr.isValid(canonical)) return isOfUse(ipaddr.parse(canonical)) ? [canonical] : [];
    return DNS_NAME.test(canonical) && !/\.(localdomain|local|invalid)$/.test(canonical) ? [canonical] : [];
  });
}

const isOfUse = (address: ipaddr.IPv4 | ipaddr.IPv6): boolean =>
  !['unspecified', 'loopback', 'linkLocal', 'multicast', 'broadcast'].includes(address.range());

/** A source's word for one host and service. */
export function hostFacts(
  endpoints: readonly (string | null | undefined)[],
  rest: Omit<HostFact, 'host'>,
): HostFact[] {
  const hosts = new Set(endpoints.flatMap((endpoint) => (endpoint ? hostsOf(endpoint) : [])));
  return [...hosts].map((host) => ({ host, ...rest }));
}

/** The shortest prefixes that one site can have; anything wider is a slip, and would take in its neighbours. */
const WIDEST = { ipv4: 8, ipv6: 16 };

/**
 * A prefix in canonical text, host bits cleared: from `a.b.c.d/24`, `a.b.c.d/255.255.255.0`, `x:y::/48`, or an address
 * alone. Undefined for anything else, for a prefix too wide to be a site's, and for addresses that are nobody's.
 */
export function prefixOf(text: string): string | undefined {
  const [address = '', size] = text.trim().split('/');
  if (!ipaddr.isValid(address) || (address.includes('.') && !ipaddr.IPv4.isValidFourPartDecimal(address))) {
    return undefined;
  }
  const parsed = ipaddr.parse(address);
  const bits = parsed.kind() === 'ipv4' ? 32 : 128;
  const length = size === undefined ? bits : lengthOf(size);
  if (length === undefined || length > bits || length < WIDEST[parsed.kind()] || !isOfUse(parsed)) {
    return undefined;
  }
  const network =
    parsed.kind() === 'ipv4'
      ? ipaddr.IPv4.networkAddressFromCIDR(`${parsed}/${length}`)
      : ipaddr.IPv6.networkAddressFromCIDR(`${parsed}/${length}`);
  return `${network}/${length}`;
}

function lengthOf(size: string): number | undefined {
  if (/^\d{1,3}$/.test(size)) return Number(size);
  if (!ipaddr.IPv4.isValidFourPartDecimal(size)) return undefined;
  return ipaddr.IPv4.parse(size).prefixLengthFromSubnetMask() ?? undefined;
}

/** Prefixes with what is known of them; what is none goes to `skipped`. */
export function prefixFacts(
  texts: readonly string[],
  rest: Omit<PrefixFact, 'prefix'>,
  skipped: (text: string) => void,
): PrefixFact[] {
  return texts.flatMap((text) => {
    const prefix = prefixOf(text);
    if (prefix === undefined) skipped(text);
    return prefix === undefined ? [] : [{ prefix, ...rest }];
  });
}

/** Degrees, where both are given and not the 0, 0 of a form that nobody filled in. */
export function coordinates(
  latitude: unknown,
  longitude: unknown,
): Pick<SiteFacts, 'latitude' | 'longitude'> {
  const [lat, lon] = [degrees(latitude, 90), degrees(longitude, 180)];
  if (lat === undefined || lon === undefined || (lat === 0 && lon === 0)) return {};
  return { latitude: lat, longitude: lon };
}

function degrees(value: unknown, most: number): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Math.abs(number) <= most ? number : undefined;
}

/** ISO 3166 of two letters, or nothing. */
export function country(code: string | null | undefined): Pick<SiteFacts, 'countryCode'> {
  const upper = code?.trim().toUpperCase() ?? '';
  return /^[A-Z]{2}$/.test(upper) ? { countryCode: upper } : {};
}

/** Aliases of one kind, without empty ones. */
export function aliases(kind: SiteAlias['kind'], texts: readonly (string | null | undefined)[]): SiteAlias[] {
  return filled(texts).map((text) => ({ text, kind }));
}

/** Texts that say something: trimmed, without the words that forms put where nothing was written. */
export function filled(texts: readonly (string | null | undefined)[]): string[] {
  return texts
    .map((text) => text?.trim() ?? '')
    .filter((text) => text !== '' && !/^\(.*\)$|^(n\/?a|none|null|unknown)$/i.test(text));
}
