import { afterEach, describe, expect, test } from 'vitest';
import type { BookSeries } from '../../../testbed/world/books.ts';
import { startWorld, type World, type WorldOptions } from '../../../testbed/world/world.ts';
import { get, NOW, NOW_SECONDS } from './wire.ts';

let world: World;
afterEach(() => world.close());

const start = async (options: WorldOptions): Promise<World> => {
  world = await startWorld({ hosts: 8, seed: 4, clock: () => NOW, ...options });
  return world;
};

interface Found {
  archive: string;
  metadataKey: string;
  eventType: string;
  summary: string;
  source: string;
  destination: string;
  points: { ts: number; value: unknown }[];
}

/** A plain and complete harvest: all archives, all event types, small pages, by the advertised URIs. */
async function harvest(from: number, to: number): Promise<Found[]> {
  const found: Found[] = [];
  for (const archive of world.archives) {
    const origin = `https://${archive.key}:${world.ports.https}`;
    const elements = [];
    for (let offset = 0; ; offset += 7) {
      const query = `time-start=${from}&limit=7&offset=${offset}`;
      const page = (await get(`${origin}/esmond/perfsonar/archive/?${query}`)).json();
      if (page.length === 0) break;
      elements.push(...page);
    }
    for (const element of elements) {
      for (const type of element['event-types']) {
        const uris = [['base', type['base-uri']]];
        for (const summary of type.summaries) {
          if (summary['summary-type'] === 'statistics' && Number(summary['summary-window']) === 0) {
            uris.push(['statistics/0', summary.uri]);
          }
        }
        for (const [summary, uri] of uris) {
          const points: Found['points'] = [];
          for (let offset = 0; ; offset += 200) {
            const query = `time-start=${from}&time-end=${to}&limit=200&offset=${offset}`;
            const page: { ts: number; val: unknown }[] = (await get(`${origin}${uri}?${query}`)).json();
            if (page.length === 0) break;
            points.push(...page.map(({ ts, val }) => ({ ts, value: val })));
          }
          if (points.length === 0) continue;
          const { 'metadata-key': metadataKey, source, destination } = element;
          const eventType = type['event-type'];
          found.push({ archive: archive.key, metadataKey, eventType, summary, source, destination, points });
        }
      }
    }
  }
  return found;
}

const order = (series: {
  archive: string;
  metadataKey: string;
  eventType: string;
  summary: string;
}): string => `${series.archive} ${series.metadataKey} ${series.eventType} ${series.summary}`;

const sorted = <T extends Found>(series: T[]): T[] =>
  series.toSorted((a, b) => (order(a) < order(b) ? -1 : 1));

const comparable = ({
  archive,
  metadataKey,
  eventType,
  summary,
  source,
  destination,
  points,
}: BookSeries): Found => ({
  archive,
  metadataKey,
  eventType,
  summary,
  source,
  destination,
  points,
});

describe('books', () => {
  test('say to the point what paging through all archives yields', async () => {
    await start({});
    const [from, to] = [NOW_SECONDS - 3 * 3600, NOW_SECONDS];
    const { series, totalPoints } = world.books({ from: new Date(from * 1000), to: new Date(to * 1000) });
    const found = await harvest(from, to);
    expect(sorted(found)).toEqual(sorted(series.map(comparable)));
    expect(totalPoints).toBe(found.reduce((sum, { points }) => sum + points.length, 0));
    expect(new Set(world.archives.map((a) => a.kind)).size).toBe(2);
    expect(totalPoints).toBeGreaterThan(5000);
  });

  test('say so too while results are late', async () => {
    await start({ lateSeconds: 3600, lateShare: 0.3 });
    const [from, to] = [NOW_SECONDS - 2 * 3600, NOW_SECONDS];
    const window = { from: new Date(from * 1000), to: new Date(to * 1000) };
    const { series } = world.books(window);
    expect(sorted(await harvest(from, to))).toEqual(sorted(series.map(comparable)));
  });

  test('late results come in between those that are there already', async () => {
    let now = NOW;
    await start({ lateSeconds: 1800, lateShare: 0.5, clock: () => now, anchor: NOW });
    const query = { from: new Date(NOW.getTime() - 3_600_000), to: NOW, eventTypes: ['packet-loss-rate'] };
    const before = world.books(query);
    now = new Date(NOW.getTime() + 1_800_000);
    const after = world.books(query);
    const times = (books: typeof before): Set<string> =>
      new Set(books.series.flatMap((s) => s.points.map(({ ts }) => `${order(s)} ${ts}`)));
    expect(times(before).isSubsetOf(times(after))).toBe(true);
    const ratio = before.totalPoints / after.totalPoints;
    expect(ratio).toBeGreaterThan(0.6);
    expect(ratio).toBeLessThan(0.9);
    // The newest point of before is not the border between known and unknown.
    const { points } = before.series[0]!;
    const newer = after.series.find((s) => order(s) === order(before.series[0]!))!.points;
    const known = new Set(points.map(({ ts }) => ts));
    expect(newer.some(({ ts }) => ts < points.at(-1)!.ts && !known.has(ts))).toBe(true);
  });

  test('name units, sites, and select what is asked for', async () => {
    await start({});
    const archive = world.archives.find((a) => a.testCount > 0)!.key;
    const { series } = world.books({
      from: new Date(NOW.getTime() - 86_400_000),
      to: NOW,
      eventTypes: ['throughput', 'histogram-owdelay'],
      summaries: ['statistics/0', 'base'],
      archives: [archive],
    });
    expect(new Set(series.map((s) => s.archive))).toEqual(new Set([archive]));
    const units = new Map(series.map((s) => [s.eventType, s.unit]));
    for (const [eventType, unit] of units) expect(unit).toBe(eventType === 'throughput' ? 'bit/s' : 'ms');
    const sites = new Set(world.hosts.map((host) => host.site));
    expect(series.every((s) => sites.has(s.sourceSite) && sites.has(s.destinationSite))).toBe(true);
    expect(series.length).toBeGreaterThan(0);
  });
});
