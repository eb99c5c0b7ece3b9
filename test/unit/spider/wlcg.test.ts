import { describe, expect, it } from 'vitest';
import type { SeriesRead } from '../../../src/domain.ts';
import { type Aggregate, aggregateArchives } from '../../../src/spider/aggregates.ts';
import { PAGE_SIZE } from '../../../src/spider/drivers/search.ts';
import { HttpFailure } from '../../../src/spider/http.ts';
import { httpClient, serve } from '../../support/loopback.ts';
import { fakeHttp, harvestOne } from './helpers.ts';

const NOW = new Date('2026-08-01T12:00:00Z');
const AGGREGATE: Aggregate = {
  url: 'https://es.example.org:9200/atlas',
  user: 'lark',
  password: 'open:sesame',
};
const [ARCHIVE] = aggregateArchives([AGGREGATE]);
const secondsAgo = (count: number) => new Date(NOW.getTime() - count * 1000);

type Index = 'ps_throughput' | 'ps_packetloss' | 'ps_owd' | 'ps_retransmits' | 'ps_trace';
type Documents = Partial<Record<Index, object[]>>;

interface Body {
  size: number;
  sort: Record<string, string>[];
  search_after?: [number, string, string];
  _source: string[];
  query: { bool: { filter: [{ range: { timestamp: { gte: number; lte: number; format: string } } }] } };
}

let pair = 0;
/** What the indices have in common; a new pair of hosts each time. */
const document = (at: Date, more: object) => ({
  MA: '198.51.100.1',
  src: '198.51.100.1',
  dest: `203.0.113.${pair++ % 200}`,
  src_host: 'ps.a.example.org',
  dest_host: 'ps.b.example.org',
  src_site: 'A',
  dest_site: 'B',
  ipv6: false,
  timestamp: at.getTime(),
  ...more,
});

type Document = ReturnType<typeof document>;
const keyOf = ({ timestamp, src, dest }: Document): [number, string, string] => [timestamp, src, dest];
const order = (a: [number, string, string], b: [number, string, string]) =>
  a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : a[2] < b[2] ? -1 : Number(a[2] > b[2]));

/** An Elasticsearch that knows what the driver asks. An index that is not given does not exist. */
function indexServer(documents: Documents) {
  return fakeHttp((url, _, posted) => {
    const index = /^\/atlas\/(\w+)\/_search$/.exec(url.pathname)?.[1];
    const held = documents[index as Index];
    if (url.host !== 'es.example.org:9200' || held === undefined || posted === undefined) return undefined;
    const { query, search_after: after, size, sort, _source } = posted as Body;
    expect(sort.map((each) => Object.keys(each)[0])).toEqual(['timestamp', 'src', 'dest']);
    const { gte, lte, format } = query.bool.filter[0].range.timestamp;
    expect(format).toBe('epoch_millis');
    const hits = (held as Document[])
      .filter(({ timestamp }) => timestamp >= gte && timestamp <= lte)
      .sort((a, b) => order(keyOf(a), keyOf(b)))
      .filter((each) => !after || order(keyOf(each), after) > 0)
      .slice(0, size)
      .map((each) => ({
        _index: `${index}-000042`,
        _source: Object.fromEntries(Object.entries(each).filter(([name]) => _source.includes(name))),
        sort: keyOf(each),
      }));
    return { timed_out: false, _shards: { failed: 0 }, hits: { hits } };
  });
}

const none: Documents = {
  ps_throughput: [],
  ps_packetloss: [],
  ps_owd: [],
  ps_retransmits: [],
  ps_trace: [],
};
const read = (documents: Documents, more: Parameters<typeof harvestOne>[2] = {}) =>
  harvestOne(indexServer({ ...none, ...documents }), NOW, {
    archive: ARCHIVE!,
    ...more,
    options: { aggregates: [AGGREGATE], ...more.options },
  });
const values = (reads: SeriesRead[]) =>
  reads.flatMap(({ series, samples }) => samples.map(({ value }) => [series.metric, value]));

