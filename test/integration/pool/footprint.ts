import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { poolDir } from '../../../testbed/pool/state.ts';

/** Everything by which one can tell, from outside, that a pool is or was here. */
export interface Footprint {
  id: string;
  /** Network namespaces of the pool's hosts and of its switch, as /proc names them. */
  networks: ReadonlySet<string>;
}

/** Takes the footprint of a pool that stands. */
export function footprintOf(id: string): Footprint {
  const networks = processes()
    .filter((pid) => read(`/proc/${pid}/cmdline`).includes(id))
    .flatMap((pid) => networkOf(pid) ?? [])
    .filter((network) => network !== networkOf('self'));
  return { id, networks: new Set(networks) };
}

/** What of it is still on this machine: processes, mounts, network namespaces, the folder. */
export function leftovers({ id, networks }: Footprint): string[] {
  const left: string[] = [];
  for (const pid of processes()) {
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
    if (command === '') continue; // kernel threads and zombies
    if (command.includes(id)) left.push(`process ${pid}: ${command}`);
    const network = networkOf(pid);
    if (network !== undefined && networks.has(network)) left.push(`process ${pid} in ${network}: ${command}`);
    if (read(`/proc/${pid}/mountinfo`).includes(id)) left.push(`mount seen by process ${pid}`);
  }
  if (existsSync(poolDir(id))) left.push(poolDir(id));
  return left;
}

/** The links in this machine's own network namespace. */
export function links(): string[] {
  return readdirSync('/sys/class/net').sort();
}

/** Network namespaces kept by name or by mount rather than by a process. */
export function pinnedNetworks(): string[] {
  return read('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => line.includes(' - nsfs '));
}

export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(read(`/proc/${pid}/status`))?.[1]);
}

function processes(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
}

function networkOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
