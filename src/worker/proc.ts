import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import type { ProcessId } from './types.ts';

/** What the kernel says of processes. Undefined: there is no such process (any more). */

/** Of a process: its parent, its start and its state. */
export function processStat(pid: number): { parent: number; startTicks: number; state: string } | undefined {
  const text = readOf(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name, in parentheses, may hold anything, also `)`.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0]!, parent: Number(fields[1]), startTicks: Number(fields[19]) };
}

export function processId(pid: number): ProcessId | undefined {
  const stat = processStat(pid);
  return stat && { pid, startTicks: stat.startTicks };
}

/** A zombie is not alive: it holds no namespace, and only waits to be reaped. */
export function isAlive({ pid, startTicks }: ProcessId): boolean {
  const stat = processStat(pid);
  return stat !== undefined && stat.startTicks === startTicks && stat.state !== 'Z';
}

export function pidExists(pid: number): boolean {
  return processStat(pid) !== undefined;
}

/** The process's own name for itself; only its own threads can set it. */
export function commOf(pid: number): string | undefined {
  return readOf(`/proc/${pid}/comm`)?.trimEnd();
}

/** Real, effective, saved and file-system user. */
export function uidsOf(pid: number): number[] | undefined {
  const line = /^Uid:\s+(.+)$/m.exec(readOf(`/proc/${pid}/status`) ?? '')?.[1];
  return line?.split(/\s+/).map(Number);
}

/** The program, and whether root owns its file and nobody else may write it. */
export function programOf(pid: number): { path: string; isRoots: boolean } | undefined {
  try {
    const { uid, mode } = statSync(`/proc/${pid}/exe`);
    return { path: readlinkSync(`/proc/${pid}/exe`), isRoots: uid === 0 && (mode & 0o022) === 0 };
  } catch {
    return undefined;
  }
}

/** With which it was started; its own to change, so to be believed of root's processes only. */
export function argumentsOf(pid: number): string[] {
  return readOf(`/proc/${pid}/cmdline`)?.split('\0').slice(0, -1) ?? [];
}

export type NamespaceKind = 'net' | 'mnt' | 'user' | 'pid';

/** A namespace's number, which is told from every other one while it exists. */
export function namespaceOf(pid: number | 'self', kind: NamespaceKind): number | undefined {
  try {
    return statSync(`/proc/${pid}/ns/${kind}`).ino;
  } catch {
    return undefined;
  }
}

/** Interfaces in the network namespace of a process. */
export function interfacesOf(pid: number): string[] | undefined {
  return readOf(`/proc/${pid}/net/dev`)
    ?.split('\n')
    .slice(2)
    .flatMap((line) => /^\s*([^:]+):/.exec(line)?.[1] ?? []);
}

/**
 * Whether there is an interface of this name in the network namespace of this process. /sys/class/net would tell of the
 * namespace in which it was mounted.
 */
export function linkExists(name: string): boolean {
  return existsSync(`/proc/sys/net/ipv4/conf/${name}`);
}

export function allPids(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? Number(name) : []));
}

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function readOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
