import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { type Service, startService } from '../../../src/service.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { larkFolder, quietLog } from '../../support/lark.ts';
import { compareWithBooks } from '../../support/truth.ts';

/** What a machine's wrong clock may cost: nothing that was measured, neither before nor while it was wrong. */

const START = new Date('2026-05-05T15:00:00Z');
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const LOOKBACK_HOURS = 4;
const ACCOUNT = { user: 'lark', password: 'of the clock' };

/** The archives' time, and how far Lark's machine is from it. */
let worldMs = START.getTime();
let offMs = 0;
let world: World;
const open: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  world = await startWorld({
    hosts: 6,
    seed: 7,
    peersPerSite: 2,
    clock: () => new Date(worldMs),
    lateSeconds: 1200,
    lateShare: 0.3,
    openSearch: 'mixed',
    wlcg: ACCOUNT,
  });
});
afterAll(async () => {
  for (const close of open.reverse()) await close();
  await world.close();
});

async function lark(lookbackHours: number): Promise<Service> {
  const place = await larkFolder(world, {
    discover: { everyMinutes: 30 },
    harvest: { lookbackHours, aggregates: [{ url: world.wlcg!.url, ...ACCOUNT }] },
  });
  open.push(place.remove);
  const { config } = loadConfig(place.configFile, {});
  const clock = () => new Date(worldMs + offMs);
  const service = await startService(config, { log: quietLog, clock, version: 'test' });
  open.push(() => service.close());
  return service;
}

async function rowsOf({ store }: Service, since: Date): Promise<string[]> {
  const rows: string[] = [];
  for (const { id: seriesId, archiveKey, metadataKey, metric } of await store.series())
    for (const { at, value, verdict, reason } of await store.sampleRows({ seriesId, since }))
      rows.push([archiveKey, metadataKey, metric, at.toISOString(), value, verdict, reason].join(' '));
  return rows.sort();
}

test('hours ahead, weeks ahead, weeks behind, years behind: nothing lost, doubled or deleted; as if read at once at the end', async () => {
  const service = await lark(LOOKBACK_HOURS);
  const cycle = async (minutes: number, wrongBy = 0) => {
    worldMs += minutes * MINUTE_MS;
    offMs = wrongBy;
    return service.cycle();
  };
  await cycle(0);
  const hosts = (await service.store.hosts()).length;
  for (const wrongBy of [3 * HOUR_MS, 40 * DAY_MS, -20 * DAY_MS, START.getTime() * -0.4]) {
    await cycle(10);
    // Longer than what is read again of what was read before.
    for (let turn = 0; turn < 3; turn++) await cycle(60, wrongBy);
    // The clock is right again, and it is known at once that discovery is due.
    expect((await cycle(10)).sources.length).toBeGreaterThan(0);
  }
  await cycle(30);
  await cycle(30);
  expect(await service.store.hosts()).toHaveLength(hosts);

  const from = new Date(START.getTime() - LOOKBACK_HOURS * HOUR_MS);
  const until = new Date(worldMs - 60 * MINUTE_MS);
  const compared = await compareWithBooks(service.store, world, new Date(from.getTime() + MINUTE_MS), until);
  expect(compared.inBooks).toBeGreaterThan(3000);
  expect(compared).toMatchObject({ inStore: compared.inBooks, doubled: 0, lost: 0, invented: 0 });

  const fresh = await lark((worldMs - from.getTime()) / HOUR_MS);
  await fresh.cycle();
  expect(await rowsOf(service, from)).toEqual(await rowsOf(fresh, from));
});
