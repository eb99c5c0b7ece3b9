import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { qualityView } from '../../../src/api/quality.ts';
import { tracesView } from '../../../src/api/traces.ts';
import { qualityText } from '../../../src/cli/quality-text.ts';
import { tracesText } from '../../../src/cli/traces-text.ts';
import { loadConfig } from '../../../src/config.ts';
import { startService } from '../../../src/service.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { larkFolder, quietLog } from '../../support/lark.ts';
import { compareWithBooks } from '../../support/truth.ts';

/** The whole road where nothing answers as it did before 2026: lookup by search, OpenSearch, pSConfig, WLCG's index. */

const START = new Date('2026-08-08T09:00:00Z');
const HOUR_MS = 3_600_000;
const ACCOUNT = { user: 'lark', password: 'quiet please' };

let clock = START;
let world: World;
const cleanUp: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  world = await startWorld({
    hosts: 14,
    seed: 9,
    clock: () => clock,
    lookupForms: ['elasticsearch'],
    openSearch: 'mixed',
    wlcg: ACCOUNT,
    silentPaths: 2,
  });
});
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});
afterAll(() => world.close());

test('found, read, estimated and published; by the books, and cheaply the second time', async () => {
  const place = await larkFolder(world, {
    discover: { psconfigUrls: [world.psconfig.url] },
    harvest: { lookbackHours: 4, aggregates: [{ url: world.wlcg!.url, ...ACCOUNT }] },
  });
  cleanUp.push(place.remove);
  const { config } = loadConfig(place.configFile, {});
  const service = await startService(config, { log: quietLog, clock: () => clock, version: 'test' });
  cleanUp.push(() => service.close());

  const first = await service.cycle();
  expect(first.archives.map(({ outcome, message }) => message ?? outcome)).toEqual(
    first.archives.map(() => 'ok'),
  );
  const hosts = await service.store.hosts();
  for (const { address4, dirt } of world.hosts) {
    expect(
      hosts.filter(({ addresses }) => addresses.includes(address4)),
      dirt,
    ).toHaveLength(1);
  }
  expect(first.counts.archives).toBe(world.archives.length + 1);
  const kinds = Map.groupBy(await service.store.archives(), ({ kind }) => kind);
  for (const kind of ['opensearch', 'esmond', 'wlcg'] as const)
    expect(kinds.get(kind)?.length, kind).toBeGreaterThan(0);
  expect(first.counts.paths).toBeGreaterThan(10);
  expect((await service.standing()).length).toBe(first.counts.paths);

  const byTheBooks = async (from: Date, to: Date) => {
    const compared = await compareWithBooks(service.store, world, from, to);
    expect(compared.inBooks).toBeGreaterThan(5000);
    expect(compared).toMatchObject({ inStore: compared.inBooks, doubled: 0, lost: 0, invented: 0 });
  };
  await byTheBooks(new Date(START.getTime() - 3.9 * HOUR_MS), START);

  // The index of WLCG brings series of its own.
  const series = await service.store.series();
  expect(series.some(({ archiveKey }) => archiveKey.startsWith('aggregate:'))).toBe(true);
  // What is supposed to be tested is known, also where nobody tests.
  const expected = await service.store.expectedTests();
  const silent = world.expectedPairs('psconfig').filter((pair) => pair.silent);
  expect(silent.length).toBeGreaterThan(0);
  for (const { source, destination } of silent) {
    expect(expected.some((each) => each.source === source && each.destination === destination)).toBe(true);
  }

  // Silence is told from absence: what a mesh asks for and nobody measures, and nothing that is measured.
  const totals = await qualityView(service.store, {}, config.estimate, clock);
  const told = new Set(totals.silent.map((test) => `${test.source} ${test.destination} ${test.testType}`));
  for (const { source, destination, testType, silent } of world.expectedPairs('psconfig')) {
    if (testType === 'trace') continue;
    // Throughput is tested every few hours: the first harvest looked back too little to hear of all.
    if (testType === 'throughput' && !silent) continue;
    expect(told.has(`${source} ${destination} ${testType}`), `${source} ${destination} ${testType}`).toBe(
      silent,
    );
  }
  const stored = (await service.store.sampleCounts()).total;
  expect(totals.totals.reduce((sum, { count }) => sum + count, 0)).toBe(stored);

  const [{ srcSite, dstSite } = { srcSite: '', dstSite: '' }] = await service.store.estimates();
  const pair = await qualityView(
    service.store,
    { source: srcSite, destination: dstSite },
    config.estimate,
    clock,
  );
  expect(pair.series.length).toBeGreaterThan(0);
  const hostsOf = (site: string) => world.hosts.filter((host) => host.site === site);
  const isAt = (site: string, end: string) =>
    hostsOf(site).some(({ name, address4, address6 }) => [name, address4, address6].includes(end));
  for (const { source, destination } of pair.series) {
    expect([isAt(srcSite, source), isAt(dstSite, destination)], `${source} ${destination}`).toEqual([
      true,
      true,
    ]);
  }
  const { address4 } = hostsOf(srcSite)[0]!;
  const ofHost = await qualityView(service.store, { end: address4 }, config.estimate, clock);
  expect(ofHost.series.length).toBeGreaterThan(pair.series.length / 2);
  expect(ofHost.totals).toEqual([]);

  // n of m runs failed, and why.
  const runs = [...world.runs({ from: new Date(START.getTime() - 3.9 * HOUR_MS), to: START })];
  const failed = runs.filter(({ succeeded, testType }) => !succeeded && testType === 'latencybg');
  expect(failed.length).toBeGreaterThan(0);
  for (const { archive, metadataKey, source, destination, tool } of failed) {
    const ofTest = runs.filter((run) => run.archive === archive && run.metadataKey === metadataKey);
    const { series } = await qualityView(service.store, { source, destination }, config.estimate, clock);
    const told = series.filter(
      (each) => each.metric === 'failedRuns' && each.tool === tool && each.archive.startsWith(`${archive}:`),
    );
    const count = ofTest.filter(({ succeeded }) => !succeeded).length;
    expect(told.some(({ notGood }) => notGood >= count)).toBe(true);
    expect(told.some(({ runs }) => runs! >= ofTest.length && runs! <= ofTest.length + 10)).toBe(true);
    expect(qualityText({ ...ofHost, series: told }, clock)).toMatch(/run-[a-z-]+ \d.* of \d+ runs failed/);
  }

  // Which way packets go is known of the same pair, as the newest of its traces told.
  const { traces } = await tracesView(service.store, { source: srcSite, destination: dstSite }, clock);
  expect(traces.length).toBeGreaterThan(0);
  for (const { source, destination, current, runs, unreached } of traces) {
    expect([isAt(srcSite, source), isAt(dstSite, destination)]).toEqual([true, true]);
    expect(runs).toBeGreaterThan(unreached);
    expect(isAt(dstSite, current!.hops.at(-1)!.address!)).toBe(true);
    expect(current!.asns.length).toBeGreaterThan(0);
  }
  expect(tracesText({ traces, testsLeftOut: 0 }, clock)).toContain(traces[0]!.current!.hops.at(-1)!.address);
  // The aggregated index is a second witness.
  expect(new Set(traces.map(({ archive }) => archive.startsWith('aggregate:')))).toEqual(
    new Set([true, false]),
  );
  const recent = new Date(START.getTime() - 4 * HOUR_MS);
  expect((await service.store.currentRoutes(recent)).length).toBe((await service.store.traceTests()).length);

  clock = new Date(START.getTime() + 10 * 60_000);
  const second = await service.cycle();
  const requests = (kind: string) =>
    second.archives.filter((report) => report.kind === kind).map((report) => report.requests);
  // One search brings all tests of an archive.
  expect(Math.max(...requests('opensearch'))).toBe(1);
  await byTheBooks(new Date(START.getTime() - 3.9 * HOUR_MS), clock);
});
