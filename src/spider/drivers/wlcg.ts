import { type ArchivedTest, type Metric, READABLE, type Readable, type Series } from '../../domain.ts';
import { HttpFailure } from '../http.ts';
import { forEachLimited } from '../limit.ts';
import type { ArchiveDriver, ReadContext } from './driver.ts';
import { endpointsOf } from './endpoint.ts';
import { textOf } from './fields.ts';
import { scaled } from './metrics.ts';
import { numberOf } from './numbers.ts';
import { Routes, routeOfLists } from './route.ts';
import { type Hit, PAGE_SIZE, PageReads, PageTraces, searchPages } from './search.ts';
import { SearchAnswer } from './search-answer.ts';

/**
 * The aggregated indices of WLCG and OSG: results of many measurement hosts in one Elasticsearch, one index for each
 * kind of value. A document's `_id` is a hash of source, destination, kind and time, so these name it within its
 * index, and a series is a pair of addresses.
 *
 * Documents carry when they were measured (`timestamp`, epoch ms) but not when they were taken in. So an index is read
 * from a little before the newest document that was read of it (`overlapMinutes`); what arrives later than that is
 * missed. An index that is late as a whole loses nothing. What is in the future waits until its time has come: a host
 * whose clock is ahead must not move the checkpoint past the others.
 */
export const wlcg: ArchiveDriver = { kind: 'wlcg', read };

interface ValueIndex {
  name: string;
  metric: Metric;
  field: string;
  factor: number;
}

interface TraceIndex {
  name: string;
  metric: 'trace';
  field: string;
}

type Index = ValueIndex | TraceIndex;

const INDICES: readonly Index[] = [
  { name: 'ps_throughput', metric: 'throughputMbps', field: 'throughput', factor: 1e-6 },
  { name: 'ps_packetloss', metric: 'lossRate', field: 'packet_loss', factor: 1 },
  // Not delay_median: for an even number of packets the collector that fills the index takes a + b / 2.
  { name: 'ps_owd', metric: 'oneWayDelayMs', field: 'delay_mean', factor: 1 },
  { name: 'ps_retransmits', metric: 'retransmits', field: 'retransmits', factor: 1 },
  { name: 'ps_trace', metric: 'trace', field: 'hops' },
];

async function read(context: ReadContext): Promise<void> {
  const indices = INDICES.filter(({ metric }) => context.metrics.includes(metric));
  const readTo = newestByMetric(context.checkpoints);
  let missing = 0;
  await forEachLimited(indices, context.concurrency, async (index) => {
    try {
      await readIndex(index, readTo.get(index.metric), context);
    } catch (error) {
      // One index may be absent or closed; anything else concerns them all.
      if (!(error instanceof HttpFailure) || (error.status !== 404 && error.status !== 403)) throw error;
      missing += 1;
      if (missing === indices.length) throw error;
      context.seriesFailed(error);
    }
  });
}

