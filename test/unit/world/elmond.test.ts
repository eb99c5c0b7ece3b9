import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWorld, type World, type WorldArchive } from '../../../testbed/world/world.ts';
import { type Answer, get, NOW, NOW_SECONDS, richest } from './wire.ts';

let world: World;
let archive: WorldArchive;
let older: WorldArchive;

const ROOT = '/esmond/perfsonar/archive';
const at = (path: string, of = archive): Promise<Answer> =>
  get(`https://${of.key}:${world.ports.https}${path}`);

type Element = Record<string, unknown> & {
  'metadata-key': string;
  'event-types': {
    'event-type': string;
    'base-uri': string;
    'time-updated': number;
    summaries: Record<string, unknown>[];
  }[];
};
const listed = async (query: string, of = archive): Promise<Element[]> =>
  (await at(`${ROOT}/?${query}`, of)).json();

async function baseUri(event: string, filter = 'time-range=86400', of = archive): Promise<string> {
  const [element] = await listed(`${filter}&event-type=${event}`, of);
  return element!['event-types'].find((type) => type['event-type'] === event)!['base-uri'];
}

const isHtml = (answer: Answer): boolean =>
  /^text\/html/.test(answer.type) && answer.body.startsWith('<!doctype html>');

beforeAll(async () => {
  world = await startWorld({ hosts: 120, seed: 3, clock: () => NOW });
  archive = richest(world, 'elmond', '5.1.4');
  older = richest(world, 'elmond', '5.0.8');
});
afterAll(() => world.close());

describe('elmond paths', () => {
  test('data is at /base/0 and nowhere else', async () => {
    const uri = await baseUri('throughput');
    expect(uri).toMatch(/\/throughput\/base\/0$/);
    expect((await at(`${uri}?time-range=86400`)).status).toBe(200);
    for (const wrong of [
      uri.replace(/\/0$/, ''),
      `${uri}/`,
      uri.replace(/base\/0$/, ''),
      uri.replace(/\/base\/0$/, ''),
    ]) {
      const answer = await at(wrong);
      expect([wrong, answer.status, isHtml(answer)]).toEqual([wrong, 404, true]);
    }
  });

  test('a test is at its key without a slash', async () => {
    const [element] = await listed('time-range=86400&limit=1');
    const uri = String(element!.uri);
    expect(uri).toMatch(/[0-9a-f]{64}$/);
    expect((await at(uri)).json()['metadata-key']).toBe(element!['metadata-key']);
    expect((await at(`${uri}/`)).status).toBe(404);
    expect((await at(`${ROOT}/${'0'.repeat(64)}`)).status).toBe(404);
  });

  test('a key that nobody knows is an empty answer, not an error', async () => {
    const answer = await at(`${ROOT}/${'0'.repeat(64)}/throughput/base/0`);
    expect([answer.status, answer.json()]).toEqual([200, []]);
  });

  test('5.1.4 refuses http, 5.0.8 does not', async () => {
    const plain = (of: WorldArchive): Promise<Answer> =>
      get(`http://${of.key}:${world.ports.http}${ROOT}/?time-range=3600`);
    const refused = await plain(archive);
    expect([refused.status, isHtml(refused)]).toEqual([403, true]);
    expect((await plain(older)).status).toBe(200);
  });
});

