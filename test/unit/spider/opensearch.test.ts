import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SeriesRead, seriesKey } from '../../../src/domain.ts';
import { clean } from '../../../src/spider/clean.ts';
import { ClosedSearches } from '../../../src/spider/closed-searches.ts';
import { PAGE_SIZE } from '../../../src/spider/drivers/search.ts';
import { HttpFailure } from '../../../src/spider/http.ts';
import { ARCHIVE, fakeHttp, harvestOne, isMetadataCall, metadataElement, seconds } from './helpers.ts';

const NOW = new Date('2026-08-01T12:00:00Z');
const SEARCH = 'https://archive.example.org/opensearch/pscheduler/_search';
const open = () => ({ closedSearches: new ClosedSearches(() => 0.5) });
const secondsAgo = (count: number) => new Date(NOW.getTime() - count * 1000);

interface RunParts {
  id?: string;
  type?: string;
  checksum?: string;
  startedAt?: Date;
  ingestedAt?: Date;
  spec?: object;
  result?: object;
  source?: object | null;
}

let counter = 0;
/** A document as the pipeline writes it, with what anonymous readers never need too. */
function runDocument(parts: RunParts = {}) {
  const startedAt = parts.startedAt ?? secondsAgo(600);
  const id = parts.id ?? `run-${String(counter++).padStart(6, '0')}`;
  return {
    '@timestamp': (parts.ingestedAt ?? new Date(startedAt.getTime() + 20_000)).toISOString(),
    pscheduler: {
      run_id: id,
      start_time: `${startedAt.toISOString().slice(0, 23).replace('Z', '')}+00:00`,
      tool: 'iperf3',
      test_checksum: parts.checksum ?? 'checksum',
    },
    test: {
      type: parts.type ?? 'throughput',
      spec: { source: 'ps.a.example.org', dest: '203.0.113.9', ...parts.spec },
    },
    meta: {
      source: parts.source === undefined ? { ip: '198.51.100.1' } : parts.source,
      destination: { ip: '203.0.113.9' },
      observer: { ip: '198.51.100.1' },
    },
    result: { succeeded: true, throughput: 9.4e8, retransmits: 3, ...parts.result },
  };
}
type Document = ReturnType<typeof runDocument>;

interface Body {
  size: number;
  sort: [object, { 'pscheduler.run_id.keyword': { order: string; unmapped_type?: string } }];
  search_after?: [number, string];
  query: {
    bool: { filter: [{ terms: Record<string, string[]> }, { range: Record<string, { gte: string }> }] };
  };
}

/**
 * An OpenSearch that knows what the driver asks, and refuses what a real one refuses anonymous readers. One of its
 * backing indices has no document yet, and so no field to sort by but the time.
 */
function searchServer(documents: () => readonly Document[]) {
  return fakeHttp((url, _, posted) => {
    if (url.href !== SEARCH || posted === undefined) return undefined;
    const body = posted as Body;
    expect(Object.keys(body)).not.toContain('from');
    expect(body.size).toBeLessThanOrEqual(10_000);
    const [byTime, byRun] = body.sort;
    expect(byTime).toEqual({ '@timestamp': 'asc' });
    const { order: direction, unmapped_type: unmapped } = byRun['pscheduler.run_id.keyword'];
    expect(direction).toBe('asc');
    const [{ terms }, { range }] = body.query.bool.filter;
    const types = terms['test.type.keyword']!;
    const since = Date.parse(range['@timestamp']!.gte);
    const hits = documents()
      .map((source) => ({
        _id: source.pscheduler.run_id,
        _source: source,
        sort: [Date.parse(source['@timestamp']), source.pscheduler.run_id] as [number, string],
      }))
      .filter(({ sort, _source }) => sort[0] >= since && types.includes(_source.test.type))
      .sort((a, b) => order(a.sort, b.sort))
      .filter(({ sort }) => !body.search_after || order(sort, body.search_after) > 0)
      .slice(0, body.size);
    const failed = unmapped === undefined ? 1 : 0;
    return {
      took: 1,
      timed_out: false,
      _shards: { total: 2, successful: 2 - failed, failed },
      hits: { hits },
    };
  });
}

const order = (a: [number, string], b: [number, string]) =>
  a[0] - b[0] || (a[1] < b[1] ? -1 : Number(a[1] > b[1]));

