import { LINK_LOCAL_CLASS } from './classes.ts';
import type { ClassCount, ClassCounts } from './counters.ts';
import { addClasses, totals, type UsageRecord } from './record.ts';

/**
 * Attributes for the job's ad, named as the first Lark named them: `Network`, the direction, the class. Bytes, with
 * packets beside. `NetworkIncoming` and `NetworkOutgoing` are sums of all classes but LinkLocal. All start with
 * `Network`, or the shadow would not pass them on.
 */
export function networkAttributes(record: UsageRecord): Record<string, number | boolean> {
  const byClass = totals(record);
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
    .reduce<ClassCount>((sum, [, count]) => addClasses(sum, count), addClasses(undefined, undefined));
}

export interface UsageRow {
  /** A job, or an owner. */
  who: string;
  owner: string;
  jobs: number;
  className: string;
  inBytes: number;
  outBytes: number;
  inPackets: number;
  outPackets: number;
  hasGap: boolean;
}

/** A row for each class of each job or owner, in the order of the records. */
export function usageRows(records: readonly UsageRecord[], by: 'job' | 'owner'): UsageRow[] {
  const groups = Map.groupBy(records, ({ jobId, owner }) => (by === 'job' ? jobId : owner));
  return [...groups].flatMap(([who, group]) => {
    const sums: ClassCounts = {};
    for (const record of group) {
      for (const [name, count] of Object.entries(totals(record))) sums[name] = addClasses(sums[name], count);
    }
    return Object.entries(sums).map(([className, { in: incoming, out: outgoing }]) => ({
      who,
      owner: group[0]!.owner,
      jobs: group.length,
      className,
      inBytes: incoming.bytes,
      outBytes: outgoing.bytes,
      inPackets: incoming.packets,
      outPackets: outgoing.packets,
      hasGap: group.some(({ hasGap }) => hasGap),
    }));
  });
}

/** For people: `lark worker usage`. */
export function usageTable(rows: readonly UsageRow[]): string {
  const lines = [
    ['', 'CLASS', 'IN BYTES', 'OUT BYTES', 'IN PACKETS', 'OUT PACKETS', ''],
    ...rows.map((row, index) => [
      row.who === rows[index - 1]?.who ? '' : row.who,
      row.className,
      ...[row.inBytes, row.outBytes, row.inPackets, row.outPackets].map((number) => number.toString()),
      row.hasGap ? 'incomplete' : '',
    ]),
  ];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column >= 2 && column <= 5 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
