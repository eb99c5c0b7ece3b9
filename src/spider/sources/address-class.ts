import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { isObject } from './contents.ts';
import type { AddressSpec, Template } from './template.ts';

/** A class of addresses in a pSConfig template: what a filter lets through. */
export const classSpec = z.object({
  'data-source': z.object({ type: z.string() }),
  'match-filter': z.unknown().optional(),
  'exclude-filter': z.unknown().optional(),
});

/**
 * The names of the class's addresses. What cannot be told from the template alone (filters in jq, the address of the
 * agent that asks) makes the class empty and is remarked upon.
 */
export function addressesOfClass(name: string, template: Template, remarks: string[]): string[] {
  const found = template['address-classes'].get(name);
  try {
    if (found && found['data-source'].type !== 'current-config')
      throw new Unknowable(`the data source ${found['data-source'].type}`);
    return [...template.addresses].flatMap(([key, address]) =>
      belongs(name, address, template, new Set()) ? [key] : [],
    );
  } catch (error) {
    if (!(error instanceof Unknowable)) throw error;
    remarks.push(`the address class ${name} cannot be known: it needs ${error.message}`);
    return [];
  }
}

class Unknowable extends Error {}

function belongs(name: string, address: AddressSpec, template: Template, within: Set<string>): boolean {
  const found = template['address-classes'].get(name);
  if (!found || within.has(name)) return false;
  const inner = new Set([...within, name]);
  const matches = (filter: unknown) => passes(filter, address, template, inner);
  const { 'match-filter': match, 'exclude-filter': exclude } = found;
  return (match === undefined || matches(match)) && (exclude === undefined || !matches(exclude));
}

function passes(filter: unknown, address: AddressSpec, template: Template, within: Set<string>): boolean {
  if (!isObject(filter)) throw new Unknowable('a filter that is none');
  const inner = (each: unknown) => passes(each, address, template, within);
  const list = Array.isArray(filter.filters) ? filter.filters : [];
  const host = template.hosts.get(address.host ?? '');
  switch (filter.jq === undefined ? filter.type : 'jq') {
    case 'tag':
      return address.tags.includes(String(filter.tag));
    case 'host':
      return (
        host !== undefined &&
        (filter.tag === undefined || host.tags.includes(String(filter.tag))) &&
        (filter['no-agent'] === undefined || host['no-agent'] === filter['no-agent'])
      );
    case 'address-class':
      return belongs(String(filter.class), address, template, within);
    case 'and':
      return list.every(inner);
    case 'or':
      return list.some(inner);
    case 'not':
      return !inner(filter.filter);
    case 'ip-version':
      return parsedAddress(address)?.kind() === `ipv${filter['ip-version']}`;
    case 'netmask':
      return isWithin(address, String(filter.netmask));
    default:
      throw new Unknowable(`a filter of type ${String(filter.jq === undefined ? filter.type : 'jq')}`);
  }
}

/** Names would have to be resolved, and are of neither version and in no network here. */
function parsedAddress({ address }: AddressSpec) {
  return ipaddr.isValid(address) ? ipaddr.process(address) : undefined;
}

function isWithin(address: AddressSpec, prefix: string): boolean {
  const parsed = parsedAddress(address);
  if (!parsed || !ipaddr.isValidCIDR(prefix)) return false;
  const range = ipaddr.parseCIDR(prefix);
  return range[0].kind() === parsed.kind() && parsed.match(range);
}
