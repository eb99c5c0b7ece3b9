import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWorld, type World, type WorldArchive } from '../../../testbed/world/world.ts';
import { type Answer, get, NOW, NOW_SECONDS, richest } from './wire.ts';

let world: World;
let archive: WorldArchive;
let root: string;

type Element = Record<string, unknown> & {
  'metadata-key': string;
  'event-types': {
    'event-type': string;
    'base-uri': string;
    'time-updated': number | null;
    summaries: Record<string, unknown>[];
  }[];
};

const at = (path: string): Promise<Answer> => get(new URL(path, root).href);
const listed = async (query: string): Promise<Element[]> => (await get(`${root}?${query}`)).json();

async function baseUri(event: string, filter = 'time-range=86400'): Promise<string> {
  const [element] = await listed(`${filter}&event-type=${event}`);
  return element!['event-types'].find((type) => type['event-type'] === event)!['base-uri'];
}

beforeAll(async () => {
  world = await startWorld({ hosts: 60, seed: 3, clock: () => NOW });
  archive = richest(world, 'esmond', '2.1');
  root = `http://${archive.key}:${world.ports.http}/esmond/perfsonar/archive/`;
});
afterAll(() => world.close());

describe('esmond metadata', () => {
  test('has 32-hex keys, numbers as strings, URIs ending in /base, and a right url', async () => {
    for (const element of await listed('time-range=86400')) {
      expect(element['metadata-key']).toMatch(/^[0-9a-f]{32}$/);
      expect(element.uri).toBe(`/esmond/perfsonar/archive/${element['metadata-key']}/`);
      expect(element.url).toBe(new URL(String(element.uri), root).href);
      expect(element['time-duration']).toBeTypeOf('string');
      for (const type of element['event-types']) {
        expect(type['base-uri']).toBe(`${element.uri}${type['event-type']}/base`);
        for (const summary of type.summaries) expect(summary['summary-window']).toBeTypeOf('string');
      }
      const { 'metadata-key': key } = (await get(String(element.url))).json();
      expect(key).toBe(element['metadata-key']);
    }
  });

  test('says paging in the first element only, and nothing when there is nothing', async () => {
    const [first, ...rest] = await listed('');
    expect(first).toMatchObject({
      'metadata-count-total': archive.testCount,
      'metadata-next-page': null,
      'metadata-previous-page': null,
    });
    for (const element of rest)
      expect(Object.keys(element).filter((k) => k.startsWith('metadata-'))).toEqual(['metadata-key']);
    expect((await get(`${root}?source=127.1.1.1`)).body).toBe('[]');
  });

  test('pages by limit and offset, with links that lead on', async () => {
    const whole = await listed('');
    const [first] = await listed('limit=3&offset=3');
    expect(first!['metadata-key']).toBe(whole[3]!['metadata-key']);
    const next = (await get(String(first!['metadata-next-page']))).json();
    expect(next[0]['metadata-key']).toBe(whole[6]!['metadata-key']);
    const previous = (await get(String(first!['metadata-previous-page']))).json();
    expect(previous[0]['metadata-key']).toBe(whole[0]!['metadata-key']);
  });

  test('holds tests that ended long ago, which only a time filter leaves out', async () => {
    const whole = await listed('');
    const fresh = await listed('time-range=604800');
    const stale = whole.filter(
      (element) => !fresh.some((f) => f['metadata-key'] === element['metadata-key']),
    );
    expect(stale.length).toBeGreaterThan(0);
    for (const element of stale) {
      for (const type of element['event-types']) {
        expect(type['time-updated'] ?? 0).toBeLessThan(NOW_SECONDS - 604_800);
      }
    }
  });

  test('filters by subject, event type, summary and stored parameters', async () => {
    const whole = await listed('');
    const { source, destination } = whole[0]!;
    const pair = await listed(`source=${source}&destination=${destination}`);
    expect(pair.length).toBeGreaterThan(0);
    expect(pair.every((e) => e.source === source && e.destination === destination)).toBe(true);
    const loss = await listed('event-type=packet-loss-rate&summary-type=aggregation&summary-window=300');
    expect(
      loss.every((e) => e['pscheduler-test-type'] === 'latencybg' || e['ip-transport-protocol'] === 'udp'),
    ).toBe(true);
    expect(await listed('event-type=packet-loss-rate&summary-type=statistics')).toEqual([]);
    const trace = await listed('trace-max-ttl=64');
    expect(trace.length).toBeGreaterThan(0);
    expect(trace.every((e) => e['pscheduler-test-type'] === 'trace')).toBe(true);
    const one = await listed(`metadata-key=${whole[1]!['metadata-key']}`);
    expect(one).toHaveLength(1);
  });

  test('resolves names by the rule that is asked for', async () => {
    const host =
      world.hosts.find((h) => h.key === archive.key && h.address6) ??
      world.hosts.find((h) => h.key === archive.key)!;
    const families = async (rule: string): Promise<Set<boolean>> => {
      const found = await listed(`source=${host.name}&dns-match-rule=${rule}`);
      return new Set(found.map((element) => String(element.source).includes(':')));
    };
    expect(await families('only-v4')).toEqual(new Set([false]));
    const unknown = await get(`${root}?source=no.such.example`);
    expect(unknown.status).toBe(400);
    expect(unknown.json().detail).toContain('no.such.example');
    expect((await get(`${root}?source=${host.name}&dns-match-rule=v5`)).status).toBe(400);
  });

  test('time-updated is the time of the last result', async () => {
    const uri = await baseUri('packet-loss-rate');
    const [element] = await listed('time-range=86400&event-type=packet-loss-rate');
    const type = element!['event-types'].find((t) => t['base-uri'] === uri)!;
    const points = (await at(`${uri}?time-range=3600`)).json();
    expect(points.at(-1).ts).toBe(type['time-updated']);
  });

  test('names and addresses are mixed in input-source, and v4 and v6 test the same pair', async () => {
    const lists = await Promise.all(
      world.archives
        .filter((a) => a.kind === 'esmond')
        .map(
          async (a) =>
            (await get(`http://${a.key}:${world.ports.http}/esmond/perfsonar/archive/`)).json() as Element[],
        ),
    );
    const inputs = lists.flat().map((element) => String(element['input-source']));
    expect(inputs.some((input) => /^[\d.]+$/.test(input))).toBe(true);
    expect(inputs.some((input) => input.endsWith('.example'))).toBe(true);
    const byPair = Map.groupBy(
      lists.flat().filter((e) => String(e['input-source']).endsWith('.example')),
      (e) => `${e['input-source']} ${e['input-destination']} ${e['tool-name']}`,
    );
    const twice = [...byPair.values()].some(
      (same) => new Set(same.map((e) => String(e.source).includes(':'))).size === 2,
    );
    expect(twice).toBe(true);
  });
});

