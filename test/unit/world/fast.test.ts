import { expect, test } from 'vitest';
import { generate } from '../../../testbed/world/generate.ts';
import { runDocument, runId } from '../../../testbed/world/runDocuments.ts';
import { runText } from '../../../testbed/world/runTexts.ts';
import { runs } from '../../../testbed/world/series.ts';
import { startWorld } from '../../../testbed/world/world.ts';
import { get, NOW } from './wire.ts';

/** What makes a big world fast enough to measure readers by. */

const SMALL = { hosts: 30, seed: 3, anchorSeconds: NOW.getTime() / 1000, peersPerSite: 4 };

test('the text of a run is the JSON of its document', () => {
  const { archives } = generate({ ...SMALL, archetypes: 2 });
  const whole = { name: 'all', apply: (value: unknown) => value as never };
  const types = new Set<string>();
  for (const each of archives.flatMap((archive) => [...archive.tests.values()])) {
    for (const run of runs(each, SMALL.anchorSeconds - 40_000, SMALL.anchorSeconds)) {
      if (types.has(`${each.type} ${each.source.key}`)) break;
      types.add(`${each.type} ${each.source.key}`);
      const ms = run.ts * 1000 + 1234;
      expect(JSON.parse(runText(each, run, ms, runId(each, run), whole))).toEqual(runDocument(each, run, ms));
    }
  }
  expect(types.size).toBeGreaterThan(20);
});

test('archetypes: few courses of values, keys and ends as they were', () => {
  const own = generate(SMALL);
  const shared = generate({ ...SMALL, archetypes: 2 });
  const testsOf = ({ archives }: typeof own) => archives.flatMap(({ tests }) => [...tests.values()]);
  const names = (model: typeof own) =>
    testsOf(model).map((each) => [each.key, each.sourceAddress, each.destinationAddress, each.type]);
  expect(names(shared)).toEqual(names(own));
  const courses = (model: typeof own) =>
    new Set(testsOf(model).flatMap(({ type, id }) => (type === 'latencybg' ? [id] : []))).size;
  expect(courses(own)).toBeGreaterThan(20);
  expect(courses(shared)).toBe(2);
});

test('ownArchives: so many hold all tests, and none is lost', () => {
  const { archives } = generate({ ...SMALL, ownArchives: 7 });
  expect(archives).toHaveLength(8);
  expect(archives[0]!.tests.size).toBe(0);
  expect(archives.slice(1).every(({ tests }) => tests.size > 0)).toBe(true);
  const sources = new Set(
    archives.flatMap(({ tests }) => [...tests.values()].map(({ source }) => source.key)),
  );
  expect(sources.size).toBe(SMALL.hosts);
  expect(() => generate({ ...SMALL, ownArchives: 1000 })).toThrow(RangeError);
});

test('rttMs: an answer takes no less; the bodies are the same with and without the cache', async () => {
  const options = { hosts: 10, clock: () => NOW };
  const [far, near] = [
    await startWorld({ ...options, rttMs: 60, archetypes: 1000 }),
    await startWorld(options),
  ];
  try {
    const [archive] = far.archives.slice(1);
    const path = '/esmond/perfsonar/archive/?time-range=86400';
    const started = performance.now();
    const list = (await get(`https://${archive!.key}:${far.ports.https}${path}`)).json();
    // Half of the mean at the least, three times: two for the connection, one for the answer.
    expect(performance.now() - started).toBeGreaterThan(85);
    const uris = list.flatMap((each: { 'event-types': { 'base-uri': string }[] }) =>
      each['event-types'].map((type) => type['base-uri']),
    );
    const end = NOW.getTime() / 1000;
    for (const uri of uris.slice(0, 12)) {
      const [first, again, plain] = await Promise.all(
        [far, far, near].map(({ ports }) =>
          get(`https://${archive!.key}:${ports.https}${uri}?time-start=${end - 3600}&time-end=${end}`),
        ),
      );
      expect(first!.body).toBe(plain!.body);
      expect(again!.body).toBe(plain!.body);
    }
  } finally {
    await Promise.all([far.close(), near.close()]);
  }
});
