import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * How far an identifier carries. `global`: it means the same host everywhere. `site`: private space, the same
 * address is another host at another site. `none`: every host has it (loopback, link-local, `localhost`).
 */
export type Scope = 'global' | 'site' | 'none';

export interface Identifier {
  kind: 'address' | 'name';
  /** Canonical: RFC 5952 for IPv6, lower case and no final dot for names. */
  text: string;
  scope: Scope;
}

/**
 * Reads what a record gives as address or name. Names that are addresses are addresses; IPv4 written as IPv6 is
 * IPv4. Undefined for text that is neither, and for names without a dot, which mean nothing elsewhere.
 */
export function identifier(text: string): Identifier | undefined {
  const bare = text
    .trim()
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/%[^%]*$/, '');
  if (isIP(bare)) return addressIdentifier(bare);
  const name = bare.replace(/\.$/, '');
  if (!NAME.test(name) || /\.\d+$/.test(name)) return undefined;
  return { kind: 'name', text: name, scope: JUNK_NAME.test(name) ? 'none' : 'global' };
}

const NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+$/;
const JUNK_NAME = /^localhost\d*\.|\.(localdomain\d*|local|localhost|invalid)$/;

function addressIdentifier(text: string): Identifier {
  const address = ipaddr.process(text);
  const canonical = address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
  return { kind: 'address', text: canonical, scope: addressScope(canonical, address.range()) };
}

/** What hosts call themselves by default. Other loopback addresses are used on purpose only, as in a test bed. */
const OWN_LOOPBACK = new Set(['127.0.0.1', '127.0.1.1', '::1']);

function addressScope(canonical: string, range: string): Scope {
  switch (range) {
    case 'loopback':
      return OWN_LOOPBACK.has(canonical) ? 'none' : 'global';
    case 'unspecified':
    case 'broadcast':
    case 'multicast':
    case 'linkLocal':
      return 'none';
    case 'private':
    case 'carrierGradeNat':
    case 'uniqueLocal':
      return 'site';
    default:
      return 'global';
  }
}

/** The name or address in a URL, without port and brackets: what requests are limited and counted by. */
export function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '').toLowerCase();
}
