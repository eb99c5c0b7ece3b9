import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { identifier } from '../../../src/address.ts';
import type { TraceRun } from '../../../src/domain.ts';
import { clean } from '../../../src/spider/clean.ts';
import { discover } from '../../../src/spider/discover.ts';
import { routeOfPaths } from '../../../src/spider/drivers/route.ts';
import { HttpFailure } from '../../../src/spider/http.ts';
import { readRecords } from '../../../src/spider/records.ts';
import {
  fakeHttp,
  harvestOne,
  isMetadataCall,
  metadataElement,
  type Point,
  pointsFor,
  quietLog,
} from './helpers.ts';

/** Captured payloads beside the clone; see the INDEX.md there. */
const SAMPLES = new URL('../../../../shared/samples/perfsonar/', import.meta.url);
const present = existsSync(SAMPLES);
const skipped = present ? '' : ' (skipped: no ../shared/samples/perfsonar)';

const sample = (name: string) => JSON.parse(readFileSync(new URL(name, SAMPLES), 'utf8'));

const LOOKUP_DUMPS: Record<string, string> = {
  'ps-west.es.net': 'sls-records-ps-west-2018.json',
  'monipe-ls.rnp.br': 'sls-records-monipe-ls-2018.json',
  'nsw-brwy-sls1.aarnet.net.au': 'sls-records-aarnet-2018.json',
};

/** The lookup servers of May 2018, of which two are not in the dumps. They answer everything they have. */
function lookupServersOf2018() {
  return fakeHttp((url) => {
    if (url.pathname.endsWith('activehosts.json')) return sample('sls-activehosts-2018.json');
    const dump = LOOKUP_DUMPS[url.hostname];
    if (dump === undefined) throw new HttpFailure('refused', url.href, 'could not be reached');
    return sample(dump);
  });
}

const discoverAt = (now: string) =>
  discover(
    { bootstrapUrls: ['http://ps1.es.net:8096/lookup/activehosts.json'], lookupUrls: [], seeds: [] },
    { hosts: [], archives: [] },
    { http: lookupServersOf2018(), now: new Date(now), log: quietLog },
  );

describe.skipIf(!present)(`the lookup dumps of May 2018${skipped}`, () => {
  it('give 73 hosts and 17 archives while most leases hold', async () => {
    const { hosts, archives, sources } = await discoverAt('2018-05-22T15:30:00Z');
    expect(sources.map(({ ok }) => ok)).toEqual([true, true, false, true, false, true]);
    const count = (condition: (host: (typeof hosts)[number]) => boolean) => hosts.filter(condition).length;
    const counts = {
      hosts: hosts.length,
      archives: archives.length,
      dualStack: count(({ addresses }) => addresses.length > 1),
      addressOnly: count(({ names }) => names.length === 0),
      withCoordinates: count(({ latitude }) => latitude !== undefined),
      withCapacity: count(({ capacityMbps }) => capacityMbps !== undefined),
      withoutUuid: count(({ clientUuids }) => clientUuids.length === 0),
      archivesWithHost: archives.filter(({ hostKey }) => hostKey !== undefined).length,
      archiveUrls: archives.flatMap(({ urls }) => urls).length,
    };
    console.log('lookup dumps of 22 May 2018:', JSON.stringify(counts));
    expect(counts).toEqual({
      hosts: 73,
      archives: 17,
      dualStack: 26,
      addressOnly: 44,
      withCoordinates: 21,
      withCapacity: 18,
      withoutUuid: 4,
      archivesWithHost: 17,
      archiveUrls: 42,
    });
  });

  it('merge a host over its records: address, name, client-uuid', async () => {
    const { hosts, archives } = await discoverAt('2018-05-22T15:30:00Z');
    const host = hosts.find(({ addresses }) => addresses.includes('207.98.67.188'));
    // Host record (IPv4, name), interface record (IPv6), archive record of another host URI but the same uuid.
    expect(host).toMatchObject({
      key: 'klfl-perf1.nero.net',
      addresses: ['207.98.67.188', '2605:bc80:1:7::caff'],
      clientUuids: ['44b7f879-db7b-41ab-9c00-e0bfaeac4cd8'],
      capacityMbps: 1000,
      latitude: 42.227695,
    });
    const archive = archives.find(({ hostKey }) => hostKey === host!.key);
    expect(archive!.urls.map((url) => new URL(url).origin)).toEqual([
      'https://207.98.67.188',
      'https://[2605:bc80:1:7::caff]',
      'http://207.98.67.188',
      'http://[2605:bc80:1:7::caff]',
    ]);
  });

  it('hold ::1 as an archive’s address and the default coordinates: neither is believed', async () => {
    const { hosts, archives } = await discoverAt('2018-05-22T15:30:00Z');
    expect(JSON.stringify([hosts, archives])).not.toMatch(/"::1"|\[::1\]|121\.7469/);
    expect(archives.find(({ hostKey }) => hostKey === '125.236.193.154')!.urls).toHaveLength(2);
  });

  it('expire: an hour later half is left, after an hour and a half nothing', async () => {
    const at = async (now: string) => (await discoverAt(now)).hosts.length;
    expect(await at('2018-05-22T16:30:00Z')).toBe(43);
    expect(await at('2018-05-22T17:00:37Z')).toBe(0);
  });

  it('hold one record that was over for two years, and what nobody asked for', () => {
    const read = Object.values(LOOKUP_DUMPS).map((file) =>
      readRecords(sample(file), new Date('2018-05-22T15:30:00Z')),
    );
    const total = (field: 'malformed' | 'expired' | 'unwanted') =>
      read.reduce((sum, each) => sum + each[field], 0);
    expect([total('malformed'), total('expired'), total('unwanted')]).toEqual([0, 4, 27]);
  });

  it('no person is kept', async () => {
    const text = JSON.stringify(await discoverAt('2018-05-22T15:30:00Z'));
    expect(text).not.toMatch(/person[-/]|administrator/i);
  });
});

