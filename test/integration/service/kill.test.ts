import { afterAll, beforeAll, expect, test } from 'vitest';
import { openStore } from '../../../src/store/store.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { lark, larkFolder, serve } from '../../support/lark.ts';
import { findPostgres, startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { compareWithBooks } from '../../support/truth.ts';

/** The service is killed in mid-harvest, again and again; afterwards the books of the world must agree. */

const NOW = new Date('2026-05-05T15:00:00Z');
const HOUR_MS = 3_600_000;
const postgresHere = await findPostgres();

let world: World;
let postgres: TestPostgres | undefined;
beforeAll(async () => {
  // The world's clock stands still near the real one: the service's own clock cannot be set from outside.
  NOW.setTime(Math.floor(Date.now() / 1000) * 1000);
  world = await startWorld({ hosts: 12, seed: 7, clock: () => NOW });
  if ('bin' in postgresHere) postgres = await startPostgres(postgresHere.bin);
});
afterAll(async () => {
  await world.close();
  await postgres?.stop();
});

async function killedOverAndOver(databaseUrl?: string): Promise<void> {
  const place = await larkFolder(world, databaseUrl ? { store: { databaseUrl } } : {});
  try {
    let interrupted = 0;
    for (const afterRequests of [10, 60, 150, 300, 500]) {
      world.resetCounters();
      const service = serve(place.configFile);
      await service.said(/^serving$/);
      const done = service.said(/^cycle done$/).then(
        () => true,
        () => false,
      );
      while (world.requests().length < afterRequests && service.child.exitCode === null) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        if (await Promise.race([done, Promise.resolve(false)])) break;
      }
      service.child.kill('SIGKILL');
      await service.ended;
      if (!(await done)) interrupted++;
    }
    // If no kill met a harvest, this test would prove nothing.
    expect(interrupted).toBeGreaterThanOrEqual(3);

    const finished = await lark(['--config', place.configFile, 'cycle', '--json']);
    expect(finished.exitCode, finished.stderr).toBe(0);
    const store = await openStore(databaseUrl ? { databaseUrl } : { directory: `${place.folder}/store` });
    try {
      const from = new Date(NOW.getTime() - 5.9 * HOUR_MS);
      const compared = await compareWithBooks(store, world, from, NOW);
      expect(compared.inBooks).toBeGreaterThan(10_000);
      expect(compared).toMatchObject({ inStore: compared.inBooks, doubled: 0, lost: 0, invented: 0 });
      expect((await store.sampleCounts()).total).toBe(
        (JSON.parse(finished.stdout) as { samples: number }).samples,
      );
    } finally {
      await store.close();
    }
  } finally {
    await place.remove();
  }
}

test('kill -9 in mid-harvest on PGlite: nothing lost, nothing doubled', () => killedOverAndOver());

test.skipIf(!('bin' in postgresHere))(
  `kill -9 in mid-harvest on PostgreSQL: nothing lost, nothing doubled${'unavailable' in postgresHere ? ` (skipped: ${postgresHere.unavailable})` : ''}`,
  async () => killedOverAndOver(await postgres!.newDatabase()),
);
