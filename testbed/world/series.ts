import type { Host, Json, Test } from './model.ts';
import { mix, normal, round, unit } from './rng.ts';

/**
 * The measurements, as a pure function of (test, timestamp). Nothing is stored: a window is computed when it is
 * asked for, and two adjoining windows are together the same as the one that spans them.
 */

const SIX_HOURS = 21_600;
const DAY = 86_400;
const WEEK = 604_800;
const PACKETS_PER_MINUTE = 600;

export interface Run {
  /** Start of the run in epoch seconds. */
  ts: number;
  succeeded: boolean;
}

export type Histogram = [milliseconds: number, count: number][];

/** The run with number k, or null where there is none: the test did not exist yet or any more, or its host was down. */
function runNumber(test: Test, k: number): Run | null {
  const ts = test.phaseSeconds + k * test.intervalSeconds + slipSeconds(test, k);
  if (ts < test.startSeconds || ts > test.endSeconds || hostIsDown(test.source, ts)) return null;
  const failureShare = test.type === 'throughput' ? 0.02 : 0.001;
  return { ts, succeeded: unit(test.id ^ 0x0fa11, ts) >= failureShare };
}

/** pScheduler starts an exclusive test when both ends are free; a background test runs on the dot. */
function slipSeconds(test: Test, k: number): number {
  return test.type === 'throughput' ? Math.floor(unit(test.id ^ 0x51f, k) * (test.intervalSeconds / 8)) : 0;
}

/** Gaps: single blocks of six hours, and once in a while a day or more. */
function hostIsDown(host: Host, ts: number): boolean {
  if (isOut(host, ts)) return true;
  if (unit(host.id ^ 0x6a9, Math.floor(ts / SIX_HOURS)) < 0.01) return true;
  const week = Math.floor(ts / WEEK);
  if (unit(host.id ^ 0x3ee, week) >= 0.03) return false;
  const from = week * WEEK + unit(host.id ^ 0x3ef, week) * 4 * DAY;
  return ts >= from && ts < from + 1.5 * DAY;
}

function isOut({ outage }: Host, ts: number): boolean {
  return outage !== null && ts >= outage.from && ts < outage.to;
}

/** All runs with from ≤ ts ≤ to (epoch seconds), ascending. */
export function* runs(test: Test, from: number, to: number): Generator<Run> {
  const begin = Math.max(from, test.startSeconds);
  const end = Math.min(to, test.endSeconds);
  const first = Math.floor((begin - test.phaseSeconds) / test.intervalSeconds) - 1;
  const last = Math.floor((end - test.phaseSeconds) / test.intervalSeconds);
  for (let k = first; k <= last; k++) {
    const run = runNumber(test, k);
    if (run && run.ts >= begin && run.ts <= end) yield run;
  }
}

/** The same runs, newest first. */
export function* runsBackwards(test: Test, from: number, to: number): Generator<Run> {
  const begin = Math.max(from, test.startSeconds);
  const end = Math.min(to, test.endSeconds);
  const first = Math.floor((begin - test.phaseSeconds) / test.intervalSeconds) - 1;
  const last = Math.floor((end - test.phaseSeconds) / test.intervalSeconds);
  for (let k = last; k >= first; k--) {
    const run = runNumber(test, k);
    if (run && run.ts >= begin && run.ts <= end) yield run;
  }
}

/** How busy the path is at this time, 0..1: a day's rhythm in the source's solar time. */
function load(test: Test, ts: number): number {
  const hour = (((ts / 3600 + test.path.solarOffsetHours) % 24) + 24) % 24;
  return 0.5 + 0.5 * Math.cos(((hour - 15) / 24) * 2 * Math.PI);
}

/** Level shifts: for some days in a row the path is another path. */
export function level(test: Test, ts: number): number {
  const days = 4 + Math.floor(unit(test.path.id, 40) * 11);
  const draw = unit(test.path.id ^ 0x1e7e1, Math.floor(ts / (days * DAY)));
  return draw < 0.78 ? 1 : draw < 0.95 ? 0.6 + draw * 0.3 : 0.2 + (draw - 0.95) * 4;
}