/** Replays a metadata answer; every data call is answered by the function. */
const replay = (metadata: unknown, data: (url: URL) => unknown) =>
  fakeHttp((url) => (isMetadataCall(url) ? metadata : data(url)));

describe.skipIf(!present)(`esmond metadata of 2017 and 2018${skipped}`, () => {
  it('2018: one request for each series with data in the window', async () => {
    const metadata = sample('esmond-metadata-64.106.40.252-2018.json');
    const now = new Date('2018-11-29T12:00:00Z');
    const http = replay(metadata, () => [{ ts: now.getTime() / 1000 - 600, val: 1 }]);
    const { reads, report } = await harvestOne(http, now);
    const metrics = Object.fromEntries(
      Map.groupBy(reads, ({ series }) => series.metric)
        .entries()
        .map(([metric, list]) => [metric, list.length]),
    );
    console.log('esmond metadata of 2018:', metadata.length, 'tests,', JSON.stringify(metrics));
    expect(report).toMatchObject({ outcome: 'ok', kind: 'esmond' });
    expect(metrics).toEqual({
      lossRate: 4,
      oneWayDelayMs: 3,
      reorderRate: 4,
      duplicateRate: 4,
      throughputMbps: 3,
      retransmits: 3,
      failedRuns: 3,
    });
    // Each count of 1 is to be divided by the packets sent; of the 12 tests of traces 7 have news.
    expect(report.requests).toBe(1 + reads.length + 8 + 7);
    expect(http.asked.slice(1).every(({ pathname }) => !pathname.endsWith('/'))).toBe(true);
    for (const { series } of reads) expect(identifier(series.source)?.kind).toBe('address');
  });

  it('2017: names and addresses of both ends, IPv4 and IPv6, texts for numbers', async () => {
    const metadata = sample('esmond-metadata-2017.json');
    const now = new Date('2017-06-28T12:00:00Z');
    const { reads } = await harvestOne(
      replay(metadata, () => [{ ts: now.getTime() / 1000 - 600, val: 1 }]),
      now,
    );
    const owd = reads.find(({ series }) => series.metadataKey === '010646242f574ca3b1d191d9b563ceb1')!;
    expect(owd.series).toMatchObject({
      source: '2001:798:bb:2::8a',
      destination: '2001:630:301:b018::616a:b17e',
      sourceName: 'psmp-gn-owd-01-mad-es-v6.geant.net',
      destinationName: 'psmall.lut.ac.uk',
      ipVersion: 6,
      tool: 'pscheduler/powstream',
    });
    // Tests that ended long before cost nothing, whether or not the archive leaves them out.
    expect(new Set(reads.map(({ series }) => series.metadataKey)).size).toBeLessThan(metadata.length / 2);
  });

  it('statistics of one-way delay: all 120 points, the median of each', async () => {
    const points = sample('esmond-data-histogram-owdelay-statistics-300.json') as Point[];
    const now = new Date((points.at(-1)!.ts + 3600) * 1000);
    const metadata = [
      {
        'metadata-key': 'k',
        'subject-type': 'point-to-point',
        source: '192.0.2.1',
        destination: '192.0.2.2',
        'event-types': [
          {
            'event-type': 'histogram-owdelay',
            'base-uri': '/x/base',
            summaries: [{ uri: '/x/statistics/300', 'summary-type': 'statistics', 'summary-window': '300' }],
          },
        ],
      },
    ];
    const { reads } = await harvestOne(
      replay(metadata, () => points),
      now,
    );
    const [variation, delay] = reads;
    expect(delay!.samples).toHaveLength(120);
    expect(delay!.samples[0]!.value).toBe(24.3);
    expect(variation!.series.metric).toBe('delayVariationMs');
    expect(variation!.samples[0]!.value).toBeCloseTo(0.1);
    for (const read of [delay!, variation!])
      expect(new Set(clean(read, now).samples.map(({ verdict }) => verdict))).toEqual(new Set(['good']));
  });
});

/** The captured trace of 2026: six routers on its way kept silent. */
const ROUTE_2026 = {
  hops: [
    { address: '192.168.1.1', name: 'ntt.setup' },
    ...[{}, {}, {}, {}, {}, {}],
    { address: '1.1.1.1', asn: 13335 },
  ],
  isReached: true,
};

