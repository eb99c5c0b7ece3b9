import { classTable } from '../accounting/classes.ts';
import type { WorkerConfig } from '../config.ts';
import type { HostFacts } from '../types.ts';
import { inetTable } from './inet.ts';
import { TABLE } from './names.ts';
import { netdevTable } from './netdev.ts';
import type { ReachRules } from './reach.ts';

export type RulesetConfig = Pick<WorkerConfig, 'nat' | 'isolation' | 'accounting'>;

export interface RulesetFacts {
  host: Pick<HostFacts, 'ipv4' | 'ipv6' | 'hasConnectionCount'>;
  /** Name servers that jobs see. */
  nameservers: readonly string[];
  /** That of the present table, or a random one where there is none: see `readEpoch`. */
  epoch: number;
}

/**
 * All that Lark needs of nftables before the first job; commands for one `nft -f -`. Loading it again, as after a change
 * of the configuration, leaves jobs and counters alone. Jobs that stand need their own pieces again afterwards where a
 * class was added.
 * @throws UserError where the configuration cannot be made into rules
 */
export function staticRuleset(config: RulesetConfig, { host, nameservers, epoch }: RulesetFacts): string {
  const reach: ReachRules = {
    ...config.isolation,
    nameservers,
    hostAddresses: [...host.ipv4, ...host.ipv6],
  };
  const { ipv4Pool, ipv6Pool } = config.nat;
  const { maxConnections } = config.isolation;
  const isLimited = maxConnections !== 'none' && host.hasConnectionCount;
  return [
    netdevTable({ classes: classTable(config.accounting), reach, epoch }),
    inetTable({
      ipv4Pool,
      ...(ipv6Pool !== 'none' && { ipv6Pool }),
      reach,
      ...(isLimited && { maxConnections }),
    }),
    '',
  ].join('\n');
}

/** Takes all of it away, jobs too; no error where nothing is. */
export function removeRuleset(): string {
  return ['netdev', 'inet']
    .flatMap((family) => [`add table ${family} ${TABLE}`, `delete table ${family} ${TABLE}`])
    .concat('')
    .join('\n');
}
