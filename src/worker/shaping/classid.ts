import type { Lease } from '../types.ts';

/** Of Lark's HTB on the uplink and on the ifb; told from an administrator's by this number ("LK"). */
export const HTB_MAJOR = '4c4b';
/** Of the class that holds the whole link. */
export const LINK_MINOR = 'ffff';
/** Of the class of all that is no shaped job: the host's own traffic, and jobs that asked for nothing. */
export const REST_MINOR = 'fffe';
const MAX_SLOT = 65_000;

/** `4c4b:1f`: the job's class in both directions, and the packets' priority that leads to it. */
export function classIdOf({ slotIndex }: Pick<Lease, 'slotIndex'>): string {
  if (!Number.isInteger(slotIndex) || slotIndex < 1 || slotIndex > MAX_SLOT) {
    throw new RangeError(`slotIndex ${slotIndex}: expected 1 to ${MAX_SLOT}`);
  }
  return `${HTB_MAJOR}:${slotIndex.toString(16)}`;
}
