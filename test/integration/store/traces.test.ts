import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ArchivedTest, type Hop, type Route, seriesKey, type TraceRead } from '../../../src/domain.ts';
import { openStore, type Store, type StoreLocation } from '../../../src/store/store.ts';
import { describeOnBoth } from './databases.ts';
import { archive, daysBefore, discovery, minutesBefore, NOON } from './examples.ts';

process.env.TZ = 'America/St_Johns';

const traceTest = (archiveKey: string, metadataKey: string): ArchivedTest => ({
  archiveKey,
  metadataKey,
  source: '192.0.2.1',
  destination: '192.0.2.9',
  sourceName: 'a.example',
  tool: 'pscheduler/traceroute',
  ipVersion: 4,
});

const route = (...hops: (string | null | Hop)[]): Route => ({
  hops: hops.map((hop) => (hop === null ? {} : typeof hop === 'string' ? { address: hop } : hop)),
  isReached: true,
});

const read = (test: ArchivedTest, runs: [minutesAgo: number, Route][], checkpoint = NOON): TraceRead => ({
  test,
  runs: runs.map(([minutes, route]) => ({ at: minutesBefore(minutes), route })),
  checkpoint,
});

await describeOnBoth('traces', (newLocation) => {
  let location: StoreLocation;
  let store: Store;

  beforeAll(async () => {
    location = await newLocation();
    store = await openStore(location);
  });
  afterAll(() => store.close());

  const withArchive = (key: string) => store.saveDiscovery(discovery({ archives: [archive(key)] }), NOON);

  /** All that is known of the archive's tests, without the ids. */
  async function shelf(archiveKey: string) {
    const tests = (await store.traceTests()).filter((test) => test.archiveKey === archiveKey);
    const ids = tests.map(({ id }) => id);
    const routes = await store.routes(ids);
    const runs = await store.traceRuns(ids, daysBefore(400));
    const told = new Map(routes.map(({ id, hops }) => [id, hops]));
    return tests
      .map(({ id, ...test }) => ({
        test,
        routes: routes
          .filter(({ testId }) => testId === id)
          .map(({ id: _, testId: __, ...rest }) => JSON.stringify(rest))
          .sort(),
        runs: (runs.get(id)?.atMs ?? []).map((atMs, i) => [atMs, told.get(runs.get(id)!.routeIds[i]!)]),
      }))
      .sort((a, b) => (a.test.metadataKey < b.test.metadataKey ? -1 : 1));
  }

  it('keeps each route once, which run met it, when it was first and last seen, and the current one', async () => {
    await withArchive('one');
    const test = traceTest('one', 'k');
    const [direct, around] = [
      route('10.0.0.1', '192.0.2.9'),
      route('10.0.0.1', null, '10.0.0.3', '192.0.2.9'),
    ];
    expect(
      await store.saveTraces(
        [
          read(
            test,
            [
              [30, direct],
              [20, around],
              [10, direct],
            ],
            minutesBefore(5),
          ),
        ],
        NOON,
      ),
    ).toEqual({ inserted: 3, updated: 0, rejected: 0 });
    expect(await store.traceTests()).toMatchObject([
      { ...test, checkpoint: minutesBefore(5), lastRunAt: minutesBefore(10) },
    ]);
    expect(await store.traceCheckpoints('one', NOON)).toEqual(
      new Map([[seriesKey({ metadataKey: 'k', metric: 'trace' }), minutesBefore(5)]]),
    );
    const [{ id } = { id: 0 }] = await store.traceTests();
    expect(await store.routes([id])).toMatchObject([
      { ...direct, firstSeen: minutesBefore(30), lastSeen: minutesBefore(10) },
      { ...around, firstSeen: minutesBefore(20), lastSeen: minutesBefore(20) },
    ]);
    expect((await store.traceRuns([id], minutesBefore(20))).get(id)?.atMs).toEqual(
      [20, 10].map((minutes) => minutesBefore(minutes).getTime()),
    );
    expect(await store.currentRoutes(minutesBefore(10))).toEqual([
      { test, at: minutesBefore(10), route: direct },
    ]);
    expect(await store.currentRoutes(minutesBefore(9))).toEqual([]);
  });

  it('keeps of the same hops those of which more is known', async () => {
    await withArchive('asn');
    const test = traceTest('asn', 'k');
    const plain = route('10.0.0.1', '192.0.2.9');
    const told = route({ address: '10.0.0.1', asn: 64500, name: 'r1.example' }, '192.0.2.9');
    for (const each of [plain, told, plain]) await store.saveTraces([read(test, [[10, each]])], NOON);
    expect(
      (await store.currentRoutes(daysBefore(1))).find(({ test }) => test.archiveKey === 'asn')?.route,
    ).toEqual(told);
  });

  it('replaces the route of a run that is read again with another, and rejects what cannot be kept', async () => {
    await withArchive('again');
    const test = traceTest('again', 'k');
    const [a, b] = [route('10.0.0.1'), route('10.0.0.2')];
    await store.saveTraces([read(test, [[10, a]])], NOON);
    expect(
      await store.saveTraces(
        [
          read(test, [
            [10, b],
            [200 * 1440, a],
            [-2 * 1440, a],
          ]),
        ],
        NOON,
      ),
    ).toEqual({
      inserted: 0,
      updated: 1,
      rejected: 2,
    });
    expect(await shelf('again')).toMatchObject([{ runs: [[minutesBefore(10).getTime(), b.hops]] }]);
  });

  it('a checkpoint never goes back, and a read without runs moves it', async () => {
    await withArchive('checkpoint');
    const test = traceTest('checkpoint', 'k');
    await store.saveTraces([read(test, [], minutesBefore(5))], NOON);
    await store.saveTraces([read(test, [], minutesBefore(50))], NOON);
    expect([...(await store.traceCheckpoints('checkpoint', NOON)).values()]).toEqual([minutesBefore(5)]);
  });

  it('an unknown archive is an error, and nothing of the batch is kept', async () => {
    await withArchive('known');
    await expect(
      store.saveTraces(
        [read(traceTest('known', 'k'), [[1, route('10.0.0.1')]]), read(traceTest('nobody', 'k'), [])],
        NOON,
      ),
    ).rejects.toThrow(/nobody/);
    expect(await shelf('known')).toEqual([]);
  });

  it('the same runs in any pieces, order and repetition, by two writers at once, leave the same behind', async () => {
    const ways = [route('10.0.0.1', '192.0.2.9'), route('10.0.0.2', null, '192.0.2.9'), route('10.0.0.3')];
    const run = fc.record({
      key: fc.constantFrom('p', 'q'),
      minutes: fc.integer({ min: 0, max: 4000 }),
      way: fc.integer({ min: 0, max: 2 }),
    });
    let example = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(run, {
          minLength: 1,
          maxLength: 25,
          selector: ({ key, minutes }) => `${key} ${minutes}`,
        }),
        fc.array(fc.nat(), { minLength: 25, maxLength: 25 }),
        async (runs, order) => {
          example += 1;
          const [whole, pieces] = [`whole-${example}`, `pieces-${example}`];
          await store.saveDiscovery(discovery({ archives: [archive(whole), archive(pieces)] }), NOON);
          const of = (archiveKey: string, some: typeof runs): TraceRead[] =>
            ['p', 'q'].flatMap((key) => {
              const mine = some.filter((run) => run.key === key).sort((a, b) => b.minutes - a.minutes);
              const told = mine.map(({ minutes, way }): [number, Route] => [minutes, ways[way]!]);
              return mine.length > 0 ? [read(traceTest(archiveKey, key), told)] : [];
            });
          await store.saveTraces(of(whole, runs), NOON);
          const shuffled = runs
            .map((run, i) => ({ run, place: order[i]! }))
            .sort((a, b) => a.place - b.place);
          const parts = [0, 1, 2].map((part) =>
            shuffled.filter((_, i) => i % 3 === part || i % 5 === part).map(({ run }) => run),
          );
          await Promise.all(parts.map((part) => store.saveTraces(of(pieces, part), NOON)));
          const strip = (shelf: unknown) => JSON.stringify(shelf).replaceAll(/(whole|pieces)-\d+/g, '');
          expect(strip(await shelf(pieces))).toBe(strip(await shelf(whole)));
        },
      ),
      { numRuns: 15 },
    );
  });

  it('retention drops days, the routes that only they had, and tests that are silent', async () => {
    await withArchive('old');
    const [stays, goes] = [traceTest('old', 'stays'), traceTest('old', 'goes')];
    const [a, b] = [route('10.0.0.1'), route('10.0.0.2')];
    const days = (count: number) => count * 1440;
    await store.saveTraces(
      [
        read(stays, [
          [days(50), a],
          [days(20), b],
        ]),
        read(goes, [[days(50), a]], daysBefore(50)),
      ],
      NOON,
    );
    const keep = { samplesDays: 30, eventsDays: 30, cyclesDays: 30, hostsDays: 30 };
    await store.applyRetention(keep, NOON);
    expect(await shelf('old')).toMatchObject([
      {
        test: { metadataKey: 'stays' },
        runs: [[daysBefore(20).getTime(), b.hops]],
        routes: [expect.any(String)],
      },
    ]);
    // The archive stays as long as there is something of it.
    await store.applyRetention({ ...keep, hostsDays: 1 }, daysBefore(-3));
    expect((await store.archives()).map(({ key }) => key)).toContain('old');
  });
});
