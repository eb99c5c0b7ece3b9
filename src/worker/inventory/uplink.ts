import type { DefaultRoute, Link, Snapshot } from './snapshot.ts';

/** What is known of the uplink's speed, and how it came to be known: a sentence a step. */
export interface UplinkSpeed {
  /** The devices that the default route leads to; empty where there is no default route. */
  devices: string[];
  /** Absent where the kernel does not tell. */
  mbps?: number;
  steps: string[];
}

/**
 * Kinds of links that carry a name for a speed and no wire: what veth and tun say (10000) is the same on every machine,
 * and the others pass packets on to links that are not theirs.
 */
const WITHOUT_WIRE: ReadonlySet<string> = new Set(
  'veth tun dummy ifb wireguard gre gretap ip6gre ip6gretap ipip sit ip6tnl vxlan geneve ppp nlmon openvswitch'.split(
    ' ',
  ),
);
const OVER_ONE: ReadonlySet<string> = new Set(['vlan', 'macvlan', 'macvtap', 'ipvlan', 'ipvtap', 'macsec']);

/**
 * The speed of what leads outside: the default route (IPv4 first) gives the device; a VLAN, macvlan or macsec is as
 * fast as what lies under it, a bond as its active members together, a bridge as the slowest of its ports that are
 * not made of software. One number stands for both directions: where they differ, it is the smaller one.
 *
 * @param device instead of the default route's
 */
export function uplinkSpeed(snapshot: Snapshot, device?: string): UplinkSpeed {
  const steps: string[] = [];
  const say = (text: string): void => {
    steps.push(text);
  };
  const devices = device === undefined ? routeDevices(snapshot, say) : [device];
  if (device !== undefined) say(`the configuration names the uplink: ${device}`);
  const mbps = together(devices.map((name) => speedOf(name, snapshot, say, new Set())));
  if (devices.length > 1 && mbps !== undefined) say(`the route's devices together: ${mbps} Mb/s`);
  return { devices, ...(mbps !== undefined && { mbps }), steps };
}

function routeDevices(snapshot: Snapshot, say: (text: string) => void): string[] {
  for (const [family, routes] of [
    ['IPv4', snapshot.ipv4Routes],
    ['IPv6', snapshot.ipv6Routes],
  ] as const) {
    // Stable: of routes with the same metric, the kernel's first one.
    const [best] = routes.filter((route) => leadsOut(route)).sort((a, b) => a.metric - b.metric);
    if (best === undefined) {
      say(`no default route for ${family}`);
      continue;
    }
    const devices = [...new Set(hops(best))];
    say(`the default route for ${family} leads to ${devices.join(' and ')}`);
    return devices;
  }
  return [];
}

const isAlive = (flags: readonly string[]): boolean => !flags.includes('dead') && !flags.includes('linkdown');

const hops = (route: DefaultRoute): string[] =>
  route.nexthops?.filter(({ flags }) => isAlive(flags)).map(({ dev }) => dev) ??
  (route.dev !== undefined && isAlive(route.flags) ? [route.dev] : []);

const leadsOut = (route: DefaultRoute): boolean =>
  (route.type === undefined || route.type === 'unicast') && hops(route).length > 0;

/** Undefined as soon as one of them is unknown: a sum without it would be wrong. */
function together(speeds: readonly (number | undefined)[]): number | undefined {
  let sum: number | undefined;
  for (const speed of speeds) {
    if (speed === undefined) return undefined;
    sum = (sum ?? 0) + speed;
  }
  return sum;
}

