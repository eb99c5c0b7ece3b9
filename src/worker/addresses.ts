import ipaddr from 'ipaddr.js';

/** The address `offset` places after the first of a range (CIDR), in canonical text. @throws RangeError beyond its end */
export function addressAt(cidr: string, offset: number): string {
  const [first, length] = ipaddr.parseCIDR(cidr);
  const bytes = first.toByteArray();
  const bits = bytes.length * 8;
  const mask = (1n << BigInt(bits - length)) - 1n;
  if (BigInt(offset) > mask) throw new RangeError(`${cidr} has no address ${offset}`);
  return textOf((numberOf(bytes) & ~mask) + BigInt(offset), bytes.length);
}

/** How many jobs a pool can address: without its first and its last address. At most 2^31. */
export function poolSize(cidr: string): number {
  const [first, length] = ipaddr.parseCIDR(cidr);
  return 2 ** Math.min(first.toByteArray().length * 8 - length, 31) - 2;
}

/** All addresses from `first` to `last`. @throws RangeError when there are more than 65536, or none */
export function addressesBetween(first: string, last: string): string[] {
  const bytes = ipaddr.parse(first).toByteArray();
  const end = ipaddr.parse(last).toByteArray();
  const count = numberOf(end) - numberOf(bytes) + 1n;
  if (bytes.length !== end.length || count < 1n || count > 65_536n) {
    throw new RangeError(`${first} to ${last} is no range of 1 to 65536 addresses`);
  }
  return Array.from({ length: Number(count) }, (_, i) => textOf(numberOf(bytes) + BigInt(i), bytes.length));
}

/** Whether a job can ask a name server there. Loopback is another one in a job, and so is the link of IPv6's link-local
 * addresses; that of IPv4's is routed, and clouds have their servers there. */
export function isServer(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.parse(address);
  const range = parsed.range();
  return (
    range !== 'loopback' && range !== 'unspecified' && !(range === 'linkLocal' && parsed.kind() === 'ipv6')
  );
}

function numberOf(bytes: readonly number[]): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function textOf(number: bigint, length: number): string {
  const bytes = Array.from({ length }, (_, i) => Number((number >> BigInt(8 * (length - 1 - i))) & 0xffn));
  const address = ipaddr.fromByteArray(bytes);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}
