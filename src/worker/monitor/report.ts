import { LINK_LOCAL_CLASS } from '../accounting/classes.ts';
import { totals, type UsageRecord } from '../accounting/record.ts';
import { billed, networkAttributes } from '../accounting/report.ts';
import { slotConstraint } from './slot.ts';
import type { MonitorState, SeenJob } from './state.ts';

/**
 * Of a rate. A job's first checkpoint may come right after its start: what filled the queue before its ceiling in that moment
 * would be a rate that it never had.
 */
const LEAST_MS = 1000;

/**
 * What STARTD_CRON reads: an ad for each slot, closed by a line `- NAME`. A slot without an accounted job has one too: the
 * average of a job is only made where the slot had an ad when the job began, and the startd would go on telling the
 * rates of the job before.
 *
 * - `UptimeBANDWIDTHSeconds` (metric SUM:BANDWIDTH): megabits since the last report, of the busier direction. HTCondor adds
 *   them up and divides by the time, which makes the job's BANDWIDTHAverageUsage, in Mb/s.
 * - `UptimeBANDWIDTHPeakPeakUsage` (PEAK:BANDWIDTHPeak): Mb/s of the busier direction since the checkpoint before, or a
 *   little less: where a reading took long, the bytes are divided by the longest time that they can have taken, and by a
 *   second at the least. The job ad gets the greatest as BANDWIDTHPeakUsage.
 * - `UptimeNetwork…PeakUsage` (PEAK:Network…): bytes since the job began, by direction and class; `Network…Usage` in the job
 *   ad. They only grow, so that the greatest is the last.
 * - `NetworkInMbps`, `NetworkOutMbps`: in the slot's ad, rates as of the newest checkpoint.
 *
 * @param records of jobs that run
 * @param before what the last report said; undefined for the first one, which sets the baseline
 * @param slots that have an ad from the beginning; others have one from their first job on
 */
export function monitorReport(
  records: readonly UsageRecord[],
  before: MonitorState | undefined,
  slots: readonly string[],
): { text: string; state: MonitorState } {
  const jobs: MonitorState['jobs'] = {};
  const ads: string[] = [];
  for (const record of records) {
    const constraint = record.slot === undefined ? undefined : slotConstraint(record.slot);
    if (record.slot === undefined || constraint === undefined) continue;
    const { seen, ad } = slotAd(record, record.slot, constraint, before);
    jobs[record.name] = seen;
    ads.push(ad);
  }
  const busy = new Set(Object.values(jobs).map(({ slot }) => slot));
  const known = new Set([...slots, ...(before?.slots ?? []), ...busy]);
  for (const slot of known) if (!busy.has(slot)) ads.push(idleAd(slot));
  return { text: ads.join(''), state: { jobs, slots: [...known] } };
}

function idleAd(slot: string): string {
  const rates = ['NetworkInMbps = 0.0', 'NetworkOutMbps = 0.0'];
  return closedAd(
    [`SlotMergeConstraint = ${slotConstraint(slot)}`, 'UptimeBANDWIDTHSeconds = 0.0', ...rates],
    slot,
  );
}

function slotAd(
  record: UsageRecord,
  slot: string,
  constraint: string,
  before: MonitorState | undefined,
): { seen: SeenJob; ad: string } {
  const { in: incoming, out: outgoing } = billed(totals(record));
  const at = record.updatedAt.getTime();
  const start: SeenJob = { slot, inBytes: 0, outBytes: 0, at: record.startedAt.getTime() };
  const last = before?.jobs[record.name] ?? (before === undefined ? undefined : start);
  // Records are written when there is news: the same time again means that nothing is known to have passed since.
  const isNews = last !== undefined && at > last.at;
  const inBits = isNews ? Math.max(0, incoming.bytes - last.inBytes) * 8 : 0;
  const outBits = isNews ? Math.max(0, outgoing.bytes - last.outBytes) * 8 : 0;
  const seconds = isNews ? Math.max(LEAST_MS, at + (record.readMs ?? 0) - last.at) / 1000 : 1;
  const inMbps = inBits / 1e6 / seconds;
  const outMbps = outBits / 1e6 / seconds;
  const lines = [
    `SlotMergeConstraint = ${constraint}`,
    `UptimeBANDWIDTHSeconds = ${real(Math.max(inBits, outBits) / 1e6)}`,
    `UptimeBANDWIDTHPeakPeakUsage = ${real(Math.max(inMbps, outMbps))}`,
    ...byteAttributes(record).map(([name, bytes]) => `Uptime${name}PeakUsage = ${real(bytes)}`),
    `NetworkInMbps = ${real(inMbps)}`,
    `NetworkOutMbps = ${real(outMbps)}`,
    ...(record.hasGap ? ['NetworkAccountingGap = true'] : []),
  ];
  const seen = { slot, inBytes: incoming.bytes, outBytes: outgoing.bytes, at };
  return { seen, ad: closedAd(lines, slot) };
}

const BYTES = /^Network(Incoming|Outgoing)/;

function byteAttributes(record: UsageRecord): [name: string, bytes: number][] {
  return Object.entries(networkAttributes(record)).flatMap(([name, value]) =>
    BYTES.test(name) && typeof value === 'number' ? [[name, value]] : [],
  );
}

const closedAd = (lines: readonly string[], slot: string): string => `${lines.join('\n')}\n- Lark_${slot}\n`;

/** With a point, so that it is a real whatever the number. */
const real = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));

/** The metrics that STARTD_CRON_LARK_METRICS names: all that a report may hold. */
export function metrics(classNames: readonly string[]): string[] {
  const classes = ['', ...classNames.filter((name) => name !== LINK_LOCAL_CLASS)];
  return [
    'SUM:BANDWIDTH',
    'PEAK:BANDWIDTHPeak',
    ...classes.flatMap((name) => [`PEAK:NetworkIncoming${name}`, `PEAK:NetworkOutgoing${name}`]),
  ];
}
