import { LINK_LOCAL_CLASS } from './classes.ts';
import type { ClassCount, ClassCounts } from './counters.ts';
import { addClasses, sum, totals, type UsageRecord } from './record.ts';

/**
 * Attributes for the job's ad, of all its networks below one starter; named as the first Lark named them: `Network`, the
 * direction, the class. Bytes, with packets beside. `NetworkIncoming` and `NetworkOutgoing` are sums of all classes but
 * LinkLocal. All start with `Network`, or the shadow would not pass them on.
 */
export function networkAttributes(record: UsageRecord): Record<string, number | boolean> {
  const byClass = sum(record.earlier ?? {}, totals(record));
  const attributes: Record<string, number | boolean> = {};
  const put = (className: string, { in: incoming, out: outgoing }: ClassCount) => {
    attributes[`NetworkIncoming${className}`] = incoming.bytes;
    attributes[`NetworkOutgoing${className}`] = outgoing.bytes;
    attributes[`NetworkPacketsIncoming${className}`] = incoming.packets;
    attributes[`NetworkPacketsOutgoing${className}`] = outgoing.packets;
  };
  put('', billed(byClass));
  for (const [name, count] of Object.entries(byClass)) put(name, count);
  if (record.hasGap) attributes.NetworkAccountingGap = true;
  return attributes;
}

/** All classes together but LinkLocal. */
export function billed(counts: ClassCounts): ClassCount {
  return Object.entries(counts)
    .filter(([name]) => name !== LINK_LOCAL_CLASS)
    .reduce<ClassCount>((all, [, count]) => addClasses(all, count), addClasses(undefined, undefined));
}

export const GROUPINGS = ['job', 'owner', 'day'] as const;
export type Grouping = (typeof GROUPINGS)[number];

/** What one job, one owner, or one owner on one day moved. */
export interface UsageGroup {
  owner: string;
  /** Of groups of one job. */
  job?: { id: string; name: string; slot?: string; startedAt: Date; endedAt?: Date };
  /** `2026-11-21`, in UTC. A job counts on the day on which it ended; one that runs, on that of its last reading. */
  day?: string;
  jobs: number;
  /** Of them, those that run. */
  running: number;
  /** All classes together but LinkLocal. */
  total: ClassCount;
  classes: ClassCounts;
  /** Of the oldest reading in it. */
  asOf: Date;
  hasGap: boolean;
}

/** Jobs by their start; owners, the greatest first; days in their order, and in each the greatest first. */
export function groupUsage(records: readonly UsageRecord[], by: Grouping): UsageGroup[] {
  const dayOf = ({ endedAt, updatedAt }: UsageRecord) => (endedAt ?? updatedAt).toISOString().slice(0, 10);
  const keyOf = (record: UsageRecord) =>
    by === 'job' ? record.name : by === 'owner' ? record.owner : `${dayOf(record)} ${record.owner}`;
  const groups = [...Map.groupBy(records, keyOf).values()].map((group): UsageGroup => {
    const [first] = group as [UsageRecord];
    const { name, jobId, slot, startedAt, endedAt } = first;
    const classes = group.map(totals).reduce(sum, {});
    return {
      owner: first.owner,
      ...(by === 'job' && {
        job: { id: jobId, name, ...(slot && { slot }), startedAt, ...(endedAt && { endedAt }) },
      }),
      ...(by === 'day' && { day: dayOf(first) }),
      jobs: group.length,
      running: group.filter((record) => record.endedAt === undefined).length,
      total: billed(classes),
      classes,
      asOf: new Date(Math.min(...group.map(({ updatedAt }) => updatedAt.getTime()))),
      hasGap: group.some(({ hasGap }) => hasGap),
    };
  });
  const order = (group: UsageGroup) => group.job?.startedAt.toISOString() ?? group.day ?? '';
  const moved = ({ total }: UsageGroup) => total.in.bytes + total.out.bytes;
  return groups.sort((a, b) => order(a).localeCompare(order(b)) || (by === 'job' ? 0 : moved(b) - moved(a)));
}
