import type { Archive, Json, Test } from './model.ts';
import { unit } from './rng.ts';
import { hopDetails, trace } from './routes.ts';
import type { Histogram, Run } from './series.ts';
import {
  durationSeconds,
  failureText,
  latencyRun,
  pathMtu,
  retransmits,
  rttRun,
  runs,
  runsBackwards,
  type Statistics,
  statistics,
  subintervals,
  throughputBps,
  udpPackets,
} from './series.ts';

/** Which event types a test has in an archive, and the value each of its runs has there. */

export type SummaryType = 'aggregation' | 'average' | 'statistics';

/** How a summary type is called in a path. */
export const PLURAL = { aggregation: 'aggregations', average: 'averages', statistics: 'statistics' } as const;

export interface Summary {
  type: SummaryType;
  windowSeconds: number;
}

export interface EventType {
  name: string;
  unit: string;
  summaries: Summary[];
}

/** When a run can be seen: late results are part of the world. */
export interface View {
  /** World time in epoch seconds. */
  nowSeconds: number;
  /** A late run is visible this many seconds after its timestamp; the others at once. */
  lateSeconds: number;
  /** Which part of the runs is late, 0..1. */
  lateShare: number;
}

const UNITS: Record<string, string> = {
  throughput: 'bit/s',
  'packet-retransmits': 'segments',
  'packet-loss-rate': 'fraction',
  'packet-loss-rate-bidir': 'fraction',
  'histogram-owdelay': 'ms',
  'histogram-rtt': 'ms',
  'time-error-estimates': 'ms',
  'path-mtu': 'bytes',
  'histogram-ttl': 'hops',
  'histogram-ttl-reverse': 'hops',
  'throughput-subintervals': 'bit/s',
  'packet-retransmits-subintervals': 'segments',
};

const AGGREGATED = /^packet-(loss-rate|count-sent|count-lost)(-bidir)?$/;

const WINDOWS = [300, 3600, 86_400];

function summariesOf(name: string, kind: Archive['kind']): Summary[] {
  const aggregations = WINDOWS.map((windowSeconds): Summary => ({ type: 'aggregation', windowSeconds }));
  if (name === 'throughput') return [{ type: 'average', windowSeconds: 86_400 }];
  if (AGGREGATED.test(name)) return aggregations;
  if (name === 'histogram-owdelay' || name === 'histogram-rtt') {
    const stats = [0, ...WINDOWS].map((windowSeconds): Summary => ({ type: 'statistics', windowSeconds }));
    return kind === 'esmond' ? [...aggregations, ...stats] : stats;
  }
  return [];
}

/** Every event type the archives know; another one is an error rather than an empty answer. */
export const EVENT_TYPES: ReadonlySet<string> = new Set([
  'failures',
  'histogram-owdelay',
  'histogram-rtt',
  'histogram-ttl',
  'histogram-ttl-reverse',
  'packet-count-lost',
  'packet-count-lost-bidir',
  'packet-count-sent',
  'packet-duplicates',
  'packet-duplicates-bidir',
  'packet-loss-rate',
  'packet-loss-rate-bidir',
  'packet-reorders',
  'packet-reorders-bidir',
  'packet-retransmits',
  'packet-retransmits-subintervals',
  'packet-trace',
  'path-mtu',
  'pscheduler-run-href',
  'throughput',
  'throughput-subintervals',
  'time-error-estimates',
]);

function namesOf(test: Test): string[] {
  const common = test.tool.startsWith('pscheduler/') ? ['failures', 'pscheduler-run-href'] : ['failures'];
  switch (test.type) {
    case 'throughput':
      return [
        ...common,
        'throughput',
        'throughput-subintervals',
        ...(test.udp
          ? ['packet-loss-rate', 'packet-count-lost', 'packet-count-sent']
          : ['packet-retransmits', 'packet-retransmits-subintervals']),
      ];
    case 'latencybg':
      return [
        ...common,
        'packet-count-sent',
        'histogram-owdelay',
        'histogram-ttl',
        'packet-duplicates',
        'packet-loss-rate',
        'packet-count-lost',
        'packet-reorders',
        'time-error-estimates',
      ];
    case 'rtt':
      return [
        ...common,
        'packet-count-sent',
        'histogram-rtt',
        'histogram-ttl-reverse',
        'packet-duplicates-bidir',
        'packet-loss-rate-bidir',
        'packet-count-lost-bidir',
        'packet-reorders-bidir',
      ];
    case 'trace':
      return [...common, 'packet-trace', 'path-mtu'];
  }
}

