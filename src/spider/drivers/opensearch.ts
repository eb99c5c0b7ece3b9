import {
  type ArchivedTest,
  type RawSample,
  type Readable,
  type Series,
  type SeriesMetric,
  seriesKey,
} from '../../domain.ts';
import { HttpFailure } from '../http.ts';
import type { ArchiveDriver, ReadContext } from './driver.ts';
import { endpointsOf } from './endpoint.ts';
import { failureReason } from './failures.ts';
import { fieldsOf, textOf } from './fields.ts';
import { difference, firstNumber, rateOf, scaled } from './metrics.ts';
import { numberOf } from './numbers.ts';
import { Routes, routeOfPaths } from './route.ts';
import { type Hit, PAGE_SIZE, PageReads, PageTraces, searchPages } from './search.ts';
import { SearchAnswer } from './search-answer.ts';

/**
 * The OpenSearch behind elmond (perfSONAR 5.0 and later), which the archive's installer opens for anonymous reading
 * at `https://HOST/opensearch`. One search gives the runs of all tests, in the order in which the archive took them
 * in (`@timestamp`). So what arrives late costs nothing: it is new, whatever it measured. One checkpoint serves the
 * whole archive; it is in the archive's own time, and only documents move it, never our clock.
 *
 * Series and samples are the same, to the key and the second, as elmond gives for the same documents, so that an
 * archive can change its face without loss or double: docs/decisions/020-opensearch-series.md.
 */
export const opensearch: ArchiveDriver = { kind: 'opensearch', read };

/** Where the OpenSearch beside an archive's elmond is read. */
export function searchUrl(elmondUrl: string): string {
  return new URL('/opensearch/pscheduler/', elmondUrl).href;
}

type SearchContext = Pick<
  ReadContext,
  'now' | 'checkpoints' | 'ingestedTo' | 'lookbackMs' | 'overlapMs' | 'metrics' | 'postForBody'
>;

/**
 * Asks for one page. The first one is the probe too.
 * @throws HttpFailure
 */
export async function searchRuns(
  url: string,
  context: SearchContext,
  after?: readonly unknown[],
  signal?: AbortSignal,
): Promise<SearchAnswer> {
  const body = await context.postForBody(
    `${url}_search`,
    {
      size: PAGE_SIZE,
      track_total_hits: false,
      // A backing index that was just rolled over knows no field but the time until its first document comes; its
      // shard would fail.
      sort: [
        { '@timestamp': 'asc' },
        { 'pscheduler.run_id.keyword': { order: 'asc', unmapped_type: 'keyword' } },
      ],
      ...(after && { search_after: after }),
      _source: FIELDS,
      query: {
        bool: {
          filter: [
            { terms: { 'test.type.keyword': testTypes(context.metrics) } },
            { range: { '@timestamp': timesToRead(context) } },
          ],
        },
      },
    },
    signal,
  );
  return new SearchAnswer(body.take(), `${url}_search`);
}

/**
 * How far before the checkpoint is read again: documents become visible a little after the time they carry (refresh
 * of the index, several workers in logstash), not in its order.
 */
const VISIBLE_WITHIN_MS = 2 * 60_000;

/** Archives' clocks are ahead by minutes. Where ours is behind by years, an index is not read as if it were new. */
const AHEAD_MS = 24 * 3_600_000;

function timesToRead(context: SearchContext): { gte: string; lte: string } {
  const to = new Date(context.now.getTime() + AHEAD_MS);
  return { gte: readFrom(context).toISOString(), lte: to.toISOString() };
}

/** A checkpoint after now is the archive's own word, so that it is our clock which is wrong. */
function readFrom(context: SearchContext): Date {
  const now = context.now.getTime();
  if (context.ingestedTo) return new Date(context.ingestedTo.getTime() - VISIBLE_WITHIN_MS);
  // Never read by this face: the lookback, or since the other face was read if that is longer ago.
  let newest = Number.NEGATIVE_INFINITY;
  for (const checkpoint of context.checkpoints.values()) newest = Math.max(newest, checkpoint.getTime());
  const sinceOtherFace = newest === Number.NEGATIVE_INFINITY ? now : newest - context.overlapMs;
  return new Date(Math.min(now - context.lookbackMs, sinceOtherFace));
}