async function readIndex(index: Index, readToMs: number | undefined, context: ReadContext): Promise<void> {
  const now = context.now.getTime();
  const from =
    readToMs === undefined ? now - context.lookbackMs : Math.min(readToMs, now) - context.overlapMs;
  const url = `${context.url}${index.name}/_search`;
  const ask = async (after?: readonly unknown[]) => {
    const body = await context.postForBody(url, {
      size: PAGE_SIZE,
      track_total_hits: false,
      sort: [{ timestamp: 'asc' }, { src: 'asc' }, { dest: 'asc' }],
      ...(after && { search_after: after }),
      _source: [
        ...['timestamp', 'src', 'dest', 'src_host', 'dest_host', index.field],
        ...(index.metric === 'trace' ? ['ttls', 'asns', 'destination_reached'] : []),
      ],
      query: {
        bool: { filter: [{ range: { timestamp: { gte: from, lte: now, format: 'epoch_millis' } } }] },
      },
    });
    return new SearchAnswer(body.take(), url);
  };
  const pairs = new Map<string, Pair>();
  const done = new Set<Pair>();
  const routes = new Routes();
  let unreadable = 0;
  let documents = 0;
  let pageBeginsMs = from;
  for await (const page of searchPages(ask, url)) {
    const reads = new PageReads();
    const traces = new PageTraces();
    const met = new Set<Pair>();
    let newest: { pair: Pair; atMs: number } | undefined;
    for (const hit of page) {
      documents += 1;
      const reading = readingOf(hit, index.field);
      if (!reading) {
        unreadable += 1;
        continue;
      }
      const { atMs, value } = reading;
      const pair = pairOf(hit, reading, index, context.archiveKey, pairs);
      const at = new Date(atMs);
      if (index.metric === 'trace') {
        const { hops, ttls, asns, destination_reached: isReached } = hit.source;
        const route = routeOfLists({ hops, ttls, asns }, pair.test.destination);
        if (!route) continue;
        traces.add(pair.test, {
          at,
          route: routes.same({ ...route, isReached: route.isReached || isReached === true }),
        });
      } else {
        reads.add(pair.series!, { at, value: scaled(numberOf(value), index.factor) });
      }
      met.add(pair);
      if (!newest || atMs >= newest.atMs) newest = { pair, atMs };
    }
    // The index is read from its newest checkpoint on. A page may be stored in part before a crash: only when all of
    // it has been handed over may a checkpoint say so.
    await reads.emit(context, () => pageBeginsMs);
    await traces.emit(context, () => pageBeginsMs);
    for (const each of met) {
      if (!done.has(each)) context.seriesDone('read');
      done.add(each);
    }
    if (!newest) continue;
    pageBeginsMs = Math.max(pageBeginsMs, newest.atMs);
    const checkpoint = new Date(pageBeginsMs);
    const { test, series } = newest.pair;
    if (series) await context.emit([{ series, samples: [], checkpoint }]);
    else await context.emitTraces({ test, runs: [], checkpoint });
  }
  if (unreadable > 0)
    context.log.warn(
      { archive: context.archiveKey, index: index.name, unreadable },
      'documents that cannot be read',
    );
  if (unreadable > 0 && unreadable === documents)
    throw new HttpFailure('bad-data', url, 'answered no document with the fields of its index');
}

/** A pair of addresses; what is measured between them is a series, but for traces. */
interface Pair {
  test: ArchivedTest;
  series?: Series;
}

function pairOf(
  hit: Hit,
  { source, destination }: { source: string; destination: string },
  index: Index,
  archiveKey: string,
  pairs: Map<string, Pair>,
): Pair {
  const metadataKey = `${source}>${destination}`;
  const known = pairs.get(metadataKey);
  if (known) return known;
  const ends = endpointsOf({
    source,
    destination,
    inputSource: textOf(hit.source.src_host),
    inputDestination: textOf(hit.source.dest_host),
  });
  const test: ArchivedTest = { archiveKey, metadataKey, ...ends, tool: 'unknown' };
  const pair: Pair = { test };
  if (index.metric !== 'trace')
    pair.series = { ...test, metric: index.metric, eventType: `${index.name}/${index.field}` };
  pairs.set(metadataKey, pair);
  return pair;
}

function readingOf({ source: fields }: Hit, field: string) {
  const source = textOf(fields.src);
  const destination = textOf(fields.dest);
  const atMs = numberOf(fields.timestamp);
  const value = fields[field];
  if (source === undefined || destination === undefined || atMs === null || value === undefined)
    return undefined;
  // Seconds, or what no Date can hold.
  if (!(atMs > EARLIEST_MS && atMs < LATEST_MS)) return undefined;
  return { source, destination, atMs, value };
}

const EARLIEST_MS = Date.UTC(2000, 0);
const LATEST_MS = Date.UTC(2100, 0);

/** Up to where each index was read. */
function newestByMetric(checkpoints: ReadonlyMap<string, Date>): Map<Readable, number> {
  const newest = new Map<Readable, number>();
  for (const [key, checkpoint] of checkpoints) {
    const metric = READABLE.find((each) => key.endsWith(`/${each}`));
    if (metric) newest.set(metric, Math.max(newest.get(metric) ?? 0, checkpoint.getTime()));
  }
  return newest;
}
