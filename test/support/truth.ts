import type { Metric, Route, Sample } from '../../src/domain.ts';
import { failureReason } from '../../src/spider/drivers/failures.ts';
import type { Store } from '../../src/store/store.ts';
import type { BookPoint } from '../../testbed/world/books.ts';
import type { World } from '../../testbed/world/world.ts';

interface Source {
  metric: Metric;
  event: string;
  summary: 'base' | 'statistics/0';
  /** `sent` of counts: how many packets the same run sent. */
  convert(value: unknown, sent: number): number;
}

const statistic = (value: unknown, name: string) => (value as Record<string, number | null>)[name];
const share = (value: unknown, sent: number) => (value === 0 ? 0 : (value as number) / sent);

/** Event type and summary of each metric, and how a book's value becomes the metric's. */
const SOURCES: readonly Source[] = [
  { metric: 'throughputMbps', event: 'throughput', summary: 'base', convert: (v) => (v as number) * 1e-6 },
  { metric: 'retransmits', event: 'packet-retransmits', summary: 'base', convert: (v) => v as number },
  { metric: 'lossRate', event: 'packet-loss-rate', summary: 'base', convert: (v) => v as number },
  {
    metric: 'oneWayDelayMs',
    event: 'histogram-owdelay',
    summary: 'statistics/0',
    convert: (v) => statistic(v, 'median')!,
  },
  {
    metric: 'delayVariationMs',
    event: 'histogram-owdelay',
    summary: 'statistics/0',
    convert: (v) => statistic(v, 'percentile-95')! - statistic(v, 'minimum')!,
  },
  { metric: 'reorderRate', event: 'packet-reorders', summary: 'base', convert: share },
  { metric: 'duplicateRate', event: 'packet-duplicates', summary: 'base', convert: share },
  {
    metric: 'rttMs',
    event: 'histogram-rtt',
    summary: 'statistics/0',
    convert: (v) => statistic(v, 'median') ?? statistic(v, 'mean')!,
  },
];

/** What names a row: archive, test, what it is of, time in ms. */
export const rowKey = (archiveKey: string, metadataKey: string, of: string, time: number) =>
  `${archiveKey.split(':')[0]} ${metadataKey}/${of} ${time}`;

/** A route as the books tell it; what is silent at the end is left out. */
export const wayOf = (hops: readonly (string | null | undefined)[]) =>
  hops
    .map((hop) => hop ?? '*')
    .join(' ')
    .replace(/( ?\*)+$/, '');

export const wayOfRoute = ({ hops }: Route) => wayOf(hops.map(({ address }) => address));

/**
 * What a complete harvest of the window has, by the world's books: of all metrics the values, of failed runs why they
 * failed, and of traces which way they told (a run that nobody answered tells none).
 */
export function rowsByTheBooks(world: World, from: Date, to: Date): Map<string, number | string> {
  const rows = new Map<string, number | string>();
  const sent = new Map<string, number>();
  const keyOf = (series: { archive: string; metadataKey: string }, of: string, { ts }: BookPoint) =>
    rowKey(series.archive, series.metadataKey, of, ts * 1000);
  const packets = world.books({ from, to, eventTypes: ['packet-count-sent'], summaries: ['base'] });
  for (const series of packets.series)
    for (const point of series.points) sent.set(keyOf(series, 'sent', point), point.value as number);
  for (const { metric, event, summary, convert } of SOURCES) {
    for (const series of world.books({ from, to, eventTypes: [event], summaries: [summary] }).series) {
      // What a UDP test sends says nothing of what the path carries.
      if (metric === 'throughputMbps' && series.udp) continue;
      // Loss of a throughput test says how far it overran the path; Lark leaves it out.
      if (metric === 'lossRate' && series.testType === 'throughput') continue;
      for (const point of series.points)
        rows.set(
          keyOf(series, metric, point),
          convert(point.value, sent.get(keyOf(series, 'sent', point)) ?? Number.NaN),
        );
    }
  }
  for (const { archive, metadataKey, startedAt, hops, error } of world.runs({ from, to })) {
    const row = (of: string) => rowKey(archive, metadataKey, of, startedAt.getTime());
    if (error !== null) rows.set(row('failedRuns'), failureReason(error));
    const way = wayOf(hops ?? []);
    if (way !== '') rows.set(row('trace'), way);
  }
  return rows;
}

/** An index that collects what archives have: its documents are no archive's books. */
const isAggregate = ({ archiveKey }: { archiveKey: string }) => archiveKey.startsWith('aggregate:');

/**
 * Compares the store with the world's own books over a window: how many rows each has, and how many of the one
 * are missing in the other, or there with another value.
 */
export async function compareWithBooks(store: Store, world: World, from: Date, to: Date) {
  const held = new Map<string, number | string | null>();
  let rows = 0;
  for (const series of await store.series()) {
    if (isAggregate(series)) continue;
    const { id: seriesId, archiveKey, metadataKey, metric } = series;
    const until = new Date(to.getTime() + 1);
    const samples: Sample[] = await store.sampleRows({ seriesId, since: from, until });
    for (const { at, value, reason } of samples) {
      if (at < from || at > to) continue;
      rows++;
      const row = rowKey(archiveKey, metadataKey, metric, at.getTime());
      held.set(row, metric === 'failedRuns' ? (reason ?? '') : value);
    }
  }
  for (const [row, way] of await heldTraces(store, from, to)) {
    rows++;
    held.set(row, way);
  }
  const books = rowsByTheBooks(world, from, to);
  return {
    inBooks: books.size,
    inStore: rows,
    doubled: rows - held.size,
    lost: [...books].filter(([key, value]) => held.get(key) !== value).length,
    invented: [...held.keys()].filter((key) => !books.has(key)).length,
  };
}

async function heldTraces(store: Store, from: Date, to: Date): Promise<[string, string][]> {
  const tests = (await store.traceTests()).filter((test) => !isAggregate(test));
  const ids = tests.map(({ id }) => id);
  const ways = new Map((await store.routes(ids)).map((route) => [route.id, wayOfRoute(route)]));
  const runs = await store.traceRuns(ids, from);
  return tests.flatMap(({ id, archiveKey, metadataKey }) => {
    const { atMs, routeIds } = runs.get(id) ?? { atMs: [], routeIds: [] };
    return atMs.flatMap((ms, i): [string, string][] =>
      ms > to.getTime() ? [] : [[rowKey(archiveKey, metadataKey, 'trace', ms), ways.get(routeIds[i]!)!]],
    );
  });
}