describe('esmond data', () => {
  test('a trailing slash makes no difference, and http and https say the same', async () => {
    const uri = await baseUri('throughput');
    for (const path of [uri, '/esmond/perfsonar/archive']) {
      const plain = await at(`${path}?time-range=86400`);
      expect(plain.status).toBe(200);
      expect((await at(`${path}/?time-range=86400`)).body).toBe(plain.body);
    }
    const url = `https://${archive.key}:${world.ports.https}${uri}?time-range=86400`;
    expect((await get(url)).body).toBe((await at(`${uri}?time-range=86400`)).body);
  });

  test('comes ascending and is cut at the default limit: the newest points are the ones that are missing', async () => {
    for (const version of ['1.0', '2.1']) {
      const other = richest(world, 'esmond', version);
      const origin = `http://${other.key}:${world.ports.http}`;
      const list = (
        await get(`${origin}/esmond/perfsonar/archive/?event-type=packet-loss-rate&ip-packet-padding=0`)
      ).json();
      const uri = list[0]['event-types'].find(
        (t: { 'event-type': string }) => t['event-type'] === 'packet-loss-rate',
      )['base-uri'];
      const points: { ts: number }[] = (await get(`${origin}${uri}`)).json();
      expect(points).toHaveLength(version === '1.0' ? 1500 : 1000);
      expect(points.every((point, i) => i === 0 || point.ts > points[i - 1]!.ts)).toBe(true);
      expect(points.at(-1)!.ts).toBeLessThan(NOW_SECONDS - 300 * 86_400);
    }
  });

  test('limit and offset page through it', async () => {
    const uri = await baseUri('packet-loss-rate');
    const whole = (await at(`${uri}?time-range=7200`)).json();
    const pages = [];
    for (let offset = 0; offset < whole.length; offset += 50) {
      pages.push(...(await at(`${uri}?time-range=7200&limit=50&offset=${offset}`)).json());
    }
    expect(whole.length).toBeGreaterThan(100);
    expect(pages).toEqual(whole);
  });

  test('time-start, time-end, time-range and time, both ends inclusive', async () => {
    const uri = await baseUri('packet-loss-rate');
    const points: { ts: number }[] = (await at(`${uri}?time-range=3600`)).json();
    const times = async (query: string): Promise<number[]> =>
      (await at(`${uri}?${query}`)).json().map((point: { ts: number }) => point.ts);
    const all = points.map((point) => point.ts);
    const [a, b] = [all[5]!, all[15]!];
    expect(await times(`time-start=${a}&time-end=${b}`)).toEqual(all.slice(5, 16));
    expect(await times(`time-start=${a}&time-range=${b - a}`)).toEqual(all.slice(5, 16));
    expect(await times(`time-end=${b}&time-range=${b - a}`)).toEqual(all.slice(5, 16));
    expect(await times(`time-start=${a}`)).toEqual(all.slice(5));
    expect(await times(`time=${a}`)).toEqual([a]);
    expect((await times(`time-end=${b}`)).length).toBe(1000);
  });

  test('statistics/0 tells of each run what its histogram tells', async () => {
    const uri = await baseUri('histogram-owdelay');
    const [histogram] = (await at(`${uri}?time-range=3600&limit=1`)).json();
    const [stats] = (await at(`${uri.replace('/base', '/statistics/0')}?time-range=3600&limit=1`)).json();
    const entries = Object.entries(histogram.val as Record<string, number>).map(
      ([ms, n]) => [Number(ms), n] as const,
    );
    const count = entries.reduce((sum, [, n]) => sum + n, 0);
    expect(stats.ts).toBe(histogram.ts);
    expect(stats.val.minimum).toBe(Math.min(...entries.map(([ms]) => ms)));
    expect(stats.val.maximum).toBe(Math.max(...entries.map(([ms]) => ms)));
    expect(stats.val.mean).toBeCloseTo(entries.reduce((sum, [ms, n]) => sum + ms * n, 0) / count, 9);
    expect(Object.keys(stats.val).sort()).toEqual([
      'maximum',
      'mean',
      'median',
      'minimum',
      'mode',
      'percentile-25',
      'percentile-75',
      'percentile-95',
      'standard-deviation',
      'variance',
    ]);
  });

  test('summaries are made of whole bins', async () => {
    const uri = await baseUri('packet-count-lost');
    const bin = Math.floor((NOW_SECONDS - 7200) / 300) * 300;
    const base = (await at(`${uri}?time-start=${bin}&time-end=${bin + 299}`)).json();
    const [sum] = (await at(`${uri.replace('/base', '/aggregations/300')}?time=${bin}`)).json();
    expect(base).toHaveLength(5);
    expect(sum).toEqual({
      ts: bin,
      val: base.reduce((total: number, point: { val: number }) => total + point.val, 0),
    });
    const throughput = await baseUri('throughput');
    const averages = (await at(`${throughput.replace('/base', '/averages/86400')}?time-range=604800`)).json();
    expect(averages.length).toBeGreaterThan(3);
    for (const { ts } of averages) expect(ts % 86_400).toBe(0);
  });

  test('a minute in which everything was lost has a loss of 1 and no delays', async () => {
    const day = world.books({
      from: new Date(NOW.getTime() - 86_400_000),
      to: NOW,
      eventTypes: ['packet-loss-rate'],
      archives: world.archives.filter((a) => a.kind === 'esmond').map((a) => a.key),
    });
    const series = day.series.find((s) => s.points.some((point) => point.value === 1))!;
    const { ts } = series.points.find((point) => point.value === 1)!;
    const url = `http://${series.archive}:${world.ports.http}/esmond/perfsonar/archive/${series.metadataKey}`;
    expect((await get(`${url}/packet-loss-rate/base?time=${ts}`)).json()).toEqual([{ ts, val: 1 }]);
    expect((await get(`${url}/histogram-owdelay/base?time=${ts}`)).json()).toEqual([]);
    expect((await get(`${url}/histogram-owdelay/statistics/0?time=${ts}`)).json()).toEqual([]);
  });

  test('a failed run is a failure and nothing else', async () => {
    const uri = await baseUri('failures', 'time-range=864000&pscheduler-test-type=throughput');
    const failures = (await at(`${uri}?time-range=31536000`)).json();
    expect(failures.length).toBeGreaterThan(0);
    expect(failures[0].val.error).toBeTypeOf('string');
    const throughput = uri.replace('/failures/', '/throughput/');
    expect((await at(`${throughput}?time=${failures[0].ts}`)).json()).toEqual([]);
  });

  test('a trace has its numbers as strings and errors under error_message', async () => {
    const uri = await baseUri('packet-trace');
    const [point] = (await at(`${uri}?time-range=7200&limit=1`)).json();
    for (const hop of point.val) {
      expect(hop.ttl).toBeTypeOf('string');
      expect(Object.keys(hop)).toContain('error_message');
    }
  });

  test('lists the event types of a test below its key', async () => {
    const uri = await baseUri('throughput');
    const [entry] = (await at(uri.replace(/base$/, ''))).json();
    expect(entry).toMatchObject({ 'event-type': 'throughput', 'base-uri': uri });
  });

  test('errors are JSON with a detail', async () => {
    const uri = await baseUri('throughput');
    const expected: [string, number][] = [
      [`/esmond/perfsonar/archive/${'0'.repeat(32)}/throughput/base`, 404],
      [`/esmond/perfsonar/archive/${'0'.repeat(32)}/`, 404],
      [`${uri}?time-start=yesterday`, 400],
      [`${uri}?time-start=200&time-end=100`, 400],
      [uri.replace('/base', '/medians/300'), 400],
      [uri.replace('/throughput/', '/speed/'), 400],
    ];
    for (const [path, status] of expected) {
      const answer = await at(path);
      expect([path, answer.status, answer.type]).toEqual([path, status, 'application/json']);
      expect(answer.json().detail).toBeTypeOf('string');
    }
  });
});
