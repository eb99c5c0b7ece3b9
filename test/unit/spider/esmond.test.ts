import { describe, expect, it } from 'vitest';
import type { Metric, SeriesRead } from '../../../src/domain.ts';
import { HttpFailure } from '../../../src/spider/http.ts';
import {
  type FakeEventType,
  fakeHttp,
  harvestOne,
  isMetadataCall,
  metadataElement,
  type Point,
  pointsFor,
  seconds,
} from './helpers.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
const now = seconds(NOW);
const KEY = '0123456789abcdef0123456789abcdef';

/** An esmond archive with one test; data by path below the test, without the final part of the URL's query. */
function archive(
  eventTypes: FakeEventType[],
  data: Record<string, Point[]>,
  more: Record<string, unknown> = {},
) {
  return fakeHttp((url) => {
    if (isMetadataCall(url)) return [metadataElement('esmond', KEY, eventTypes, more)];
    const points = data[url.pathname.split(`${KEY}/`)[1] ?? ''];
    return points && pointsFor(url, points);
  });
}

const minutes = (count: number, value: (index: number) => unknown): Point[] =>
  Array.from({ length: count }, (_, index) => ({ ts: now - 60 * (count - index), val: value(index) }));

const dataCalls = (http: { asked: URL[] }) => http.asked.filter((url) => !isMetadataCall(url));

const valuesOf = (reads: SeriesRead[], metric: Metric) =>
  reads.flatMap(({ series, samples }) => (series.metric === metric ? samples.map(({ value }) => value) : []));

