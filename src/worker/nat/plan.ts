import {
  type Connection,
  type HostFacts,
  JOB_INTERFACE,
  JOB_NETNS,
  type JobNetwork,
  NAT_GATEWAY_IPV4,
  NAT_GATEWAY_IPV6,
} from '../types.ts';

/**
 * Mode nat: a routed veth. The host's end is the gateway 169.254.1.1 (and fe80::1), the same for every job; the job has
 * a /32 (and a /128), which the host routes to its veth. No bridge, so jobs share no link.
 */
export function planNat({ lease }: JobNetwork, host: Pick<HostFacts, 'uplinkMtu'>): Connection {
  const { name, ipv4, ipv6, mac } = lease;
  const mtu = host.uplinkMtu;
  const address = mac ? ` address ${mac}` : '';
  const v4 = ipv4
    ? {
        host: [
          `addr add ${NAT_GATEWAY_IPV4}/32 dev ${name} scope link`,
          `route add ${ipv4}/32 dev ${name} scope link`,
        ],
        job: [
          `addr add ${ipv4}/32 dev ${JOB_INTERFACE}`,
          `route add ${NAT_GATEWAY_IPV4}/32 dev ${JOB_INTERFACE} scope link`,
          `route add default via ${NAT_GATEWAY_IPV4} dev ${JOB_INTERFACE} src ${ipv4}`,
        ],
      }
    : { host: [], job: [] };
  const v6 = ipv6
    ? {
        host: [`addr add ${NAT_GATEWAY_IPV6}/64 dev ${name} nodad`, `route add ${ipv6}/128 dev ${name}`],
        job: [
          `addr add ${ipv6}/128 dev ${JOB_INTERFACE} nodad`,
          `route add ${NAT_GATEWAY_IPV6}/128 dev ${JOB_INTERFACE}`,
          `route add default via ${NAT_GATEWAY_IPV6} dev ${JOB_INTERFACE} src ${ipv6}`,
        ],
      }
    : { host: [], job: [] };
  return {
    hostUp: [
      `link add ${name} mtu ${mtu} type veth peer name ${JOB_INTERFACE}${address} mtu ${mtu} netns ${JOB_NETNS}`,
      // Without it both ends invent link-local addresses, and the first second is spent on looking for duplicates.
      `link set ${name} addrgenmode none`,
      `link set ${name} up`,
      ...v4.host,
      ...v6.host,
    ],
    sysctls: [
      // The job may ask for the gateway's link address, and for no other of the host's.
      { path: `net/ipv4/conf/${name}/arp_ignore`, value: '1' },
      { path: `net/ipv4/conf/${name}/accept_redirects`, value: '0' },
      { path: `net/ipv4/conf/${name}/send_redirects`, value: '0' },
      ...(ipv6
        ? [
            // Whatever a job advertises as a router is not believed.
            { path: `net/ipv6/conf/${name}/accept_ra`, value: '0' },
            { path: `net/ipv6/conf/${name}/accept_redirects`, value: '0' },
          ]
        : []),
    ],
    jobUp: [
      'link set lo up',
      `link set ${JOB_INTERFACE} addrgenmode none`,
      `link set ${JOB_INTERFACE} up`,
      ...v4.job,
      ...v6.job,
    ],
  };
}
