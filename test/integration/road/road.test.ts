import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { archivesView, pathsView, sitesView } from '../../../src/api/views.ts';
import { loadConfig } from '../../../src/config.ts';
import { type Service, startService } from '../../../src/service.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { larkFolder, quietLog } from '../../support/lark.ts';
import { findPostgres, startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { compareWithBooks } from '../../support/truth.ts';

/** The whole road in this process, from real servers on loopback to ads in a folder. */

const START = new Date('2026-05-05T15:00:00Z');
const HOUR_MS = 3_600_000;
const postgresHere = await findPostgres();

let clock: Date;
let world: World;
let postgres: TestPostgres | undefined;
const open: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  clock = START;
  world = await startWorld({ hosts: 14, seed: 5, clock: () => clock });
  if ('bin' in postgresHere) postgres = await startPostgres(postgresHere.bin);
});
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
  clock = START;
});
afterAll(async () => {
  await world.close();
  await postgres?.stop();
});

async function lark(databaseUrl?: string, more: Record<string, object> = {}) {
  const place = await larkFolder(world, { ...more, ...(databaseUrl && { store: { databaseUrl } }) });
  open.push(place.remove);
  const { config } = loadConfig(place.configFile, {});
  const service: Service = await startService(config, { log: quietLog, clock: () => clock, version: 'test' });
  open.push(() => service.close());
  return { ...place, service };
}

/** Everything that a cycle leaves for people, without what depends on how long it took. */
async function figures(service: Service) {
  const { counts, warnings, unmapped } = await service.cycle();
  return {
    counts,
    warnings,
    unmapped,
    paths: await pathsView(service.store, {}),
    sites: await sitesView(service.store, clock),
    samples: await service.store.sampleCounts(),
    ads: (await service.standing()).sort(),
  };
}

test('from discovery to ads: complete, by the books; unmapped hosts listed', async () => {
  const { service } = await lark();
  const first = await figures(service);
  expect(first.counts.hosts).toBe(world.hosts.length);
  expect(first.counts.archives).toBe(world.archives.length);
  expect(first.counts.paths).toBeGreaterThan(10);
  expect(first.ads).toEqual(first.paths.map(({ path }) => path).sort());
  expect(first.counts.adsPublished).toBe(first.ads.length);

  const compared = await compareWithBooks(
    service.store,
    world,
    new Date(START.getTime() - 6 * HOUR_MS),
    START,
  );
  expect(compared.inBooks).toBeGreaterThan(10_000);
  expect(compared).toMatchObject({ inStore: compared.inBooks, doubled: 0, lost: 0, invented: 0 });

  // Hosts of sites that the map does not name are listed, never guessed.
  const strangers = world.hosts.filter(({ mapped }) => !mapped);
  expect(strangers.length).toBeGreaterThan(0);
  const unmapped = first.sites.unmapped.flatMap(({ subject, names }) => [subject, ...names]);
  for (const host of strangers)
    expect(unmapped.some((id) => id === host.name || id === host.address4)).toBe(true);
  // And the others are where the world put them.
  const siteOf = new Map((await service.store.assignments()).map(({ subject, site }) => [subject, site]));
  for (const host of await service.store.hosts()) {
    const truth = world.hosts.find(({ address4 }) => host.addresses.includes(address4))!;
    expect(siteOf.get(host.key), truth.name).toBe(truth.mapped ? truth.site : undefined);
  }
  // The paths whose state is known read as such.
  for (const { source, destination, kind } of world.notable) {
    const path = first.paths.find((each) => each.srcSite === source && each.dstSite === destination);
    if (kind === 'slow') expect(path!.throughputMbps!.centre).toBeLessThan(60);
    if (kind === 'lossy') expect(path!.lossRate!.centre).toBeGreaterThan(0.02);
  }
});

test.skipIf(!('bin' in postgresHere))(
  `the same figures on PGlite and on PostgreSQL${'unavailable' in postgresHere ? ` (skipped: ${postgresHere.unavailable})` : ''}`,
  async () => {
    const onPglite = await lark();
    const onPostgres = await lark(await postgres!.newDatabase());
    for (let turn = 0; turn < 3; turn++) {
      const [embedded, server] = [await figures(onPglite.service), await figures(onPostgres.service)];
      expect(embedded.counts.samples).toBeGreaterThan(0);
      expect(server).toEqual(embedded);
      clock = new Date(clock.getTime() + 20 * 60_000);
    }
  },
);

