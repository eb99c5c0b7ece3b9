import { userInfo } from 'node:os';
import { UserError } from '../errors.ts';
import { loadWorkerConfig } from '../worker/config.ts';
import { needRoot, openContext } from '../worker/context.ts';
import { readEntry } from '../worker/journal.ts';
import { acquireLease, claimName, listLeases, releaseLease } from '../worker/leases.ts';
import { journalFolder, leasesFolder } from '../worker/network.ts';
import { isAlive, linkExists, processId } from '../worker/proc.ts';
import { requestByHand } from '../worker/request.ts';
import { type Column, table } from './table.ts';

interface Row {
  name: string;
  job: string;
  owner: string;
  mode: string;
  addresses: string;
  ports: string;
  slot: number;
  since: string;
  state: string;
}

/** `lark worker lease list` */
export function leaseList(configFile: string | undefined, { json }: { json?: boolean }): void {
  needRoot();
  const config = loadWorkerConfig(configFile);
  const rows = listLeases(leasesFolder(config)).holders.map(({ lease, owner }): Row => {
    const entry = readEntry(journalFolder(config), lease.name);
    return {
      name: lease.name,
      job: lease.jobId,
      owner,
      mode: entry?.request.mode ?? '-',
      addresses: [lease.ipv4, lease.ipv6].filter(Boolean).join(' ') || '-',
      ports:
        lease.forwards.map((port) => `${port.hostPort}>${port.jobPort}/${port.protocol}`).join(' ') || '-',
      slot: lease.slotIndex,
      since: lease.createdAt.toISOString(),
      state: !entry ? 'forgotten' : isAlive(entry.request.starter) ? entry.step : `${entry.step}, job gone`,
    };
  });
  if (json) {
    process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
    return;
  }
  const columns = (['name', 'job', 'owner', 'mode', 'addresses', 'ports', 'since', 'state'] as const).map(
    (key): Column<Row> => ({ heading: key, cell: (row) => String(row[key]) }),
  );
  process.stdout.write(rows.length === 0 ? 'nobody holds a lease\n' : `${table(rows, columns)}\n`);
}

/** `lark worker lease try` */
export async function leaseTry(
  configFile: string | undefined,
  options: { mode: string; port?: string[] },
): Promise<void> {
  const { config, by, bootId, now } = await openContext(configFile);
  const folder = leasesFolder(config);
  const request = requestByHand(options, userInfo().username, processId(process.pid)!, config);
  const name = claimName(folder, by, now(), request.owner);
  try {
    const lease = acquireLease(name, request, { config, folder, bootId, now: now(), by });
    process.stdout.write(`${JSON.stringify(lease, null, 2)}\n`);
  } finally {
    releaseLease(folder, name);
  }
}

/** `lark worker lease release` */
export async function leaseRelease(configFile: string | undefined, name: string): Promise<void> {
  needRoot();
  const config = loadWorkerConfig(configFile);
  const folder = leasesFolder(config);
  if (!listLeases(folder).names.has(name)) throw new UserError(`no lease is held by ${name}`);
  if (linkExists(name) || readEntry(journalFolder(config), name)) {
    throw new UserError(
      `${name} still has a network; "lark worker clean ${name}" takes it away with its lease`,
    );
  }
  releaseLease(folder, name);
}