describe('the aggregated indices', () => {
  it('are an archive with a key that has no secret in it', () => {
    expect(ARCHIVE).toEqual({
      key: 'aggregate:es.example.org:9200/atlas',
      urls: ['https://es.example.org:9200/atlas/'],
      kind: 'wlcg',
      sources: ['configuration'],
    });
  });

  it('bit/s become Mb/s, times are ms; series are pairs of addresses, with the names they were given', async () => {
    const at = new Date('2026-08-01T11:30:00.250Z');
    const dest = '2001:db8::9';
    const { reads, report } = await read({
      ps_throughput: [document(at, { throughput: 9_400_000_000, dest, retransmits: 7 })],
      ps_packetloss: [document(at, { packet_loss: 0.02, dest })],
      ps_retransmits: [document(at, { retransmits: 7, dest })],
    });
    expect(values(reads)).toHaveLength(3);
    expect(values(reads)).toEqual(
      expect.arrayContaining([
        ['throughputMbps', 9400],
        ['lossRate', 0.02],
        ['retransmits', 7],
      ]),
    );
    expect(reads.find(({ series }) => series.metric === 'throughputMbps')).toMatchObject({
      series: {
        metadataKey: '198.51.100.1>2001:db8::9',
        source: '198.51.100.1',
        destination: dest,
        sourceName: 'ps.a.example.org',
        destinationName: 'ps.b.example.org',
        eventType: 'ps_throughput/throughput',
      },
      samples: [{ at }],
    });
    expect(report).toMatchObject({ outcome: 'ok', kind: 'wlcg', requests: 5, seriesRead: 3, samplesRead: 3 });
  });

  it('traces: hops with what their parallel lists say, and silent ones where the ttls leave a gap', async () => {
    const dest = '203.0.113.9';
    const at = secondsAgo(600);
    const trace = {
      dest,
      hops: ['192.0.2.1', '192.0.2.4', dest],
      ttls: [1, 3, 4],
      asns: [0, 64500, 64501],
      rtts: [0.4, 0, 9.5],
      destination_reached: true,
    };
    const lists = { dest: '203.0.113.10', hops: ['192.0.2.1', '192.0.2.2'], destination_reached: true };
    const { traces, reads, report } = await read({
      ps_trace: [document(at, trace), document(at, lists), document(at, { dest, hops: [], ttls: [] })],
    });
    expect(report).toMatchObject({ outcome: 'ok', seriesRead: 2 });
    expect(reads).toEqual([]);
    expect(traces.filter(({ runs }) => runs.length > 0)).toMatchObject([
      {
        test: { metadataKey: `198.51.100.1>203.0.113.10`, sourceName: 'ps.a.example.org' },
        runs: [{ route: { hops: [{ address: '192.0.2.1' }, { address: '192.0.2.2' }], isReached: true } }],
      },
      {
        test: { metadataKey: `198.51.100.1>${dest}`, ipVersion: 4 },
        runs: [
          {
            at,
            route: {
              hops: [
                { address: '192.0.2.1' },
                {},
                { address: '192.0.2.4', asn: 64500 },
                { address: dest, asn: 64501 },
              ],
              isReached: true,
            },
          },
        ],
      },
    ]);
    expect(traces.at(-1)!.checkpoint).toEqual(at);
  });

  it('delays are the mean: the median is a + b/2 where the number of packets is even', async () => {
    const { reads } = await read({
      ps_owd: [document(secondsAgo(60), { delay_mean: 10.1, delay_median: 15, delay_sd: 0.1 })],
    });
    expect(values(reads)).toEqual([['oneWayDelayMs', 10.1]]);
  });

  it('page by search_after, through many documents of one moment', async () => {
    const owd = Array.from({ length: 12_000 }, (_, index) =>
      document(secondsAgo(3000 - (index >> 12)), {
        delay_mean: 1,
        dest: `h${String(index).padStart(6, '0')}`,
      }),
    );
    const { report } = await read({ ps_owd: owd });
    expect(report).toMatchObject({ outcome: 'ok', requests: 5 + 12_000 / PAGE_SIZE, samplesRead: 12_000 });
  });

  it('each is read from a little before its own newest document', async () => {
    const first = await read({
      ps_owd: [document(secondsAgo(600), { delay_mean: 1, dest: 'a.example.org' })],
      ps_throughput: [document(secondsAgo(7200), { throughput: 1e9 })],
      ps_trace: [document(secondsAgo(1800), { hops: ['192.0.2.1'] })],
    });
    const { checkpoints } = first;
    const server = indexServer(none);
    const from: Record<string, number> = {};
    const watched = fakeHttp((url, signal, posted) => {
      from[url.pathname.split('/')[2]!] = (posted as Body).query.bool.filter[0].range.timestamp.gte;
      return server.postJson(url.href, posted, signal);
    });
    await harvestOne(watched, NOW, { archive: ARCHIVE!, checkpoints, options: { overlapMinutes: 60 } });
    expect(from).toEqual({
      ps_owd: secondsAgo(600 + 3600).getTime(),
      ps_throughput: secondsAgo(7200 + 3600).getTime(),
      ps_packetloss: secondsAgo(86_400).getTime(),
      ps_retransmits: secondsAgo(86_400).getTime(),
      ps_trace: secondsAgo(1800 + 3600).getTime(),
    });
  });

  it('a host whose clock is ahead does not move the checkpoint past the others', async () => {
    const { reads } = await read({
      ps_owd: [
        document(secondsAgo(32_400), { delay_mean: 1 }),
        document(secondsAgo(-86_400), { delay_mean: 1 }),
      ],
    });
    expect(reads.flatMap(({ samples }) => samples)).toHaveLength(1);
    expect(Math.max(...reads.map(({ checkpoint }) => checkpoint.getTime()))).toBe(
      secondsAgo(32_400).getTime(),
    );
  });

  it('no checkpoint promises what a crash in the middle of a page could lose', async () => {
    // Sparse: one page holds hours.
    const owd = Array.from({ length: 3000 }, (_, index) =>
      document(secondsAgo(80_000 - 20 * index), { delay_mean: 1 }),
    );
    const { reads } = await read({ ps_owd: owd });
    let emitted = 0;
    for (const { samples, checkpoint } of reads) {
      emitted += samples.length;
      const promised = owd.filter(({ timestamp }) => timestamp <= checkpoint.getTime()).length;
      expect(promised).toBeLessThanOrEqual(emitted);
    }
    expect(reads.at(-1)).toMatchObject({ samples: [], checkpoint: new Date(owd.at(-1)!.timestamp) });
  });

  it('one index that is absent makes it partial; all of them, failed', async () => {
    const { ps_retransmits: _, ...three } = none;
    const server = (documents: Documents) => harvestOne(indexServer(documents), NOW, { archive: ARCHIVE! });
    const some = await server({ ...three, ps_owd: [document(secondsAgo(60), { delay_mean: 1 })] });
    expect(some.report).toMatchObject({ outcome: 'partial', fault: 'http-error' });
    expect(some.report.message).toContain('ps_retransmits');
    expect((await server({})).report).toMatchObject({ outcome: 'failed', fault: 'http-error' });
  });

  it('documents without the fields of their index, or with times in seconds, are left out', async () => {
    const good = document(secondsAgo(60), { packet_loss: 0.5 });
    const { reads, report } = await read({
      ps_packetloss: [
        good,
        document(secondsAgo(61), {}),
        document(secondsAgo(62), { packet_loss: 0, src: null }),
      ],
    });
    expect(values(reads)).toEqual([['lossRate', 0.5]]);
    expect(report.outcome).toBe('ok');
  });
});

