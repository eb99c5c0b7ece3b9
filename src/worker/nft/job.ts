import ipaddr from 'ipaddr.js';
import { classNames } from '../accounting/classes.ts';
import type { WorkerConfig } from '../config.ts';
import { classIdOf } from '../shaping/classid.ts';
import type { JobNetwork, Pieces } from '../types.ts';
import { classSet, DIRECTIONS, jobChains, jobName, TABLE } from './names.ts';

type NftPieces = Pick<Pieces, 'nftUp' | 'nftDown'>;
const UNICAST = 'ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00';

/**
 * What one job adds to the static ruleset: its two base chains, which bind its addresses, and its elements. May be loaded
 * again while the job runs. Mode none has nothing.
 * @throws UserError where the site's classes cannot be used
 */
export function nftPieces(network: JobNetwork, config: Pick<WorkerConfig, 'accounting'>): NftPieces {
  if (network.request.mode === 'none') return { nftUp: [], nftDown: [] };
  const name = jobName(network.lease);
  const elements = jobElements(network, config);
  const { from, to } = jobChains(network.lease);
  const chain = (verb: string, which: string) => `${verb} chain netdev ${TABLE} ${which}`;
  const hook = (which: string) =>
    `{ type filter hook ${which} device "${name}" priority filter; policy accept; }`;
  return {
    nftUp: [
      ...elements.map(({ where, key, value }) => `add element ${where} { ${key}${value} }`),
      `${chain('add', from)} ${hook('ingress')}`,
      chain('flush', from),
      ...fromJob(network).map((rule) => `add rule netdev ${TABLE} ${from} ${rule}`),
      `${chain('add', to)} ${hook('egress')}`,
      chain('flush', to),
      ...toJob(network).map((rule) => `add rule netdev ${TABLE} ${to} ${rule}`),
    ],
    nftDown: [
      // nft 1.0.6 has no `destroy`: what is added first can be deleted whether or not it was there. Without its hook in the
      // text, as the device may be gone.
      ...[from, to].flatMap((which) => [chain('add', which), chain('flush', which), chain('delete', which)]),
      ...[...elements, ...connectionElements(network)].flatMap(({ where, key, value }) => [
        `add element ${where} { ${key}${value} }`,
        `delete element ${where} { ${key} }`,
      ]),
    ],
  };
}

interface Element {
  /** Family, table and set. */
  where: string;
  key: string;
  /** ` : data` of a map. */
  value: string;
}

/** No two jobs share a key: names, addresses and ports are leased exclusively. */
function jobElements({ request, lease }: JobNetwork, config: Pick<WorkerConfig, 'accounting'>): Element[] {
  const name = `"${jobName(lease)}"`;
  const ipv4 = lease.ipv4 === undefined ? [] : [ipaddr.IPv4.parse(lease.ipv4).toString()];
  const ipv6 = lease.ipv6 === undefined ? [] : [ipaddr.IPv6.parse(lease.ipv6).toString()];
  const element = (family: 'inet' | 'netdev', set: string, key: string, value = ''): Element => ({
    where: `${family} ${TABLE} ${set}`,
    key,
    value,
  });
  const both = (family: 'inet' | 'netdev', set: string) => [
    ...ipv4.map((address) => element(family, `${set}4`, address)),
    ...ipv6.map((address) => element(family, `${set}6`, address)),
  ];
  const isRouted = request.mode === 'nat';
  return [
    ...(request.isAccounted
      ? DIRECTIONS.flatMap((direction) =>
          classNames(config.accounting).map((className) =>
            element('netdev', classSet(direction, className), name),
          ),
        )
      : []),
    ...both('netdev', 'job'),
    ...(isRouted ? [element('inet', 'nat_jobs', name)] : both('inet', 'bridge')),
    ...(isRouted && lease.forwards.length > 0 ? [element('inet', 'hairpin', `${name} . ${name}`)] : []),
    ...(isRouted && request.bandwidth ? [element('inet', 'upload', name, ` : ${classIdOf(lease)}`)] : []),
    ...(isRouted
      ? lease.forwards.flatMap(({ protocol, hostPort, jobPort }) => {
          const key = `${protocol} . ${port(hostPort)}`;
          return [
            ...ipv4.map((to) => element('inet', 'forward4', key, ` : ${to} . ${port(jobPort)}`)),
            ...ipv6.map((to) => element('inet', 'forward6', key, ` : ${to} . ${port(jobPort)}`)),
          ];
        })
      : []),
  ];
}

