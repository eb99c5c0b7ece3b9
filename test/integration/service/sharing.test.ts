import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../../src/store/store.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { lark, larkFolder, MAIN, ROOT, serve } from '../../support/lark.ts';
import { findPostgres, startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { compareWithBooks } from '../../support/truth.ts';

/** Several processes on one PostgreSQL: spiders share the harvest, one service leads, and each may be killed. */

const HOUR_MS = 3_600_000;
const NOW = new Date(Math.floor(Date.now() / 1000) * 1000);
const here = await findPostgres();

let world: World;
let postgres: TestPostgres;
const cleanUp: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  world = await startWorld({ hosts: 14, seed: 11, clock: () => NOW });
  if ('bin' in here) postgres = await startPostgres(here.bin);
});
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});
afterAll(async () => {
  await world.close();
  await postgres?.stop();
});

async function place(schedule = '0 0 1 1 *') {
  const databaseUrl = await postgres.newDatabase();
  const made = await larkFolder(world, { store: { databaseUrl }, service: { schedule } });
  cleanUp.push(made.remove);
  return { ...made, databaseUrl };
}

function spider(configFile: string) {
  const child = spawn(process.execPath, [MAIN, '--config', configFile, 'spider'], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  cleanUp.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    child,
    ended,
    ready: () => expect.poll(() => text, { timeout: 20_000 }).toMatch(/taking harvest jobs/),
  };
}

function leader(configFile: string) {
  const service = serve(configFile);
  cleanUp.push(async () => {
    service.child.kill('SIGKILL');
    await service.ended;
  });
  return service;
}

async function expectBooks(databaseUrl: string): Promise<void> {
  const store = await openStore({ databaseUrl });
  try {
    const compared = await compareWithBooks(store, world, new Date(NOW.getTime() - 5.9 * HOUR_MS), NOW);
    expect(compared.inBooks).toBeGreaterThan(10_000);
    expect(compared).toMatchObject({ inStore: compared.inBooks, doubled: 0, lost: 0, invented: 0 });
  } finally {
    await store.close();
  }
}

test('on the embedded database a spider of its own is refused, in one sentence', async () => {
  const made = await larkFolder(world);
  cleanUp.push(made.remove);
  const { exitCode, stderr } = await lark(['spider', '--config', made.configFile]);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/^lark: lark spider shares the harvest of a service through PostgreSQL/);
});

describe.skipIf(!('bin' in here))(
  `on one PostgreSQL${'unavailable' in here ? ` (skipped: ${here.unavailable})` : ''}`,
  () => {
    test('two spiders and a leader, each killed in turn in mid-harvest: by the books to the sample', async () => {
      const { configFile, databaseUrl } = await place();
      const [first, second] = [spider(configFile), spider(configFile)];
      await first.ready();
      await second.ready();

      const requests = (n: number) =>
        expect.poll(() => world.requests().length, { timeout: 60_000, interval: 5 }).toBeGreaterThan(n);
      world.resetCounters();
      const killed = leader(configFile);
      await requests(40);
      first.child.kill('SIGKILL');
      await requests(120);
      killed.child.kill('SIGKILL');
      const next = leader(configFile);
      await requests(200);
      second.child.kill('SIGKILL');
      const atLastKill = world.requests().length;
      await next.said(/^cycle done$/);
      // The harvest was not nearly over.
      expect(world.requests().length).toBeGreaterThan(atLastKill + 100);
      await expectBooks(databaseUrl);
    });

    test('a leader that is killed in mid-cycle is replaced within 30 s', async () => {
      const slow = world.archives[0]!.key;
      await world.setFault(slow, { kind: 'slow', seconds: 8 });
      cleanUp.push(() => world.setFault(slow, null));
      const { configFile } = await place();
      const first = leader(configFile);
      world.resetCounters();
      await expect.poll(() => world.counters(slow).total, { timeout: 30_000 }).toBeGreaterThan(0);
      const second = leader(configFile);
      await second.said(/^serving$/);
      // It does not lead: the first one is in the middle of its cycle.
      expect(second.log.some(({ msg }) => msg === 'discovered' || msg === 'cycle done')).toBe(false);
      await world.setFault(slow, null);
      first.child.kill('SIGKILL');
      const killedAt = Date.now();
      const secondsSince = () => (Date.now() - killedAt) / 1000;
      // What only the leader does, and first.
      await second.said(/^discovered$/);
      const ledAfter = secondsSince();
      await second.said(/^cycle done$/);
      console.log(
        `led ${ledAfter.toFixed(1)} s after the kill, a whole cycle done after ${secondsSince().toFixed(1)} s`,
      );
      expect(ledAfter).toBeLessThan(30);
    });

    test('the second service leaves a turn alone that the first has taken', async () => {
      const { configFile, databaseUrl } = await place('*/3 * * * * *');
      const services = [leader(configFile), leader(configFile)];
      const cycles = () =>
        services
          .map(({ log }) => log.filter(({ msg }) => msg === 'cycle done').length)
          .reduce((a, b) => a + b);
      await expect.poll(cycles, { timeout: 60_000 }).toBeGreaterThanOrEqual(4);
      for (const { child } of services) child.kill('SIGTERM');
      await Promise.all(services.map(({ ended }) => ended));
      const store = await openStore({ databaseUrl });
      const records = (await store.cycles(100)).toSorted(
        (a, b) => a.startedAt.getTime() - b.startedAt.getTime(),
      );
      await store.close();
      for (const [i, cycle] of records.entries()) {
        expect(cycle.ok, cycle.message).toBe(true);
        // Never two at once.
        if (i > 0)
          expect(cycle.startedAt.getTime()).toBeGreaterThanOrEqual(records[i - 1]!.finishedAt.getTime());
      }
      await expectBooks(databaseUrl);
    });
  },
);
