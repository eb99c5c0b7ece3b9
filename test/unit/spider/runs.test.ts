import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clean } from '../../../src/spider/clean.ts';
import { failureReason } from '../../../src/spider/drivers/failures.ts';
import { routeOfLists, routeOfPaths, routeOfProbes } from '../../../src/spider/drivers/route.ts';
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

/** What archives tell beside measured values: shares of packets, runs that failed, and the ways of packets. */

const NOW = new Date('2026-03-01T12:30:00Z');
const now = seconds(NOW);
const KEY = 'a';

/** An archive with one test that keeps no more than the points it is given. */
function archive(kind: 'esmond' | 'elmond', types: FakeEventType[], data: Record<string, Point[]>) {
  return fakeHttp((url) => {
    if (isMetadataCall(url)) return [metadataElement(kind, KEY, types)];
    const [, event] = /\/a\/([^/]+)\/base/.exec(url.pathname)!;
    return pointsFor(url, data[event!] ?? []);
  });
}

const asked = (http: { asked: URL[] }, event: string) =>
  http.asked.filter(({ pathname }) => pathname.includes(`/${event}/`));

describe('reordered and duplicate packets', () => {
  const types = ['packet-reorders', 'packet-duplicates', 'packet-count-sent'].map((name) => ({ name }));
  const sent = Array.from({ length: 60 }, (_, i) => ({ ts: now - 3600 + 60 * i, val: 600 }));

  it('are shares of the packets sent, which are asked for only where there is something to divide', async () => {
    const http = archive('esmond', types, {
      'packet-reorders': sent.map(({ ts }, i) => ({ ts, val: i === 10 ? 3 : i === 20 ? '6' : 0 })),
      'packet-duplicates': sent.map(({ ts }) => ({ ts, val: 0 })),
      'packet-count-sent': sent,
    });
    const { reads } = await harvestOne(http, NOW);
    const [reorders, duplicates] = ['reorderRate', 'duplicateRate'].map((metric) =>
      reads.find(({ series }) => series.metric === metric),
    );
    expect(reorders!.series).toMatchObject({ eventType: 'packet-reorders' });
    expect(reorders!.samples.flatMap(({ value }, i) => (value === 0 ? [] : [[i, value]]))).toEqual([
      [10, 0.005],
      [20, 0.01],
    ]);
    expect(duplicates!.samples).toHaveLength(60);
    expect(
      asked(http, 'packet-count-sent').map(({ searchParams }) => searchParams.get('time-start')),
    ).toEqual([String(sent[10]!.ts)]);
  });

  it('of an unknown number of packets are no number, and what the archive says nothing of is not asked', async () => {
    const http = archive('esmond', [{ name: 'packet-reorders' }], {
      'packet-reorders': [
        { ts: now - 120, val: 0 },
        { ts: now - 60, val: 3 },
      ],
    });
    const { reads, report } = await harvestOne(http, NOW);
    expect(report).toMatchObject({ outcome: 'ok', requests: 2 });
    expect(clean(reads[0]!, NOW).samples.map(({ reason, value }) => reason ?? value)).toEqual([
      0,
      'not-a-number',
    ]);
  });

  it('of round trips and of throughput tests say nothing of the path’s one direction', async () => {
    const http = archive(
      'esmond',
      [{ name: 'packet-reorders-bidir' }, { name: 'packet-duplicates' }, { name: 'throughput' }],
      {},
    );
    await harvestOne(http, NOW);
    expect(asked(http, 'packet-duplicates')).toEqual([]);
    expect(asked(http, 'packet-reorders-bidir')).toEqual([]);
  });
});

describe('failed runs', () => {
  const failed = (minutesAgo: number, error: unknown): Point => ({ ts: now - 60 * minutesAgo, val: error });
  const FAILURES = [failed(90, { error: 'Run was preempted' }), failed(5, { error: 'no idea' })];

  it('are a series of their own, each with why', async () => {
    const http = archive('esmond', [{ name: 'failures', timeUpdated: now - 300 }], { failures: FAILURES });
    const { reads } = await harvestOne(http, NOW);
    expect(reads[0]!.series).toMatchObject({ metric: 'failedRuns', eventType: 'failures' });
    expect(clean(reads[0]!, NOW).samples).toMatchObject([
      { value: 1, verdict: 'bad', reason: 'run-not-begun' },
      { value: 1, verdict: 'bad', reason: 'run-failed' },
    ]);
    expect(clean(reads[0]!, NOW).samples[0]).not.toHaveProperty('failure');
  });

  it('cost nothing where an esmond has no new ones', async () => {
    const http = archive('esmond', [{ name: 'failures', timeUpdated: null }], { failures: FAILURES });
    expect((await harvestOne(http, NOW)).reads).toEqual([]);
    expect(asked(http, 'failures')).toEqual([]);
  });

  it('are asked of an elmond in the first harvest of an hour, of each test in its own', async () => {
    // The key's letter gives the minute: 97 % 60 = 37.
    const isAsked = async (lastRead: string | undefined, at: string) => {
      const http = archive('elmond', [{ name: 'failures' }, { name: 'packet-loss-rate' }], {
        failures: FAILURES,
      });
      const checkpoints = new Map(lastRead === undefined ? [] : [[`${KEY}/lossRate`, new Date(lastRead)]]);
      await harvestOne(http, new Date(at), { checkpoints });
      return asked(http, 'failures').length === 1;
    };
    expect(await isAsked(undefined, '2026-03-01T12:30:00Z')).toBe(true);
    expect(await isAsked('2026-03-01T12:24:00Z', '2026-03-01T12:30:00Z')).toBe(false);
    expect(await isAsked('2026-03-01T12:36:00Z', '2026-03-01T12:37:30Z')).toBe(true);
    expect(await isAsked('2026-03-01T11:36:00Z', '2026-03-01T12:36:00Z')).toBe(true);
  });

  it.each([
    ['iperf3 returned an error: unable to connect to server: Connection refused', 'run-refused'],
    ['unable to connect to server: No route to host', 'run-unreachable'],
    ['Process took too long to run.', 'run-timed-out'],
    ['unable to connect to server', 'run-unreachable'],
    ['Run was preempted', 'run-not-begun'],
    [{ error: "Limit 'throughput-sane' failed" }, 'run-forbidden'],
    ['', 'run-failed'],
    [undefined, 'run-failed'],
  ])('%j is %s', (error, reason) => expect(failureReason(error)).toBe(reason));
});