/** Made by the packets that begin connections. */
function connectionElements({ request, lease }: JobNetwork): Element[] {
  const element = (set: string, key: string): Element => ({ where: `inet ${TABLE} ${set}`, key, value: '' });
  if (request.mode === 'nat') return [element('connections', `"${jobName(lease)}"`)];
  return [
    ...(lease.ipv4 === undefined ? [] : [element('connections4', ipaddr.IPv4.parse(lease.ipv4).toString())]),
    ...(lease.ipv6 === undefined ? [] : [element('connections6', ipaddr.IPv6.parse(lease.ipv6).toString())]),
  ];
}

/**
 * The addresses that are this job's and no other's: what comes from elsewhere is dropped before it is counted. Without
 * any set of its own: nft fetches all sets of the host, and what is in those of ranges, each time it is run.
 */
function fromJob({ request, lease }: JobNetwork): string[] {
  const mac = lease.mac === undefined ? undefined : checkedMac(lease.mac);
  const ipv4 = lease.ipv4 === undefined ? undefined : ipaddr.IPv4.parse(lease.ipv4).toString();
  const ipv6 = lease.ipv6 === undefined ? undefined : ipaddr.IPv6.parse(lease.ipv6);
  // On a veth of its own a job has nobody but its gateway to deceive; on the site's network it has neighbours.
  const linkLocal = request.mode === 'bridge' && mac ? linkLocalOf(mac) : undefined;
  const isNotOwn = [ipv6, linkLocal].flatMap((address) => (address ? [`@th,64,128 != ${hex(address)}`] : []));
  return [
    priorityRule({ request, lease }),
    ...(mac ? [`ether saddr != ${mac} drop`] : []),
    ...(linkLocal ? [`icmpv6 type nd-neighbor-advert ${isNotOwn.join(' ')} drop`] : []),
    ...(ipv4 ? [`ip saddr ${ipv4} goto from_job`] : ['meta protocol ip drop', 'meta protocol arp drop']),
    ...(ipv6
      ? [`ip6 saddr ${ipv6} goto from_job`, `ip6 saddr ${linkLocal ?? 'fe80::/10'} goto from_job`]
      : ['meta protocol ip6 drop']),
    ...(mac ? [`arp saddr ether != ${mac} drop`] : []),
    ...(ipv4 ? [`arp saddr ip ${ipv4} goto from_job`] : []),
    // Who has no address yet asks whether one is taken: of another's it would tell a newcomer that it is.
    ...(ipv4 ? [`arp daddr ip != ${ipv4} drop`] : []),
    ...(linkLocal ? [`icmpv6 type nd-neighbor-solicit ${isNotOwn.join(' ')} drop`] : []),
    'goto from_nowhere',
  ];
}

function toJob({ request, lease }: JobNetwork): string[] {
  return [
    // Frames that a bridge floods to all its ports are neither the job's business nor its bytes.
    ...(request.mode === 'bridge' && lease.mac
      ? [`ether daddr != ${checkedMac(lease.mac)} ${UNICAST} drop`]
      : []),
    `${priorityRule({ request, lease })} goto to_job`,
  ];
}

/** Set for every job: one with rights over its own namespace could send with the class of another. */
function priorityRule({ request, lease }: JobNetwork): string {
  return `meta priority set ${request.bandwidth ? classIdOf(lease) : 'none'}`;
}

/** The address that the kernel derives from a MAC (RFC 4291, appendix A). */
export function linkLocalOf(mac: string): ipaddr.IPv6 {
  const bytes = checkedMac(mac)
    .split(':')
    .map((byte) => Number.parseInt(byte, 16));
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  return new ipaddr.IPv6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
}

function hex(address: ipaddr.IPv6): string {
  return `0x${Buffer.from(address.toByteArray()).toString('hex')}`;
}

function checkedMac(mac: string): string {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) throw new Error(`"${mac}" is no MAC address`);
  return mac;
}

function port(number: number): number {
  if (!Number.isInteger(number) || number < 1 || number > 65_535) throw new Error(`${number} is no port`);
  return number;
}