async function read(context: ReadContext): Promise<void> {
  const { url } = context;
  const now = context.now.getTime();
  const readings = READINGS.filter(({ metric }) => context.metrics.includes(metric));
  const routes = new Routes();
  const readBeforeMs = context.ingestedTo?.getTime() ?? Number.NEGATIVE_INFINITY;
  const tests = new Map<string, { test: ArchivedTest; series: Partial<Record<SeriesMetric, Series>> }>();
  const done = new Set<object>();
  // Runs come twice when two archivers send them, or one sends again; near each other. Farther apart, they make the
  // same row again, which changes nothing.
  let runsOfPage = new Set<string>();
  let runsOfPageBefore: ReadonlySet<string>;
  let unreadable = 0;
  let documents = 0;

  const ask = async (after?: readonly unknown[]) => {
    const probed = context.takeAnswer();
    return probed instanceof SearchAnswer ? probed : searchRuns(url, context, after);
  };
  for await (const page of searchPages(ask, `${url}_search`)) {
    const reads = new PageReads();
    const traces = new PageTraces();
    runsOfPageBefore = runsOfPage;
    runsOfPage = new Set();
    let failedRuns = 0;
    let readToMs = Number.NEGATIVE_INFINITY;
    for (const hit of page) {
      documents += 1;
      const run = runOf(hit);
      if (!run) {
        unreadable += 1;
        continue;
      }
      // Not by documents that say nothing to us: should none of them any more, the next version finds them all.
      if (hit.sortedAtMs <= now) readToMs = hit.sortedAtMs;
      if (run.id !== undefined) {
        if (runsOfPage.has(run.id) || runsOfPageBefore.has(run.id)) continue;
        runsOfPage.add(run.id);
      }
      const known = tests.get(run.metadataKey) ?? { test: testOf(run, context.archiveKey), series: {} };
      tests.set(run.metadataKey, known);
      const seriesOf = (metric: SeriesMetric, eventType: string): Series => {
        known.series[metric] ??= { ...known.test, metric, eventType };
        return known.series[metric];
      };
      const at: Pick<RawSample, 'at' | 'ingestedAt'> = { at: run.startedAt };
      if (Number.isFinite(hit.sortedAtMs)) at.ingestedAt = new Date(hit.sortedAtMs);
      if (!run.succeeded) {
        if (hit.sortedAtMs > readBeforeMs) failedRuns += 1;
        if (context.metrics.includes('failedRuns'))
          reads.add(seriesOf('failedRuns', 'failures'), {
            ...at,
            value: 1,
            failure: failureReason(run.result.error),
          });
        continue;
      }
      if (run.testType === 'trace' && context.metrics.includes('trace')) {
        const route = routeOfPaths(run.result.json, run.destinationAddress);
        if (route) traces.add(known.test, { at: run.startedAt, route: routes.same(route) });
      }
      for (const reading of readings) {
        if (!reading.testTypes.includes(run.testType)) continue;
        const value = reading.valueOf(run);
        if (value === undefined) continue;
        const sample: RawSample = { ...at, value };
        if (reading.metric === 'oneWayDelayMs' && run.clockErrorMs !== undefined)
          sample.clockErrorMs = run.clockErrorMs;
        reads.add(seriesOf(reading.metric, reading.eventType), sample);
      }
    }
    // As elmond's reading leaves it, which goes on from here should the search be closed.
    const checkpointOf = (key: string, newestMs: number) =>
      Math.min(Math.max(newestMs, context.checkpoints.get(key)?.getTime() ?? 0), now);
    await reads.emit(context, (each, newestMs) => checkpointOf(seriesKey(each), newestMs));
    await traces.emit(context, ({ metadataKey }, newestMs) =>
      checkpointOf(seriesKey({ metadataKey, metric: 'trace' }), newestMs),
    );
    for (const each of [...reads.series(), ...traces.tests()]) {
      if (!done.has(each)) context.seriesDone('read');
      done.add(each);
    }
    context.runsFailed(failedRuns);
    if (Number.isFinite(readToMs)) context.readTo(new Date(readToMs));
  }
  if (unreadable > 0)
    context.log.warn({ archive: context.archiveKey, unreadable }, 'documents that cannot be read');
  if (unreadable > 0 && unreadable === documents)
    throw new HttpFailure('bad-data', `${url}_search`, 'answered no document with the fields of a run');
}

