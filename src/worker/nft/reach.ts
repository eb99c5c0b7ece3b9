import ipaddr from 'ipaddr.js';
import { UserError } from '../../errors.ts';
import { disjointRanges, type Family, rangeText } from '../accounting/ranges.ts';
import { type Destination, PROTOCOLS, type Protocol } from '../types.ts';

/** Whom jobs reach; the site's configuration with what the host adds. */
export interface ReachRules {
  jobToJob: boolean;
  metadataAddresses: boolean;
  deny: readonly Destination[];
  /** Empty: everything that is not denied. */
  allow: readonly Destination[];
  /** Name servers of the jobs' resolv.conf: what Lark writes there can be asked. */
  nameservers: readonly string[];
  /** The host's own addresses, and what jobs may use there. */
  hostAddresses: readonly string[];
  hostPorts: readonly { protocol: Protocol; ports: string }[];
}

/**
 * Where clouds tell machines their secrets: IPv4's link-local range as a whole, also behind NAT64, and what lies outside
 * of it: Alibaba's, Azure's and Oracle's, and the IPv6 addresses of Amazon and Google.
 */
export const METADATA_CIDRS = [
  '169.254.0.0/16',
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  '64:ff9b::a9fe:0/112',
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
];

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
/** What IPv6 needs to find its neighbours; a router's advertisements come in only. */
export const NEIGHBOURS = '{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }';

/**
 * Rules for a packet's destination, first match: no state is kept, so what is denied is denied for answers too. They grow
 * with the site's lists, not with jobs: entries without ports are one interval set each for IPv4 and IPv6.
 */
export function destinationRules(reach: ReachRules): string[] {
  const rules: string[] = [`icmpv6 type ${NEIGHBOURS} return`];
  for (const family of FAMILIES) {
    const servers = addressSet(reach.nameservers, family);
    if (servers) {
      rules.push(
        ...PROTOCOLS.map((protocol) => `${ip(family)} daddr ${servers} ${protocol} dport 53 return`),
      );
    }
  }
  if (!reach.jobToJob) rules.push('ip daddr @job4 drop', 'ip6 daddr @job6 drop');
  if (!reach.metadataAddresses)
    rules.push(
      ...listRules(
        METADATA_CIDRS.map((cidr) => ({ cidr })),
        'drop',
      ),
    );
  rules.push(...listRules(reach.deny, 'drop'));
  if (reach.allow.length === 0) return rules;

  for (const family of FAMILIES) {
    const host = addressSet(reach.hostAddresses, family);
    if (!host) continue;
    rules.push(
      ...reach.hostPorts.map(
        ({ protocol, ports }) =>
          `${ip(family)} daddr ${host} ${protocol} dport ${checkedPorts(ports)} return`,
      ),
    );
  }
  if (reach.jobToJob) rules.push('ip daddr @job4 return', 'ip6 daddr @job6 return');
  rules.push(
    // Groups and neighbours; nothing of it is routed.
    'ip6 daddr { fe80::/10, ff00::/8 } return',
    ...listRules(reach.allow, 'return'),
    // Later fragments carry no ports; without the first one, which is judged above, they are of no use.
    ...FAMILIES.flatMap((family) => {
      const withPorts = reach.allow.filter(({ protocol }) => protocol !== undefined);
      const ranges = intervalSet(withPorts, family);
      const later = family === 'ipv4' ? 'ip frag-off & 0x1fff != 0' : 'frag frag-off != 0';
      return ranges ? [`${ip(family)} daddr ${ranges} ${later} return`] : [];
    }),
    'drop',
  );
  return rules;
}

/** `return` instead of `accept`: other hooks have a say too. */
function listRules(list: readonly Destination[], verdict: 'drop' | 'return'): string[] {
  const rules: string[] = [];
  const whole = list.filter(({ protocol }) => protocol === undefined);
  for (const family of FAMILIES) {
    const ranges = intervalSet(whole, family);
    if (ranges) rules.push(`${ip(family)} daddr ${ranges} ${verdict}`);
  }
  for (const { cidr, protocol, ports } of list) {
    if (protocol === undefined) continue;
    const family = ipaddr.parseCIDR(cidr)[0].kind();
    const what =
      ports === undefined ? `meta l4proto ${protocol}` : `${protocol} dport ${checkedPorts(ports)}`;
    rules.push(`${ip(family)} daddr ${intervalSet([{ cidr }], family)} ${what} ${verdict}`);
  }
  return rules;
}

/** @throws UserError */
export function checkedPorts(ports: string): string {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(ports);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (!(first >= 1 && first <= last && last <= 65_535)) {
    throw new UserError(`isolation: "${ports}" is no port and no range of ports; write 443 or 50000-51000`);
  }
  return first === last ? `${first}` : `${first}-${last}`;
}

function intervalSet(list: readonly { cidr: string }[], family: Family): string | undefined {
  const ranges = disjointRanges(
    list.map(({ cidr }) => ({ cidr, value: true })),
    family,
  );
  if (ranges.length === 0) return undefined;
  return `{ ${ranges.map((range) => rangeText(range, family)).join(', ')} }`;
}

function addressSet(addresses: readonly string[], family: Family): string | undefined {
  const length = family === 'ipv4' ? 32 : 128;
  const own = addresses.filter((address) => ipaddr.parse(address).kind() === family);
  return intervalSet(
    own.map((address) => ({ cidr: `${ipaddr.parse(address)}/${length}` })),
    family,
  );
}

function ip(family: Family): 'ip' | 'ip6' {
  return family === 'ipv4' ? 'ip' : 'ip6';
}
