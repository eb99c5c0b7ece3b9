import { UserError } from '../errors.ts';
import { addressesBetween } from './addresses.ts';
import { portsOf, type WorkerConfig } from './config.ts';
import type { JobNetworkRequest, Lease, PortForward } from './types.ts';

/** Takes one of these files, and tells which; undefined where none is free. */
export type Claim = (files: readonly string[]) => number | undefined;

const ADDRESS = 'address-';

const lists = new Map<string, string[]>();

/** Made once: a range has up to 65536 addresses. */
function listed(key: string, make: () => string[]): readonly string[] {
  const list = lists.get(key) ?? make();
  lists.set(key, list);
  return list;
}

export const slotFiles = (count: number): readonly string[] =>
  listed(`slots ${count}`, () => Array.from({ length: count }, (_, i) => `slot-${i + 1}`));

const addressFiles = (ranges: readonly { first: string; last: string }[]): readonly string[] =>
  listed(JSON.stringify(ranges), () =>
    ranges.flatMap(({ first, last }) => addressesBetween(first, last)).map((address) => ADDRESS + address),
  );

export function claimBridgeAddresses(
  request: JobNetworkRequest,
  bridge: WorkerConfig['bridge'],
  claim: Claim,
): Pick<Lease, 'ipv4' | 'ipv6'> {
  const fixed = request.slot === undefined ? undefined : bridge.slotAddresses[request.slot];
  const addresses: Pick<Lease, 'ipv4' | 'ipv6'> = {};
  for (const family of ['ipv4', 'ipv6'] as const) {
    const own = fixed?.[family];
    const ranges = family === 'ipv4' ? bridge.ipv4Ranges : bridge.ipv6Ranges;
    const files = own ? [ADDRESS + own] : addressFiles(ranges);
    if (files.length === 0) continue;
    const place = claim(files);
    if (place === undefined) {
      const why = own ? `${own} of ${request.slot} is in use` : `all ${files.length} are in use`;
      throw new UserError(`no ${family} address for a job in mode bridge: ${why}`);
    }
    addresses[family] = files[place]!.slice(ADDRESS.length);
  }
  if (!addresses.ipv4 && !addresses.ipv6) {
    throw new UserError('mode bridge has no address to give: set bridge.ipv4Ranges or bridge.slotAddresses');
  }
  return addresses;
}

/** The wished port itself where it is free and within the range, else any. In mode bridge there is nothing to forward. */
export function claimPorts(request: JobNetworkRequest, range: string, claim: Claim): PortForward[] {
  if (request.mode === 'bridge') return request.inbound.map((wish) => ({ ...wish, hostPort: wish.jobPort }));
  const { first, last } = portsOf(range)!;
  return request.inbound.map((wish) => {
    const file = (hostPort: number): string => `port-${wish.protocol}-${hostPort}`;
    const isWithin = wish.jobPort >= first && wish.jobPort <= last;
    if (isWithin && claim([file(wish.jobPort)]) !== undefined) return { ...wish, hostPort: wish.jobPort };
    const files = listed(`${wish.protocol} ${range}`, () =>
      Array.from({ length: last - first + 1 }, (_, i) => file(first + i)),
    );
    const place = claim(files);
    if (place !== undefined) return { ...wish, hostPort: first + place };
    throw new UserError(`all ${wish.protocol} ports ${range} of this machine are in use (nat.inboundPorts)`);
  });
}