test('a second cycle reads only what is new, and sends only what changed; withdrawn when a path goes', async () => {
  const { service, folder, configFile } = await lark();
  await figures(service);
  const sentFirst = await service.store.publications();
  clock = new Date(clock.getTime() + 60_000);
  const second = await figures(service);
  const sentSecond = await service.store.publications();
  for (const [name, { advertisedAt, contentHash }] of sentSecond) {
    const before = sentFirst.get(name)!;
    expect(advertisedAt! > before.advertisedAt!, name).toBe(contentHash !== before.contentHash);
  }
  const until = new Date(clock.getTime() - 60_000);
  const compared = await compareWithBooks(
    service.store,
    world,
    new Date(START.getTime() - 6 * HOUR_MS),
    until,
  );
  expect(compared).toMatchObject({ inStore: compared.inBooks, doubled: 0, lost: 0, invented: 0 });

  // Without a change, everything is still sent again before half of its lifetime is over.
  for (let minutes = 1; minutes <= 29; minutes += 7) {
    clock = new Date(clock.getTime() + 7 * 60_000);
    await service.cycle();
  }
  for (const { advertisedAt } of (await service.store.publications()).values()) {
    expect(clock.getTime() - advertisedAt!.getTime()).toBeLessThan(1800_000);
  }

  const [gone, ...kept] = world.siteMap().sites;
  expect(second.ads.some((name) => name.split('>').includes(gone!.name))).toBe(true);
  await writeFile(join(folder, 'sites.yaml'), JSON.stringify({ sites: kept }));
  service.reload(loadConfig(configFile, {}).config);
  const third = await figures(service);
  expect(third.ads.filter((name) => name.split('>').includes(gone!.name))).toEqual([]);
  expect(third.ads.length).toBeGreaterThan(0);
  expect(third.counts.adsPublished).toBe(third.ads.length);
});

describe('faults', () => {
  test('all on: the cycle ends in time, healthy archives complete, each fault named in archives and metrics', async () => {
    const { service } = await lark(undefined, {
      http: { connectTimeoutSeconds: 0.5, bodyTimeoutSeconds: 1.5, maxBodyMB: 8 },
      harvest: { lookbackHours: 2, archiveTimeoutSeconds: 10 },
    });
    const faults = [
      ['dead', 'refused'],
      ['blackhole', 'timeout'],
      [{ kind: 'slow', seconds: 30 }, 'timeout'],
      ['http500', 'http-error'],
      ['truncatedJson', 'truncated'],
      ['htmlError', 'not-json'],
      ['hugeBody', 'too-large'],
      ['wrongTypes', 'bad-data'],
    ] as const;
    expect(world.archives.length).toBeGreaterThan(faults.length);
    const expected = new Map<string, string>();
    for (const [i, [fault, name]] of faults.entries()) {
      const { key } = world.archives[i]!;
      expected.set(key, name);
      await world.setFault(key, fault);
      open.push(() => world.setFault(key, null));
    }
    const started = performance.now();
    const result = await service.cycle();
    // 10 s for one archive, all at once: far below what they would take one after another.
    expect((performance.now() - started) / 1000).toBeLessThan(40);
    expect(result.archives).toHaveLength(world.archives.length);

    const views = await archivesView(service.store, clock);
    const address = (url: string): string => new URL(url).hostname;
    for (const [key, name] of expected) {
      const view = views.find(({ archive, url }) => archive.startsWith(`${key}:`) || address(url) === key)!;
      expect(view, key).toMatchObject({ outcome: 'failed', fault: name, failuresInARow: 1 });
      expect(view.message).toContain(key);
    }
    const healthy = world.archives.filter(({ key }) => !expected.has(key));
    for (const { key } of healthy) {
      const view = views.find(({ url }) => address(url) === key)!;
      expect(view, key).toMatchObject({ outcome: 'ok', fault: null });
    }
    const metrics = await (await fetch(`${await service.listen()}/metrics`)).text();
    for (const name of new Set(expected.values())) {
      expect(metrics).toMatch(new RegExp(`^lark_archive_errors_total\\{.*fault="${name}"\\} [1-9]`, 'm'));
      expect(metrics).toMatch(
        new RegExp(`^lark_archives\\{.*outcome="failed",fault="${name}"\\} [1-9]`, 'm'),
      );
    }

    // Mended: what was missed is caught up, and the books agree again.
    for (const key of expected.keys()) await world.setFault(key, null);
    // In back-off: nobody asks them again at once, and nothing is held against them meanwhile.
    clock = new Date(START.getTime() + 60_000);
    const waiting = await service.cycle();
    expect(waiting.archives).toHaveLength(healthy.length);
    for (const view of await archivesView(service.store, clock)) {
      expect(view.nextAttempt === null, view.url).toBe(view.outcome === 'ok');
    }
    clock = new Date(START.getTime() + 10 * 60_000);
    await service.cycle();
    const compared = await compareWithBooks(
      service.store,
      world,
      new Date(START.getTime() - 1.8 * HOUR_MS),
      START,
    );
    expect(compared).toMatchObject({ inStore: compared.inBooks, doubled: 0, lost: 0, invented: 0 });
    const again = await archivesView(service.store, clock);
    expect(again.map(({ outcome, failuresInARow }) => `${outcome} ${failuresInARow}`)).toEqual(
      again.map(() => 'ok 0'),
    );
  });

  test('every lookup server dead: what is known stays in use', async () => {
    const { service } = await lark();
    const before = await figures(service);
    for (const key of [...world.lookups, world.bootstrap]) {
      await world.setFault(key, 'dead');
      open.push(() => world.setFault(key, null));
    }
    clock = new Date(clock.getTime() + 3600_000);
    const after = await figures(service);
    expect(after.warnings.join('\n')).toMatch(/activehosts/);
    expect(after.counts).toMatchObject({ hosts: before.counts.hosts, archives: before.counts.archives });
    expect(after.counts.samples).toBeGreaterThan(before.counts.samples);
  });
});
