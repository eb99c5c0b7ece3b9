import { runCommand } from './commands.ts';
import { type JournalEntry, readJournal } from './journal.ts';
import { type LeaseHolder, listLeases } from './leases.ts';
import { journalFolder, leasesFolder, type NetworkContext } from './network.ts';
import { interfacesOf, isAlive } from './proc.ts';
import { type HostFacts, JOB_NAME } from './types.ts';

/** All that Lark has on this machine. */
export interface WorkerState {
  host: HostFacts;
  /** In the kernel. */
  links: string[];
  tables: { name: string; text: string }[];
  networks: { entry: JournalEntry; isAlive: boolean; hasLink: boolean }[];
  /** Leases that the journal knows nothing of, and devices likewise: what the next sweep removes. */
  orphanedLeases: LeaseHolder[];
  orphanedLinks: string[];
}

export async function stateOf({ config, host }: NetworkContext): Promise<WorkerState> {
  const links = (interfacesOf(process.pid) ?? []).filter((name) => JOB_NAME.test(name));
  const tableNames = (await runCommand('nft', ['list', 'tables'])).match(/^table \w+ lark\w*$/gm) ?? [];
  const tables = await Promise.all(
    tableNames.map(async (name) => ({ name, text: await runCommand('nft', ['list', ...name.split(' ')]) })),
  );
  const { entries } = readJournal(journalFolder(config));
  const known = new Set(entries.map(({ name }) => name));
  return {
    host,
    links,
    tables,
    networks: entries.map((entry) => ({
      entry,
      isAlive: isAlive(entry.request.starter),
      hasLink: links.includes(entry.name),
    })),
    orphanedLeases: listLeases(leasesFolder(config)).holders.filter(({ lease }) => !known.has(lease.name)),
    orphanedLinks: links.filter((name) => !known.has(name)),
  };
}

/** In words, a line a fact. */
export function describeState(state: WorkerState): string {
  const { host, networks, tables } = state;
  const rate = host.uplinkMbps === undefined ? 'of unknown rate' : `of ${host.uplinkMbps} Mb/s`;
  const lines = [`uplink ${host.uplink} ${rate}, MTU ${host.uplinkMtu}`];
  for (const { entry, isAlive: lives, hasLink } of networks) {
    const { request, lease, name, step } = entry;
    const addresses = [lease?.ipv4, lease?.ipv6].filter(Boolean).join(' and ');
    const facts = [
      `mode ${request.mode}`,
      addresses || 'no address',
      ...(lease?.forwards ?? []).map(
        (port) => `port ${port.hostPort} to its ${port.jobPort}/${port.protocol}`,
      ),
      ...(request.bandwidth
        ? [`${request.bandwidth.minMbps} Mb/s guaranteed, ${request.bandwidth.maxMbps ?? 'no'} ceiling`]
        : []),
      request.mode === 'none' || hasLink ? '' : 'no device in the kernel',
      lives ? '' : 'its job is gone: the next sweep takes it away',
      step === 'up' ? '' : `not done: ${step}`,
    ].filter(Boolean);
    lines.push(`${name}: job ${request.jobId} of ${request.owner}, ${facts.join(', ')}`);
  }
  if (networks.length === 0) lines.push('no job has a network');
  for (const { lease, owner } of state.orphanedLeases) {
    lines.push(
      `${lease.name}: a lease of ${owner} that no journal entry speaks of; the next sweep releases it`,
    );
  }
  for (const name of state.orphanedLinks) lines.push(`${name}: a device that no journal entry speaks of`);
  for (const { name, text } of tables) lines.push('', name, text.trimEnd());
  return `${lines.join('\n')}\n`;
}
