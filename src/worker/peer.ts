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

/**
 * The process that bears the secret.
 * @param claimedPid what the peer thinks its pid is; in a pid namespace of its own it is wrong, and all are looked at
 */
export function bearerOf(secret: string, claimedPid: number): number | undefined {
  if (pidExists(claimedPid) && commOf(claimedPid) === secret) return claimedPid;
  return allPids().find((pid) => commOf(pid) === secret);
}