function speedOf(
  name: string,
  snapshot: Snapshot,
  say: (text: string) => void,
  above: ReadonlySet<string>,
): number | undefined {
  const link = snapshot.links.find(({ ifname }) => ifname === name);
  if (link === undefined) {
    say(`there is no device ${name}`);
    return undefined;
  }
  // The kernel lets no device lie over itself; a snapshot could.
  if (above.has(name)) return undefined;
  const path = new Set([...above, name]);
  const below = (lower: string): number | undefined => speedOf(lower, snapshot, say, path);
  const kind = link.linkinfo?.info_kind;
  if (kind === 'bond') return bondSpeed(link, snapshot, say, below);
  if (kind === 'bridge') return bridgeSpeed(link, snapshot, say, below);
  if (kind !== undefined && OVER_ONE.has(kind)) {
    if (link.link === undefined) {
      say(`${name} is a ${kind} over a device in another network namespace`);
      return undefined;
    }
    say(`${name} is a ${kind} over ${link.link}`);
    return below(link.link);
  }
  if (kind !== undefined && WITHOUT_WIRE.has(kind)) {
    say(`${name} is a ${kind}, which has no speed of its own`);
    return undefined;
  }
  const mbps = snapshot.speedMbps[name];
  if (mbps === undefined || mbps <= 0 || mbps >= UNKNOWN_SPEED) {
    say(`the driver of ${name} tells no speed${isUp(link) ? '' : ' (it is down)'}`);
    return undefined;
  }
  say(`${name} runs at ${mbps} Mb/s`);
  return mbps;
}

/** SPEED_UNKNOWN of the kernel is -1, which some versions print without its sign. */
const UNKNOWN_SPEED = 0xffff_ffff;

const isUp = (link: Link): boolean => link.operstate === 'UP' || link.operstate === 'UNKNOWN';

/**
 * Modes as the kernel's bonding documentation has them. One member at a time carries what arrives in active-backup and
 * in balance-tlb (which spreads only what is sent); broadcast sends all over each; the others spread both directions.
 */
function bondSpeed(
  bond: Link,
  snapshot: Snapshot,
  say: (text: string) => void,
  below: (lower: string) => number | undefined,
): number | undefined {
  const { ifname, linkinfo } = bond;
  const mode = linkinfo?.info_data?.mode ?? 'unknown';
  const aggregator = linkinfo?.info_data?.ad_info?.aggregator;
  const members = snapshot.links.filter((link) => link.master === ifname);
  const active = members.filter((link) => {
    const data = link.linkinfo?.info_slave_data;
    if (!isUp(link) || (data?.mii_status ?? 'UP') !== 'UP') return false;
    return mode !== '802.3ad' || aggregator === undefined || data?.ad_aggregator_id === aggregator;
  });
  say(
    `${ifname} is a bond in mode ${mode}; of its members ${names(members)}, ${names(active)} ${active.length === 1 ? 'is' : 'are'} active`,
  );
  if (mode === 'active-backup' || mode === 'balance-tlb') {
    const current = linkinfo?.info_data?.active_slave;
    const one =
      active.find((link) => link.ifname === current) ??
      active.find((link) => link.linkinfo?.info_slave_data?.state === 'ACTIVE') ??
      active[0];
    if (one === undefined) return undefined;
    say(`in this mode what arrives comes over ${one.ifname} alone`);
    return below(one.ifname);
  }
  const speeds = active.map((link) => below(link.ifname));
  if (mode === 'broadcast') {
    say('in this mode all members carry the same');
    return slowest(speeds);
  }
  const sum = together(speeds);
  if (sum !== undefined) say(`${ifname}: ${sum} Mb/s together`);
  return sum;
}

function bridgeSpeed(
  bridge: Link,
  snapshot: Snapshot,
  say: (text: string) => void,
  below: (lower: string) => number | undefined,
): number | undefined {
  const ports = snapshot.links.filter((link) => link.master === bridge.ifname);
  const outside = ports.filter((link) => {
    const kind = link.linkinfo?.info_kind;
    const state = link.linkinfo?.info_slave_data?.state ?? 'forwarding';
    return isUp(link) && state === 'forwarding' && (kind === undefined || !WITHOUT_WIRE.has(kind));
  });
  if (outside.length === 0) {
    say(`${bridge.ifname} is a bridge without a port that leads outside (${names(ports)})`);
    return undefined;
  }
  say(`${bridge.ifname} is a bridge; ${names(outside)} ${outside.length === 1 ? 'leads' : 'lead'} outside`);
  const speed = slowest(outside.map((link) => below(link.ifname)));
  if (outside.length > 1 && speed !== undefined) {
    say(`behind which port the gateway is may change, so the slowest counts: ${speed} Mb/s`);
  }
  return speed;
}

function slowest(speeds: readonly (number | undefined)[]): number | undefined {
  return together(speeds) === undefined ? undefined : Math.min(...(speeds as number[]));
}

const names = (links: readonly Link[]): string => links.map(({ ifname }) => ifname).join(', ') || 'none';