/** Throughput in bit/s. */
export function throughputBps(test: Test, ts: number): number {
  const { path } = test;
  const id = test.id ^ 0x7109;
  const noise = Math.exp(0.06 * normal(id, ts));
  if (test.udp) return Math.round(50e6 * (1 - 0.001 * unit(id, ts)));
  if (path.notable === 'slow') return Math.round(40e6 * noise * (1 - 0.1 * load(test, ts)));
  if (path.notable === 'lossy') return Math.round(310e6 * noise * noise);
  if (path.notable === 'fast') return Math.round(Math.min(9.41e9, 9.3e9 * Math.exp(0.01 * normal(id, ts))));
  // One TCP stream does not fill a long fat pipe.
  const reach = path.capacityBps * 0.94 * Math.min(1, 0.25 + 40 / (40 + path.oneWayMs));
  // Heavy tail: now and then a run meets another one, or a host that is busy with something else.
  const collapse = unit(id ^ 0x7a11, ts) < 0.03 ? (1 - unit(id ^ 0x7a12, ts)) ** 1.5 + 0.02 : 1;
  const value =
    reach * level(test, ts) * (1 - path.dailyAmplitude * load(test, ts)) * noise * Math.min(1, collapse);
  return Math.round(Math.min(value, path.capacityBps * 0.989));
}

export function retransmits(test: Test, ts: number): number {
  const id = test.id ^ 0x4e7;
  const typical = test.path.notable === 'lossy' ? 4000 : test.path.notable === 'slow' ? 600 : 12;
  return Math.floor(typical * -Math.log(1 - unit(id, ts)));
}

/** Fraction of packets lost in this minute. */
function lossFraction(test: Test, ts: number): number {
  if (test.destination.trouble === 'firewall' || isOut(test.destination, ts)) return 1;
  const id = test.path.id;
  if (test.path.notable === 'lossy') return 0.03 * Math.exp(0.25 * normal(test.id ^ 0x1055, ts));
  if (test.path.notable === 'fast') return 0;
  // A quarter of an hour in which nothing arrives: a firewall, a fibre cut.
  if (unit(id ^ 0xdead, Math.floor(ts / 900)) < 0.0005) return 1;
  const episode = Math.floor(ts / 7200);
  if (unit(id ^ 0xe91, episode) < 0.015) {
    return 0.003 + 0.04 * unit(id ^ 0xe92, episode) * unit(test.id ^ 0xe93, ts);
  }
  return unit(test.id ^ 0x1056, ts) < 0.03 ? 1 / PACKETS_PER_MINUTE : 0;
}

export interface LatencyRun {
  sent: number;
  lost: number;
  duplicates: number;
  reorders: number;
  histogram: Histogram;
  hops: number;
  /** What both ends' clock daemons say they may be wrong by, in ms. */
  clockErrorMs: number;
}

/** One minute of powstream: what was lost, and the one-way delays of what arrived. */
export function latencyRun(test: Test, ts: number): LatencyRun {
  const sent = PACKETS_PER_MINUTE;
  const lost = Math.round(sent * Math.min(1, lossFraction(test, ts)));
  const offset = test.destination.clockOffsetMs - test.source.clockOffsetMs;
  const base = test.path.oneWayMs / level(test, ts) ** 0.2 + offset;
  return {
    sent,
    lost,
    duplicates: unit(test.id ^ 0xd0b, ts) < 0.001 ? 1 : 0,
    reorders: unit(test.id ^ 0x4e0, ts) < 0.004 ? 1 + Math.floor(unit(test.id, ts) * 5) : 0,
    histogram: delays(test.id ^ 0x0dd, ts, base, load(test, ts), sent - lost),
    hops: test.path.hopCount,
    clockErrorMs: clockErrorMs(test, ts, offset),
  };
}

/** An error of 0 is no estimate rather than a perfect one. */
function clockErrorMs(test: Test, ts: number, offsetMs: number): number {
  if (!(test.source.clockErrorTold && test.destination.clockErrorTold)) return 0;
  return round(offsetMs === 0 ? 0.1 + 2 * unit(test.id ^ 0xc10c, ts) : Math.abs(offsetMs) * 1.1, 2);
}

/** Ten pings: round-trip times in ms. */
export function rttRun(
  test: Test,
  ts: number,
): { sent: number; lost: number; histogram: Histogram; hops: number } {
  const loss = lossFraction(test, ts);
  let lost = 0;
  for (let i = 0; i < 10; i++) if (unit(mix(test.id, ts), i) < loss) lost++;
  const base = 2 * test.path.oneWayMs + 0.05;
  return {
    sent: 10,
    lost,
    histogram: delays(test.id ^ 0x477, ts, base, load(test, ts), 10 - lost),
    hops: test.path.hopCount,
  };
}