describe('traces', () => {
  const hop = (ttl: number, ip: string | null, more = {}) => ({ ttl: String(ttl), query: '1', ip, ...more });

  it('are read as runs that met routes, beside the series', async () => {
    const val = [
      hop(1, '10.0.0.1', { as: { number: 64500 }, hostname: 'r1.example.org' }),
      hop(2, null),
      hop(3, '203.0.113.9'),
    ];
    const points = [3600, 3000, 2400].map((ago) => ({ ts: now - ago, val }));
    const http = archive('esmond', [{ name: 'packet-trace', timeUpdated: now - 2400 }], {
      'packet-trace': points,
    });
    const first = await harvestOne(http, NOW);
    expect(first.reads).toEqual([]);
    expect(first.report).toMatchObject({ outcome: 'ok', seriesRead: 1, samplesRead: 0 });
    const [read] = first.traces;
    expect(read!.test).toMatchObject({
      metadataKey: KEY,
      source: '198.51.100.1',
      destination: '203.0.113.9',
    });
    expect(read!.runs.map(({ at }) => seconds(at))).toEqual(points.map(({ ts }) => ts));
    expect(read!.runs[2]!.route).toEqual({
      hops: [{ address: '10.0.0.1', name: 'r1.example.org', asn: 64500 }, {}, { address: '203.0.113.9' }],
      isReached: true,
    });
    // A route that many runs met is held once.
    expect(new Set(read!.runs.map(({ route }) => route)).size).toBe(1);
    expect(read!.checkpoint).toEqual(new Date((now - 2400) * 1000));

    const second = await harvestOne(http, NOW, { checkpoints: first.checkpoints });
    expect(second.traces).toEqual([]);
    expect(second.report.requests).toBe(1);
  });

  it('that met nobody, or are no list, are no runs', async () => {
    const points = [[], [hop(1, null)], 'nothing', [{ ttl: 1e9, ip: '10.0.0.1' }]];
    const http = archive('esmond', [{ name: 'packet-trace' }], {
      'packet-trace': points.map((val, i) => ({ ts: now - 600 + i, val })),
    });
    const { traces, report } = await harvestOne(http, NOW);
    expect(report.outcome).toBe('ok');
    expect(traces).toEqual([]);
  });

  it('silence behind the last hop that answered says nothing; the destination was not reached', () => {
    const probes = [hop(1, '10.0.0.1'), hop(2, null), hop(3, null)];
    expect(routeOfProbes(probes, '203.0.113.9')).toEqual({
      hops: [{ address: '10.0.0.1' }],
      isReached: false,
    });
  });

  it('are the same route in all three forms', () => {
    const place = fc.option(fc.ipV4(), { nil: null, freq: 4 });
    fc.assert(
      fc.property(fc.array(place, { maxLength: 20 }), (hops) => {
        const answered = hops.flatMap((ip, i) => (ip === null ? [] : [{ ip, ttl: i + 1 }]));
        const ofProbes = routeOfProbes(
          hops.map((ip, i) => ({ ttl: i + 1, ip })),
          '203.0.113.9',
        );
        expect(routeOfPaths([hops.map((ip) => (ip === null ? {} : { ip }))], '203.0.113.9')).toEqual(
          ofProbes,
        );
        const lists = {
          hops: answered.map(({ ip }) => ip),
          ttls: answered.map(({ ttl }) => ttl),
          asns: undefined,
        };
        expect(routeOfLists(lists, '203.0.113.9')).toEqual(ofProbes);
        expect(ofProbes?.hops.length).toBe(answered.at(-1)?.ttl);
      }),
    );
  });
});
