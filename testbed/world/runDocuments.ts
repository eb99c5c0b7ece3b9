import { baseValue, fromSeconds, ingestMs, isLate, type View, visibleRuns } from './events.ts';
import type { Archive, Json, Test } from './model.ts';
import { mix, round, unit, uuid } from './rng.ts';
import { hopDetails, trace } from './routes.ts';
import {
  durationSeconds,
  failureText,
  type Histogram,
  latencyRun,
  pathMtu,
  type Run,
  rttRun,
  statistics,
  throughputBps,
  udpPackets,
} from './series.ts';

/**
 * A run as the pipeline of perfSONAR 5 stores it: one document with everything it measured. Shapes after
 * perfsonar/logstash and captured archiver bodies. And the same run as truth to check a reader against.
 */

/** The same in every archive that holds the run. */
export function runId(test: Test, run: Run): string {
  return uuid(`run ${test.id} ${test.type} ${test.sourceAddress} ${test.destinationAddress} ${run.ts}`);
}

/** Whether an archive of this kind keeps the run at all: failed ones only where the archiver is told to send them. */
export function isStored(archive: Archive, run: Run): boolean {
  return run.succeeded || archive.keepsFailures;
}

/** One run in two hundred is in the index twice, since the archiver got no answer and sent it again: ms later. */
export function secondCopyMs(test: Test, run: Run): number | null {
  return unit(test.id ^ 0xd0b1e, run.ts) < 0.005 ? 30_000 + (mix(test.id, run.ts) % 60_000) : null;
}

/** No run is stored longer than this after its start, second copies included. */
export function longestIngestSeconds(view: View): number {
  return Math.max(70, view.lateSeconds) + 100;
}

export function runDocument(test: Test, run: Run, timestampMs: number): { [key: string]: Json } {
  return documentOf(test, momentsOf(test, run, timestampMs), runResult(test, run));
}

/** What differs from one run of a test to the next, its result aside. */
export interface Moments {
  id: string;
  timestamp: string;
  added: string;
  start: string;
  end: string;
}

export function momentsOf(test: Test, run: Run, timestampMs: number, id = runId(test, run)): Moments {
  const iso = (seconds: number): string => `${new Date(seconds * 1000).toISOString().slice(0, 19)}+00:00`;
  return {
    id,
    timestamp: new Date(timestampMs).toISOString(),
    added: iso(Math.floor(run.ts / 86_400) * 86_400),
    start: iso(run.ts),
    end: iso(run.ts + durationSeconds(test)),
  };
}

export function runResult(test: Test, run: Run): Json {
  return run.succeeded ? resultOf(test, run) : failedResult(test, run);
}

export function documentOf(test: Test, moments: Moments, result: Json): { [key: string]: Json } {
  const { source, destination } = test;
  const { id } = moments;
  const duration = durationSeconds(test);
  const taskId = uuid(`task ${test.id} ${test.sourceAddress}`);
  const href = `https://${source.address4}/pscheduler/tasks/${taskId}`;
  const end = (address: string, host: Test['source']): Json => ({
    ip: address,
    hostname: host.dirt === 'ipOnly' ? address : host.name,
  });
  return {
    '@timestamp': moments.timestamp,
    '@version': '1',
    id,
    pscheduler: {
      added: moments.added,
      start_time: moments.start,
      end_time: moments.end,
      duration,
      participants:
        test.type === 'rtt' || test.type === 'trace'
          ? [test.inputSource]
          : [test.inputSource, test.inputDestination],
      tool: test.tool.replace('pscheduler/', ''),
      task_id: taskId,
      task_href: href,
      run_id: id,
      run_href: `${href}/runs/${id}`,
      test_checksum: test.key,
    },
    test: { type: test.type, spec: specOf(test) },
    schedule: test.type === 'latencybg' ? {} : { repeat: test.intervalSeconds, slip: 300 },
    reference: { psconfig: { created_by: { uuid: source.clientUuid, agent_type: 'pscheduler' } } },
    meta: {
      source: end(test.sourceAddress, source),
      destination: end(test.destinationAddress, destination),
      observer: end(test.sourceAddress, source),
      ip_version: test.ipVersion,
    },
    result,
  };
}

