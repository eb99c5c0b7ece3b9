import { type ClassTable, LINK_LOCAL_CLASS } from '../accounting/classes.ts';
import { type Family, type Range, rangeText } from '../accounting/ranges.ts';
import { classSet, DIRECTIONS, type Direction, TABLE } from './names.ts';
import { destinationRules, NEIGHBOURS, type ReachRules } from './reach.ts';

export interface NetdevOptions {
  classes: ClassTable;
  reach: ReachRules;
  /** Drawn anew whenever the table is made: counters of another epoch are other counters. 32 bits, not 0. */
  epoch: number;
}

/** The bit of an Ethernet address that says multicast or broadcast. */
const GROUP = 'ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00';

/**
 * The static part of what happens at a job's veth: its counting, and whom it may reach. It is the same for every mode,
 * holds nothing of any job, and may be loaded again while jobs run: only static chains and maps are flushed.
 *
 * A packet's cost does not depend on the number of jobs: hash lookups by interface, and a search among CIDRs.
 */
export function netdevTable({ classes, reach, epoch }: NetdevOptions): string {
  // nft 1.0.6 resolves a verdict only to a chain that was added before the map.
  const chains = [
    ...DIRECTIONS.flatMap((direction) => classes.names.map((name) => classSet(direction, name))),
    ...['out4', 'out6', 'in4', 'in6', 'link_local', 'reach', 'from_job', 'from_nowhere', 'to_job'],
  ];
  const maps = DIRECTIONS.flatMap((direction) => [
    classMap(direction, 'ipv4', classes.ipv4),
    classMap(direction, 'ipv6', classes.ipv6),
  ]);
  return [
    `add table netdev ${TABLE}`,
    ...chains.flatMap((chain) => [
      `add chain netdev ${TABLE} ${chain}`,
      `flush chain netdev ${TABLE} ${chain}`,
    ]),
    ...maps.flatMap(({ name, type }) => [
      `add map netdev ${TABLE} ${name} { type ${type} : verdict; flags interval; }`,
      `flush map netdev ${TABLE} ${name}`,
    ]),
    `table netdev ${TABLE} {`,
    '  set epoch { type mark; }',
    '  # Addresses of the jobs of this host.',
    '  set job4 { type ipv4_addr; }',
    '  set job6 { type ipv6_addr; }',
    ...DIRECTIONS.flatMap((direction) =>
      classes.names.flatMap((name) => [
        `  set ${classSet(direction, name)} { type ifname; counter; }`,
        `  chain ${classSet(direction, name)} {`,
        `    ${direction === 'out' ? 'iifname' : 'oifname'} @${classSet(direction, name)}`,
        '  }',
      ]),
    ),
    ...maps.flatMap(({ name, type, elements }) => [
      `  map ${name} {`,
      `    type ${type} : verdict; flags interval;`,
      `    elements = { ${elements.join(', ')} }`,
      '  }',
    ]),
    ...DIRECTIONS.flatMap((direction) => {
      const other = direction === 'out' ? 'daddr' : 'saddr';
      const rest = classSet(direction, classes.defaultClass);
      const group = `    ${GROUP} goto ${classSet(direction, LINK_LOCAL_CLASS)}`;
      return [
        `  chain ${direction}4 {`,
        group,
        `    ip ${other} vmap @${direction}_class4`,
        `    goto ${rest}`,
        '  }',
        `  chain ${direction}6 {`,
        group,
        `    icmpv6 type ${NEIGHBOURS} goto ${classSet(direction, LINK_LOCAL_CLASS)}`,
        `    ip6 ${other} vmap @${direction}_class6`,
        `    goto ${rest}`,
        '  }',
      ];
    }),
    '  # From an address that is not routed a job may do no more than find its neighbours.',
    '  chain link_local {',
    '    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report } return',
    '    drop',
    '  }',
    '  chain reach {',
    ...destinationRules(reach).map((rule) => `    ${rule}`),
    '  }',
    '  # Every packet of a job that its own chain found to be honest.',
    '  chain from_job {',
    '    # No VLAN tags, no spanning tree, nothing that is not of a host.',
    '    ether type != { ip, ip6, arp } drop',
    '    udp sport { 67, 547 } drop',
    '    ip6 saddr { ::, fe80::/10 } jump link_local',
    '    meta protocol ip jump out4',
    '    meta protocol ip6 jump out6',
    '    meta protocol { ip, ip6 } jump reach',
    '  }',
    "  # From none of the job's addresses it may ask whether one is taken.",
    '  chain from_nowhere {',
    '    arp saddr ip 0.0.0.0 goto from_job',
    '    ip6 saddr :: goto from_job',
    '    drop',
    '  }',
    '  chain to_job {',
    '    meta protocol ip goto in4',
    '    meta protocol ip6 goto in6',
    '  }',
    '}',
    // Redundant elements are no error; a second epoch would be.
    `add element netdev ${TABLE} epoch { ${epochMark(epoch)} }`,
  ].join('\n');
}

/** @throws RangeError */
export function epochMark(epoch: number): string {
  if (!Number.isInteger(epoch) || epoch < 1 || epoch > 0xffff_ffff) {
    throw new RangeError(`an epoch is a whole number between 1 and 2^32 - 1, got ${epoch}`);
  }
  return `0x${epoch.toString(16).padStart(8, '0')}`;
}

function classMap(direction: Direction, family: Family, ranges: readonly Range<string>[]) {
  return {
    name: `${direction}_class${family === 'ipv4' ? 4 : 6}`,
    type: family === 'ipv4' ? 'ipv4_addr' : 'ipv6_addr',
    elements: ranges.map((range) => `${rangeText(range, family)} : goto ${classSet(direction, range.value)}`),
  };
}