describe('metrics', () => {
  it('throughput and retransmits: bit/s become Mb/s, numbers may be texts', async () => {
    const http = archive([{ name: 'throughput' }, { name: 'packet-retransmits' }], {
      'throughput/base': [
        { ts: now - 7200, val: 942_617_924.2 },
        { ts: now - 3600, val: '1000000' },
      ],
      'packet-retransmits/base': [{ ts: now - 3600, val: '7' }],
    });
    const { reads, report } = await harvestOne(http, NOW);
    expect(report).toMatchObject({
      outcome: 'ok',
      kind: 'esmond',
      requests: 3,
      seriesRead: 2,
      samplesRead: 3,
    });
    expect(reads.map(({ series, samples }) => [series.metric, samples.map(({ value }) => value)])).toEqual([
      ['throughputMbps', [expect.closeTo(942.6179242, 6), 1]],
      ['retransmits', [7]],
    ]);
    expect(reads[0]!.series).toEqual({
      archiveKey: 'archive',
      metadataKey: KEY,
      metric: 'throughputMbps',
      source: '198.51.100.1',
      destination: '203.0.113.9',
      sourceName: 'ps.a.example.org',
      tool: 'pscheduler/tool',
      ipVersion: 4,
      eventType: 'throughput',
    });
  });

  it('one-way delay: the median of statistics/0, and not the histograms', async () => {
    const http = archive(
      [{ name: 'histogram-owdelay', summaries: ['aggregations/300', 'statistics/300', 'statistics/0'] }],
      {
        'histogram-owdelay/statistics/0': [
          { ts: now - 60, val: { minimum: 1, mean: 9, median: 2.5, maximum: 90 } },
        ],
      },
    );
    const { reads } = await harvestOne(http, NOW);
    expect(reads).toMatchObject([
      {
        series: { metric: 'oneWayDelayMs', eventType: 'histogram-owdelay/statistics/0' },
        samples: [{ value: 2.5 }],
      },
    ]);
  });

  it('one-way delay without statistics: the median of the histogram, which may be negative', async () => {
    const http = archive([{ name: 'histogram-owdelay', summaries: ['aggregations/300'] }], {
      'histogram-owdelay/base': [
        { ts: now - 120, val: { '10.5': 1, '9.1': 1, '100': 1 } },
        { ts: now - 60, val: { '-3.5': '5', '-2': 1 } },
        { ts: now - 30, val: {} },
      ],
    });
    const { reads } = await harvestOne(http, NOW);
    expect(reads.map(({ series }) => series.eventType)).toEqual(['histogram-owdelay', 'histogram-owdelay']);
    expect(valuesOf(reads, 'oneWayDelayMs')).toEqual([10.5, -3.5, null]);
    expect(valuesOf(reads, 'delayVariationMs')).toEqual([100 - 9.1, 1.5]);
  });

  it('coarser statistics: whole windows only, since the last one still grows', async () => {
    const window = Math.floor(now / 300) * 300;
    const http = archive([{ name: 'histogram-rtt', summaries: ['statistics/300'] }], {
      'histogram-rtt/statistics/300': [
        { ts: window - 600, val: { mean: 4 } },
        { ts: window - 300, val: { mean: 5 } },
        { ts: window, val: { mean: 6 } },
      ],
    });
    const at = new Date((window + 100) * 1000);
    const { reads } = await harvestOne(http, at, { options: { lookbackHours: 450 / 3600 } });
    expect(reads[0]!.samples.map(({ value }) => value)).toEqual([4, 5]);
    expect(dataCalls(http)[0]!.searchParams.get('time-start')).toBe(String(window - 600));
  });

  it('coarser statistics over several windows: none is made of a part of its runs', async () => {
    // As elmond does it: each answer is computed from the runs in the window asked for; here the number of runs.
    const day = 86_400;
    const midnight = Math.floor(now / day) * day;
    const http = fakeHttp((url) => {
      if (isMetadataCall(url))
        return [metadataElement('esmond', KEY, [{ name: 'histogram-rtt', summaries: ['statistics/86400'] }])];
      const [from, to] = ['time-start', 'time-end'].map((name) => Number(url.searchParams.get(name)));
      const days = new Map<number, number>();
      for (let ts = Math.ceil(from! / 3600) * 3600; ts <= to!; ts += 3600)
        days.set(Math.floor(ts / day) * day, (days.get(Math.floor(ts / day) * day) ?? 0) + 1);
      return [...days].map(([ts, count]) => ({ ts, val: { mean: count } }));
    });
    const { reads } = await harvestOne(http, NOW, { options: { lookbackHours: 100, windowHours: 10 } });
    const samples = reads.flatMap((read) => read.samples);
    expect(samples.map(({ at, value }) => [(midnight - seconds(at)) / day, value])).toEqual([
      [4, 24],
      [3, 24],
      [2, 24],
      [1, 24],
    ]);
  });

  it('loss of a round trip, and of a UDP throughput test, is not loss of the path', async () => {
    const rtt = archive([{ name: 'packet-loss-rate-bidir' }], {});
    expect((await harvestOne(rtt, NOW)).report).toMatchObject({ outcome: 'ok', requests: 1 });
    const udp = archive([{ name: 'packet-loss-rate' }, { name: 'throughput' }], { 'throughput/base': [] });
    await harvestOne(udp, NOW);
    expect(dataCalls(udp).map((url) => url.pathname)).toEqual([
      `/esmond/perfsonar/archive/${KEY}/throughput/base`,
    ]);
  });

  it.each([
    ['UDP', { 'ip-transport-protocol': 'udp' }],
    ['a target bandwidth, as a text', { 'ip-transport-protocol': 'tcp', 'bw-target-bandwidth': '50000000' }],
    ['a target bandwidth, as a number', { 'bw-target-bandwidth': 5e7 }],
  ])('throughput of a test that was told its rate says nothing of the path: %s', async (_what, more) => {
    const types = [{ name: 'throughput' }, { name: 'packet-retransmits' }];
    const http = archive(types, { 'throughput/base': [], 'packet-retransmits/base': [] }, more);
    await harvestOne(http, NOW);
    expect(dataCalls(http).map((url) => url.pathname)).toEqual([
      `/esmond/perfsonar/archive/${KEY}/packet-retransmits/base`,
    ]);
  });

  it('TCP without a target, or a target of 0, is measured', async () => {
    const more = { 'ip-transport-protocol': 'tcp', 'bw-target-bandwidth': '0' };
    const http = archive([{ name: 'throughput' }], { 'throughput/base': [] }, more);
    await harvestOne(http, NOW);
    expect(dataCalls(http)).toHaveLength(1);
  });

  it('a loss of 1 is a result; null is kept as no number', async () => {
    const http = archive([{ name: 'packet-loss-rate' }], {
      'packet-loss-rate/base': [
        { ts: now - 120, val: 1 },
        { ts: now - 60, val: null },
      ],
    });
    const { reads } = await harvestOne(http, NOW);
    expect(reads[0]!.samples.map(({ value }) => value)).toEqual([1, null]);
  });

  it('tests that are not point to point are left out', async () => {
    const http = archive([{ name: 'throughput' }], {}, { 'subject-type': 'network-element' });
    expect((await harvestOne(http, NOW)).report).toMatchObject({ outcome: 'ok', requests: 1, seriesRead: 0 });
  });
});

