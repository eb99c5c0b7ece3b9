import { LINK_LOCAL_CLASS } from '../worker/accounting/classes.ts';
import { type ClassCount, readCounters } from '../worker/accounting/counters.ts';
import { addClasses, afterReading, type UsageRecord } from '../worker/accounting/record.ts';
import { billed, type Grouping, groupUsage, type UsageGroup } from '../worker/accounting/report.ts';
import { UsageStore } from '../worker/accounting/store.ts';
import { loadWorkerConfig } from '../worker/config.ts';
import { ago, type Column, table } from './table.ts';
import { durationSeconds, timeOf } from './times.ts';

export interface UsageOptions {
  by: Grouping;
  since: string;
  owner?: string;
  running?: boolean;
  json?: boolean;
}

/** `lark worker usage`: what jobs moved, by class of traffic. @throws UserError */
export async function usage(configFile: string | undefined, options: UsageOptions): Promise<void> {
  const { state } = loadWorkerConfig(configFile);
  const now = new Date();
  const since = sinceOf(options.since, now);
  const groups = groupUsage(
    await recordsOf(new UsageStore(state.dataDirectory), { ...options, since, now }),
    options.by,
  );
  process.stdout.write(
    options.json
      ? `${JSON.stringify(groups.map(jsonOf), null, 2)}\n`
      : groups.length === 0
        ? `no job is known since ${since.toISOString()}\n`
        : `${usageText(groups, options.by, now)}\n`,
  );
}

/** A duration back from now, or a time. @throws UserError */
function sinceOf(text: string, now: Date): Date {
  return /^[\d.]+[smhd]/.test(text)
    ? new Date(now.getTime() - durationSeconds(text, '--since') * 1000)
    : timeOf('--since', text);
}

async function recordsOf(
  store: UsageStore,
  { since, now, owner, running }: { since: Date; now: Date; owner?: string; running?: boolean },
): Promise<UsageRecord[]> {
  const live = await store.live();
  const ended = await store.history(since);
  const names = new Set(ended.map(({ name }) => name));
  const standing = await upToDate(
    live.filter(({ name }) => !names.has(name)),
    now,
  );
  // `alice` is every alice@…
  const isWanted = (record: UsageRecord) =>
    owner === undefined || record.owner === owner || record.owner.split('@')[0] === owner;
  return [...(running ? [] : ended), ...standing].filter(isWanted);
}

/** With what the kernel counts at this moment, where this process may read that; else as of the last checkpoint. */
async function upToDate(records: readonly UsageRecord[], now: Date): Promise<UsageRecord[]> {
  const reading =
    process.getuid?.() === 0 && records.length > 0 ? await readCounters().catch(() => undefined) : undefined;
  // Counters of another epoch are the agent's to judge.
  return records.map((record) =>
    reading?.epoch === record.epoch && reading?.jobs.has(record.name)
      ? afterReading(record, reading, now)
      : record,
  );
}

const flat = ({ in: incoming, out: outgoing }: ClassCount) => ({
  inBytes: incoming.bytes,
  outBytes: outgoing.bytes,
  inPackets: incoming.packets,
  outPackets: outgoing.packets,
});

function jsonOf({ job, total, classes, hasGap, ...rest }: UsageGroup) {
  return {
    ...rest,
    ...(job && {
      job: job.id,
      name: job.name,
      slot: job.slot,
      startedAt: job.startedAt,
      endedAt: job.endedAt,
    }),
    isIncomplete: hasGap,
    ...flat(total),
    classes: Object.fromEntries(Object.entries(classes).map(([name, count]) => [name, flat(count)])),
  };
}

interface Row {
  group?: UsageGroup;
  className: string;
  count: ClassCount;
}

/** A line for each class of each group; a sum where there is more than one. */
export function usageText(groups: readonly UsageGroup[], by: Grouping, now: Date): string {
  const rows = groups.flatMap((group) => rowsOf(group.classes, group));
  if (groups.length > 1) {
    const classes: UsageGroup['classes'] = {};
    for (const group of groups) {
      for (const [name, count] of Object.entries(group.classes))
        classes[name] = addClasses(classes[name], count);
    }
    rows.push(...rowsOf(classes));
  }
  const isSum = (row: Row) =>
    row.group === undefined && row === rows.find(({ group }) => group === undefined);
  const first = (cell: (group: UsageGroup) => string) => (row: Row) =>
    row.group && row === rows.find(({ group }) => group === row.group) ? cell(row.group) : '';
  const leading: Column<Row>[] =
    by === 'job'
      ? [
          { heading: 'job', cell: (row) => (isSum(row) ? 'all' : first(({ job }) => job!.id)(row)) },
          { heading: 'owner', cell: first(({ owner }) => owner) },
          { heading: 'state', cell: first((group) => stateOf(group, now)) },
        ]
      : [
          ...(by === 'day' ? [{ heading: 'day', cell: first(({ day }) => day!) }] : []),
          { heading: 'owner', cell: (row) => (isSum(row) ? 'all' : first(({ owner }) => owner)(row)) },
          { heading: 'jobs', cell: first(({ jobs }) => String(jobs)), right: true },
          { heading: 'running', cell: first(({ running }) => String(running)), right: true },
        ];
  const figures: Column<Row>[] = [
    { heading: 'in', cell: ({ count }) => bytesText(count.in.bytes), right: true },
    { heading: 'out', cell: ({ count }) => bytesText(count.out.bytes), right: true },
    { heading: 'packets in', cell: ({ count }) => String(count.in.packets), right: true },
    { heading: 'packets out', cell: ({ count }) => String(count.out.packets), right: true },
    { heading: '', cell: first(({ hasGap }) => (hasGap ? 'incomplete' : '')) },
  ];
  return table(rows, [...leading, { heading: 'class', cell: ({ className }) => className }, ...figures]);
}

/** The sum first, and what it is made of where that is more than one class. */
function rowsOf(classes: UsageGroup['classes'], group?: UsageGroup): Row[] {
  const named = Object.entries(classes)
    .filter(
      ([name, { in: incoming, out }]) => name !== LINK_LOCAL_CLASS && incoming.packets + out.packets > 0,
    )
    .map(([className, count]): Row => ({ ...(group && { group }), className, count }))
    .sort((a, b) => (a.className < b.className ? -1 : 1));
  const total: Row = { ...(group && { group }), className: 'total', count: billed(classes) };
  return named.length === 1 ? named : [total, ...named];
}

function stateOf({ job, asOf }: UsageGroup, now: Date): string {
  const { startedAt, endedAt } = job!;
  if (endedAt) return `ended ${ago(endedAt.toISOString(), now)} ago`;
  const age = (now.getTime() - asOf.getTime()) / 1000;
  const lag = age < 2 ? '' : `, as of ${ago(asOf.toISOString(), now)} ago`;
  return `runs ${ago(startedAt.toISOString(), now)}${lag}`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Four digits and a decimal unit: `999 B`, `20.56 kB`. */
export function bytesText(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), UNITS.length - 1);
  const value = Number((bytes / 1000 ** power).toPrecision(4));
  return value === 1000 && power < UNITS.length - 1 ? `1 ${UNITS[power + 1]}` : `${value} ${UNITS[power]}`;
}