describe('elmond metadata', () => {
  test('has numbers as numbers, 64-hex keys, and integer windows', async () => {
    for (const element of await listed('time-range=86400')) {
      expect(element['metadata-key']).toMatch(/^[0-9a-f]{64}$/);
      expect(element['time-duration']).toBeTypeOf('number');
      for (const type of element['event-types']) {
        for (const summary of type.summaries) {
          expect(summary['summary-window']).toBeTypeOf('number');
          expect(summary['event-type']).toBe(type['event-type']);
          expect(summary).not.toHaveProperty('time-updated');
        }
      }
    }
  });

  test('url is doubled from 5.1.4 on, uri is right', async () => {
    const [element] = await listed('time-range=86400&limit=1');
    expect(String(element!.url)).toContain(`${ROOT}${ROOT}/`);
    expect((await get(String(element!.url))).status).toBe(400);
    const [before] = await listed('time-range=86400&limit=1', older);
    expect((await get(String(before!.url))).status).toBe(200);
  });

  test('metadata-next-page leads nowhere on 5.0', async () => {
    const [wrong] = await listed('time-range=86400&limit=2', older);
    expect(new URL(String(wrong!['metadata-next-page'])).hostname).toBe('localhost');
    const [right] = await listed('time-range=86400&limit=2');
    const next = (await get(String(right!['metadata-next-page']))).json();
    const whole = await listed('time-range=86400');
    expect(next[0]['metadata-key']).toBe(whole[2]!['metadata-key']);
    expect(whole[0]!['metadata-count-total']).toBe(whole.length);
  });

  test('comes newest first', async () => {
    const whole = await listed('time-range=86400');
    const last = await Promise.all(
      whole.map(async (element) => {
        const runs = (await at(`${element.uri}/pscheduler-run-href/base/0?time-range=86400`)).json();
        return runs.at(-1)?.ts ?? 0;
      }),
    );
    // A failed run counts for the order and has no href, so neighbours may be off by a run: check the ends.
    expect(last[0]!).toBeGreaterThan(last.at(-1)!);
    expect(whole.map((e) => e['metadata-key'])).not.toEqual(whole.map((e) => e['metadata-key']).toSorted());
  });

  test('time-updated lags behind the data, by up to a day', async () => {
    const [element] = await listed('time-range=3600&event-type=packet-loss-rate');
    const type = element!['event-types'].find((t) => t['event-type'] === 'packet-loss-rate')!;
    const points = (await at(`${type['base-uri']}?time-range=3600`)).json();
    const lag = points.at(-1).ts - type['time-updated'];
    expect(lag).toBeGreaterThan(3600);
    expect(lag).toBeLessThanOrEqual(86_400);
  });

  test('time filters ask for runs in the window', async () => {
    const all = await listed(`time-start=${NOW_SECONDS - 180 * 86_400}`);
    const hour = await listed('time-range=3600');
    expect(hour.length).toBeLessThan(all.length);
    expect(hour.some((element) => element['pscheduler-test-type'] === 'latencybg')).toBe(true);
    const long = await listed(`time-start=${NOW_SECONDS - 9e7}&time-end=${NOW_SECONDS - 8e7}`);
    expect(long).toEqual([]);
  });

  test('input-source finds a name only where the analyser leaves it in one piece', async () => {
    const whole = await listed('time-range=86400');
    const named = whole.find((element) => String(element['input-source']).includes('-'))!;
    const numbered = whole.find((element) => /^[\d.]+$/.test(String(element['input-source'])))!;
    expect(await listed(`time-range=86400&input-source=${named['input-source']}`)).toEqual([]);
    const found = await listed(`time-range=86400&input-source=${numbered['input-source']}`);
    expect(found.length).toBeGreaterThan(0);
    expect((await listed(`time-range=86400&source=${named.source}`)).length).toBeGreaterThan(0);
  });

  test('filters that elmond stumbles over are a 500', async () => {
    for (const query of [
      'event-type=packet-trace-multi',
      'event-type=throughput&summary-type=statistics',
      'event-type=no-such-type',
    ]) {
      const answer = await at(`${ROOT}/?${query}`);
      expect([query, answer.status, isHtml(answer)]).toEqual([query, 500, true]);
    }
  });

  test('the same test in two archives has the same key', async () => {
    // Measured once, kept at the site and in the central archive.
    const holders = new Map<string, string[]>();
    for (const of of world.archives.filter((a) => a.kind === 'elmond')) {
      for (const element of await listed('time-range=86400', of)) {
        const key = element['metadata-key'];
        holders.set(key, [...(holders.get(key) ?? []), of.key]);
      }
    }
    expect([...holders.values()].some((keys) => keys.length === 2)).toBe(true);
  });
});