describe('URLs', () => {
  it('are the advertised ones, on the server that answered, without a final slash', async () => {
    const element = metadataElement('esmond', KEY, [{ name: 'throughput' }]);
    const [type] = element['event-types'] as Record<string, unknown>[];
    type!['base-uri'] = 'http://localhost:8080/odd/place/throughput/base/';
    const http = fakeHttp((url) => (isMetadataCall(url) ? [element] : []));
    await harvestOne(http, NOW);
    expect(dataCalls(http).map((url) => url.origin + url.pathname)).toEqual([
      'https://archive.example.org/odd/place/throughput/base',
    ]);
  });
});

describe('windows', () => {
  it('the metadata call has a time range and a limit; data calls have both ends of a window and a limit', async () => {
    const http = archive([{ name: 'throughput' }], { 'throughput/base': [] });
    await harvestOne(http, NOW);
    expect(http.asked.map((url) => Object.fromEntries(url.searchParams))).toEqual([
      { 'time-range': String(25 * 3600), limit: '1000' },
      { 'time-start': String(now - 86_400), 'time-end': String(now), limit: '5000' },
    ]);
  });

  it('nothing is lost where a window holds more than an answer does', async () => {
    const points = Array.from({ length: 12_345 }, (_, index) => ({
      ts: now - 12_345 + index,
      val: index / 20_000,
    }));
    const http = archive([{ name: 'packet-loss-rate' }], { 'packet-loss-rate/base': points });
    const { reads, events } = await harvestOne(http, NOW);
    const samples = reads.flatMap((read) => read.samples);
    expect(samples.map(({ value }) => value)).toEqual(points.map(({ val }) => val));
    // In pieces, each with the time up to which the series is then known.
    expect(reads.map((read) => read.samples.length)).toEqual([5000, 4999, 2346]);
    for (const read of reads) expect(read.checkpoint).toEqual(read.samples.at(-1)!.at);
    expect(events.filter(({ type }) => type === 'reads').length).toBeGreaterThan(1);
  });

  it('an archive that was down is caught up with in windows of windowHours', async () => {
    const checkpoints = new Map([[`${KEY}/throughputMbps`, new Date(NOW.getTime() - 100 * 3_600_000)]]);
    const http = archive([{ name: 'throughput' }], {
      'throughput/base': [{ ts: now - 90 * 3600, val: 1e6 }],
    });
    const { reads } = await harvestOne(http, NOW, { checkpoints });
    const starts = dataCalls(http).map((url) => now - Number(url.searchParams.get('time-start')));
    expect(starts).toEqual([101 * 3600, 53 * 3600, 5 * 3600]);
    expect(Number(http.asked[0]!.searchParams.get('time-range'))).toBe(101 * 3600);
    expect(reads[0]!.samples).toHaveLength(1);
    expect(reads.at(-1)!.checkpoint.getTime()).toBe(NOW.getTime() - 24 * 3_600_000);
  });

  it('metadata is paged by the spider’s own offset, and a test that comes twice counts once', async () => {
    const element = (index: number) =>
      metadataElement(
        'esmond',
        String(index).padStart(32, '0'),
        [{ name: 'throughput', timeUpdated: null }],
        {
          ...(index === 0 && {
            'metadata-count-total': 1500,
            'metadata-next-page': 'http://localhost:5000/?limit=1000',
          }),
        },
      );
    const http = fakeHttp((url) => {
      const offset = Number(url.searchParams.get('offset') ?? 0);
      return Array.from({ length: Math.min(1000, 1500 - offset) }, (_, index) => element(offset + index));
    });
    await harvestOne(http, NOW);
    expect(http.asked.map((url) => url.searchParams.get('offset'))).toEqual([null, '1000']);
    expect(http.asked.every((url) => url.hostname === 'archive.example.org')).toBe(true);
  });

  it('a server that gives shorter pages than asked for loses nothing', async () => {
    const http = fakeHttp((url) => {
      if (!isMetadataCall(url)) return [];
      const offset = Number(url.searchParams.get('offset') ?? 0);
      return Array.from({ length: Math.min(100, 250 - offset) }, (_, index) =>
        metadataElement('esmond', `key-${offset + index}`, [{ name: 'throughput' }], {
          ...(index === 0 && { 'metadata-count-total': 250 }),
        }),
      );
    });
    expect((await harvestOne(http, NOW)).report).toMatchObject({ outcome: 'ok', requests: 253 });
  });
});