/** Reads the documents as one page. */
async function readAll(documents: Document[], more: Parameters<typeof harvestOne>[2] = {}) {
  const http = searchServer(() => documents);
  const result = await harvestOne(http, NOW, { ...open(), ...more });
  return { ...result, http };
}

/** Value by metric. */
const values = (reads: SeriesRead[]) =>
  Object.fromEntries(reads.map(({ series, samples }) => [series.metric, samples.map(({ value }) => value)]));

describe('what a run says', () => {
  it('throughput: bit/s become Mb/s; retransmits as they are', async () => {
    const { reads, report } = await readAll([runDocument()]);
    expect(values(reads)).toEqual({ throughputMbps: [940], retransmits: [3] });
    expect(report).toMatchObject({
      outcome: 'ok',
      kind: 'opensearch',
      url: 'https://archive.example.org/opensearch/pscheduler/',
      requests: 1,
      seriesRead: 2,
      samplesRead: 2,
    });
  });

  it('one-way latency: loss, and the median in ms', async () => {
    const result = {
      throughput: undefined,
      retransmits: undefined,
      packets: { sent: 600, lost: 6, loss: 0.01 },
      latency: { min: 9.9, median: 10.2, mean: 11 },
      max_clock_error: 0.6,
    };
    for (const type of ['latency', 'latencybg']) {
      const { reads } = await readAll([runDocument({ type, result })]);
      expect(values(reads)).toEqual({ lossRate: [0.01], oneWayDelayMs: [10.2] });
      const delay = reads.find(({ series }) => series.metric === 'oneWayDelayMs')!;
      expect(delay.samples[0]).toMatchObject({ clockErrorMs: 0.6 });
    }
  });

  it('round trips are in seconds, and their loss is not that of a direction', async () => {
    const result = { packets: { loss: 0.5 }, rtt: { min: 0.001, mean: 0.0123, max: 0.1, stddev: 0.2 } };
    const { reads } = await readAll([runDocument({ type: 'rtt', result })]);
    expect(Object.keys(values(reads))).toEqual(['rttMs']);
    expect(values(reads).rttMs![0]).toBeCloseTo(12.3, 9);
  });

  it('all packets lost is a result, without a delay', async () => {
    const lost = { packets: { sent: 600, lost: 600, loss: 1 }, latency: {} };
    const { reads } = await readAll([
      runDocument({ type: 'latencybg', result: lost }),
      runDocument({ type: 'rtt', checksum: 'r', result: { packets: { loss: 1 } } }),
    ]);
    expect(values(reads)).toEqual({ lossRate: [1] });
    expect(clean(reads[0]!, NOW).samples).toMatchObject([{ value: 1, verdict: 'good' }]);
  });

  it('negative delays and unsure clocks are kept, and judged by clean; 0 is no estimate of a clock error', async () => {
    const run = (median: number, error: number, second: number) =>
      runDocument({
        type: 'latency',
        startedAt: secondsAgo(600 - second),
        result: { latency: { median }, max_clock_error: error },
      });
    const { reads } = await readAll([run(-4.62, 0, 0), run(20, 0, 1), run(20, 27, 2)]);
    expect(clean(reads[0]!, NOW).samples.map(({ verdict, reason }) => reason ?? verdict)).toEqual([
      'negative-delay',
      'good',
      'clock-unsure',
    ]);
    expect(reads[0]!.samples[1]).not.toHaveProperty('clockErrorMs');
  });

  it('a failed run gives no value, also where figures were left behind; it is kept with why, and counted', async () => {
    const failed = { succeeded: false, error: 'Process took too long', throughput: 0, retransmits: 0 };
    const { reads, report } = await readAll([runDocument({ result: failed }), runDocument()]);
    expect(Object.keys(values(reads)).sort()).toEqual(['failedRuns', 'retransmits', 'throughputMbps']);
    const [kept] = reads.filter(({ series }) => series.metric === 'failedRuns');
    expect(kept!.series).toMatchObject({ metadataKey: 'checksum', eventType: 'failures' });
    expect(clean(kept!, NOW).samples).toMatchObject([{ value: 1, verdict: 'bad', reason: 'run-timed-out' }]);
    expect(report).toMatchObject({ outcome: 'ok', failedRuns: 1 });
  });

  it('a failed run that is read again is not counted again', async () => {
    const failed = runDocument({ ingestedAt: secondsAgo(60), result: { succeeded: false } });
    const archive = { ...ARCHIVE, ingestedTo: secondsAgo(60) };
    expect((await readAll([failed], { archive })).report.failedRuns).toBe(0);
  });

  it.each([
    ['UDP', { udp: true }, []],
    ['a rate in bit/s', { bandwidth: 50_000_000 }, ['retransmits']],
    ['a rate as a text', { bandwidth: '50M' }, ['retransmits']],
    ['a rate of 0, which is none', { bandwidth: 0 }, ['throughputMbps', 'retransmits']],
  ])('throughput of a test that was told its rate says nothing of the path: %s', async (_, spec, metrics) => {
    const { reads } = await readAll([runDocument({ spec })]);
    expect(Object.keys(values(reads))).toEqual(metrics);
  });

  it('a value that is no number is one, and bad; one that is not there is none', async () => {
    const { reads } = await readAll([runDocument({ result: { throughput: 'n/a', retransmits: null } })]);
    expect(values(reads)).toEqual({ throughputMbps: [null] });
  });

  it('only the tests of the metrics that are wanted are asked for', async () => {
    const documents = [
      runDocument(),
      runDocument({ type: 'rtt', checksum: 'r', result: { rtt: { mean: 1 } } }),
    ];
    const { reads } = await readAll(documents, { options: { metrics: ['rttMs'] } });
    expect(Object.keys(values(reads))).toEqual(['rttMs']);
  });

  it('documents that lack what makes a sample are left out; nothing but such documents is a fault', async () => {
    const broken = [
      runDocument({ source: null }),
      { ...runDocument(), pscheduler: { ...runDocument().pscheduler, test_checksum: '' } },
      { ...runDocument(), pscheduler: { ...runDocument().pscheduler, start_time: 'soon' } },
    ];
    const some = await readAll([...broken, runDocument()]);
    expect(some.report).toMatchObject({ outcome: 'ok', samplesRead: 2 });
    const none = await readAll(broken);
    expect(none.report).toMatchObject({ outcome: 'failed', fault: 'bad-data' });
    expect(none.report).not.toHaveProperty('ingestedTo');
  });
});