/** Buckets of 0.1 ms: most packets in the first few, a queue that grows with the load, and a straggler or two. */
function delays(id: number, ts: number, baseMs: number, busy: number, count: number): Histogram {
  if (count <= 0) return [];
  const counts = new Map<number, number>();
  const put = (bucket: number, n: number) => counts.set(bucket, (counts.get(bucket) ?? 0) + n);
  const first = Math.round(baseMs * 10);
  const keep = 0.75 - 0.45 * busy * unit(id, ts);
  let left = count;
  for (let i = 0; i < 7 && left > 0; i++) {
    const n = i === 6 ? left : Math.min(left, Math.max(1, Math.round(left * keep)));
    put(first + i, n);
    left -= n;
    if (i === 0 && left > 0 && unit(id ^ 0x7a1, ts) < 0.06) {
      // Pareto, so that the maximum says nothing about the median.
      const extra = Math.min(900, Math.round(5 / (1 - unit(id ^ 0x7a2, ts)) ** 0.8));
      put(first + extra, 1);
      left -= 1;
    }
  }
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([bucket, n]) => [Number((bucket / 10).toFixed(1)), n] as [number, number]);
}

export interface Statistics {
  minimum: number;
  maximum: number;
  mean: number;
  median: number;
  mode: number[];
  percentile25: number;
  percentile75: number;
  percentile95: number;
  variance: number;
  standardDeviation: number;
}

export function statistics(histogram: Histogram): Statistics | null {
  let n = 0;
  let sum = 0;
  let most = 0;
  for (const [value, count] of histogram) {
    n += count;
    sum += value * count;
    most = Math.max(most, count);
  }
  if (n === 0) return null;
  const mean = sum / n;
  let squares = 0;
  for (const [value, count] of histogram) squares += count * (value - mean) ** 2;
  const quantile = (q: number): number => {
    let seen = 0;
    for (const [value, count] of histogram) {
      seen += count;
      if (seen >= q * n) return value;
    }
    return histogram.at(-1)![0];
  };
  return {
    minimum: histogram[0]![0],
    maximum: histogram.at(-1)![0],
    mean,
    median: quantile(0.5),
    mode: histogram.filter(([, count]) => count === most).map(([value]) => value),
    percentile25: quantile(0.25),
    percentile75: quantile(0.75),
    percentile95: quantile(0.95),
    variance: squares / n,
    standardDeviation: Math.sqrt(squares / n),
  };
}

export function mergeHistograms(histograms: Histogram[]): Histogram {
  const counts = new Map<number, number>();
  for (const histogram of histograms) {
    for (const [value, count] of histogram) counts.set(value, (counts.get(value) ?? 0) + count);
  }
  return [...counts].sort(([a], [b]) => a - b);
}

export function pathMtu(test: Test): number {
  return unit(test.path.id, 50) < 0.6 ? 9000 : 1500;
}

export function udpPackets(test: Test, ts: number): { sent: number; lost: number } {
  const sent = 62_500;
  return { sent, lost: Math.floor(sent * 0.001 * unit(test.id ^ 0xdb, ts)) };
}

/** How long a run takes. */
export function durationSeconds(test: Test): number {
  return { throughput: 20, latencybg: 60, rtt: 11, trace: 8 }[test.type];
}

const FAILURES = [
  'iperf3 returned an error: unable to connect to server: Connection refused',
  'Run was preempted',
  'Process took too long to run.',
  'Unable to resolve the name of the other end',
  'Task forbidden by limits',
  'Tool failed',
];

export function failureText(test: Test, ts: number): string {
  return FAILURES[mix(test.id ^ 0xfa1, ts) % FAILURES.length]!;
}

/** One JSON point as the archives give it: `[{start, duration, val}]`, ten seconds that add up to the whole. */
export function subintervals(test: Test, ts: number, total: number, integer: boolean): Json {
  const parts: Json[] = [];
  for (let start = 0; start < 10; start++) {
    const share = 1 + 0.1 * (unit(test.id ^ start, ts) - 0.5);
    parts.push({ start, duration: 1, val: integer ? Math.floor((total / 10) * share) : total * share });
  }
  return parts;
}
