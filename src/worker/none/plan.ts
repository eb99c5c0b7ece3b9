import type { Connection } from '../types.ts';

/** Mode none: the job's own loopback, and nothing else. */
export function planNone(): Connection {
  return { hostUp: [], sysctls: [], jobUp: ['link set lo up'] };
}
