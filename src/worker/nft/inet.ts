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
}

/**
 * The static part of routing: one masquerade a pool, forwarded ports, and what jobs may ask of the host itself. Holds
 * nothing of any job, and may be loaded again while jobs run.
 */
export function inetTable({ ipv4Pool, ipv6Pool, reach }: InetOptions): string {
  const pools = [ipv4Pool, ...(ipv6Pool === undefined ? [] : [ipv6Pool])].map((cidr) => ({
    ip: ipWord(ipaddr.parseCIDR(cidr)[0].kind()),
    cidr: canonicalCidr(cidr),
  }));
  const chains = ['host', 'prerouting', 'input', 'forward', 'postrouting'];
  const hooks = [
    `add chain inet ${TABLE} prerouting { type nat hook prerouting priority dstnat; policy accept; }`,
    `add chain inet ${TABLE} input { type filter hook input priority filter; policy accept; }`,
    `add chain inet ${TABLE} forward { type filter hook forward priority filter; policy accept; }`,
    `add chain inet ${TABLE} postrouting { type nat hook postrouting priority srcnat; policy accept; }`,
  ];
  return [
    `add table inet ${TABLE}`,
    `add chain inet ${TABLE} host`,
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
    '  chain prerouting {',
    '    fib daddr type local dnat ip to meta l4proto . th dport map @forward4',
    '    fib daddr type local dnat ip6 to meta l4proto . th dport map @forward6',
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
    '  chain input {',
    '    iifname @nat_jobs goto host',
    '    ip saddr @bridge4 goto host',
    '    ip6 saddr @bridge6 goto host',
    '  }',
    '  chain forward {',
    "    # The kernel gave a forwarded IPv4 packet a priority of its own, after the job's chain had.",
    '    meta priority set iifname map @upload',
    ...(reach.jobToJob
      ? ['    iifname @nat_jobs oifname @nat_jobs return']
      : [
          '    iifname @nat_jobs oifname @nat_jobs drop',
          '    ip saddr @bridge4 oifname @nat_jobs drop',
          '    ip6 saddr @bridge6 oifname @nat_jobs drop',
        ]),
    '    # From outside comes only what was asked for, and what was granted a port.',
    '    oifname @nat_jobs ct state established,related return',
    '    oifname @nat_jobs ct status dnat return',
    '    oifname @nat_jobs drop',
    '  }',
    '  chain postrouting {',
    ...pools.map(({ ip, cidr }) => `    ${ip} saddr ${cidr} ${ip} daddr != ${cidr} masquerade`),
    '  }',
    '}',
  ].join('\n');
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
