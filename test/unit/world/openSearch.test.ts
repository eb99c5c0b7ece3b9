import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BookRun } from '../../../testbed/world/runDocuments.ts';
import { startWorld, type World, type WorldArchive } from '../../../testbed/world/world.ts';
import { get, NOW, post } from './wire.ts';

let world: World;
let archive: WorldArchive;
/** Keys of all that are open, the shared one aside. */
let open: string[];

// biome-ignore lint/suspicious/noExplicitAny: tests look at foreign JSON and assert its shape.
type Source = any;
interface Hit {
  _id: string;
  _index: string;
  _source: Source;
  sort: [number, string];
}

const SORT = [{ '@timestamp': 'asc' }, { 'pscheduler.run_id.keyword': 'asc' }];

/** Everything that came in from a moment on, page by page. */
async function searchAll(of: WorldArchive, since: Date, size = 400, more: object = {}): Promise<Hit[]> {
  const hits: Hit[] = [];
  let after: unknown;
  for (;;) {
    const answer = await post(`${of.openSearchUrl}/pscheduler/_search`, {
      size,
      sort: SORT,
      query: { bool: { filter: [{ range: { '@timestamp': { gte: since.toISOString() } } }] } },
      ...(after ? { search_after: after } : {}),
      ...more,
    });
    expect(answer.status).toBe(200);
    const page: Hit[] = answer.json().hits.hits;
    hits.push(...page);
    if (page.length < size) return hits;
    after = page.at(-1)!.sort;
  }
}

/** What a reader makes of a document, in the books' units. */
function read({ _source: s }: Hit): Partial<BookRun> {
  const r = s.result;
  const udp = s.test.spec.udp === true;
  const ok = r.succeeded;
  return {
    runId: s.pscheduler.run_id,
    testType: s.test.type,
    source: s.meta.source.ip,
    destination: s.meta.destination.ip,
    ipVersion: s.meta.ip_version,
    startedAt: new Date(s.pscheduler.start_time),
    succeeded: ok,
    throughputBps: ok ? (r.throughput ?? null) : null,
    retransmits: ok ? (r.retransmits ?? null) : null,
    packetsSent: (udp ? r.packets_sent : r.packets?.sent) ?? null,
    packetsLost: (udp ? r.packets_lost : r.packets?.lost) ?? null,
    maxClockErrorMs: r.max_clock_error ?? null,
  };
}

const byId = <T extends { runId?: string }>(list: T[]): Map<string, T> =>
  new Map(list.map((entry) => [entry.runId!, entry]));

beforeAll(async () => {
  world = await startWorld({ hosts: 40, seed: 6, clock: () => NOW, openSearch: 'mixed' });
  open = world.archives
    .filter(({ openSearch, key }) => openSearch === 'anonymous' && key !== '127.9.1.10')
    .map(({ key }) => key);
  // The one with the most kinds of test, and of these the one with the most runs.
  const runs = world.runs({ from: new Date(NOW.getTime() - 1_800_000), to: NOW });
  const found = Map.groupBy(runs, (run) => run.archive);
  const rank = ({ key }: WorldArchive): number => {
    const mine = found.get(key) ?? [];
    return new Set(mine.map((run) => run.testType)).size * 1e6 + mine.length;
  };
  archive = world.archives.filter(({ key }) => open.includes(key)).toSorted((x, y) => rank(y) - rank(x))[0]!;
});
afterAll(() => world.close());