describe('elmond data', () => {
  test('limit is 1000 by default and at most 10000', async () => {
    const uri = await baseUri('packet-loss-rate', 'time-range=864000');
    const points: { ts: number }[] = (await at(`${uri}?time-range=864000`)).json();
    expect(points.length).toBeGreaterThan(900);
    expect(points.length).toBeLessThanOrEqual(1000);
    expect(points.every((point, i) => i === 0 || point.ts > points[i - 1]!.ts)).toBe(true);
    expect(points.at(-1)!.ts).toBeLessThan(NOW_SECONDS - 86_400);
    for (const path of [`${uri}?limit=10001`, `${ROOT}/?limit=10001`, `${uri}?limit=ten`]) {
      const answer = await at(path);
      expect([path, answer.status, isHtml(answer)]).toEqual([path, 400, true]);
    }
    expect((await at(`${uri}?limit=10000&offset=1`)).status).toBe(500);
  });

  test('a page can be short of its limit before the last', async () => {
    const uri = await baseUri('packet-retransmits', 'time-range=864000');
    const pages: number[] = [];
    for (let offset = 0; offset < 60; offset += 10) {
      pages.push((await at(`${uri}?time-range=8640000&limit=10&offset=${offset}`)).json().length);
    }
    expect(pages.some((count, i) => count < 10 && pages.slice(i + 1).some((later) => later > 0))).toBe(true);
  });

  test('keeps 180 days', async () => {
    const uri = await baseUri('throughput', 'time-range=864000');
    const points = (await at(`${uri}?time-start=0&limit=10000`)).json();
    expect(points[0].ts).toBeGreaterThanOrEqual(NOW_SECONDS - 180 * 86_400);
    expect(points[0].ts).toBeLessThan(NOW_SECONDS - 150 * 86_400);
  });

  test('histogram-rtt has no base, only statistics with four figures', async () => {
    const uri = await baseUri('histogram-rtt', 'time-range=86400');
    expect((await at(`${uri}?time-range=86400`)).json()).toEqual([]);
    const points = (await at(`${uri.replace('/base/0', '/statistics/0')}?time-range=86400`)).json();
    expect(points.length).toBeGreaterThan(0);
    for (const { val } of points) {
      for (const name of ['minimum', 'mean', 'maximum', 'standard-deviation'])
        expect(val[name]).toBeTypeOf('number');
      for (const name of ['median', 'mode', 'percentile-25', 'percentile-75', 'percentile-95', 'variance']) {
        expect(val[name]).toBeNull();
      }
    }
  });

  test('event types are advertised that have no data', async () => {
    const udp = (
      await Promise.all(
        world.archives
          .filter((a) => a.kind === 'elmond')
          .map(async (of) => ({ of, list: await listed('time-range=864000&ip-transport-protocol=udp', of) })),
      )
    ).find(({ list }) => list.length > 0)!;
    const element = udp.list[0]!;
    for (const type of element['event-types'].filter((t) => t['event-type'].startsWith('packet-'))) {
      expect((await at(`${type['base-uri']}?time-range=864000`, udp.of)).json()).toEqual([]);
    }
    expect(
      (await at(`${element.uri}/throughput/base/0?time-range=864000`, udp.of)).json().length,
    ).toBeGreaterThan(0);
  });

  test('failures are empty unless the archiver sends them', async () => {
    const counts = await Promise.all(
      world.archives
        .filter((a) => a.kind === 'elmond')
        .map(async (of) => {
          const uri = await baseUri('throughput', 'time-range=864000', of).catch(() => null);
          if (uri === null) return null;
          const failures = uri.replace('/throughput/', '/failures/');
          return (await at(`${failures}?time-range=15552000`, of)).json().length;
        }),
    );
    const known = counts.filter((count) => count !== null);
    expect(known.filter((count) => count === 0).length).toBeGreaterThan(known.length / 2);
    expect(known.some((count) => count > 0)).toBe(true);
  });

  test('summaries are made when asked for: limit is ignored, histograms do not add up', async () => {
    const uri = await baseUri('packet-loss-rate');
    const bins = (await at(`${uri.replace('/base/0', '/aggregations/300')}?time-range=7200&limit=1`)).json();
    expect(bins.length).toBeGreaterThan(10);
    const delays = await baseUri('histogram-owdelay');
    expect((await at(`${delays.replace('/base/0', '/aggregations/300')}?time-range=7200`)).json()).toEqual(
      [],
    );
    const each = (await at(`${delays.replace('/base/0', '/statistics/0')}?time-range=7200`)).json();
    const [bin] = (await at(`${delays.replace('/base/0', '/statistics/86400')}?time-range=7200`)).json();
    const sameDay = each.filter((p: { ts: number }) => Math.floor(p.ts / 86_400) * 86_400 === bin.ts);
    const p95 = sameDay.map((p: { val: Record<string, number> }) => p.val['percentile-95']!);
    expect(bin.val['percentile-95']).toBeCloseTo(
      p95.reduce((a: number, b: number) => a + b, 0) / p95.length,
      6,
    );
    for (const wrong of [
      uri.replace('/base/0', '/aggregations/301'),
      uri.replace('/base/0', '/base/x'),
      uri.replace('/packet-loss-rate/', '/speed/'),
    ]) {
      const answer = await at(wrong);
      expect([wrong, answer.status, isHtml(answer)]).toEqual([wrong, 400, true]);
    }
  });

  test('a trace has numbers, and silent hops without an address', async () => {
    const lists = await listed('time-range=86400&event-type=packet-trace');
    const hops = await Promise.all(
      lists.map(async (element) =>
        (await at(`${element.uri}/packet-trace/base/0?time-range=7200&limit=1`)).json(),
      ),
    );
    const all = hops.flat().flatMap((point) => point.val);
    expect(all.every((hop) => typeof hop.ttl === 'number')).toBe(true);
    expect(all.some((hop) => hop.ip === undefined)).toBe(true);
  });
});