describe('series', () => {
  const startedAt = new Date('2026-08-01T11:00:07.900Z');
  const checksum = 'a'.repeat(64);

  it('are those of the elmond face, to the key and the second', async () => {
    const { reads } = await readAll([runDocument({ startedAt, checksum })]);
    const element = metadataElement(
      'elmond',
      checksum,
      [{ name: 'throughput' }, { name: 'packet-retransmits' }],
      {
        'tool-name': 'pscheduler/iperf3',
      },
    );
    const ts = Math.floor(seconds(startedAt));
    const elmond = await harvestOne(
      fakeHttp((url) => {
        if (url.pathname.includes('/opensearch/')) return undefined;
        if (isMetadataCall(url)) return [element];
        return [{ ts, val: url.pathname.includes('/throughput/') ? 9.4e8 : 3 }];
      }),
      NOW,
      open(),
    );
    const rows = (of: SeriesRead[]) =>
      of.map(({ series, samples }) => ({ series, rows: samples.map(({ at, value }) => ({ at, value })) }));
    expect(rows(reads)).toEqual(rows(elmond.reads));
    expect(reads[0]!.checkpoint).toEqual(elmond.reads[0]!.checkpoint);
  });

  it('of tests that name no source are told apart by who ran them', async () => {
    const run = (ip: string) => runDocument({ spec: { source: undefined }, source: { ip } });
    const { reads } = await readAll([run('198.51.100.1'), run('198.51.100.2')]);
    const keys = reads
      .filter(({ series }) => series.metric === 'retransmits')
      .map(({ series }) => series.metadataKey);
    expect(keys).toEqual(['checksum@198.51.100.1', 'checksum@198.51.100.2']);
  });

  it('a run that was sent twice counts once, also over the border of a page', async () => {
    const count = 5 * PAGE_SIZE - 1;
    const runs = Array.from({ length: count }, (_, index) =>
      runDocument({ startedAt: new Date(NOW.getTime() - 6_000_000 + index * 1000) }),
    );
    const last = runs.at(-1)!;
    const again = { ...last, '@timestamp': new Date(Date.parse(last['@timestamp']) + 5).toISOString() };
    const thrice = { ...last, '@timestamp': new Date(Date.parse(last['@timestamp']) + 6).toISOString() };
    const { report } = await readAll([...runs, again, thrice], { options: { metrics: ['retransmits'] } });
    expect(report).toMatchObject({ samplesRead: count, requests: 6 });
  });
});