describe('OpenSearch', () => {
  const since = new Date(NOW.getTime() - 6 * 3_600_000);

  test('holds what the books say, each run once or with a second copy', async () => {
    const hits = await searchAll(archive, since);
    const found = byId(hits.map(read));
    const late = new Date(since.getTime() - 300_000);
    const books = world
      .runs({ from: late, to: NOW, archives: [archive.key] })
      .filter((run) => run.ingestedAt >= since);
    expect(books.length).toBeGreaterThan(1000);
    const expected = new Map(books.map((run) => [run.runId, run]));
    for (const [id, run] of expected) {
      const { throughputBps, retransmits, packetsLost, packetsSent, succeeded, startedAt } = run;
      expect(found.get(id)).toMatchObject({
        throughputBps,
        retransmits,
        packetsLost,
        packetsSent,
        succeeded,
        startedAt,
      });
    }
    // A copy of a run that came in before the window may be in it.
    expect([...found.keys()].filter((id) => !expected.has(id)).length).toBeLessThan(5);
    expect(hits.length).toBeGreaterThan(found.size);
    expect(new Set(hits.map(({ _id }) => _id)).size).toBe(hits.length);
  });

  test('comes in the order of ingest, which is later than the end of the run and not in the future', async () => {
    const hits = await searchAll(archive, since);
    const at = hits.map(({ _source }) => Date.parse(_source['@timestamp']));
    expect(at).toEqual(at.toSorted((a, b) => a - b));
    expect(at.at(-1)).toBeLessThanOrEqual(NOW.getTime());
    for (const [i, { _source, sort, _index }] of hits.entries()) {
      expect(at[i]).toBeGreaterThan(Date.parse(_source.pscheduler.end_time));
      expect(sort[0]).toBe(at[i]);
      expect(_index).toContain(_source.test.type);
    }
  });

  test('is the same as the elmond face: throughput and delays point by point', async () => {
    const hits = await searchAll(archive, since);
    const seen = new Map<string, Source>();
    for (const { _source: s } of hits) {
      seen.set(
        `${s.test.type} ${s.meta.source.ip} ${s.meta.destination.ip} ${s.pscheduler.start_time}`,
        s.result,
      );
    }
    const origin = `https://${archive.key}:${world.ports.https}`;
    const elements = (await get(`${origin}/esmond/perfsonar/archive/?limit=1000&time-range=21000`)).json();
    let compared = 0;
    for (const element of elements) {
      for (const type of element['event-types']) {
        const rtt = type['event-type'] === 'histogram-rtt';
        const owd = type['event-type'] === 'histogram-owdelay';
        if (type['event-type'] !== 'throughput' && !rtt && !owd) continue;
        const uri = rtt || owd ? type.summaries[0].uri : type['base-uri'];
        const points = (await get(`${origin}${uri}?time-range=3600&limit=5000`)).json();
        for (const { ts, val } of points) {
          const start = `${new Date(ts * 1000).toISOString().slice(0, 19)}+00:00`;
          const key = `${element['pscheduler-test-type']} ${element.source} ${element.destination} ${start}`;
          const result = seen.get(key);
          expect(result).toBeDefined();
          if (rtt) expect(result.rtt.mean * 1000).toBe(val.mean);
          else if (owd) expect(result.latency.median).toBe(val.median);
          else expect(result.throughput).toBe(val);
          compared++;
        }
      }
    }
    expect(compared).toBeGreaterThan(100);
  });

  test('rtt is in seconds; negative delays come with their clock error; total loss has no delay', async () => {
    const start = new Date(NOW.getTime() - 8 * 3_600_000);
    const rtt = await searchAll(archive, start, 5000, {
      query: {
        bool: {
          filter: [
            { term: { 'test.type.keyword': 'rtt' } },
            { range: { '@timestamp': { gte: start.toISOString() } } },
          ],
        },
      },
    });
    expect(rtt.length).toBeGreaterThan(0);
    for (const { _source: s } of rtt) {
      expect(s.test.type).toBe('rtt');
      if (s.result.rtt) expect(s.result.rtt.mean).toBeLessThan(1);
    }
    const runs = world.runs({ from: new Date(NOW.getTime() - 86_400_000), to: NOW, archives: open });
    const negative = runs.find((run) => run.oneWayDelayMs && run.oneWayDelayMs.median < 0);
    const lost = runs.find((run) => run.testType === 'latencybg' && run.packetsSent === run.packetsLost);
    const failed = runs.filter((run) => !run.succeeded);
    for (const run of [negative!, lost!, ...failed.slice(0, 20)]) {
      const { openSearchUrl } = world.archives.find((a) => a.key === run.archive)!;
      const at = run.ingestedAt.toISOString();
      const answer = await post(`${openSearchUrl}/pscheduler/_search`, {
        query: {
          bool: {
            must: [{ term: { 'pscheduler.run_id.keyword': run.runId } }],
            filter: [{ range: { '@timestamp': { gte: at, lte: at } } }],
          },
        },
      });
      const { result } = answer.json().hits.hits[0]._source;
      expect(result.succeeded).toBe(run.succeeded);
      if (!run.succeeded) expect(result.error).toBeTypeOf('string');
      if (run === negative) {
        expect(result.latency.median).toBe(run.oneWayDelayMs!.median);
        expect(result.max_clock_error).toBeGreaterThan(0);
      }
      if (run === lost) {
        expect(result.packets.loss).toBe(1);
        expect(result.latency).toBeUndefined();
      }
    }
    expect(failed.length).toBeGreaterThan(0);
  });

  test('_source filters; index names select the test; total counts up to 10,000', async () => {
    const { archive: key } = world
      .runs({ from: new Date(NOW.getTime() - 3_600_000), to: NOW, archives: open })
      .find(({ testType }) => testType === 'trace')!;
    const url = world.archives.find((each) => each.key === key)!.openSearchUrl!;
    const answer = await post(`${url}/pscheduler_trace/_search`, {
      _source: ['pscheduler.start_time', 'result.hop'],
      sort: SORT,
      query: { range: { '@timestamp': { gte: 'now-1h' } } },
    });
    const { hits } = answer.json().hits;
    expect(hits).toHaveLength(10);
    expect(Object.keys(hits[0]._source).toSorted()).toEqual(['pscheduler', 'result']);
    expect(Object.keys(hits[0]._source.result)).toEqual(['hop']);
    expect(hits[0]._source.result.hop.ip.length).toBe(hits[0]._source.result.hop.success_count);
    const all = (await post(`${url}/pscheduler*/_search`, { size: 0 })).json();
    expect(all.hits.total).toEqual({ value: 10_000, relation: 'gte' });
    expect((await post(`${url}/pscheduler_none/_search`, {})).status).toBe(404);
  });

  test('newest first, and a term on analysed text finds nothing', async () => {
    const url = `${archive.openSearchUrl}/pscheduler/_search`;
    const newest = (await post(url, { size: 50, sort: [{ '@timestamp': { order: 'desc' } }] })).json().hits
      .hits;
    const at = newest.map((hit: Hit) => hit.sort[0]);
    expect(at).toEqual(at.toSorted((a: number, b: number) => b - a));
    expect(NOW.getTime() - at[0]).toBeLessThan(120_000);
    const recent = { range: { '@timestamp': { gte: 'now-1h' } } };
    const analysed = { query: { bool: { filter: [recent, { term: { 'test.type': 'rtt' } }] } } };
    expect((await post(url, analysed)).json().hits.total.value).toBe(0);
  });

  test('what anonymous readers may not do is 403, what is too much is 400', async () => {
    const url = archive.openSearchUrl!;
    const search = `${url}/pscheduler/_search`;
    expect((await post(`${search}?scroll=1m`, {})).status).toBe(403);
    expect((await post(`${url}/_msearch`, {})).status).toBe(403);
    expect((await post(search, { size: 0, aggs: { a: { composite: { sources: [] } } } })).status).toBe(403);
    expect((await post(`${url}/other/_search`, {})).status).toBe(403);
    expect((await get(`${url}/`)).json().error.type).toBe('security_exception');
    expect((await post(search, { size: 10_001 })).status).toBe(400);
    expect((await post(search, { sort: ['test.type'] })).status).toBe(400);
  });

  test('some are closed, each in its own way, and their elmond answers all the same', async () => {
    const status = { anonymous: 200, unauthorized: 401, forbidden: 403, absent: 404 };
    const seen = new Set<string>();
    for (const each of world.archives) {
      if (each.openSearchUrl === null) continue;
      seen.add(each.openSearch);
      const answer = await post(`${each.openSearchUrl}/pscheduler/_search`, { size: 1 });
      expect([each.openSearch, answer.status]).toEqual([each.openSearch, status[each.openSearch]]);
      const list = `https://${each.key}:${world.ports.https}/esmond/perfsonar/archive/?limit=1`;
      expect((await get(list)).status).toBe(200);
    }
    expect(seen.size).toBe(4);
  });

  test('5.1.4 wants https; an esmond host has none', async () => {
    const old = world.archives.find(({ kind }) => kind === 'esmond')!;
    expect(
      (await post(`https://${old.key}:${world.ports.https}/opensearch/pscheduler/_search`, {})).status,
    ).toBe(404);
    const newer = world.archives.find((a) => a.version === '5.1.4' && a.openSearch === 'anonymous')!;
    expect(
      (await post(`http://${newer.key}:${world.ports.http}/opensearch/pscheduler/_search`, {})).status,
    ).toBe(403);
  });

  test('has the faults that all have', async () => {
    const url = `${archive.openSearchUrl}/pscheduler/_search`;
    await world.setFault(archive.key, 'wrongTypes');
    expect((await post(url, {})).json().hits.total).toBe(5);
    await world.setFault(archive.key, 'truncatedJson');
    const cut = await post(url, { size: 3 });
    expect(() => cut.json()).toThrow();
    await world.setFault(archive.key, null);
  });
});

describe('late runs', () => {
  let late: World;
  afterEach(() => late.close());

  test('are in the index when they came in, and not before', async () => {
    let now = NOW;
    late = await startWorld({
      hosts: 12,
      seed: 6,
      clock: () => now,
      anchor: NOW,
      openSearch: 'anonymous',
      lateSeconds: 7200,
      lateShare: 0.3,
    });
    const first = late.archives.find((a) => a.openSearch === 'anonymous' && a.testCount > 3)!;
    const since = new Date(NOW.getTime() - 3_600_000);
    const before = byId((await searchAll(first, since)).map(read));
    now = new Date(NOW.getTime() + 7_200_000);
    const window = { from: since, to: NOW, archives: [first.key] };
    const books = late.runs(window);
    const missing = books.filter((run) => !before.has(run.runId));
    expect(missing.length).toBeGreaterThan(books.length / 10);
    expect(missing.every((run) => run.ingestedAt > NOW)).toBe(true);
    const after = byId((await searchAll(first, NOW)).map(read));
    for (const run of missing) if (run.ingestedAt <= now) expect(after.has(run.runId)).toBe(true);
  });
});