/** What the archive advertises. elmond derives it from the test spec: a type may be there without any data. */
export function eventTypesOf(test: Test, kind: Archive['kind']): EventType[] {
  return namesOf(test).map((name) => ({
    name,
    unit: UNITS[name] ?? (name.startsWith('packet-') ? 'packets' : ''),
    summaries: summariesOf(name, kind),
  }));
}

/** The runs an archive can show now with from ≤ ts ≤ to, ascending. */
export function* visibleRuns(
  archive: Archive,
  test: Test,
  from: number,
  to: number,
  view: View,
): Generator<Run> {
  const oldest = view.nowSeconds - archive.retentionSeconds;
  for (const run of runs(test, Math.max(from, oldest), Math.min(to, view.nowSeconds))) {
    if (isVisible(archive, test, run, view)) yield run;
  }
}

/** The newest run an archive can show now with from ≤ ts ≤ to, that has the property. */
export function lastVisibleRun(
  archive: Archive,
  test: Test,
  from: number,
  to: number,
  view: View,
  property: (run: Run) => boolean = () => true,
): Run | null {
  const oldest = view.nowSeconds - archive.retentionSeconds;
  for (const run of runsBackwards(test, Math.max(from, oldest), Math.min(to, view.nowSeconds))) {
    if (isVisible(archive, test, run, view) && property(run)) return run;
  }
  return null;
}

/**
 * Where there is no OpenSearch to look into, a run is there from its start on, and a late one `lateSeconds` after. An
 * archive whose OpenSearch can be read shows a run once that has it, on its elmond side as well.
 */
function isVisible(archive: Archive, test: Test, run: Run, view: View): boolean {
  if (archive.openSearch === 'anonymous') return ingestMs(test, run, view) <= view.nowSeconds * 1000;
  return !isLate(test, run, view) || run.ts + view.lateSeconds <= view.nowSeconds;
}

export function isLate(test: Test, run: Run, view: View): boolean {
  return view.lateSeconds > 0 && unit(test.id ^ 0x1a7e, run.ts) < view.lateShare;
}

/** When the run's document comes into OpenSearch, in epoch ms: some seconds after its end, or when it is late. */
export function ingestMs(test: Test, run: Run, view: View): number {
  const pipelineMs = 500 + Math.floor(3500 * unit(test.id ^ 0x1263, run.ts));
  const afterSeconds = Math.max(durationSeconds(test), isLate(test, run, view) ? view.lateSeconds : 0);
  return (run.ts + afterSeconds) * 1000 + pipelineMs;
}

/** A run's value of an event type at base level; null where the archive has no point for it. */
export function baseValue(archive: Archive | null, test: Test, event: string, run: Run): Json | null {
  const { ts } = run;
  const elmond = archive?.kind === 'elmond';
  if (event === 'failures') {
    return !run.succeeded && archive?.keepsFailures ? { error: failureText(test, ts) } : null;
  }
  if (!run.succeeded) return null;
  if (event === 'pscheduler-run-href') {
    const href = `https://${test.source.address4}/pscheduler/tasks/${test.id.toString(16)}/runs/${ts}`;
    return elmond ? href : { href };
  }
  if (test.type === 'throughput') return throughputValue(test, event, ts, elmond);
  if (test.type === 'trace') {
    if (event === 'path-mtu') return pathMtu(test);
    return event === 'packet-trace' ? traceValue(test, ts, elmond) : null;
  }
  if (test.type === 'rtt') return rttValue(test, event, ts, elmond);
  return latencyValue(test, event, ts);
}

function throughputValue(test: Test, event: string, ts: number, elmond: boolean): Json | null {
  if (event === 'throughput') return throughputBps(test, ts);
  if (event === 'throughput-subintervals') return subintervals(test, ts, throughputBps(test, ts), false);
  if (test.udp) {
    // The pipeline writes UDP packet counts where elmond does not look for them.
    if (elmond) return null;
    const { sent, lost } = udpPackets(test, ts);
    if (event === 'packet-count-sent') return sent;
    if (event === 'packet-count-lost') return lost;
    return event === 'packet-loss-rate' ? lost / sent : null;
  }
  // Some runs come without retransmits. elmond counts them in `limit` and `offset` all the same, so that a page
  // can be shorter than the limit without being the last.
  if (unit(test.id ^ 0x4e70, ts) < 0.05) return null;
  if (event === 'packet-retransmits') return retransmits(test, ts);
  if (event === 'packet-retransmits-subintervals') {
    return subintervals(test, ts, retransmits(test, ts), true);
  }
  return null;
}