const FIELDS = [
  '@timestamp',
  'pscheduler.run_id',
  'pscheduler.test_checksum',
  'pscheduler.start_time',
  'pscheduler.tool',
  'test.type',
  'test.spec.source',
  'test.spec.dest',
  'test.spec.udp',
  'test.spec.bandwidth',
  'meta.source.ip',
  'meta.destination.ip',
  'meta.observer.ip',
  'result.succeeded',
  'result.throughput',
  'result.retransmits',
  'result.error',
  'result.packets.sent',
  'result.packets.loss',
  'result.packets.reordered',
  'result.packets.duplicated',
  'result.latency.median',
  'result.latency.mean',
  'result.latency.min',
  'result.latency.p_95',
  'result.max_clock_error',
  'result.rtt.mean',
  'result.rtt.min',
  // The ways of a trace.
  'result.json',
];

interface Run {
  id: string | undefined;
  metadataKey: string;
  startedAt: Date;
  testType: string;
  succeeded: boolean;
  /** What the two hosts' clocks said; undefined for 0 too, which some tools give where they have no estimate. */
  clockErrorMs: number | undefined;
  isUdp: boolean;
  /** The test was told at which rate to send. */
  isRateSet: boolean;
  spec: Record<string, unknown>;
  sourceAddress: string;
  destinationAddress: string;
  observerAddress: string | undefined;
  tool: string | undefined;
  result: Record<string, unknown>;
}

/** A document's run; undefined where it lacks what makes a sample one of a series. elmond leaves the same out. */
function runOf({ source }: Hit): Run | undefined {
  const pscheduler = fieldsOf(source.pscheduler);
  const test = fieldsOf(source.test);
  const spec = fieldsOf(test.spec);
  const meta = fieldsOf(source.meta);
  const result = fieldsOf(source.result);
  const checksum = textOf(pscheduler.test_checksum);
  const startedMs = Date.parse(textOf(pscheduler.start_time) ?? '');
  const testType = textOf(test.type);
  const sourceAddress = textOf(fieldsOf(meta.source).ip);
  const destinationAddress = textOf(fieldsOf(meta.destination).ip);
  if (checksum === undefined || !(startedMs > 0) || testType === undefined) return undefined;
  if (sourceAddress === undefined || destinationAddress === undefined) return undefined;
  const isUdp = spec.udp === true || spec.udp === 'true';
  const clockErrorMs = numberOf(result.max_clock_error);
  return {
    id: textOf(pscheduler.run_id),
    // The checksum covers what the test was told. Who ran it is not in it: a test that names no source is another
    // one on each host that runs it.
    metadataKey: textOf(spec.source) === undefined ? `${checksum}@${sourceAddress}` : checksum,
    // Whole seconds, as elmond gives them.
    startedAt: new Date(Math.floor(startedMs / 1000) * 1000),
    testType,
    succeeded: result.succeeded === true || result.succeeded === 'true',
    clockErrorMs: clockErrorMs !== null && clockErrorMs > 0 ? clockErrorMs : undefined,
    isUdp,
    isRateSet: isUdp || isBandwidthSet(spec.bandwidth),
    spec,
    sourceAddress,
    destinationAddress,
    observerAddress: textOf(fieldsOf(meta.observer).ip),
    tool: textOf(pscheduler.tool),
    result,
  };
}

/** A number in bit/s, or a text such as `50M`. */
function isBandwidthSet(bandwidth: unknown): boolean {
  const number = numberOf(bandwidth);
  return number === null ? textOf(bandwidth) !== undefined : number > 0;
}