describe('checkpoints', () => {
  const eventTypes = (timeUpdated: unknown) => [{ name: 'throughput', timeUpdated }];

  it('a series whose time-updated was seen before costs no request', async () => {
    const data = { 'throughput/base': [{ ts: now - 500, val: 1e6 }] };
    const first = await harvestOne(archive(eventTypes(now - 480), data), NOW);
    expect(first.checkpoints.get(`${KEY}/throughputMbps`)).toEqual(new Date((now - 480) * 1000));

    const later = new Date(NOW.getTime() + 3_600_000);
    const idle = archive(eventTypes(String(now - 480)), data);
    const second = await harvestOne(idle, later, { checkpoints: first.checkpoints });
    expect(second).toMatchObject({ reads: [], report: { outcome: 'ok', requests: 1 } });

    const third = await harvestOne(archive(eventTypes(now + 10), data), later, {
      checkpoints: first.checkpoints,
    });
    expect(third.reads).toHaveLength(1);
  });

  it('null says that no data ever came; no time-updated says nothing', async () => {
    expect((await harvestOne(archive(eventTypes(null), {}), NOW)).report.requests).toBe(1);
    const silent = archive(eventTypes(undefined), { 'throughput/base': [] });
    expect((await harvestOne(silent, NOW)).report.requests).toBe(2);
  });

  it('what comes late is found by the overlap', async () => {
    const points = [{ ts: now - 60, val: 2e6 }];
    const types = [{ name: 'throughput' }];
    const first = await harvestOne(archive(types, { 'throughput/base': points }), NOW);
    const late = { ts: now - 1800, val: 1e6 };
    const http = archive(types, { 'throughput/base': [late, ...points] });
    const second = await harvestOne(http, new Date(NOW.getTime() + 60_000), {
      checkpoints: first.checkpoints,
    });
    expect(second.reads[0]!.samples.map(({ value }) => value)).toEqual([1, 2]);
  });

  it('never later than now, whatever the archive’s clock says; one from the future is not believed', async () => {
    const future = now + 86_400;
    const http = fakeHttp((url) =>
      isMetadataCall(url)
        ? [metadataElement('esmond', KEY, eventTypes(future))]
        : [
            { ts: now - 60, val: 1e6 },
            { ts: future, val: 2e6 },
          ],
    );
    const { checkpoints, reads } = await harvestOne(http, NOW);
    expect(checkpoints.get(`${KEY}/throughputMbps`)).toEqual(NOW);
    expect(reads[0]!.samples).toHaveLength(2);

    const wrong = new Map([[`${KEY}/throughputMbps`, new Date((now + 7 * 86_400) * 1000)]]);
    const healed = await harvestOne(
      archive(eventTypes(now - 10), { 'throughput/base': minutes(5, () => 1e6) }),
      NOW,
      {
        checkpoints: wrong,
      },
    );
    expect(healed.report.requests).toBe(1);
    const next = await harvestOne(
      archive(eventTypes(now + 10), { 'throughput/base': minutes(5, () => 1e6) }),
      NOW,
      {
        checkpoints: wrong,
      },
    );
    expect(next.reads[0]).toMatchObject({ checkpoint: NOW, samples: { length: 5 } });
  });

  it('points before the window, without time, and twice at one time are not handed out', async () => {
    const http = fakeHttp((url) =>
      isMetadataCall(url)
        ? [metadataElement('esmond', KEY, [{ name: 'throughput' }])]
        : [
            { ts: now - 60, val: null },
            { ts: String(now - 60), val: 3e6 },
            { ts: now - 60, val: 4e6 },
            { ts: now - 90 * 86_400, val: 1e6 },
            { ts: 'yesterday', val: 1e6 },
            { val: 1e6 },
            null,
          ],
    );
    const { reads } = await harvestOne(http, NOW);
    expect(reads[0]!.samples).toEqual([{ at: new Date((now - 60) * 1000), value: 3 }]);
  });
});