function latencyValue(test: Test, event: string, ts: number): Json | null {
  const run = latencyRun(test, ts);
  switch (event) {
    case 'packet-count-sent':
      return run.sent;
    case 'packet-count-lost':
      return run.lost;
    case 'packet-loss-rate':
      return run.lost / run.sent;
    case 'packet-duplicates':
      return run.duplicates;
    case 'packet-reorders':
      return run.reorders;
    case 'time-error-estimates':
      return run.clockErrorMs;
    case 'histogram-owdelay':
      return histogramValue(run.histogram);
    case 'histogram-ttl':
      return run.lost === run.sent ? null : { [run.hops]: run.sent - run.lost };
    default:
      return null;
  }
}

function rttValue(test: Test, event: string, ts: number, elmond: boolean): Json | null {
  const run = rttRun(test, ts);
  switch (event) {
    case 'packet-count-sent':
      return run.sent;
    case 'packet-count-lost-bidir':
      return run.lost;
    case 'packet-loss-rate-bidir':
      return run.lost / run.sent;
    case 'packet-duplicates-bidir':
    case 'packet-reorders-bidir':
      return 0;
    case 'histogram-rtt':
      return elmond ? null : histogramValue(run.histogram);
    case 'histogram-ttl-reverse':
      return run.lost === run.sent ? null : { [run.hops]: run.sent - run.lost };
    default:
      return null;
  }
}

function traceValue(test: Test, ts: number, elmond: boolean): Json {
  return trace(test, ts).map((hop): Json => {
    if (elmond) {
      return hop.ip === null
        ? { ttl: hop.ttl, query: 1, success: 1 }
        : {
            ttl: hop.ttl,
            query: 1,
            success: 1,
            ip: hop.ip,
            rtt: hop.rttMs,
            mtu: hop.mtu,
            ...hopDetails(hop),
          };
    }
    return {
      ttl: String(hop.ttl),
      query: '1',
      success: hop.ip === null ? 0 : 1,
      ip: hop.ip,
      rtt: hop.rttMs === null ? null : String(hop.rttMs),
      mtu: String(hop.mtu),
      error_message: hop.ip === null ? 'requestTimedOut' : null,
      ...hopDetails(hop),
    };
  });
}

/** The delays behind a histogram event type; null for any other event type. */
export function histogramOf(test: Test, event: string, run: Run): Histogram | null {
  if (!run.succeeded) return null;
  if (event === 'histogram-owdelay' && test.type === 'latencybg') return latencyRun(test, run.ts).histogram;
  if (event === 'histogram-rtt' && test.type === 'rtt') return rttRun(test, run.ts).histogram;
  return null;
}

export function histogramValue(histogram: Histogram): Json | null {
  if (histogram.length === 0) return null;
  return Object.fromEntries(histogram.map(([ms, count]) => [String(ms), count]));
}

/** A run's `statistics/0`; elmond has only four of the figures for round trips and null for the rest. */
export function statisticsValue(archive: Archive, test: Test, event: string, run: Run): Json | null {
  const histogram = histogramOf(test, event, run);
  let stats = histogram && statistics(histogram);
  if (!stats) return null;
  if (event === 'histogram-rtt' && archive.openSearch === 'anonymous') stats = fromSeconds(stats);
  return statisticsJson(stats, archive.kind === 'elmond' && event === 'histogram-rtt');
}

/** OpenSearch holds round trips in seconds, and elmond multiplies: to the last digit that is not the same number. */
export function fromSeconds(stats: Statistics): Statistics {
  const again = (milliseconds: number): number => (milliseconds / 1000) * 1000;
  return {
    ...stats,
    minimum: again(stats.minimum),
    maximum: again(stats.maximum),
    mean: again(stats.mean),
    standardDeviation: again(stats.standardDeviation),
  };
}

export function statisticsJson(stats: Statistics, fourOnly: boolean): Json {
  const rest = <T>(value: T): T | null => (fourOnly ? null : value);
  return {
    minimum: stats.minimum,
    maximum: stats.maximum,
    mean: stats.mean,
    'standard-deviation': stats.standardDeviation,
    median: rest(stats.median),
    mode: rest(stats.mode),
    'percentile-25': rest(stats.percentile25),
    'percentile-75': rest(stats.percentile75),
    'percentile-95': rest(stats.percentile95),
    variance: rest(stats.variance),
  };
}
