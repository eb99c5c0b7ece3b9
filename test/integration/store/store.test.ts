import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Forcing } from '../../../src/domain.ts';
import {
  type ExpectedTest,
  type HostFinding,
  type PathReview,
  type Sample,
  type SiteAssignment,
  type SourceReport,
  seriesKey,
} from '../../../src/domain.ts';
import { openStore, type Store, type StoreLocation } from '../../../src/store/store.ts';
import { storableText } from '../../../src/store/values.ts';
import { describeOnBoth, openDatabase } from './databases.ts';
import {
  archive,
  breaker,
  daysBefore,
  discovery,
  estimate,
  expectedTest,
  good,
  host,
  minutesBefore,
  NOON,
  read,
  report,
  series,
  transition,
} from './examples.ts';

// Neither this process nor the test server (see support/postgres.ts) is in UTC: nothing may depend on that.
process.env.TZ = 'America/St_Johns';

await describeOnBoth('the store', (newLocation) => {
  let location: StoreLocation;
  let store: Store;

  beforeAll(async () => {
    location = await newLocation();
    store = await openStore(location);
  });
  afterAll(() => store.close());

  async function withArchive(key: string): Promise<void> {
    await store.saveDiscovery(discovery({ archives: [archive(key)] }), NOON);
  }

  async function idOf(archiveKey: string, metadataKey: string): Promise<number> {
    const found = (await store.series()).find(
      (s) => s.archiveKey === archiveKey && s.metadataKey === metadataKey,
    );
    return found!.id;
  }

  it('keeps hosts by key, with when they were first and last seen', async () => {
    const full = host('full', {
      names: ['a.example', 'b.example'],
      addresses: ['192.0.2.1', '2001:db8::1'],
      clientUuids: ['u-1'],
      clonedUuids: ['u-2'],
      siteNameHint: 'A "site", {quoted}\\',
      city: 'Genève',
      countryCode: 'CH',
      latitude: 46.2,
      longitude: 6.1,
      communities: ['wlcg'],
      domains: ['example'],
      roles: ['nren'],
      accessPolicy: 'public',
      toolkitVersion: '5.1.0',
      capacityMbps: 100_000,
      pschedulerUrls: ['https://ps.a.example:8443/pscheduler'],
      sources: ['https://sls.example/'],
    });
    await store.saveDiscovery(discovery({ hosts: [full, host('bare')] }), minutesBefore(60));
    await store.saveDiscovery(discovery({ hosts: [{ ...full, names: ['c.example'] }] }), NOON);

    expect(await store.hosts({ seenSince: minutesBefore(1) })).toEqual([
      { ...full, names: ['c.example'], firstSeen: minutesBefore(60), lastSeen: NOON },
    ]);
    expect((await store.hosts()).find((h) => h.key === 'bare')).toEqual({
      ...host('bare'),
      firstSeen: minutesBefore(60),
      lastSeen: minutesBefore(60),
    });
  });

  it('keeps the last report of each source of discovery', async () => {
    const source = 'https://sls.example/';
    const failed = { source, ok: false, records: 0, fault: 'timeout', message: 'No answer.' } as const;
    await store.saveDiscovery(discovery({ sources: [failed] }), minutesBefore(5));
    expect(await store.sources()).toEqual([{ ...failed, at: minutesBefore(5) }]);

    await store.saveDiscovery(discovery({ sources: [{ source, ok: true, records: 7 }] }), NOON);
    expect(await store.sources()).toEqual([{ source, ok: true, records: 7, at: NOON, answeredAt: NOON }]);

    await store.saveDiscovery(discovery({ sources: [failed] }), minutesBefore(-5));
    expect(await store.sources()).toEqual([{ ...failed, at: minutesBefore(-5), answeredAt: NOON }]);
  });

  it('forgets an expected test when what named it was read and names it no more', async () => {
    const origin = 'https://psconfig.example/list';
    const [a, b] = [`${origin}/a`, `${origin}/b`];
    const expected = (template: string, task: string, rest: Partial<ExpectedTest> = {}) =>
      expectedTest(template, { task, origin, ...rest });
    const answers = (...all: [source: string, ok: boolean][]) =>
      all.map(([source, ok]) => ({ source, ok, records: 0 }));
    const save = (expected: ExpectedTest[], sources: SourceReport[], minutesAgo: number) =>
      store.saveDiscovery(discovery({ expected, sources }), minutesBefore(minutesAgo));
    const stored = async () => (await store.expectedTests()).map(({ task }) => task);

    const full = expected(a, '1', {
      testType: 'throughput',
      ipVersion: 6,
      intervalSeconds: 21_600,
      isRateSet: true,
    });
    const all = [full, expected(a, '2'), expected(b, '3')];
    await save(all, answers([origin, true], [a, true], [b, true]), 60);
    expect(await store.expectedTests({ seenSince: minutesBefore(60) })).toEqual(
      all.map((test) => ({ ...test, firstSeen: minutesBefore(60), lastSeen: minutesBefore(60) })),
    );

    // Of a template that is out of reach nothing is known; one that was read has the say over its own.
    await save([full], answers([origin, false], [a, true], [b, false]), 50);
    expect(await stored()).toEqual(['1', '3']);
    expect(await store.expectedTests({ seenSince: minutesBefore(50) })).toEqual([
      { ...full, firstSeen: minutesBefore(60), lastSeen: minutesBefore(50) },
    ]);
    // The list was read, and names b no more.
    await save([full], answers([origin, true], [a, true]), 40);
    expect(await stored()).toEqual(['1']);
    // So too where a clock that was ahead took down when it was last named.
    await save([full, expected(a, '4')], answers([origin, true], [a, true]), -600);
    await save([full], answers([origin, true], [a, true]), 35);
    expect(await stored()).toEqual(['1']);
    // The list is no source any more.
    await save([], answers(['https://sls.example/', false]), 30);
    expect(await stored()).toEqual([]);
  });

  it('keeps the last report of each archive, its last success, and the failures since', async () => {
    const key = 'reported';
    await withArchive(key);
    const stored = async () => (await store.archives()).find((a) => a.key === key)!;
    expect(await stored()).toEqual({
      ...archive(key),
      firstSeen: NOON,
      lastSeen: NOON,
      seriesCount: 0,
      consecutiveFailures: 0,
    });

    const partial = report(key, { outcome: 'partial', kind: 'elmond', url: 'https://x/', fault: 'timeout' });
    await store.saveArchiveReport(partial, minutesBefore(30));
    await store.saveArchiveReport(report(key, { outcome: 'failed', fault: 'dns' }), minutesBefore(20));
    const failed = report(key, { outcome: 'failed', fault: 'refused', message: 'Refused.' });
    await store.saveArchiveReport(failed, minutesBefore(10));
    expect(await stored()).toMatchObject({
      kind: 'elmond',
      lastReport: { ...failed, at: minutesBefore(10) },
      lastSuccessAt: minutesBefore(30),
      consecutiveFailures: 2,
    });

    await store.saveArchiveReport(report(key), NOON);
    // Found again by a discovery that does not know its kind.
    await withArchive(key);
    const last = await stored();
    expect(last).toMatchObject({ kind: 'elmond', lastSuccessAt: NOON, consecutiveFailures: 0 });
    expect(last.lastReport).toEqual({ ...report(key), at: NOON });
  });

  it('stores a read whole: series, checkpoint, samples with verdicts', async () => {
    await withArchive('a');
    const of = series('a', 'm1', { sourceName: 'x.example', ipVersion: 6 });
    const samples: Sample[] = [
      good(minutesBefore(3), 940.25),
      { at: minutesBefore(2), value: 1e9, verdict: 'bad', reason: 'above-capacity' },
      { at: minutesBefore(1), value: null, verdict: 'bad', reason: 'no-number' },
    ];
    const saved = await store.saveReads([read(of, samples, minutesBefore(1))], NOON);

    const id = await idOf('a', 'm1');
    expect(saved).toEqual({ inserted: 3, updated: 0, rejected: 0, touchedSeriesIds: [id] });
    expect((await store.series()).find((s) => s.id === id)).toEqual({
      ...of,
      id,
      checkpoint: minutesBefore(1),
      lastSampleAt: minutesBefore(1),
    });
    expect(await store.checkpoints('a', NOON)).toEqual(new Map([[seriesKey(of), minutesBefore(1)]]));
    expect(await store.sampleRows({ seriesId: id })).toEqual(samples);
    expect(
      await store.sampleRows({ seriesId: id, since: minutesBefore(2), until: minutesBefore(1) }),
    ).toEqual([samples[1]]);
    expect(await store.samples([id], NOON)).toEqual(new Map());
    expect(await store.samples([id], minutesBefore(3))).toEqual(
      new Map([[id, { atMs: Float64Array.of(minutesBefore(3).getTime()), values: Float64Array.of(940.25) }]]),
    );
    expect((await store.archives()).find((a) => a.key === 'a')?.seriesCount).toBe(1);
  });

  it('believes no checkpoint after now: the newest sample is what is sure, and what the next read goes on from', async () => {
    await withArchive('ahead');
    const of = series('ahead', 'm');
    const silent = series('ahead', 'silent');
    const wrong = minutesBefore(-600);
    await store.saveReads([read(of, [good(minutesBefore(30), 1)], wrong), read(silent, [], wrong)], wrong);
    expect(await store.checkpoints('ahead', wrong)).toEqual(
      new Map([of, silent].map((each) => [seriesKey(each), wrong])),
    );
    expect(await store.checkpoints('ahead', NOON)).toEqual(new Map([[seriesKey(of), minutesBefore(30)]]));

    await store.saveReads([read(of, [good(minutesBefore(2), 1)], minutesBefore(2))], NOON);
    expect((await store.checkpoints('ahead', wrong)).get(seriesKey(of))).toEqual(minutesBefore(2));
    // By a clock that is behind, it does not go back behind what is stored.
    const behind = minutesBefore(90 * 24 * 60);
    await store.saveReads([read(of, [], behind)], behind);
    expect((await store.checkpoints('ahead', NOON)).get(seriesKey(of))).toEqual(minutesBefore(2));
  });

  it('stores a series of which nothing could be kept, so that its checkpoint counts', async () => {
    await withArchive('empty');
    const saved = await store.saveReads([read(series('empty', 'm'), [], minutesBefore(9))], NOON);
    expect(saved).toEqual({ inserted: 0, updated: 0, rejected: 0, touchedSeriesIds: [] });
    const [stored] = (await store.series()).filter((s) => s.archiveKey === 'empty');
    expect(stored).toEqual({ ...series('empty', 'm'), id: stored!.id, checkpoint: minutesBefore(9) });
    expect(await store.saveReads([], NOON)).toMatchObject({ inserted: 0, rejected: 0 });
  });

  it('updates the details of a known series, and never moves a checkpoint back', async () => {
    await withArchive('b');
    await store.saveReads([read(series('b', 'm'), [good(minutesBefore(5), 1)], NOON)], NOON);
    const id = await idOf('b', 'm');
    const changed = series('b', 'm', { destination: '198.51.100.7', destinationName: 'moved.example' });
    await store.saveReads([read(changed, [], minutesBefore(30)), read(series('b', 'n'), [])], NOON);
    const stored = (await store.series()).filter((s) => s.archiveKey === 'b');
    expect(stored.map((s) => s.metadataKey)).toEqual(['m', 'n']);
    expect(stored[0]).toEqual({ ...changed, id, checkpoint: NOON, lastSampleAt: minutesBefore(5) });
  });

  it('spends no id on a series that it knows', async () => {
    await withArchive('ids');
    for (let i = 0; i < 5; i += 1) {
      await store.saveReads([read(series('ids', 'first'), [])], NOON);
    }
    const first = await idOf('ids', 'first');
    await store.saveReads([read(series('ids', 'first'), []), read(series('ids', 'second'), [])], NOON);
    expect(await idOf('ids', 'second')).toBe(first + 1);
  });

  it('rejects samples that are too old or in the future, and makes no partition for them', async () => {
    await withArchive('times');
    const of = series('times', 'm');
    const saved = await store.saveReads(
      [
        read(of, [
          good(new Date(0), 1),
          good(daysBefore(91), 2),
          good(daysBefore(89), 3),
          good(daysBefore(-0.9), 4),
          good(daysBefore(-1.1), 5),
          good(new Date('9999-12-31T00:00:00Z'), 6),
          good(new Date(Number.NaN), 7),
        ]),
      ],
      NOON,
    );
    expect(saved).toMatchObject({ inserted: 2, rejected: 5 });
    const rows = await store.sampleRows({ seriesId: await idOf('times', 'm') });
    expect(rows.map((r) => r.value)).toEqual([3, 4]);
  });

  it('takes a read of an archive that was never discovered for a mistake, and stores nothing of it', async () => {
    await withArchive('known');
    const reads = [
      read(series('known', 'm'), [good(NOON, 1)]),
      read(series('unheard-of', 'm'), [good(NOON, 1)]),
    ];
    await expect(store.saveReads(reads, NOON)).rejects.toThrow('unheard-of');
    expect(await store.checkpoints('known', NOON)).toEqual(new Map());
  });

  it('agrees with a plain map about any sequence of batches: rows, counts, totals', async () => {
    const sample = fc.record({
      minute: fc.integer({ min: 0, max: 12 }),
      value: fc.option(fc.integer({ min: 0, max: 2 }), { nil: null }),
      kind: fc.constantFrom(
        { verdict: 'good' } as const,
        { verdict: 'bad', reason: 'negative' } as const,
        { verdict: 'suspect', reason: 'outlier' } as const,
      ),
    });
    const oneRead = fc.record({
      metadataKey: fc.constantFrom('m1', 'm2', 'm3'),
      samples: fc.array(sample, { maxLength: 8 }),
    });
    const batches = fc.array(fc.array(oneRead, { maxLength: 4 }), { minLength: 1, maxLength: 4 });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(batches, async (all) => {
        run += 1;
        const key = `model-${run}`;
        await withArchive(key);
        const before = await store.sampleCounts();
        const model = new Map<string, Map<number, Sample>>();
        for (const batch of all) {
          const earlier = new Map([...model].map(([k, rows]) => [k, new Map(rows)]));
          const reads = batch.map(({ metadataKey, samples }) => {
            // Twelve minutes around a midnight before a Thursday: two partitions of either.
            const all = samples.map(({ minute, value, kind }) => ({
              at: new Date(Date.UTC(2026, 10, 18, 23, 54 + minute)),
              value,
              ...kind,
            }));
            const rows = model.get(metadataKey) ?? new Map<number, Sample>();
            model.set(metadataKey, rows);
            for (const s of all) rows.set(s.at.getTime(), s);
            // One of the metrics that come rarely, and one of those that come often.
            const metric = metadataKey === 'm1' ? 'throughputMbps' : 'rttMs';
            return read(series(key, metadataKey, { metric }), all);
          });
          let inserted = 0;
          let updated = 0;
          for (const [metadataKey, rows] of model) {
            for (const [ms, s] of rows) {
              const old = earlier.get(metadataKey)?.get(ms);
              inserted += old ? 0 : 1;
              updated += old && (old.value !== s.value || old.verdict !== s.verdict) ? 1 : 0;
            }
          }
          expect(await store.saveReads(reads, NOON)).toMatchObject({ inserted, updated, rejected: 0 });
        }
        const stored = (await store.series()).filter((s) => s.archiveKey === key);
        expect(stored.map((s) => s.metadataKey).sort()).toEqual([...model.keys()].sort());
        const tally = new Map<string, number>();
        for (const { id, metadataKey } of stored) {
          const expected = [...model.get(metadataKey)!.values()].sort(
            (a, b) => a.at.getTime() - b.at.getTime(),
          );
          expect(await store.sampleRows({ seriesId: id })).toEqual(expected);
          const goodOnes = expected.filter((s) => s.verdict === 'good' && s.value !== null);
          const columns = (await store.samples([id], new Date(0))).get(id);
          expect([...(columns?.values ?? [])]).toEqual(goodOnes.map((s) => s.value));
          for (const s of expected) {
            const name = `${s.verdict}/${s.reason ?? ''}`;
            tally.set(name, (tally.get(name) ?? 0) + 1);
          }
        }
        const after = await store.sampleCounts();
        for (const name of ['good/', 'bad/negative', 'suspect/outlier']) {
          const count = (counts: typeof after) =>
            counts.byVerdict.find((v) => `${v.verdict}/${v.reason ?? ''}` === name)?.count ?? 0;
          expect(count(after) - count(before)).toBe(tally.get(name) ?? 0);
        }
      }),
      { numRuns: 12 },
    );
  });

  it('gives every number and every text back as it was', async () => {
    await withArchive('values');
    const text = fc.string({ unit: 'binary' });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.double({ noNaN: true }), { minLength: 1, maxLength: 60 }),
        text,
        text,
        async (values, name, other) => {
          run += 1;
          const metadataKey = `${run}/${name}`;
          const of = series('values', metadataKey, { source: name, destinationName: other });
          const samples = values.map((value, i) => good(new Date(NOON.getTime() - (100 - i) * 997), value));
          await store.saveReads([read(of, samples)], NOON);
          const stored = (await store.series()).find((s) => s.metadataKey === storableText(metadataKey))!;
          expect([stored.source, stored.destinationName]).toEqual([name, other].map(storableText));
          const columns = (await store.samples([stored.id], daysBefore(1))).get(stored.id)!;
          // -0 is stored as 0: adding 0 makes it so on both sides.
          expect([...columns.values].map((v) => v + 0)).toEqual(values.map((v) => v + 0));
          expect([...columns.atMs]).toEqual(samples.map((s) => s.at.getTime()));
          const rows = await store.sampleRows({ seriesId: stored.id });
          expect(rows.map((r) => r.value! + 0)).toEqual(values.map((v) => v + 0));
          expect(rows.map((r) => r.at)).toEqual(samples.map((s) => s.at));

          await store.saveDiscovery(
            discovery({ hosts: [host('odd', { city: name, roles: [other] })] }),
            NOON,
          );
          const [odd] = (await store.hosts()).filter((h) => h.key === 'odd');
          expect([odd!.city, odd!.roles]).toEqual([storableText(name), [storableText(other)]]);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('keeps batches apart that are written at the same moment, also of one archive and for new days', async () => {
    await withArchive('c1');
    await withArchive('c2');
    const before = (await store.sampleCounts()).total;
    const batch = (archiveKey: string, value: number) =>
      Array.from({ length: 20 }, (_, m) =>
        read(
          series(archiveKey, `m${m}`),
          Array.from({ length: 30 }, (_, i) => good(daysBefore(i + 0.1), value)),
        ),
      );
    const results = await Promise.all(
      [1, 2, 3, 4, 5, 6].flatMap((value) => [
        store.saveReads(batch('c1', value), NOON),
        store.saveReads(batch('c2', value).reverse(), NOON),
        store.sampleCounts(),
        store.hosts(),
      ]),
    );
    const saved = results.filter((r) => 'inserted' in r);
    expect(saved.reduce((sum, r) => sum + r.inserted, 0)).toBe(2 * 20 * 30);
    expect(saved.reduce((sum, r) => sum + r.updated, 0)).toBe(2 * 5 * 20 * 30);
    expect((await store.sampleCounts()).total - before).toBe(2 * 20 * 30);
    // Each batch as a whole came before or after each other one.
    for (const key of ['c1', 'c2']) {
      const ids = (await store.series()).filter((s) => s.archiveKey === key).map((s) => s.id);
      const columns = [...(await store.samples(ids, new Date(0))).values()];
      expect(new Set(columns.flatMap((c) => [...c.values])).size).toBe(1);
    }
  });

  it('replaces sites and assignments by the current set', async () => {
    const site = (name: string) => ({ name, hosts: [`*.${name}`], prefixes: ['192.0.2.0/24'], domains: [] });
    const placed: SiteAssignment = {
      subject: 'h1',
      site: 'CERN',
      method: 'prefix',
      evidence: '192.0.2.0/24',
      confidence: 0.9,
    };
    const unmapped: SiteAssignment = { subject: 'h2', evidence: 'nothing matched', confidence: 0 };
    await store.saveAssignments(
      [placed, unmapped],
      [{ ...site('CERN'), latitude: 46.2, longitude: 6.05 }, site('DESY')],
      minutesBefore(5),
    );
    expect(await store.assignments()).toEqual([placed, unmapped]);
    expect(await store.sites()).toEqual([{ ...site('CERN'), latitude: 46.2, longitude: 6.05 }, site('DESY')]);
    const moved: SiteAssignment = { ...unmapped, site: 'DESY', method: 'override', confidence: 1 };
    await store.saveAssignments([moved], [site('DESY')], NOON);
    expect(await store.assignments()).toEqual([moved]);
    expect(await store.sites()).toEqual([site('DESY')]);
    await store.saveAssignments([], [], NOON);
    expect([await store.assignments(), await store.sites()]).toEqual([[], []]);
  });

  it('keeps estimates by path', async () => {
    const metric = { centre: 940.125, p10: 0.1 + 0.2, p90: 1e-12, sampleCount: 12, seriesCount: 2 };
    const full = estimate('A', 'B', {
      metrics: {
        throughputMbps: { ...metric, lastMeasured: minutesBefore(7) },
        lossRate: { ...metric, lastMeasured: new Date(NOON.getTime() - 1) },
      },
      sampleCount: 24,
      lastMeasured: new Date(NOON.getTime() - 1),
      measured: false,
    });
    await store.saveEstimates([full, estimate('A', 'C'), estimate('B', 'A')], []);
    expect(await store.estimates()).toEqual([full, estimate('A', 'C'), estimate('B', 'A')]);
    await store.saveEstimates(
      [estimate('A', 'C', { quality: 1 })],
      [
        { srcSite: 'B', dstSite: 'A' },
        { srcSite: 'never', dstSite: 'there' },
      ],
    );
    expect(await store.estimates()).toEqual([full, estimate('A', 'C', { quality: 1 })]);
    expect(await store.estimates({ srcSite: 'A', dstSite: 'B' })).toEqual([full]);
    expect(await store.estimates({ dstSite: 'C' })).toHaveLength(1);
    expect(await store.estimates({ srcSite: 'C' })).toEqual([]);
  });

  it('keeps reviews by path, and counts what they left out', async () => {
    const review = (srcSite: string, dstSite: string, rest: Partial<PathReview> = {}): PathReview => ({
      ...{ srcSite, dstSite, excluded: {}, pairs: [], reviewedAt: minutesBefore(5) },
      ...rest,
    });
    const full = review('A', 'B', {
      excluded: { duplicate: 12, outlier: 1 },
      pairs: [
        {
          pair: 'a.example>"b"',
          newestMs: NOON.getTime(),
          intervalMs: 60_000,
          delays: [{ family: 6, floorMs: -12.25, newestMs: NOON.getTime() }],
          loss: { samples: 60, allLost: 2, newestMs: NOON.getTime() },
        },
      ],
    });
    await store.saveReviews([full, review('B', 'A', { excluded: { duplicate: 3 } })], []);
    expect(await store.reviews({ dstSite: 'B' })).toEqual([full]);
    expect(await store.excludedCounts()).toEqual([
      { reason: 'duplicate', count: 15 },
      { reason: 'outlier', count: 1 },
    ]);
    await store.saveReviews([review('A', 'B')], [{ srcSite: 'B', dstSite: 'A' }]);
    expect(await store.reviews()).toEqual([review('A', 'B')]);
    expect(await store.excludedCounts()).toEqual([]);
  });

  it('keeps what was found of hosts as the current set, each since it was found first', async () => {
    const clock: HostFinding = { host: 'a', kind: 'clock-off', evidence: 'e', advice: 'x', offsetMs: -60.25 };
    const closed = (direction: 'in' | 'out'): HostFinding => ({
      ...{ host: 'b', kind: 'firewall', evidence: 'all lost', advice: 'y', direction },
    });
    await store.saveHostFindings([clock, closed('in'), closed('out')], minutesBefore(20));
    await store.saveHostFindings([{ ...clock, offsetMs: -61 }, closed('out')], minutesBefore(10));
    expect(await store.hostFindings()).toEqual([
      { ...clock, offsetMs: -61, since: minutesBefore(20) },
      { ...closed('out'), since: minutesBefore(20) },
    ]);
    await store.saveHostFindings([], minutesBefore(5));
    expect(await store.hostFindings()).toEqual([]);
  });

  it('keeps breakers as the current set, and every transition', async () => {
    const open = breaker('A', 'B', {
      state: 'OPEN',
      conditionSince: minutesBefore(2),
      withholds: { maxInputMB: 512.5 },
      openings: 2,
      retryAt: minutesBefore(-30),
      partOf: '*>B',
    });
    const first = transition('A', 'B', minutesBefore(20));
    const second = transition('A', 'B', minutesBefore(10), { from: 'OPEN', to: 'HALF_OPEN' });
    const other = transition('B', 'A', minutesBefore(10), { to: 'UNKNOWN' });
    const [rate, back] = [breaker('A', 'B', { policy: 'rate' }), breaker('B', 'A')];
    await store.saveDecisions({ changed: [open, rate, back], gone: [], transitions: [first] });
    expect(await store.breakers()).toEqual([open, rate, back]);
    const closed = breaker('A', 'B');
    await store.saveDecisions({ changed: [closed], gone: [rate, back], transitions: [second, other] });
    expect(await store.breakers()).toEqual([closed]);
    const stored = await store.transitions();
    expect(stored).toMatchObject([other, second, first]);
    const ids = stored.map(({ id }) => id);
    expect(await store.transitions({ afterId: ids[2]! })).toMatchObject([second, other]);
    expect(await store.transitions({ limit: 1 })).toMatchObject([other]);
    expect(await store.transitions({ since: minutesBefore(10), srcSite: 'A', dstSite: 'B' })).toMatchObject([
      second,
    ]);
  });

  it('keeps what people said of breakers: one word at a time for one breaker', async () => {
    const word = (state: Forcing['state'], at: Date, policy?: string): Forcing => ({
      srcSite: 'A',
      dstSite: '*',
      ...(policy && { policy }),
      state,
      owner: 'ann',
      reason: 'the link is being repaired',
      at,
      until: minutesBefore(-60),
    });
    await store.saveForcing(word('FORCED_OPEN', minutesBefore(10)));
    await store.saveForcing(word('FORCED_OPEN', minutesBefore(9), 'rate'));
    await store.saveForcing(word('FORCED_CLOSED', minutesBefore(5)));
    expect(await store.forcings(NOON)).toMatchObject([
      word('FORCED_CLOSED', minutesBefore(5)),
      word('FORCED_OPEN', minutesBefore(9), 'rate'),
    ]);
    expect(await store.forcings()).toHaveLength(3);
    expect(await store.endForcings({ srcSite: 'A', dstSite: 'B' }, NOON)).toBe(0);
    expect(await store.endForcings({ srcSite: 'A', dstSite: '*' }, NOON)).toBe(2);
    expect(await store.forcings(NOON)).toEqual([]);
  });

  it('keeps what stands in the collector, and what may', async () => {
    expect(await store.publications()).toEqual(new Map());
    const standing = new Map([
      ['A>B', { contentHash: '1', advertisedAt: minutesBefore(10) }],
      ['B>A', { contentHash: '2', advertisedAt: NOON }],
    ]);
    await store.savePublications(standing);
    expect(await store.publications()).toEqual(standing);
    // What is being sent is not believed to stand until it is saved so.
    await store.beginPublications(['B>A', 'C>"A"']);
    const unsure = new Map([
      ['A>B', { contentHash: '1', advertisedAt: minutesBefore(10) }],
      ['B>A', { contentHash: '' }],
      ['C>"A"', { contentHash: '' }],
    ]);
    expect(await store.publications()).toEqual(unsure);
    await store.savePublications(unsure);
    expect(await store.publications()).toEqual(unsure);
    await store.savePublications(standing);
    expect(await store.publications()).toEqual(standing);
  });

  it('keeps the record of cycles', async () => {
    const cycle = (minutes: number) => ({
      startedAt: minutesBefore(minutes + 1),
      finishedAt: minutesBefore(minutes),
      ok: true,
      phasesSeconds: { discover: 0.5 },
      counts: { hosts: 3 },
    });
    const failed = { ...cycle(1), ok: false, message: 'The collector is down.' };
    await store.saveCycle(cycle(5));
    await store.saveCycle(failed);
    expect(await store.cycles(5)).toEqual([failed, cycle(5)]);
    expect(await store.cycles(1)).toEqual([failed]);
  });

  it('lets one lead at a time, and again after one that failed', async () => {
    const inner = await store.withLeadership(() => store.withLeadership(async () => 'both'));
    expect(inner).toBe('not-leader');
    const ours = new Error('ours');
    await expect(store.withLeadership(() => Promise.reject(ours))).rejects.toBe(ours);
    // The connection is closed with the failure; the server sees that, and frees its lock, a moment later.
    await expect.poll(() => store.withLeadership(async () => 7)).toBe(7);
  });

  it('finds everything again when opened anew', async () => {
    const everything = async () => [
      await store.hosts(),
      await store.archives(),
      await store.series(),
      await store.sampleCounts(),
      await store.estimates(),
      await store.transitions(),
      await store.cycles(10),
    ];
    const before = await everything();
    await store.close();
    await expect(store.hosts()).rejects.toThrow('is closed');
    store = await openStore(location);
    expect(await everything()).toEqual(before);
  });
});

await describeOnBoth('retention', (newLocation) => {
  const POLICY = { samplesDays: 10, eventsDays: 30, cyclesDays: 5, hostsDays: 60 };
  let location: StoreLocation;
  let store: Store;

  beforeAll(async () => {
    location = await newLocation();
    store = await openStore(location);
  });
  afterAll(() => store.close());

  it('drops whole days of samples with their totals, and what else is older than its time', async () => {
    await store.saveDiscovery(
      discovery({
        hosts: [host('old')],
        archives: [archive('old'), archive('old-with-samples')],
        expected: [expectedTest('old')],
        sources: [
          { source: 'old', ok: true, records: 1 },
          { source: 'origin', ok: true, records: 1 },
        ],
      }),
      daysBefore(61),
    );
    await store.saveDiscovery(
      discovery({
        hosts: [host('new')],
        archives: [archive('new')],
        expected: [expectedTest('new')],
        sources: [
          { source: 'new', ok: true, records: 1 },
          { source: 'origin', ok: false, records: 1 },
        ],
      }),
      daysBefore(59),
    );
    const daily = Array.from({ length: 20 }, (_, i) => good(daysBefore(19 - i), i));
    const bad: Sample = { at: daysBefore(19.1), value: -1, verdict: 'bad', reason: 'negative' };
    await store.saveReads(
      [
        read(series('new', 'still-measured', { metric: 'rttMs' }), daily, NOON),
        read(series('new', 'given-up'), [bad], daysBefore(19)),
        read(series('old', 'given-up'), [], daysBefore(40)),
        read(series('old-with-samples', 'm'), [good(daysBefore(2), 1)], NOON),
      ],
      NOON,
    );
    await store.saveDecisions({
      changed: [],
      gone: [],
      transitions: [transition('A', 'B', daysBefore(31)), transition('A', 'B', daysBefore(29))],
    });
    for (const days of [6, 4]) {
      const at = daysBefore(days);
      await store.saveCycle({ startedAt: at, finishedAt: at, ok: true, phasesSeconds: {}, counts: {} });
    }
    expect((await store.sampleCounts()).total).toBe(22);

    const result = await store.applyRetention(POLICY, NOON);
    // Ten days before noon of the 21st is noon of the 11th: the 10th is over, the 11th is not; nor is the week of the 5th.
    expect(result.droppedPartitions).toEqual([
      ...['02', '03', '04', '05', '06', '07', '08', '09', '10'].map((day) => `dense_samples_202611${day}`),
      'sparse_samples_20261029',
    ]);
    expect(result.deletedRows).toMatchObject({
      breaker_transitions: 1,
      cycles: 1,
      discovery_sources: 1,
      expected_tests: 1,
      hosts: 1,
      series: 2,
      archives: 1,
    });
    expect(await store.sampleCounts()).toEqual({ total: 12, byVerdict: [{ verdict: 'good', count: 12 }] });
    const left = await store.series();
    expect(left.map((s) => [s.archiveKey, s.metadataKey])).toEqual([
      ['new', 'still-measured'],
      ['old-with-samples', 'm'],
    ]);
    const rows = await store.sampleRows({ seriesId: left[0]!.id });
    expect(rows.map((r) => r.at)).toEqual(daily.slice(9).map((s) => s.at));
    expect((await store.hosts()).map((h) => h.key)).toEqual(['new']);
    expect((await store.archives()).map((a) => a.key)).toEqual(['new', 'old-with-samples']);
    expect((await store.expectedTests()).map((test) => test.template)).toEqual(['new']);
    expect((await store.sources()).map((s) => s.source)).toEqual(['new', 'origin']);
    expect(await store.transitions()).toHaveLength(1);
    expect(await store.cycles(9)).toHaveLength(1);
  });

  it('from then on rejects what it would drop, and has nothing left to do', async () => {
    const saved = await store.saveReads(
      [
        read(series('new', 'still-measured', { metric: 'rttMs' }), [
          good(daysBefore(10.1), 1),
          good(daysBefore(9.9), 1),
        ]),
      ],
      NOON,
    );
    expect(saved).toMatchObject({ inserted: 1, rejected: 1 });
    const again = await store.applyRetention(POLICY, NOON);
    expect(again.droppedPartitions).toEqual([]);
    expect(new Set(Object.values(again.deletedRows))).toEqual(new Set([0]));
  });

  it('goes by what was measured where the clock is weeks ahead: nothing is dropped, nothing new rejected', async () => {
    const ahead = daysBefore(-60);
    const before = await store.sampleCounts();
    const result = await store.applyRetention(POLICY, ahead);
    expect(result.droppedPartitions).toEqual([]);
    expect(await store.sampleCounts()).toEqual(before);
    const late = read(
      series('new', 'still-measured', { metric: 'rttMs' }),
      [good(daysBefore(-0.1), 1)],
      NOON,
    );
    expect(await store.saveReads([late], ahead)).toMatchObject({ inserted: 1, rejected: 0 });
  });

  it('leaves no relation of what it dropped', async () => {
    await store.close();
    const db = await openDatabase(location);
    const relations = await db.query<{ name: string }>(
      "select relname as name from pg_class where relname ~ '_samples_2' order by relname",
    );
    const days = ['11', '12', '13', '14', '15', '16', '17', '18', '19', '20', '21'];
    const names = [...days.map((day) => `dense_samples_202611${day}`), 'sparse_samples_20261119'];
    expect(relations.map((r) => r.name)).toEqual(names.flatMap((name) => [name, `${name}_pkey`]));
    expect(await db.query('select distinct partition from sample_totals order by 1')).toEqual(
      names.map((partition) => ({ partition })),
    );
    await db.close();
  });
});
