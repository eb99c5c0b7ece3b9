import ipaddr from 'ipaddr.js';

/** RFC 1918's ranges, the roomiest first. */
const privateRanges = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];
const triesPerRange = 256;

/**
 * A private /24 that overlaps none of the networks in use, as its first three octets (`"10.83.7"`).
 *
 * @param inUse networks as CIDR or single addresses; what is neither (such as `default`) is passed over
 * @param random uniform in [0, 1)
 * @throws when every network tried overlaps one in use
 */
export function chooseSubnet(inUse: readonly string[], random: () => number): string {
  const networks = inUse.map(parseNetwork).filter((network) => network !== undefined);
  for (const range of privateRanges) {
    const [base, length] = ipaddr.IPv4.parseCIDR(range);
    for (let attempt = 0; attempt < triesPerRange; attempt++) {
      const index = Math.floor(random() * 2 ** (24 - length));
      const [a = 0, b = 0] = base.octets;
      const prefix = `${a}.${b + (index >> 8)}.${index & 255}`;
      if (!networks.some((network) => overlaps(network, [ipaddr.IPv4.parse(`${prefix}.0`), 24])))
        return prefix;
    }
  }
  throw new Error('No free private /24 network was found for the pool: every one tried overlaps a route');
}

/** The destinations in the output of `ip -json -4 route show table all`. */
export function routeDestinations(ipRouteJson: string): string[] {
  const routes: unknown = JSON.parse(ipRouteJson || '[]');
  if (!Array.isArray(routes)) return [];
  return routes.flatMap((route: { dst?: unknown }) => (typeof route.dst === 'string' ? [route.dst] : []));
}

type Network = [address: ipaddr.IPv4, length: number];

function parseNetwork(text: string): Network | undefined {
  if (ipaddr.IPv4.isValidCIDR(text)) return ipaddr.IPv4.parseCIDR(text);
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return [ipaddr.IPv4.parse(text), 32];
  return undefined;
}

function overlaps(a: Network, b: Network): boolean {
  return a[0].match(b[0], Math.min(a[1], b[1]));
}
