import { randomBytes } from 'node:crypto';
import { allPids, commOf, pidExists } from './proc.ts';

/**
 * Who is at the other end of a connection, proved by the kernel. Node cannot ask a socket for its peer (SO_PEERCRED), so
 * the agent sends a secret that was never used before, and the peer makes it its own name (/proc/PID/comm). Only the
 * threads of a process itself can write that name, so the process that bears it is the one that reads this connection.
 */
export function newSecret(): string {
  // 15 bytes is all that a name can hold: 75 bits of randomness.
  return [...randomBytes(15)].map((byte) => DIGITS[byte % 32]).join('');
}
const DIGITS = 'abcdefghijklmnopqrstuvwxyz234567';

/** Whether a process bears the secret: the peer says which it is, if it is in no pid namespace of its own. */
export function bears(pid: number, secret: string): boolean {
  return pidExists(pid) && commOf(pid) === secret;
}

/** The one process that bears the secret; none where several do, for a name can be seen, and borne by whoever saw it. */
export function bearerOf(secret: string): number | undefined {
  const bearers = allPids().filter((pid) => commOf(pid) === secret);
  return bearers.length === 1 ? bearers[0] : undefined;
}