describe('paging and checkpoint', () => {
  it('pages by search_after, also through many runs of one moment', async () => {
    const ingestedAt = secondsAgo(100);
    const runs = Array.from({ length: 12_000 }, (_, index) =>
      runDocument({ startedAt: new Date(NOW.getTime() - 80_000_000 + index * 1000), ingestedAt }),
    );
    const { report, reads } = await readAll(runs, { options: { metrics: ['throughputMbps'] } });
    expect(report).toMatchObject({
      requests: 12_000 / PAGE_SIZE + 1,
      samplesRead: 12_000,
      ingestedTo: ingestedAt,
    });
    expect(new Set(reads.flatMap(({ samples }) => samples.map(({ at }) => at.getTime()))).size).toBe(12_000);
  });

  it('is the time of the newest document, by the archive’s clock; what is after now does not move it', async () => {
    const early = runDocument({ ingestedAt: secondsAgo(300) });
    const ahead = runDocument({ ingestedAt: secondsAgo(-3600) });
    const { report, reads } = await readAll([early, ahead]);
    expect(report.ingestedTo).toEqual(secondsAgo(300));
    expect(reads.every(({ checkpoint }) => checkpoint <= NOW)).toBe(true);
    expect((await readAll([])).report).not.toHaveProperty('ingestedTo');
  });

  it('a run that was taken in late is found, however old it is', async () => {
    const late = runDocument({ startedAt: secondsAgo(72_000), ingestedAt: secondsAgo(10) });
    const checkpoints = new Map([['checksum/throughputMbps', secondsAgo(60)]]);
    const { reads, report } = await readAll([late], {
      archive: { ...ARCHIVE, kind: 'opensearch', ingestedTo: secondsAgo(300) },
      checkpoints,
    });
    expect(reads[0]!.samples.map(({ at }) => at)).toEqual([secondsAgo(72_000)]);
    // The other face goes on from where it was.
    expect(reads[0]!.checkpoint).toEqual(secondsAgo(60));
    expect(report.requests).toBe(1);
  });

  it.each<[string, object, Date]>([
    ['never read: the lookback', {}, secondsAgo(86_400)],
    [
      'read before: two minutes before that',
      { archive: { ...ARCHIVE, ingestedTo: secondsAgo(600) } },
      secondsAgo(720),
    ],
    [
      'read before, and our clock was set back: there all the same',
      { archive: { ...ARCHIVE, ingestedTo: secondsAgo(-9999) } },
      secondsAgo(-9999 + 120),
    ],
    [
      'read by the other face, three days ago',
      { checkpoints: new Map([['k/rttMs', secondsAgo(3 * 86_400)]]) },
      secondsAgo(3 * 86_400 + 3600),
    ],
  ])('begins at: %s', async (_, more, from) => {
    const bodies: Body[] = [];
    const http = fakeHttp((_, __, posted) => {
      bodies.push(posted as Body);
      return { hits: { hits: [] } };
    });
    await harvestOne(http, NOW, { ...open(), ...more });
    expect(bodies.map(({ query }) => query.bool.filter[1].range['@timestamp'])).toEqual([
      { gte: from.toISOString(), lte: secondsAgo(-86_400).toISOString() },
    ]);
  });

  it.each([[{ timed_out: true }], [{ _shards: { total: 2, successful: 1, failed: 1 } }]])(
    'an answer that is not whole (%j) is not taken for one',
    async (fault) => {
      let asked = 0;
      const whole = searchServer(() =>
        Array.from({ length: 6000 }, (_, index) => runDocument({ startedAt: secondsAgo(7000 - index) })),
      );
      const http = fakeHttp(async (url, signal, posted) => {
        if (posted === undefined) return [];
        const answer = (await whole.postJson(url.href, posted, signal)) as object;
        asked += 1;
        return asked === 2 ? { ...answer, ...fault } : answer;
      });
      const { report, reads } = await harvestOne(http, NOW, open());
      expect(report).toMatchObject({ outcome: 'partial', fault: 'truncated' });
      // Up to the end of the page before.
      const newest = Math.max(...reads.flatMap(({ samples }) => samples.map(({ at }) => at.getTime())));
      expect(report.ingestedTo!.getTime()).toBe(newest + 20_000);
    },
  );

  it('whenever it is cut off, and however late runs come in, every run is read, and only those', async () => {
    const late = fc.record({
      startMinute: fc.integer({ min: 0, max: 200 }),
      lateMinutes: fc.integer({ min: 0, max: 180 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(late, { selector: ({ startMinute }) => startMinute, maxLength: 60 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 9 }),
        async (drawn, steps, lost) => {
          const begin = NOW.getTime() - 10 * 3_600_000;
          const runs = drawn.map(({ startMinute, lateMinutes }) =>
            runDocument({
              startedAt: new Date(begin + startMinute * 60_000),
              ingestedAt: new Date(begin + (startMinute + lateMinutes) * 60_000 + 15_000),
            }),
          );
          const shelf = new Map<string, number | null>();
          let ingestedTo: Date | undefined;
          let clock = begin;
          for (const [index, step] of [...steps, 400].entries()) {
            clock += step * 60_000;
            const now = new Date(clock);
            const http = searchServer(() => runs.filter((run) => Date.parse(run['@timestamp']) <= clock));
            const { reads, report } = await harvestOne(http, now, {
              ...open(),
              archive: { ...ARCHIVE, kind: 'opensearch', ...(ingestedTo && { ingestedTo }) },
            });
            // Killed before the report was stored.
            for (const read of reads)
              for (const { at, value } of read.samples)
                shelf.set(`${seriesKey(read.series)} ${at.getTime()}`, value);
            if (index % 10 !== lost) ingestedTo = report.ingestedTo ?? ingestedTo;
          }
          expect([...shelf.keys()].filter((key) => key.includes('throughputMbps')).length).toBe(runs.length);
        },
      ),
      { numRuns: 40 },
    );
  });
});

const SAMPLES = new URL('../../../../shared/samples/perfsonar/', import.meta.url);
const present = existsSync(SAMPLES);

describe.skipIf(!present)(
  `the documents of 2026${present ? '' : ' (skipped: no ../shared/samples/perfsonar)'}`,
  () => {
    const sample = (name: string) => JSON.parse(readFileSync(new URL(name, SAMPLES), 'utf8'));

    it('say by OpenSearch what they say by elmond', async () => {
      const now = new Date('2026-07-27T12:00:00Z');
      const direct = await harvestOne(
        fakeHttp((_, __, posted) =>
          posted ? sample('DERIVED-opensearch-search-pscheduler.json') : undefined,
        ),
        now,
        open(),
      );
      const data = sample('DERIVED-elmond-data.json');
      const elmond = await harvestOne(
        fakeHttp((url, _, posted) => {
          if (posted) throw new HttpFailure('forbidden', url.href, 'answered 403', 403);
          if (isMetadataCall(url)) return sample('DERIVED-elmond-metadata.json');
          // One document of each test; the data was asked of the first test of each type.
          const [, path] = /archive\/[0-9a-f]{64}\/(.*)$/.exec(url.pathname)!;
          return url.pathname.includes('4a3ce58d') ? [] : (data[path!] ?? { body: [] }).body;
        }),
        now,
        open(),
      );
      const rows = (reads: SeriesRead[]) =>
        reads
          .flatMap(({ series, samples }) =>
            samples.map(
              ({ at, value }) => `${series.metric} ${series.source} ${at.toISOString()} ${value?.toFixed(9)}`,
            ),
          )
          .sort();
      expect(direct.report).toMatchObject({ outcome: 'ok', requests: 1 });
      // elmond was not asked for counts of packets when its answers were made.
      const counts = (row: string) => /^(reorder|duplicate)Rate/.test(row);
      expect(rows(direct.reads).filter((row) => !counts(row))).toEqual(rows(elmond.reads));
      expect(rows(direct.reads)).toHaveLength(8);
      expect(direct.traces[0]!.runs).toEqual(elmond.traces[0]!.runs);
      expect(elmond.traces[0]!.runs[0]!.route.hops).toHaveLength(8);
      const key = ({ series }: SeriesRead) => series.metadataKey;
      const named = new Set(elmond.reads.map(key));
      for (const each of new Set(direct.reads.map(key))) expect(named).toContain(each.split('@')[0]);
      const delay = direct.reads.find(({ series }) => series.metric === 'oneWayDelayMs')!;
      expect(clean(delay, now).samples).toMatchObject([{ value: -13.145, reason: 'negative-delay' }]);
    });
  },
);
