import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectorsMedian } from '../../../testbed/world/wlcg.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { get, NOW, post } from './wire.ts';

let world: World;
const credentials = { user: 'lark', password: 'of the morning' };
const authorization = `Basic ${Buffer.from('lark:of the morning').toString('base64')}`;

const SORT = [{ timestamp: 'asc' }, { src: 'asc' }, { dest: 'asc' }];

// biome-ignore lint/suspicious/noExplicitAny: tests look at foreign JSON and assert its shape.
type Hit = { _id: string; _index: string; _source: any; sort: unknown[] };

async function readAll(index: string, from: Date, size = 300): Promise<Hit[]> {
  const hits: Hit[] = [];
  let after: unknown;
  for (;;) {
    const query = {
      bool: { filter: [{ range: { timestamp: { gte: from.getTime(), format: 'epoch_millis' } } }] },
    };
    const body = { size, sort: SORT, query, ...(after ? { search_after: after } : {}) };
    const answer = await post(`${world.wlcg!.url}/${index}/_search`, body, { headers: { authorization } });
    expect(answer.status).toBe(200);
    const page: Hit[] = answer.json().hits.hits;
    hits.push(...page);
    if (page.length < size) return hits;
    after = page.at(-1)!.sort;
  }
}

beforeAll(async () => {
  world = await startWorld({ hosts: 10, seed: 5, clock: () => NOW, wlcg: credentials });
});
afterAll(() => world.close());

describe('the aggregated index', () => {
  test('is closed to those without the password', async () => {
    const url = `${world.wlcg!.url}/ps_throughput/_search`;
    expect((await get(url)).status).toBe(401);
    const wrong = `Basic ${Buffer.from('lark:guess').toString('base64')}`;
    expect((await post(url, {}, { headers: { authorization: wrong } })).status).toBe(401);
    expect((await post(url, {}, { headers: { authorization } })).status).toBe(200);
  });

  test('has each throughput run of the books once, though archives share them', async () => {
    const from = new Date(NOW.getTime() - 86_400_000);
    const hits = await readAll('ps_throughput', from, 37);
    const line = (
      source: string,
      destination: string,
      ms: number,
      bps: number | null,
      retransmits: number | null,
    ) => `${source} ${destination} ${ms} ${bps} ${retransmits}`;
    const expected = new Set(
      world
        .runs({ from, to: NOW })
        .filter((run) => run.testType === 'throughput' && run.succeeded && run.ingestedAt <= NOW)
        .map((run) =>
          line(run.source, run.destination, run.startedAt.getTime(), run.throughputBps, run.retransmits),
        ),
    );
    const found = hits.map(({ _source: s }) =>
      line(s.src, s.dest, s.timestamp, s.throughput, s.retransmits ?? null),
    );
    expect(found.toSorted()).toEqual([...expected].toSorted());
    expect(found.length).toBeGreaterThan(100);
  });

  test('ids are what the collector makes of source, destination, topic and time', async () => {
    const [hit] = await readAll('ps_throughput', new Date(NOW.getTime() - 86_400_000));
    const { src, dest, timestamp } = hit!._source;
    expect(hit!._id).toBe(createHash('sha1').update(`${src}${dest}throughput${timestamp}`).digest('hex'));
    expect(hit!._index).toBe('ps_throughput');
  });

  test('delays: the mean is right, the median of an even number of packets is not', async () => {
    const from = new Date(NOW.getTime() - 900_000);
    const hits = await readAll('ps_owd', from);
    const books = new Map(
      world
        .runs({ from, to: NOW })
        .filter((run) => run.oneWayDelayMs)
        .map((run) => [`${run.source} ${run.destination} ${run.startedAt.getTime()}`, run]),
    );
    let wrong = 0;
    for (const { _source: s } of hits) {
      const { oneWayDelayMs, packetsSent, packetsLost } = books.get(`${s.src} ${s.dest} ${s.timestamp}`)!;
      expect(s.delay_mean).toBe(oneWayDelayMs!.mean);
      const even = (packetsSent! - packetsLost!) % 2 === 0;
      if (even) wrong++;
      if (even && oneWayDelayMs!.median > 2)
        expect(s.delay_median).toBeGreaterThan(oneWayDelayMs!.median * 1.4);
      if (!even) expect(s.delay_median).toBe(oneWayDelayMs!.median);
    }
    expect(wrong).toBeGreaterThan(hits.length / 2);
    expect(collectorsMedian([[10, 2]])).toBe(15);
    expect(collectorsMedian([[10, 3]])).toBe(10);
  });

  test('loss, retransmits and traces', async () => {
    const from = new Date(NOW.getTime() - 3_600_000);
    const loss = await readAll('ps_packetloss', from);
    expect(loss.every(({ _source: s }) => s.packet_loss >= 0 && s.packet_loss <= 1)).toBe(true);
    const retransmits = await readAll('ps_retransmits', new Date(NOW.getTime() - 86_400_000));
    expect(retransmits.every(({ _source: s }) => Number.isInteger(s.retransmits))).toBe(true);
    expect(retransmits.length).toBeGreaterThan(0);
    const traces = await readAll('ps_trace', from);
    for (const { _source: s } of traces) {
      expect(s.hops).toHaveLength(s.n_hops);
      expect(s.ttls).toHaveLength(s.n_hops);
      expect(s.rtts).toHaveLength(s.n_hops);
      expect(s.asns).toHaveLength(s.n_hops);
      expect(s.destination_reached).toBe(s.hops.at(-1) === s.dest);
      if (s.destination_reached) expect(s.path_complete).toBe(s.ttls.at(-1) === s.n_hops);
    }
    expect(traces.some(({ _source: s }) => s.rtts.includes(0))).toBe(true);
    expect(traces.some(({ _source: s }) => !s.path_complete)).toBe(true);
    expect(traces.some(({ _source: s }) => !s.destination_reached)).toBe(true);
    expect(traces.some(({ _source: s }) => s.asns.includes(0))).toBe(true);
  });

  test('names the sites that it knows', async () => {
    const hits = await readAll('ps_throughput', new Date(NOW.getTime() - 86_400_000));
    const sites = new Map(world.hosts.map((host) => [host.address4, host]));
    for (const { _source: s } of hits) {
      if (s.ipv6) continue;
      const host = sites.get(s.src)!;
      expect(s.src_site).toBe(host.mapped ? host.site : undefined);
    }
    expect(hits.some(({ _source: s }) => s.src_site === undefined)).toBe(true);
  });

  test('an unknown index is 404, faults work', async () => {
    const headers = { authorization };
    expect((await post(`${world.wlcg!.url}/ps_nothing/_search`, {}, { headers })).status).toBe(404);
    await world.setFault(world.wlcg!.key, 'htmlError');
    const answer = await post(`${world.wlcg!.url}/ps_owd/_search`, {}, { headers });
    expect(answer.type).toMatch(/html/);
    await world.setFault(world.wlcg!.key, null);
  });
});

