import ipaddr from 'ipaddr.js';
import { UserError } from '../errors.ts';
import { addressNumber } from './accounting/ranges.ts';
import type { WorkerConfig } from './config.ts';
import type { HostFacts } from './types.ts';

/**
 * Whether Lark would give jobs what is the machine's own.
 * @throws UserError that names the key and the address
 */
export function checkAddresses(
  { nat, bridge }: Pick<WorkerConfig, 'nat' | 'bridge'>,
  { ipv4, ipv6 }: Pick<HostFacts, 'ipv4' | 'ipv6'>,
): void {
  for (const own of [...ipv4, ...ipv6]) {
    for (const key of ['ipv4Pool', 'ipv6Pool'] as const) {
      if (nat[key] === 'none' || !holds(nat[key], own)) continue;
      throw new UserError(
        `nat.${key}: ${nat[key]} holds ${own}, an address of this machine: choose a range that nothing else uses`,
      );
    }
    for (const key of ['ipv4Ranges', 'ipv6Ranges'] as const) {
      if (!bridge[key].some(({ first, last }) => isBetween(first, own, last))) continue;
      throw new UserError(`bridge.${key} holds ${own}, an address of this machine: leave it out`);
    }
    for (const [slot, given] of Object.entries(bridge.slotAddresses)) {
      if (![given.ipv4, given.ipv6].some((address) => address && isSame(address, own))) continue;
      throw new UserError(
        `bridge.slotAddresses.${slot}: ${own} is an address of this machine: choose another`,
      );
    }
  }
}

/** Routes of the machine, as `ip -j route` tells them, that lead into one of these ranges by other devices than jobs'. */
export function routesInto(
  pools: readonly string[],
  routes: readonly { dst: string; dev?: string | undefined }[],
): string[] {
  return routes.flatMap(({ dst, dev }) => {
    if (dst === 'default' || dev === undefined || /^lk[0-9a-z]{8}$/.test(dev)) return [];
    const range = dst.includes('/') ? dst : `${dst}/${dst.includes(':') ? 128 : 32}`;
    return ipaddr.isValidCIDR(range) && pools.some((pool) => overlap(pool, range))
      ? [`${dst} dev ${dev}`]
      : [];
  });
}

/** Ranges in CIDR notation are one in the other, or apart. */
function overlap(a: string, b: string): boolean {
  const [first, second] = [a, b].map((cidr) => ipaddr.parseCIDR(cidr)[0].toString());
  return holds(a, second!) || holds(b, first!);
}

function holds(cidr: string, address: string): boolean {
  const [range, length] = ipaddr.parseCIDR(cidr);
  const own = ipaddr.parse(address);
  return own.kind() === range.kind() && own.match(range, length);
}

function isBetween(first: string, address: string, last: string): boolean {
  if (ipaddr.parse(first).kind() !== ipaddr.parse(address).kind()) return false;
  const number = addressNumber(address);
  return addressNumber(first) <= number && number <= addressNumber(last);
}

const isSame = (a: string, b: string): boolean => ipaddr.parse(a).toString() === ipaddr.parse(b).toString();
