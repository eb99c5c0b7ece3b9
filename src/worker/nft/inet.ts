import ipaddr from 'ipaddr.js';
import { canonicalCidr, type Family } from '../accounting/ranges.ts';
import { PROTOCOLS } from '../types.ts';
import { TABLE } from './names.ts';
import { checkedPorts, type ReachRules } from './reach.ts';

export interface InetOptions {
  ipv4Pool: string;
  /** Absent: no IPv6 in mode nat. */
  ipv6Pool?: string;
  reach: ReachRules;
  /** Of one job, at once; absent: as many as it likes. */
  maxConnections?: number;
}

/**
 * The static part of routing: one masquerade a pool, forwarded ports, and what jobs may ask of the host itself. Holds
 * nothing of any job, and may be loaded again while jobs run.
 */
export function inetTable({ ipv4Pool, ipv6Pool, reach, maxConnections }: InetOptions): string {
  const pools = [ipv4Pool, ...(ipv6Pool === undefined ? [] : [ipv6Pool])].map((cidr) => ({
    ip: ipWord(ipaddr.parseCIDR(cidr)[0].kind()),
    cidr: canonicalCidr(cidr),
  }));
  const chains = ['host', 'connections', 'jobs', 'prerouting', 'output', 'input', 'forward', 'postrouting'];
  const hooks = [
    `add chain inet ${TABLE} prerouting { type nat hook prerouting priority dstnat; policy accept; }`,
    `add chain inet ${TABLE} output { type nat hook output priority -100; policy accept; }`,
    `add chain inet ${TABLE} input { type filter hook input priority filter; policy accept; }`,
    `add chain inet ${TABLE} forward { type filter hook forward priority filter; policy accept; }`,
    `add chain inet ${TABLE} postrouting { type nat hook postrouting priority srcnat; policy accept; }`,
  ];
  return [
    `add table inet ${TABLE}`,
    `add chain inet ${TABLE} host`,
    `add chain inet ${TABLE} connections`,
    `add chain inet ${TABLE} jobs`,
    ...hooks,
    ...chains.map((chain) => `flush chain inet ${TABLE} ${chain}`),
    `table inet ${TABLE} {`,
    "  # Routed jobs by the host's end of their veth; those of bridge mode by their address.",
    '  set nat_jobs { type ifname; }',
    '  set bridge4 { type ipv4_addr; }',
    '  set bridge6 { type ipv6_addr; }',
    '  map upload { type ifname : classid; }',
    '  map forward4 { type inet_proto . inet_service : ipv4_addr . inet_service; }',
    '  map forward6 { type inet_proto . inet_service : ipv6_addr . inet_service; }',
    '  # Of a job with ports, twice its device: the way to itself by the address of the host.',
    '  set hairpin { type ifname . ifname; }',
    '  # Of each job, those that the kernel has in its table of connections.',
    '  set connections { type ifname; flags dynamic; }',
    '  set connections4 { type ipv4_addr; flags dynamic; }',
    '  set connections6 { type ipv6_addr; flags dynamic; }',
    '  chain prerouting {',
    '    fib daddr type local dnat ip to meta l4proto . th dport map @forward4',
    '    fib daddr type local dnat ip6 to meta l4proto . th dport map @forward6',
    '  }',
    "  # From the host itself, to its own address; its loopback is not the job's.",
    '  chain output {',
    '    oifname "lo" ip daddr != 127.0.0.0/8 dnat ip to meta l4proto . th dport map @forward4',
    '    oifname "lo" ip6 daddr != ::1 dnat ip6 to meta l4proto . th dport map @forward6',
    '  }',
    '  # From job to job.',
    '  chain jobs {',
    ...(reach.jobToJob ? ['    return'] : ['    iifname . oifname @hairpin return', '    drop']),
    '  }',
    '  # What is for the host itself, from a job.',
    '  chain host {',
    '    ct state established,related return',
    '    icmp type echo-request return',
    '    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report, echo-request } return',
    ...nameserverRules(reach).map((rule) => `    ${rule}`),
    ...reach.hostPorts.map(({ protocol, ports }) => `    ${protocol} dport ${checkedPorts(ports)} return`),
    '    drop',
    '  }',
    '  # The first packet of each connection, whoever began it.',
    '  chain connections {',
    ...connectionRules(maxConnections).map((rule) => `    ${rule}`),
    '  }',
    '  chain input {',
    `    ${BEGINS} jump connections`,
    '    iifname @nat_jobs goto host',
    '    ip saddr @bridge4 goto host',
    '    ip6 saddr @bridge6 goto host',
    '  }',
    '  chain forward {',
    `    ${BEGINS} jump connections`,
    "    # The kernel gave a forwarded IPv4 packet a priority of its own, after the job's chain had.",
    '    meta priority set iifname map @upload',
    '    iifname @nat_jobs oifname @nat_jobs goto jobs',
    ...(reach.jobToJob
      ? []
      : ['    ip saddr @bridge4 oifname @nat_jobs drop', '    ip6 saddr @bridge6 oifname @nat_jobs drop']),
    '    # From outside comes only what was asked for, and what was granted a port.',
    '    oifname @nat_jobs ct state established,related return',
    '    oifname @nat_jobs ct status dnat return',
    '    oifname @nat_jobs drop',
    '  }',
    '  chain postrouting {',
    ...pools.map(({ ip, cidr }) => `    ${ip} saddr ${cidr} ${ip} daddr != ${cidr} masquerade`),
    '    # What comes back to the job that sent it would have its own address as sender.',
    '    iifname . oifname @hairpin masquerade',
    '  }',
    '}',
  ].join('\n');
}

/** A connection that is not in the kernel's table yet: each is counted once, and most packets not at all. */
const BEGINS = 'ct status & confirmed != confirmed';

/** Frames of a bridge come here where br_netfilter hands them to the host's own rules. */
function connectionRules(most: number | undefined): string[] {
  if (most === undefined) return [];
  const over = (set: string, key: string) => `add @${set} { ${key} ct count over ${most} } drop`;
  return [
    `iifname @nat_jobs ${over('connections', 'iifname')}`,
    `oifname @nat_jobs ${over('connections', 'oifname')}`,
    `ip saddr @bridge4 ${over('connections4', 'ip saddr')}`,
    `ip6 saddr @bridge6 ${over('connections6', 'ip6 saddr')}`,
  ];
}

function nameserverRules({ nameservers }: ReachRules): string[] {
  return nameservers.flatMap((address) => {
    const parsed = ipaddr.parse(address);
    return PROTOCOLS.map(
      (protocol) => `${ipWord(parsed.kind())} daddr ${parsed} ${protocol} dport 53 return`,
    );
  });
}

function ipWord(family: Family): 'ip' | 'ip6' {
  return family === 'ipv4' ? 'ip' : 'ip6';
}