describe.skipIf(!present)(`captured traces${skipped}`, () => {
  it('of esmond: ten hops, the first of them asked twice, numbers as texts', async () => {
    const points = sample('esmond-data-packet-trace-docs.json') as Point[];
    const now = new Date((points[0]!.ts + 600) * 1000);
    const metadata = [
      metadataElement('esmond', 'k', [{ name: 'packet-trace' }], { destination: '198.129.254.30' }),
    ];
    const { traces } = await harvestOne(
      replay(metadata, () => points),
      now,
    );
    const [{ at, route }] = traces[0]!.runs as [TraceRun];
    expect(at).toEqual(new Date(points[0]!.ts * 1000));
    expect(route.isReached).toBe(true);
    expect(route.hops.map(({ address }) => address)).toEqual([
      ...['198.124.238.65', '134.55.38.77', '134.55.42.41', '134.55.43.82', '134.55.49.57', '134.55.50.201'],
      ...['134.55.40.6', '134.55.49.2', '198.129.254.30'],
    ]);
  });

  it('of a pScheduler of 2026, as it comes and as OpenSearch keeps it', () => {
    const { paths } = sample('archiver-trace-2026.json').result;
    expect(routeOfPaths(paths, '1.1.1.1')).toEqual(ROUTE_2026);
    const { hits } = sample('DERIVED-opensearch-search-pscheduler.json').hits as {
      hits: { _source: { test: { type: string }; result: { json: unknown } } }[];
    };
    const document = hits.find(({ _source }) => _source.test.type === 'trace')!;
    expect(routeOfPaths(document._source.result.json, '1.1.1.1')).toEqual(ROUTE_2026);
  });
});

describe.skipIf(!present)(`data of esmond${skipped}`, () => {
  const oneTest = (eventType: string, summary: string, window: string) => [
    {
      'metadata-key': 'k',
      'subject-type': 'point-to-point',
      source: '192.0.2.1',
      destination: '192.0.2.2',
      'event-types': [
        {
          'event-type': eventType,
          'base-uri': '/x/base',
          summaries: [{ uri: '/x/summary', 'summary-type': summary, 'summary-window': window }],
        },
      ],
    },
  ];

  it('throughput of 2016: bit/s become Mb/s, every point once', async () => {
    const points = sample('esmond-data-throughput-averages-86400.json') as { ts: number; val: number }[];
    const now = new Date((points.at(-1)!.ts + 3600) * 1000);
    const http = replay(oneTest('throughput', 'averages', '86400'), (url) => pointsFor(url, points));
    const days = points.at(-1)!.ts - points[0]!.ts;
    const { reads, report } = await harvestOne(http, now, { options: { lookbackHours: days / 3600 + 48 } });
    expect(report).toMatchObject({ outcome: 'ok', kind: 'esmond' });
    const samples = reads.flatMap((read) => read.samples);
    expect(samples.map(({ at }) => at.getTime() / 1000)).toEqual(points.map(({ ts }) => ts));
    expect(samples[0]!.value).toBeCloseTo(points[0]!.val / 1e6, 9);
  });

  it('lost packets of 2018 are a count, and are not taken for a rate', async () => {
    const points = sample('esmond-data-packet-count-lost-aggregations-86400.json') as Point[];
    const now = new Date((points.at(-1)!.ts + 3600) * 1000);
    const http = replay(oneTest('packet-count-lost', 'aggregations', '86400'), () => points);
    const { reads } = await harvestOne(http, now);
    expect(reads.filter(({ series }) => series.metric === 'lossRate')).toEqual([]);
  });
});

describe.skipIf(!present)(`answers of elmond${skipped}`, () => {
  it('all five tests: each series has the value that elmond gave, 404 is never met', async () => {
    const answers = sample('DERIVED-elmond-data.json');
    const metadata = sample('DERIVED-elmond-metadata.json');
    const http = replay(
      metadata,
      (url) => (answers[url.pathname.split('/').slice(-3).join('/')] ?? { body: [] }).body,
    );
    const now = new Date('2026-07-27T13:00:00Z');
    const { reads, traces, report } = await harvestOne(http, now);
    expect(report).toMatchObject({ outcome: 'ok', kind: 'elmond' });
    expect(traces).toMatchObject([{ test: { destination: '1.1.1.1' }, runs: [{ route: ROUTE_2026 }] }]);
    const values = reads.map(({ series, samples }) => [series.metric, series.destination, samples[0]!.value]);
    expect(values).toEqual([
      ['rttMs', '192.168.1.101', 0.976],
      ['rttMs', '192.0.2.1', 0.976],
      ['throughputMbps', '192.168.1.101', expect.closeTo(942.617924, 6)],
      ['retransmits', '192.168.1.101', 7],
      ['lossRate', '192.168.1.101', 0],
      ['delayVariationMs', '192.168.1.101', expect.closeTo(3.6595, 9)],
      ['oneWayDelayMs', '192.168.1.101', -13.145],
    ]);
    const owd = clean(reads.at(-1)!, now).samples[0];
    expect(owd).toMatchObject({ verdict: 'bad', reason: 'negative-delay' });
  });
});