function specOf(test: Test): Json {
  const ends = {
    schema: 1,
    source: test.inputSource,
    dest: test.inputDestination,
    'ip-version': test.ipVersion,
  };
  if (test.type === 'throughput')
    return { ...ends, duration: 20, ...(test.udp ? { udp: true, bandwidth: 50e6 } : {}) };
  if (test.type === 'latencybg') return { ...ends, 'packet-count': 600, 'packet-interval': 0.1 };
  return test.type === 'rtt' ? { ...ends, count: 10, length: 1000 } : { ...ends, 'probe-type': 'udp' };
}

/** Some tools leave a zero behind when they fail, and it is stored as if it were a figure. */
function failedResult(test: Test, run: Run): Json {
  const failed = { succeeded: false, error: failureText(test, run.ts) };
  return test.type === 'throughput' && unit(test.id ^ 0x2e40, run.ts) < 0.5
    ? { ...failed, throughput: 0, retransmits: 0 }
    : failed;
}

function resultOf(test: Test, run: Run): Json {
  const { ts } = run;
  switch (test.type) {
    case 'throughput': {
      const bps = throughputBps(test, ts);
      const common = { succeeded: true, throughput: bps, mtu: pathMtu(test), mss: pathMtu(test) - 52 };
      const interval = { start: 0, end: 20, omitted: false, 'throughput-bits': bps };
      const intervals = { json: [{ summary: interval, streams: [{ ...interval, 'stream-id': 5 }] }] };
      if (test.udp) {
        const { sent, lost } = udpPackets(test, ts);
        const jitter = round(0.01 + 0.2 * unit(test.id ^ 0x717, ts), 4);
        return { ...common, jitter, packets_sent: sent, packets_lost: lost, intervals };
      }
      const retransmits = retransmitsOf(test, run);
      return { ...common, ...(retransmits === null ? {} : { retransmits }), intervals };
    }
    case 'latencybg': {
      const { sent, lost, duplicates, reorders, histogram, hops, clockErrorMs } = latencyRun(test, ts);
      return {
        succeeded: true,
        max_clock_error: clockErrorMs,
        packets: packets(sent, lost, duplicates, reorders),
        ...(histogram.length === 0
          ? {}
          : { latency: latencyOf(histogram), ttl: { min: 255 - hops, max: 255 - hops, mean: 255 - hops } }),
      };
    }
    case 'rtt': {
      const { sent, lost, histogram } = rttRun(test, ts);
      const stats = statistics(histogram);
      return {
        succeeded: true,
        packets: packets(sent, lost, 0, 0),
        // In seconds, unlike everything else.
        ...(stats
          ? {
              rtt: {
                min: stats.minimum / 1000,
                max: stats.maximum / 1000,
                mean: stats.mean / 1000,
                stddev: stats.standardDeviation / 1000,
              },
            }
          : {}),
      };
    }
    case 'trace': {
      const hops = trace(test, ts);
      const answered = hops.filter((hop) => hop.ip !== null);
      const asn = [...new Set(hops.flatMap((hop) => hop.asn ?? []))];
      return {
        succeeded: true,
        mtu: pathMtu(test),
        hop: {
          count: hops.length,
          success_count: answered.length,
          error_count: hops.length - answered.length,
          ip: answered.map((hop) => hop.ip),
          ip_str: answered.map((hop) => hop.ip).join(' '),
          as_number: asn,
          as_number_str: asn.join(' '),
        },
        json: [
          hops.map(
            (hop): Json =>
              hop.ip === null
                ? {}
                : { ip: hop.ip, rtt: `PT${round(hop.rttMs! / 1000, 6)}S`, mtu: hop.mtu, ...hopDetails(hop) },
          ),
        ],
      };
    }
  }
}

function packets(sent: number, lost: number, duplicated: number, reordered: number): Json {
  return { sent, lost, received: sent - lost, loss: lost / sent, duplicated, reordered };
}

function latencyOf(histogram: Histogram): Json {
  const stats = statistics(histogram)!;
  return {
    min: stats.minimum,
    max: stats.maximum,
    mean: stats.mean,
    median: stats.median,
    mode: stats.mode,
    p_25: stats.percentile25,
    p_75: stats.percentile75,
    p_95: stats.percentile95,
    stddev: stats.standardDeviation,
    variance: stats.variance,
    histogram: { values: histogram.map(([ms]) => ms), counts: histogram.map(([, count]) => count) },
  };
}

/** Null for UDP, and for the few runs whose tool did not say. */
function retransmitsOf(test: Test, run: Run): number | null {
  return baseValue(null, test, 'packet-retransmits', run) as number | null;
}