test('collectors have between them what no archive shows any more', async () => {
  const account = { user: 'a', password: 'b' };
  const options = { hosts: 30, seed: 3, clock: () => NOW, ownArchives: 9 };
  const whole = await startWorld(options);
  const closed = await startWorld({ ...options, collectors: { ...account, count: 2, archives: 4 } });
  try {
    const gone = whole.archives.filter(({ key }) => closed.archives.every((each) => each.key !== key));
    expect(gone).toHaveLength(4);
    expect(closed.collectors).toHaveLength(2);
    const tests = gone.reduce((sum, { testCount }) => sum + testCount, 0);
    expect(closed.collectors.reduce((sum, { testCount }) => sum + testCount, 0)).toBe(tests);

    const from = new Date(NOW.getTime() - 1_200_000);
    const runs = new Set<string>();
    for (const { url } of closed.collectors) {
      const body = { size: 5000, sort: SORT, query: { range: { timestamp: { gte: from.getTime() } } } };
      const headers = { authorization: `Basic ${Buffer.from('a:b').toString('base64')}` };
      const { hits } = (await post(`${url}/ps_packetloss/_search`, body, { headers })).json().hits;
      for (const { _source: s } of hits as Hit[]) runs.add(`${s.src} ${s.dest} ${s.timestamp}`);
    }
    const books = whole
      .runs({ from, to: NOW, archives: gone.map(({ key }) => key) })
      .filter((run) => run.testType === 'latencybg' && run.succeeded && run.ingestedAt <= NOW);
    expect(books.length).toBeGreaterThan(1000);
    expect(runs).toEqual(
      new Set(books.map((run) => `${run.source} ${run.destination} ${run.startedAt.getTime()}`)),
    );
  } finally {
    await Promise.all([whole.close(), closed.close()]);
  }
});