describe('credentials', () => {
  const empty = JSON.stringify({ hits: { hits: [] } });

  it('go to the index, and nowhere else: not where it redirects to, nor into messages', async () => {
    const elsewhere: (string | undefined)[] = [];
    const other = await serve((request, response) => {
      elsewhere.push(request.headers.authorization);
      response.writeHead(401).end('no');
    });
    const seen: (string | undefined)[] = [];
    const port = await serve((request, response) => {
      seen.push(request.headers.authorization);
      if (request.url?.includes('ps_owd')) {
        response.writeHead(307, { location: `http://127.0.0.1:${other}/` }).end();
      } else response.end(empty);
    });
    const aggregate = { ...AGGREGATE, url: `http://127.0.0.1:${port}` };
    const harvester = httpClient({ connectTimeoutSeconds: 1, bodyTimeoutSeconds: 2 });
    const { report } = await harvestOne(harvester, NOW, {
      archive: aggregateArchives([aggregate])[0]!,
      options: { aggregates: [aggregate] },
    });
    const header = `Basic ${Buffer.from('lark:open:sesame').toString('base64')}`;
    expect(new Set(seen)).toEqual(new Set([header]));
    expect(elsewhere).toEqual([undefined]);
    expect(report.fault).toBe('forbidden');
    expect(JSON.stringify(report)).not.toContain('sesame');
  });

  it('that are wrong are a fault by name', async () => {
    const server = fakeHttp((url) => {
      throw new HttpFailure('forbidden', url.href, 'answered 401', 401);
    });
    const { report } = await harvestOne(server, NOW, { archive: ARCHIVE! });
    expect(report).toMatchObject({ outcome: 'failed', fault: 'forbidden' });
  });
});
