import ipaddr from 'ipaddr.js';
import { hostOf, identifier } from './address.ts';

export const SCHEMES = ['any', 'https', 'prefer-http'] as const;
export const CERTIFICATES = ['accept', 'verify'] as const;

/** How hosts are spoken to that are not to be treated like all others. */
export interface HostRule {
  /** A name, `*.` and a domain for all names below it, an address, or a prefix as `192.0.2.0/24`. */
  match: string;
  /**
   * any: https before http (the default). https: never plain http, not even after a redirect. prefer-http: http before
   * https, for hosts whose https hangs.
   */
  scheme?: (typeof SCHEMES)[number] | undefined;
  /** Whether certificates must be signed by a known authority; where absent, `verifyCertificates` decides. */
  certificates?: (typeof CERTIFICATES)[number] | undefined;
}

export type HostPolicy = Omit<HostRule, 'match'>;

/** Whether a rule's `match` can be read. */
export function isHostPattern(text: string): boolean {
  return ipaddr.isValidCIDR(text) || identifier(text.replace(/^\*\./, '')) !== undefined;
}

/** Of each setting, what the first rule says that matches the host and says anything. */
export function policyOf(rules: readonly HostRule[], host: string): HostPolicy {
  const matching = rules.filter(({ match }) => fits(match, host));
  return {
    scheme: matching.find(({ scheme }) => scheme !== undefined)?.scheme,
    certificates: matching.find(({ certificates }) => certificates !== undefined)?.certificates,
  };
}

function fits(match: string, host: string): boolean {
  const found = identifier(host);
  if (match.startsWith('*.'))
    return found?.kind === 'name' && found.text.endsWith(match.slice(1).toLowerCase());
  if (!ipaddr.isValidCIDR(match)) return found !== undefined && found.text === identifier(match)?.text;
  if (found?.kind !== 'address') return false;
  const [network, bits] = ipaddr.parseCIDR(match);
  const address = ipaddr.parse(found.text);
  return address.kind() === network.kind() && address.match(network, bits);
}

/** The URLs of an archive that may be asked, in the order in which they are to be: https first as they come. */
export function permittedUrls(urls: readonly string[], rules: readonly HostRule[]): string[] {
  const isPlain = (url: string) => url.startsWith('http:');
  const schemeOf = (url: string) => policyOf(rules, hostOf(url)).scheme;
  const rank = (url: string) => (schemeOf(url) === 'prefer-http' && isPlain(url) ? 0 : 1);
  return urls
    .filter((url) => !(isPlain(url) && schemeOf(url) === 'https'))
    .toSorted((a, b) => rank(a) - rank(b));
}
