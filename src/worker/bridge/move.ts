import ipaddr from 'ipaddr.js';
import type { Address, DeviceState, Route } from './state.ts';

/** Lifetimes without end, as `ip -j` writes them. */
const FOREVER = 2 ** 32 - 1;

/**
 * Lines of `ip -batch` that put a device under a bridge of its own, with its addresses and routes. The new place is ready
 * before the old one goes: nothing is unreachable for longer than it takes to run them.
 */
export function bridgeUpLines(name: string, state: DeviceState): string[] {
  const { device, mac, mtu } = state;
  return [
    // No delay: a job does not wait until a tree of bridges that is none is found to be one.
    `link add name ${name} address ${mac} mtu ${mtu} type bridge forward_delay 0 stp_state 0`,
    `link set dev ${name} up`,
    ...addresses(state).map((address) => addAddress(address, name)),
    `link set dev ${device} master ${name}`,
    ...routes(state).map((route) => replaceRoute(route, name)),
    ...addresses(state).map(({ local, prefixlen }) => `addr del ${local}/${prefixlen} dev ${device}`),
  ];
}

/**
 * The way back, to the state from which it was left. Run with -force: it mends any half of `bridgeUpLines` and of itself.
 */
export function bridgeDownLines(name: string, state: DeviceState): string[] {
  const { device } = state;
  return [
    `link set dev ${device} nomaster`,
    `link set dev ${device} up`,
    ...addresses(state).map((address) => addAddress(address, device)),
    ...routes(state).map((route) => replaceRoute(route, device)),
    `link del dev ${name}`,
    // What the bridge held may have shadowed routes that the kernel made.
    ...routes(state).map((route) => replaceRoute(route, device)),
  ];
}

/** Those of a link's own scope the kernel makes on any device. */
function addresses(state: DeviceState): Address[] {
  return state.addresses.filter(({ scope }) => scope !== 'link' && scope !== 'host');
}

function addAddress(address: Address, device: string): string {
  const { family, local, prefixlen, broadcast, scope, noprefixroute } = address;
  const life = (word: string, seconds: number | undefined) =>
    seconds === undefined || seconds === FOREVER ? [] : [word, String(seconds)];
  return [
    `addr replace ${checked(local)}/${prefixlen}`,
    ...(broadcast ? [`broadcast ${checked(broadcast)}`] : []),
    `dev ${device} scope ${word(scope)}`,
    ...life('valid_lft', address.valid_life_time),
    ...life('preferred_lft', address.preferred_life_time),
    // It was this machine's before.
    ...(family === 'inet6' ? ['nodad'] : []),
    ...(noprefixroute ? ['noprefixroute'] : []),
  ].join(' ');
}

/** Networks before gateways, which lie in them; without those that come with an address. */
function routes(state: DeviceState): Route[] {
  const areOwn = state.addresses.some(({ noprefixroute }) => noprefixroute);
  return state.routes
    .filter(({ table, type, dst, protocol }) => {
      if (table === 'local' || (type !== undefined && type !== 'unicast')) return false;
      if (dst.startsWith('fe80:') || dst.startsWith('ff00:')) return false;
      return protocol !== 'kernel' || areOwn;
    })
    .sort((a, b) => Number(gatewayOf(a) !== undefined) - Number(gatewayOf(b) !== undefined));
}

function replaceRoute(route: Route, device: string): string {
  const gateway = gatewayOf(route);
  const dst = route.dst === 'default' ? 'default' : destination(route.dst);
  return [
    `route replace ${route.family === 'inet6' && dst === 'default' ? '::/0' : dst}`,
    ...(gateway ? [`via ${checked(gateway)}`] : []),
    `dev ${device}`,
    ...(route.protocol ? [`proto ${word(route.protocol)}`] : []),
    ...(route.scope ? [`scope ${word(route.scope)}`] : []),
    ...(route.prefsrc ? [`src ${checked(route.prefsrc)}`] : []),
    ...(route.metric !== undefined ? [`metric ${route.metric}`] : []),
    ...(route.table ? [`table ${word(route.table)}`] : []),
    ...(route.flags?.includes('onlink') ? ['onlink'] : []),
  ].join(' ');
}

function gatewayOf({ gateway, via }: Route): string | undefined {
  return gateway ?? via?.host;
}

function checked(address: string): string {
  return ipaddr.parse(address).toString();
}

function destination(dst: string): string {
  if (!dst.includes('/')) return checked(dst);
  const [address, length] = ipaddr.parseCIDR(dst);
  return `${address}/${length}`;
}

/** What `ip` itself wrote; a word or a number. */
function word(text: string): string {
  if (!/^[\w.-]+$/.test(text)) throw new Error(`"${text}" is no word of ip`);
  return text;
}