describe('failures', () => {
  it('one series that fails leaves the others alone', async () => {
    const http = fakeHttp((url) => {
      if (isMetadataCall(url))
        return [metadataElement('esmond', KEY, [{ name: 'throughput' }, { name: 'packet-retransmits' }])];
      if (url.pathname.includes('/throughput/'))
        throw new HttpFailure('http-error', url.href, 'answered 500', 500);
      return [{ ts: now - 60, val: 1 }];
    });
    const { reads, report } = await harvestOne(http, NOW);
    expect(reads).toHaveLength(1);
    expect(report).toMatchObject({ outcome: 'partial', fault: 'http-error', seriesRead: 1 });
    expect(report.message).toMatch(/^https:.*\/throughput\/base\?.* answered 500$/);
  });

  it('a host that can no longer be reached is left alone after three tries', async () => {
    const http = fakeHttp((url) => {
      if (!isMetadataCall(url)) throw new HttpFailure('refused', url.href, 'could not be reached');
      return Array.from({ length: 50 }, (_, index) =>
        metadataElement('esmond', `key-${index}`, [{ name: 'throughput' }]),
      );
    });
    const { report } = await harvestOne(http, NOW, { options: { perHostConcurrency: 1 } });
    expect(report).toMatchObject({ outcome: 'failed', fault: 'refused', requests: 4 });
  });

  it.each([
    [{ error: 'x' }, 'bad-data'],
    [['x'], 'bad-data'],
  ])('data that is no list of points: %j', async (answer, fault) => {
    const http = fakeHttp((url) =>
      isMetadataCall(url) ? [metadataElement('esmond', KEY, [{ name: 'throughput' }])] : answer,
    );
    expect((await harvestOne(http, NOW)).report).toMatchObject({ outcome: 'failed', fault });
  });

  it('times and URIs that are nonsense say nothing', async () => {
    const element = metadataElement('esmond', KEY, [
      { name: 'throughput', timeUpdated: 1e300 },
      { name: 'packet-retransmits' },
    ]);
    const [, retransmits] = element['event-types'] as Record<string, unknown>[];
    retransmits!['base-uri'] = 'http://[/base';
    const http = fakeHttp((url) => (isMetadataCall(url) ? [element] : [{ ts: now - 60, val: 1e6 }]));
    const { reads, report } = await harvestOne(http, NOW);
    expect(report).toMatchObject({ outcome: 'ok', seriesRead: 1 });
    expect(reads[0]!.checkpoint).toEqual(new Date((now - 60) * 1000));
  });

  it('an element that cannot be read costs itself only', async () => {
    const http = fakeHttp((url) =>
      isMetadataCall(url)
        ? [
            { 'metadata-key': 5 },
            null,
            metadataElement('esmond', 'bad-parts', [], {
              'event-types': [7, { 'event-type': 'throughput' }],
            }),
            metadataElement('esmond', KEY, [{ name: 'throughput' }], {
              'tool-name': 12,
              'input-source': null,
            }),
          ]
        : [{ ts: now - 60, val: 1e6 }],
    );
    const { reads, report } = await harvestOne(http, NOW);
    expect(report).toMatchObject({ outcome: 'ok', seriesRead: 1 });
    expect(reads[0]!.series.tool).toBe('12');
  });
});
