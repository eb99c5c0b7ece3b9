import type { FindingKind, HostFinding, PairSummary } from '../../domain.ts';
import { hostClocks } from './host-clocks.ts';
import { ALL_LOST } from './losses.ts';
import { allowedSilenceMs } from './stale.ts';
import { type HostContext, hostsOf } from './types.ts';

/** The tests that a host is the source of. */
export interface HostActivity {
  /** The newest result of any of them. */
  lastSampleMs: number;
  /** Up to when the archive that holds it has been read. */
  readToMs: number;
}

/** A host that has been silent for longer is gone, not stopped. */
const FORGOTTEN_MS = 14 * 24 * 3_600_000;
const RECENT_MS = 6 * 3_600_000;
const FEWEST_PARTNERS = 3;
const FEWEST_SAMPLES = 3;
/** One partner in ten may have a way around. */
const NEARLY_ALL = 0.9;

/**
 * @param summaries of all pairs, by pair
 * @param activity by host key
 */
export function hostFindings(
  summaries: ReadonlyMap<string, PairSummary>,
  activity: ReadonlyMap<string, HostActivity>,
  staleHours: number,
  now: Date,
): HostFinding[] {
  const stopped = stoppedHosts(summaries, activity, staleHours, now);
  const isStopped = new Set(stopped.map(({ host }) => host));
  return [
    ...clocksOff(summaries),
    ...firewalls(summaries, now).filter(({ host }) => !isStopped.has(host)),
    ...stopped,
  ].sort((a, b) => (a.host < b.host ? -1 : a.host > b.host ? 1 : 0));
}

export function hostContext(findings: readonly HostFinding[]): HostContext {
  const hosts = (kind: FindingKind, direction?: 'in' | 'out'): Set<string> =>
    new Set(
      findings.filter((each) => each.kind === kind && each.direction === direction).map(({ host }) => host),
    );
  return {
    clocks: new Map(
      findings.flatMap(({ host, offsetMs }) => (offsetMs === undefined ? [] : [[host, offsetMs]])),
    ),
    blockedIn: hosts('firewall', 'in'),
    blockedOut: hosts('firewall', 'out'),
    stopped: hosts('stopped'),
  };
}

/** An offset is known to some hundredths of a ms at best, and moves a little: only more is worth another look. */
const SAME_OFFSET_MS = 0.5;

/** The hosts of which something else is known now. */
export function changedHosts(before: HostContext, after: HostContext): Set<string> {
  const changed = new Set<string>();
  for (const kind of ['blockedIn', 'blockedOut', 'stopped'] as const)
    for (const host of before[kind].symmetricDifference(after[kind])) changed.add(host);
  for (const host of new Set([...before.clocks.keys(), ...after.clocks.keys()])) {
    const [was, is] = [before.clocks.get(host), after.clocks.get(host)];
    if (was === undefined || is === undefined || Math.abs(was - is) > SAME_OFFSET_MS) changed.add(host);
  }
  return changed;
}

function clocksOff(summaries: ReadonlyMap<string, PairSummary>): HostFinding[] {
  return [...hostClocks(summaries)].map(([host, { offsetMs, partners, agreeing }]) => ({
    host,
    kind: 'clock-off',
    evidence:
      `its clock is ${Math.abs(offsetMs).toFixed(1)} ms ${offsetMs > 0 ? 'ahead' : 'behind'}: ` +
      `so say ${agreeing} of ${partners} hosts that are measured with it in both directions`,
    advice: 'look at its time service (chronyc tracking); its one-way delays are corrected meanwhile',
    offsetMs: Math.round(offsetMs * 100) / 100,
  }));
}

/** One end of a host's pairs that have loss tests of late. */
interface Side {
  lost: string[];
  passed: string[];
}

function firewalls(summaries: ReadonlyMap<string, PairSummary>, now: Date): HostFinding[] {
  const to = new Map<string, Side>();
  const from = new Map<string, Side>();
  for (const [pair, { loss }] of summaries) {
    if (!loss || loss.samples < FEWEST_SAMPLES || now.getTime() - loss.newestMs > RECENT_MS) continue;
    const [source, destination] = hostsOf(pair);
    const isLost = loss.allLost >= ALL_LOST * loss.samples;
    note(to, destination, source, isLost);
    note(from, source, destination, isLost);
  }
  return [...closedSides(to, from, 'in'), ...closedSides(from, to, 'out')];
}

function note(sides: Map<string, Side>, host: string, partner: string, isLost: boolean): void {
  const side = sides.get(host) ?? { lost: [], passed: [] };
  sides.set(host, side);
  side[isLost ? 'lost' : 'passed'].push(partner);
}

function* closedSides(
  sides: ReadonlyMap<string, Side>,
  otherSides: ReadonlyMap<string, Side>,
  direction: 'in' | 'out',
): Generator<HostFinding> {
  for (const [host, { lost, passed }] of sides) {
    if (lost.length < FEWEST_PARTNERS || lost.length < NEARLY_ALL * (lost.length + passed.length)) continue;
    // Partners that get through nowhere say nothing of this host.
    const fine = lost.filter((partner) => (otherSides.get(partner)?.passed.length ?? 0) > 0).length;
    if (fine < FEWEST_PARTNERS || 2 * fine < lost.length) continue;
    const total = lost.length + passed.length;
    const evidence =
      direction === 'in'
        ? `every packet sent to it is lost, from ${lost.length} of ${total} hosts; ${fine} of these get through to others`
        : `every packet it sends is lost, towards ${lost.length} of ${total} hosts; ${fine} of these are reached by others`;
    yield {
      host,
      kind: 'firewall',
      direction,
      evidence,
      advice: `open the ports of owamp (TCP 861, UDP 8760-9960) ${direction === 'in' ? 'to' : 'from'} the host; its losses are not counted meanwhile`,
    };
  }
}

/** A host that was active and of which nothing came since, though its archives were read. */
function stoppedHosts(
  summaries: ReadonlyMap<string, PairSummary>,
  activity: ReadonlyMap<string, HostActivity>,
  staleHours: number,
  now: Date,
): HostFinding[] {
  const intervals = new Map<string, number>();
  for (const [pair, { intervalMs }] of summaries) {
    const [source] = hostsOf(pair);
    if (intervalMs !== undefined)
      intervals.set(source, Math.min(intervalMs, intervals.get(source) ?? intervalMs));
  }
  return [...activity].flatMap(([host, { lastSampleMs, readToMs }]): HostFinding[] => {
    const intervalMs = intervals.get(host);
    const silentMs = Math.min(readToMs, now.getTime()) - lastSampleMs;
    if (silentMs <= allowedSilenceMs(intervalMs, staleHours) || silentMs > FORGOTTEN_MS) return [];
    const pace = intervalMs === undefined ? '' : `, after one every ${Math.round(intervalMs / 1000)} s`;
    return [
      {
        host,
        kind: 'stopped',
        evidence: `none of its tests brought a result since ${new Date(lastSampleMs).toISOString().slice(0, 16)}Z${pace}; its archive was read since`,
        advice: 'look whether pScheduler still runs there (pscheduler troubleshoot --host HOST)',
      },
    ];
  });
}
