import { UserError } from '../../errors.ts';
import type { WorkerConfig } from '../config.ts';
import { type Connection, type HostFacts, JOB_INTERFACE, JOB_NETNS, type JobNetwork } from '../types.ts';
import { gatewayOf } from './bridge.ts';
import { readDevice } from './state.ts';

/** The site's network as the bridge sees it; where the configuration is silent, jobs are configured as the host is. */
export interface BridgeFacts {
  mtu: number;
  ipv4PrefixLength?: number;
  ipv6PrefixLength?: number;
  ipv4Gateway?: string;
  ipv6Gateway?: string;
}

/** @throws CommandError where there is no bridge */
export async function readBridgeFacts({ bridge }: Pick<WorkerConfig, 'bridge'>): Promise<BridgeFacts> {
  const state = await readDevice(bridge.name);
  const prefix = (family: 'inet' | 'inet6') =>
    state.addresses.find((address) => address.family === family && address.scope === 'global')?.prefixlen;
  const ipv4PrefixLength = bridge.ipv4PrefixLength ?? prefix('inet');
  const ipv6PrefixLength = bridge.ipv6PrefixLength ?? prefix('inet6');
  const ipv4Gateway = bridge.ipv4Gateway ?? gatewayOf(state, 'inet');
  const ipv6Gateway = bridge.ipv6Gateway ?? gatewayOf(state, 'inet6');
  return {
    mtu: state.mtu,
    ...(ipv4PrefixLength !== undefined && { ipv4PrefixLength }),
    ...(ipv6PrefixLength !== undefined && { ipv6PrefixLength }),
    ...(ipv4Gateway !== undefined && { ipv4Gateway }),
    ...(ipv6Gateway !== undefined && { ipv6Gateway }),
  };
}

/**
 * Mode bridge: the job is a machine of the site's own network, behind a port of the bridge that is isolated from those of
 * the other jobs.
 * @throws UserError where an address has no known prefix length
 */
export function planBridge(
  { lease }: JobNetwork,
  _host: Pick<HostFacts, 'uplinkMtu'>,
  config: Pick<WorkerConfig, 'bridge' | 'isolation'>,
  facts: BridgeFacts,
): Connection {
  const { name, ipv4, ipv6, mac } = lease;
  const { mtu } = facts;
  const isolated = config.isolation.jobToJob ? 'off' : 'on';
  return {
    hostUp: [
      `link add ${name} mtu ${mtu} type veth peer name ${JOB_INTERFACE}${mac ? ` address ${mac}` : ''} mtu ${mtu} netns ${JOB_NETNS}`,
      // The host has no business of its own on a port.
      `link set ${name} addrgenmode none`,
      `link set ${name} master ${config.bridge.name}`,
      `link set ${name} type bridge_slave isolated ${isolated} guard on`,
      `link set ${name} up`,
    ],
    sysctls: [],
    jobUp: [
      'link set lo up',
      ...(ipv4 ? [addressLine(ipv4, facts.ipv4PrefixLength, 'bridge.ipv4PrefixLength')] : []),
      ...(ipv6 ? [`${addressLine(ipv6, facts.ipv6PrefixLength, 'bridge.ipv6PrefixLength')} nodad`] : []),
      `link set ${JOB_INTERFACE} up`,
      ...(ipv4 && facts.ipv4Gateway ? [defaultRoute('default', facts.ipv4Gateway)] : []),
      ...(ipv6 && facts.ipv6Gateway ? [defaultRoute('::/0', facts.ipv6Gateway)] : []),
    ],
  };
}

function addressLine(address: string, prefixLength: number | undefined, key: string): string {
  if (prefixLength === undefined) {
    throw new UserError(
      `the bridge has no address that tells how large the network of ${address} is: set ${key}`,
    );
  }
  return `addr add ${address}/${prefixLength} dev ${JOB_INTERFACE}`;
}

function defaultRoute(destination: string, gateway: string): string {
  return `route add ${destination} via ${gateway} dev ${JOB_INTERFACE} onlink`;
}
