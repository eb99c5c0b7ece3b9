import type { WorkerConfig } from '../config.ts';
import type { Connection, Lease } from '../types.ts';

const TABLE = 'inet lark_nat';
const FAMILIES = [
  { ip: 'ip', type: 'ipv4_addr', suffix: '4' },
  { ip: 'ip6', type: 'ipv6_addr', suffix: '6' },
] as const;

/**
 * The ruleset of mode nat, whatever the number of jobs: one masquerade a pool, and maps from the host's ports to those of
 * jobs. Can be loaded any number of times; what jobs have in the maps stays.
 */
export function natRuleset(nat: WorkerConfig['nat']): string[] {
  const pools = [nat.ipv4Pool, nat.ipv6Pool];
  const lines = [`add table ${TABLE}`];
  for (const { type, suffix } of FAMILIES) {
    for (const protocol of ['tcp', 'udp']) {
      lines.push(`add map ${TABLE} in_${protocol}${suffix} { type inet_service : ${type} . inet_service; }`);
    }
  }
  const chains = [
    // Before routing for what comes from outside, and on the way out for the host's own programs.
    ['inbound', 'prerouting priority dstnat'],
    ['inbound_local', 'output priority -100'],
    ['outbound', 'postrouting priority srcnat'],
  ] as const;
  for (const [chain, hook] of chains) {
    lines.push(
      `add chain ${TABLE} ${chain} { type nat hook ${hook}; policy accept; }`,
      `flush chain ${TABLE} ${chain}`,
    );
  }
  for (const chain of ['inbound', 'inbound_local']) {
    // A job reaches no other job by way of the host's address.
    if (chain === 'inbound') lines.push(`add rule ${TABLE} ${chain} iifname "lk*" return`);
    for (const { ip, suffix } of FAMILIES) {
      for (const protocol of ['tcp', 'udp']) {
        lines.push(
          `add rule ${TABLE} ${chain} meta nfproto ${ip === 'ip' ? 'ipv4' : 'ipv6'} fib daddr type local ` +
            `dnat ${ip} addr . port to ${protocol} dport map @in_${protocol}${suffix}`,
        );
      }
    }
  }
  for (const [i, { ip }] of FAMILIES.entries()) {
    const pool = pools[i]!;
    if (pool === 'none') continue;
    // From job to job, where the site allows it, each sees the other's own address.
    lines.push(`add rule ${TABLE} outbound ${ip} saddr ${pool} ${ip} daddr != ${pool} masquerade`);
  }
  return lines;
}

/** Takes the whole ruleset away, whether it is there or not. */
export const NAT_RULESET_DOWN = [`add table ${TABLE}`, `delete table ${TABLE}`];

/** The job's entries in the maps of forwarded ports. */
export function forwardElements(lease: Lease): Pick<Connection, 'nftUp' | 'nftDown'> {
  const nftUp: string[] = [];
  const nftDown: string[] = [];
  for (const { protocol, jobPort, hostPort } of lease.forwards) {
    for (const [address, suffix] of [
      [lease.ipv4, '4'],
      [lease.ipv6, '6'],
    ]) {
      if (!address) continue;
      const map = `${TABLE} in_${protocol}${suffix}`;
      const add = `add element ${map} { ${hostPort} : ${address} . ${jobPort} }`;
      nftUp.push(add);
      // nft 1.0 has no "destroy": only what is surely there can be deleted.
      nftDown.push(add, `delete element ${map} { ${hostPort} }`);
    }
  }
  return { nftUp, nftDown };
}