function testOf(run: Run, archiveKey: string): ArchivedTest {
  return {
    archiveKey,
    metadataKey: run.metadataKey,
    ...endpointsOf({
      source: run.sourceAddress,
      destination: run.destinationAddress,
      inputSource: textOf(run.spec.source) ?? run.observerAddress,
      inputDestination: textOf(run.spec.dest),
    }),
    tool: run.tool === undefined ? 'unknown' : `pscheduler/${run.tool}`,
  };
}

/** How a metric is read from a run. Which tests count, and why, is as in metrics.ts. */
interface Reading {
  metric: SeriesMetric;
  testTypes: readonly string[];
  /** elmond's name of what the value is. */
  eventType: string;
  /** Undefined where the run has none; null where it has something that is no number. */
  valueOf(run: Run): number | null | undefined;
}

const ONE_WAY_TESTS = ['latency', 'latencybg'];

const READINGS: readonly Reading[] = [
  {
    metric: 'throughputMbps',
    testTypes: ['throughput'],
    eventType: 'throughput',
    valueOf: ({ isRateSet, result }) => (isRateSet ? undefined : number(result.throughput, 1e-6)),
  },
  {
    metric: 'retransmits',
    testTypes: ['throughput'],
    eventType: 'packet-retransmits',
    valueOf: ({ isUdp, result }) => (isUdp ? undefined : number(result.retransmits)),
  },
  {
    metric: 'lossRate',
    testTypes: ONE_WAY_TESTS,
    eventType: 'packet-loss-rate',
    valueOf: ({ result }) => number(fieldsOf(result.packets).loss),
  },
  {
    metric: 'oneWayDelayMs',
    testTypes: ONE_WAY_TESTS,
    eventType: 'histogram-owdelay/statistics/0',
    valueOf: ({ result }) => statistic(result.latency),
  },
  {
    metric: 'delayVariationMs',
    testTypes: ONE_WAY_TESTS,
    eventType: 'histogram-owdelay/statistics/0',
    valueOf: ({ result: { latency } }) =>
      difference(firstNumber(latency, ['p_95']), firstNumber(latency, ['min'])),
  },
  {
    metric: 'reorderRate',
    testTypes: ONE_WAY_TESTS,
    eventType: 'packet-reorders',
    valueOf: ({ result }) => rateOfPackets(result, 'reordered'),
  },
  {
    metric: 'duplicateRate',
    testTypes: ONE_WAY_TESTS,
    eventType: 'packet-duplicates',
    valueOf: ({ result }) => rateOfPackets(result, 'duplicated'),
  },
  {
    metric: 'rttMs',
    testTypes: ['rtt'],
    eventType: 'histogram-rtt/statistics/0',
    // The only delay that is in seconds.
    valueOf: ({ result }) => statistic(result.rtt, 1000),
  },
];

/** The tests that tell of what is wanted; of runs that failed, all of them do. */
function testTypes(wanted: readonly Readable[]): string[] {
  const all = [...READINGS, { metric: 'trace', testTypes: ['trace'] } as const];
  const chosen = wanted.includes('failedRuns') ? all : all.filter(({ metric }) => wanted.includes(metric));
  return [...new Set(chosen.flatMap(({ testTypes }) => testTypes))];
}

function rateOfPackets(result: Record<string, unknown>, which: string): number | null | undefined {
  const packets = fieldsOf(result.packets);
  const count = number(packets[which]);
  return count === undefined ? undefined : rateOf(count, numberOf(packets.sent));
}

function number(value: unknown, factor = 1): number | null | undefined {
  return value === undefined || value === null ? undefined : scaled(numberOf(value), factor);
}

/** The median, else the mean, else the minimum. A run in which nothing came back has none of them. */
function statistic(statistics: unknown, factor = 1): number | null | undefined {
  const isThere = Object.values(fieldsOf(statistics)).some((value) => value !== null);
  return isThere ? scaled(firstNumber(statistics, ['median', 'mean', 'min']), factor) : undefined;
}
