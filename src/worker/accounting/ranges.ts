import ipaddr from 'ipaddr.js';

export type Family = 'ipv4' | 'ipv6';

/** Both ends included. */
export interface Range<T> {
  first: bigint;
  last: bigint;
  value: T;
}

export interface CidrEntry<T> {
  cidr: string;
  value: T;
}

interface Block<T> extends Range<T> {
  prefixLength: number;
}

/**
 * The family's CIDRs as ranges that do not overlap, in ascending order: where CIDRs overlap, the longest prefix decides;
 * of two equal ones the first. Neighbouring ranges of the same value are joined. nft takes no overlapping intervals.
 */
export function disjointRanges<T>(entries: readonly CidrEntry<T>[], family: Family): Range<T>[] {
  const blocks = entries
    .map(({ cidr, value }) => blockOf(cidr, value))
    .filter((block) => block.family === family)
    .sort((a, b) => compare(a.first, b.first) || a.prefixLength - b.prefixLength);

  const ranges: Range<T>[] = [];
  const emit = (first: bigint, last: bigint, value: T) => {
    if (first > last) return;
    const before = ranges.at(-1);
    if (before && before.value === value && before.last + 1n === first) before.last = last;
    else ranges.push({ first, last, value });
  };

  // CIDRs are nested or apart, never crossed: those that hold the cursor are a stack, the innermost on top.
  const open: Block<T>[] = [];
  let cursor = 0n;
  const closeUntil = (limit: bigint) => {
    for (let top = open.at(-1); top && top.last < limit; top = open.at(-1)) {
      emit(cursor, top.last, top.value);
      cursor = top.last + 1n > cursor ? top.last + 1n : cursor;
      open.pop();
    }
  };
  for (const block of blocks) {
    closeUntil(block.first);
    const top = open.at(-1);
    if (top?.first === block.first && top.last === block.last) continue;
    if (top) emit(cursor, block.first - 1n, top.value);
    cursor = block.first;
    open.push(block);
  }
  closeUntil(1n << 128n);
  return ranges;
}

/** `192.0.2.0-192.0.2.255`, or one address where the range is one. */
export function rangeText({ first, last }: Range<unknown>, family: Family): string {
  const from = addressText(first, family);
  return first === last ? from : `${from}-${addressText(last, family)}`;
}

export function addressNumber(text: string): bigint {
  return numberOf(ipaddr.parse(text).toByteArray());
}

export function addressText(number: bigint, family: Family): string {
  const digits = family === 'ipv4' ? 8 : 32;
  return ipaddr.fromByteArray([...Buffer.from(number.toString(16).padStart(digits, '0'), 'hex')]).toString();
}

/** Without bits behind the prefix. */
export function canonicalCidr(cidr: string): string {
  const [address, length] = ipaddr.parseCIDR(cidr);
  const network =
    address.kind() === 'ipv4'
      ? ipaddr.IPv4.networkAddressFromCIDR(cidr)
      : ipaddr.IPv6.networkAddressFromCIDR(cidr);
  return `${network}/${length}`;
}

function blockOf<T>(cidr: string, value: T): Block<T> & { family: Family } {
  const [address, prefixLength] = ipaddr.parseCIDR(cidr);
  const bits = address.kind() === 'ipv4' ? 32 : 128;
  const size = 1n << BigInt(bits - prefixLength);
  const number = numberOf(address.toByteArray());
  const first = number - (number % size);
  return { first, last: first + size - 1n, value, prefixLength, family: address.kind() };
}

function numberOf(bytes: number[]): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
