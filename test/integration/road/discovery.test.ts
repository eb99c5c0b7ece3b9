import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { type Service, startService } from '../../../src/service.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { larkFolder, quietLog } from '../../support/lark.ts';

/** Hosts stay who they are while lookup servers come and go: over cycles and restarts, clones of one image included. */

const START = new Date('2026-05-05T15:00:00Z');
const HOUR_MS = 3_600_000;
const CLONES = 8;

let clock = START;
let world: World;
const open: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  world = await startWorld({ hosts: 16, seed: 5, clones: CLONES, peersPerSite: 1, clock: () => clock });
});
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
  for (const key of world.lookups) await world.setFault(key, null);
  clock = START;
});
afterAll(() => world.close());

async function lark() {
  const place = await larkFolder(world, { harvest: { lookbackHours: 0.1, overlapMinutes: 1 } });
  open.push(place.remove);
  let service: Service;
  const start = async () => {
    const { config } = loadConfig(place.configFile, {});
    service = await startService(config, { log: quietLog, clock: () => clock, version: 'test' });
  };
  await start();
  open.push(() => service.close());
  return {
    restart: async () => {
      await service.close();
      await start();
    },
    /** One cycle with these lookup servers dead: who is listed, and where each host is. */
    cycle: async (dead: readonly string[]) => {
      for (const key of world.lookups) await world.setFault(key, dead.includes(key) ? 'dead' : null);
      clock = new Date(clock.getTime() + 5 * 60_000);
      await service.cycle();
      const hosts = await service.store.hosts({ seenSince: new Date(clock.getTime() - 24 * HOUR_MS) });
      const sites = new Map((await service.store.assignments()).map(({ subject, site }) => [subject, site]));
      return hosts.map(({ key, names, addresses, clientUuids, clonedUuids }) => {
        return { key, names, addresses, clientUuids, clonedUuids, site: sites.get(key) };
      });
    },
  };
}

type Listed = Awaited<ReturnType<Awaited<ReturnType<typeof lark>>['cycle']>>;

/** How many hosts Lark has for each of the world's. */
const timesListed = (hosts: Listed) =>
  world.hosts.map(({ address4 }) => hosts.filter(({ addresses }) => addresses.includes(address4)).length);

test('each lookup server dead in turn, with a restart: nobody is renamed, moved, taken apart or joined', async () => {
  const { cycle, restart } = await lark();
  const whole = await cycle([]);
  expect(timesListed(whole)).toEqual(world.hosts.map(() => 1));
  expect(whole).toHaveLength(world.hosts.length);
  expect(whole.filter(({ clonedUuids }) => clonedUuids.length > 0).length).toBeGreaterThan(4);
  for (const key of world.lookups) {
    expect(await cycle([key])).toEqual(whole);
    expect(await cycle(world.lookups.filter((other) => other !== key))).toEqual(whole);
    await restart();
  }
  expect(await cycle(world.lookups)).toEqual(whole);
  expect(await cycle([])).toEqual(whole);
});

test('clones of which few were met at first are told apart once, and for good', async () => {
  const { cycle, restart } = await lark();
  const [first, ...others] = world.lookups;
  const partial = await cycle(others);
  expect(partial.length).toBeLessThan(world.hosts.length);
  const whole = await cycle([]);
  expect(timesListed(whole)).toEqual(world.hosts.map(() => 1));
  await restart();
  expect(await cycle(others)).toEqual(whole);
  expect(await cycle([first!])).toEqual(whole);
  expect(await cycle([])).toEqual(whole);
});
