import { JOB_NAME, type Lease } from '../types.ts';

/** Of both tables: `inet lark` and `netdev lark`. */
export const TABLE = 'lark';

export const DIRECTIONS = ['out', 'in'] as const;
/** As the job sees it. */
export type Direction = (typeof DIRECTIONS)[number];

/** The set that counts a class in a direction, and the chain that looks into it. */
export function classSet(direction: Direction, className: string): string {
  return `${direction}_${className}`;
}

/** Undefined where the set is none that counts. */
export function parseClassSet(set: string): { direction: Direction; className: string } | undefined {
  const match = /^(out|in)_([A-Za-z][A-Za-z0-9]*)$/.exec(set);
  return match ? { direction: match[1] as Direction, className: match[2]! } : undefined;
}

/** The base chains of a job: at the ingress and at the egress of the host's end of its veth. */
export function jobChains(lease: Pick<Lease, 'name'>): { from: string; to: string } {
  const name = jobName(lease);
  return { from: `from_${name}`, to: `to_${name}` };
}

/**
 * A lease is read back from a file: its name is checked again before it becomes a part of a command.
 * @throws Error
 */
export function jobName({ name }: Pick<Lease, 'name'>): string {
  if (!JOB_NAME.test(name)) throw new Error(`"${name}" is no name of a job's network`);
  return name;
}
