import type { Sample } from '../../src/domain.ts';
import type { Store } from '../../src/store/store.ts';
import type { World } from '../../testbed/world/world.ts';

/** Event type and summary of each metric, and how a book's value becomes the metric's. */
const SOURCES = [
  {
    metric: 'throughputMbps',
    event: 'throughput',
    summary: 'base',
    convert: (v: unknown) => (v as number) * 1e-6,
  },
  {
    metric: 'retransmits',
    event: 'packet-retransmits',
    summary: 'base',
    convert: (v: unknown) => v as number,
  },
  { metric: 'lossRate', event: 'packet-loss-rate', summary: 'base', convert: (v: unknown) => v as number },
  {
    metric: 'oneWayDelayMs',
    event: 'histogram-owdelay',
    summary: 'statistics/0',
    convert: (v: unknown) => (v as Record<string, number>).median!,
  },
  {
    metric: 'rttMs',
    event: 'histogram-rtt',
    summary: 'statistics/0',
    convert: (v: unknown) =>
      (v as Record<string, number | null>).median ?? (v as Record<string, number>).mean!,
  },
] as const;

/**
 * Compares the store with the world's own books over a window: how many samples each has, and how many of the one
 * are missing in the other, or there with another value.
 */
export async function compareWithBooks(store: Store, world: World, from: Date, to: Date) {
  const held = new Map<string, number | null>();
  let rows = 0;
  for (const series of await store.series()) {
    // An index that collects what archives have: its documents are no archive's books.
    if (series.archiveKey.startsWith('aggregate:')) continue;
    const archive = series.archiveKey.split(':')[0]!;
    const samples: Sample[] = await store.sampleRows({
      seriesId: series.id,
      since: from,
      until: new Date(to.getTime() + 1),
    });
    for (const { at, value } of samples) {
      if (at < from || at > to) continue;
      rows++;
      held.set(`${archive} ${series.metadataKey} ${series.metric} ${at.getTime()}`, value);
    }
  }
  const books = new Map<string, number>();
  for (const { metric, event, summary, convert } of SOURCES) {
    for (const series of world.books({ from, to, eventTypes: [event], summaries: [summary] }).series) {
      // What a UDP test sends says nothing of what the path carries.
      if (metric === 'throughputMbps' && series.udp) continue;
      // Loss of a throughput test says how far it overran the path; Lark leaves it out.
      if (metric === 'lossRate' && series.testType === 'throughput') continue;
      for (const { ts, value } of series.points) {
        books.set(`${series.archive} ${series.metadataKey} ${metric} ${ts * 1000}`, convert(value));
      }
    }
  }
  return {
    inBooks: books.size,
    inStore: rows,
    doubled: rows - held.size,
    lost: [...books].filter(([key, value]) => held.get(key) !== value).length,
    invented: [...held.keys()].filter((key) => !books.has(key)).length,
  };
}