// --- the truth

/** One stored run, in plain units. What the run did not measure is null. */
export interface BookRun {
  /** Key of the archive. */
  archive: string;
  runId: string;
  /** Under which its elmond or esmond face has the same run. */
  metadataKey: string;
  testType: Test['type'];
  tool: string;
  udp: boolean;
  ipVersion: 4 | 6;
  source: string;
  destination: string;
  sourceSite: string;
  destinationSite: string;
  startedAt: Date;
  /**
   * When the document came into OpenSearch; a second copy comes later still. An archive whose OpenSearch nobody can
   * read shows the run without it.
   */
  ingestedAt: Date;
  late: boolean;
  succeeded: boolean;
  throughputBps: number | null;
  retransmits: number | null;
  packetsSent: number | null;
  packetsLost: number | null;
  duplicates: number | null;
  reorders: number | null;
  oneWayDelayMs: { minimum: number; median: number; mean: number; maximum: number } | null;
  maxClockErrorMs: number | null;
  rttMs: { minimum: number; mean: number; maximum: number } | null;
  /** What the tool said where the run failed. */
  error: string | null;
  /** Null for a hop that kept silent. */
  hops: (string | null)[] | null;
  /** Of the hops: whose they are, null where nobody knows. */
  asns: (number | null)[] | null;
}

export interface RunsQuery {
  /** Start of the run, both ends inclusive. */
  from: Date;
  to: Date;
  /** Keys of archives; default: all. */
  archives?: readonly string[];
}

export function* bookRuns(archives: Archive[], query: RunsQuery, view: View): Generator<BookRun> {
  const from = Math.ceil(query.from.getTime() / 1000);
  const to = Math.floor(query.to.getTime() / 1000);
  for (const archive of archives) {
    if (query.archives && !query.archives.includes(archive.key)) continue;
    for (const test of archive.tests.values()) {
      for (const run of visibleRuns(archive, test, from, to, view)) {
        if (isStored(archive, run)) yield bookRun(archive, test, run, view);
      }
    }
  }
}

function bookRun(archive: Archive, test: Test, run: Run, view: View): BookRun {
  const { ts, succeeded } = run;
  const book: BookRun = {
    archive: archive.key,
    runId: runId(test, run),
    metadataKey: test.key,
    testType: test.type,
    tool: test.tool,
    udp: test.udp,
    ipVersion: test.ipVersion,
    source: test.sourceAddress,
    destination: test.destinationAddress,
    sourceSite: test.source.site.name,
    destinationSite: test.destination.site.name,
    startedAt: new Date(ts * 1000),
    ingestedAt: new Date(ingestMs(test, run, view)),
    late: isLate(test, run, view),
    succeeded,
    throughputBps: null,
    retransmits: null,
    packetsSent: null,
    packetsLost: null,
    duplicates: null,
    reorders: null,
    oneWayDelayMs: null,
    maxClockErrorMs: null,
    rttMs: null,
    error: succeeded ? null : failureText(test, ts),
    hops: null,
    asns: null,
  };
  if (!succeeded) return book;
  switch (test.type) {
    case 'throughput': {
      const udp = test.udp ? udpPackets(test, ts) : null;
      return {
        ...book,
        throughputBps: throughputBps(test, ts),
        retransmits: retransmitsOf(test, run),
        packetsSent: udp?.sent ?? null,
        packetsLost: udp?.lost ?? null,
      };
    }
    case 'latencybg': {
      const { sent, lost, duplicates, reorders, histogram, clockErrorMs } = latencyRun(test, ts);
      return {
        ...book,
        packetsSent: sent,
        packetsLost: lost,
        duplicates,
        reorders,
        maxClockErrorMs: clockErrorMs,
        oneWayDelayMs: statistics(histogram),
      };
    }
    case 'rtt': {
      const { sent, lost, histogram } = rttRun(test, ts);
      const stats = statistics(histogram);
      const rttMs = stats && archive.openSearch === 'anonymous' ? fromSeconds(stats) : stats;
      return { ...book, packetsSent: sent, packetsLost: lost, rttMs };
    }
    case 'trace': {
      const hops = trace(test, ts);
      return { ...book, hops: hops.map(({ ip }) => ip), asns: hops.map(({ asn }) => asn) };
    }
  }
}
