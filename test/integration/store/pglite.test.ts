import { chown, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { openPglite } from '../../../src/store/pglite.ts';
import { lockHolder, openStore, StoreError } from '../../../src/store/store.ts';
import { AS_NOBODY, cannotChangeUser, readableCheckout } from '../../support/other-user.ts';
import { startWriter } from './children.ts';
import { temporaryFolder } from './databases.ts';
import { archive, discovery, good, NOON, read, series } from './examples.ts';

const folder = temporaryFolder();
const NOBODY = 65_534;

it('refuses a second process, with its pid and what to do; takes over when that was killed', async () => {
  const directory = join(folder(), 'shared');
  const writer = startWriter({ directory });
  await writer.said('open');

  const refusal = await openStore({ directory }).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(StoreError);
  expect((refusal as StoreError).message).toMatch(
    new RegExp(
      `^The store in ${directory} is in use by process ${writer.pid} .*http://127.0.0.1:1/.*stop it`,
    ),
  );
  expect(await lockHolder(directory)).toMatchObject({ pid: writer.pid, apiUrl: 'http://127.0.0.1:1/' });

  await writer.kill();
  expect(await lockHolder(directory)).toBeUndefined();
  const store = await openStore({ directory });
  expect(await lockHolder(directory)).toMatchObject({ pid: process.pid });
  await expect(openStore({ directory })).rejects.toThrow('already open in this process');
  await store.close();
  expect(await lockHolder(directory)).toBeUndefined();
});

it('lets one of many processes that start at once have the directory', async () => {
  const directory = join(folder(), 'race');
  await (await openStore({ directory })).close();
  const writers = Array.from({ length: 4 }, () => startWriter({ directory }));
  // Three must end by themselves; the fourth never does.
  const running = new Set(writers);
  const errors: string[] = [];
  for (const writer of writers) {
    writer.ended.then((text) => {
      running.delete(writer);
      errors.push(text);
    });
  }
  await expect.poll(() => running.size, { timeout: 60_000 }).toBe(1);
  const [holder] = running;
  await holder!.said('0');
  for (const text of errors) {
    expect(text).toContain(`in use by process ${holder!.pid}`);
  }
});

it('heals a first start that was killed at any moment', async () => {
  const directory = join(folder(), 'unborn');
  for (const ms of [600, 1200, 1800]) {
    const writer = startWriter({ directory });
    await sleep(ms);
    await writer.kill();
  }
  const writer = startWriter({ directory });
  await writer.said('0');
  await writer.kill();
  const store = await openStore({ directory });
  expect(await store.archives()).toHaveLength(1);
  await store.close();
  expect((await readdir(directory)).filter((name) => name.startsWith('data'))).toEqual(['data']);
});

it('starts over beside the leavings of an initialisation that was cut short', async () => {
  const directory = join(folder(), 'half');
  await mkdir(join(directory, 'data.new', 'base'), { recursive: true });
  await writeFile(join(directory, 'data.new', 'PG_VERSION'), '18\n');
  const store = await openStore({ directory });
  expect(await store.hosts()).toEqual([]);
  await store.close();
});

it('says in one sentence why a directory cannot be used', async () => {
  await writeFile(join(folder(), 'file'), '');
  for (const directory of [join(folder(), 'file'), join(folder(), 'file', 'below')]) {
    await expect(openStore({ directory })).rejects.toThrow(
      `The store in ${directory} cannot be opened: a part of the path is a file, not a directory`,
    );
  }
});

it.skipIf(cannotChangeUser)(
  `works for another user, not in root's directory${cannotChangeUser ? ` (skipped: ${cannotChangeUser})` : ''}`,
  async () => {
    const copy = await readableCheckout();
    onTestFinished(copy.remove);
    const asNobody = { command: [...AS_NOBODY, copy.node], checkout: copy.folder };
    const directory = join(folder(), 'of-nobody');
    await mkdir(directory);
    await chown(directory, NOBODY, NOBODY);
    await chown(folder(), NOBODY, NOBODY);
    const writer = startWriter({ directory }, asNobody);
    await writer.said('0');
    // Root sees that nobody's process lives.
    await expect(openStore({ directory })).rejects.toThrow(`in use by process ${writer.pid}`);
    await writer.kill();

    const rootsOwn = join(folder(), 'of-root');
    await (await openStore({ directory: rootsOwn })).close();
    const refused = startWriter({ directory: rootsOwn }, asNobody);
    expect(await refused.ended).toContain(`The store in ${rootsOwn} cannot be opened: permission denied`);
  },
);

it('neither its WAL nor its busy tables grow from cycle to cycle', async () => {
  const directory = join(folder(), 'busy');
  const sizes: { table: number; walToReplay: number }[] = [];
  for (let restart = 0; restart < 2; restart += 1) {
    const store = await openStore({ directory });
    for (let cycle = 0; cycle < 8; cycle += 1) {
      const advertised = Array.from({ length: 2000 }, (_, i) => ({
        name: `A${i}>B`,
        contentHash: `${cycle}`,
      }));
      await store.beginPublications(advertised.map(({ name }) => name));
      await store.savePublications(
        new Map(advertised.map(({ name, contentHash }) => [name, { contentHash, advertisedAt: NOON }])),
      );
      await store.saveCycle({ startedAt: NOON, finishedAt: NOON, ok: true, phasesSeconds: {}, counts: {} });
    }
    await store.close();
    const db = await openPglite(directory);
    const [size] = await db.query<{ table: number; walToReplay: number }>(
      `select pg_total_relation_size('publications') as table,
         pg_wal_lsn_diff(pg_current_wal_lsn(), redo_lsn) as "walToReplay" from pg_control_checkpoint()`,
    );
    sizes.push(size!);
    await db.close();
  }
  expect(sizes[1]!.table).toBeLessThanOrEqual(sizes[0]!.table * 1.2);
  expect(sizes[1]!.walToReplay).toBeLessThan(1e6);
});

it('nor do the blocks of samples that every cycle adds to', async () => {
  const store = await openStore({ directory: join(folder(), 'blocks') });
  await store.saveDiscovery(discovery({ archives: [archive('a')] }), NOON);
  const sizes: number[] = [];
  // Two hours in steps of five minutes: every cycle writes the same blocks again.
  for (let cycle = 1; cycle <= 24; cycle += 1) {
    const at = new Date(NOON.getTime() + cycle * 300_000);
    const samples = [1, 2, 3, 4, 5].map((i) => good(new Date(at.getTime() - i * 60_000), i));
    const reads = Array.from({ length: 500 }, (_, i) =>
      read(series('a', `m${i}`, { metric: 'rttMs' }), samples, at),
    );
    expect(await store.saveReads(reads, at)).toMatchObject({ inserted: 2500 });
    await store.saveCycle({ startedAt: at, finishedAt: at, ok: true, phasesSeconds: {}, counts: {} });
    const { rows } = await store.sql("select pg_table_size('dense_samples_20261121')::float8 as bytes");
    sizes.push((rows[0] as { bytes: number }).bytes);
  }
  // 120 samples of 12 bytes in each of 500 blocks; all that were ever written would be twelve times as much.
  expect(sizes.at(-1)).toBeLessThan(3 * 500 * 120 * 12);
  await store.close();
});
