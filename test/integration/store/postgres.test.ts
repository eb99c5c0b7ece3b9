import { expect, it } from 'vitest';
import { openStore, type Store, StoreError } from '../../../src/store/store.ts';
import { PASSWORD_ROLE } from '../../support/postgres.ts';
import { startWriter } from './children.ts';
import { describeOnPostgres } from './databases.ts';
import { archive, daysBefore, discovery, good, NOON, read, series } from './examples.ts';

await describeOnPostgres('several processes on one PostgreSQL', (server) => {
  async function openMany(count: number): Promise<Store[]> {
    const databaseUrl = await server().newDatabase();
    return Promise.all(Array.from({ length: count }, () => openStore({ databaseUrl })));
  }
  const closeAll = (stores: Store[]) => Promise.all(stores.map((s) => s.close()));

  it('migrate an empty database together', async () => {
    const applied: string[] = [];
    const databaseUrl = await server().newDatabase();
    const log = (line: string) => applied.push(line);
    const stores = await Promise.all([1, 2, 3, 4].map(() => openStore({ databaseUrl }, { log })));
    expect(new Set(applied).size).toBe(applied.length);
    expect(applied.length).toBeGreaterThan(0);
    for (const store of stores) {
      expect(await store.hosts()).toEqual([]);
    }
    await closeAll(stores);
  });

  it('write for the same new days at the same time', async () => {
    const stores = await openMany(4);
    const keys = stores.map((_, i) => `a${i}`);
    await stores[0]!.saveDiscovery(discovery({ archives: keys.map((key) => archive(key)) }), NOON);
    const saved = await Promise.all(
      stores.flatMap((store, n) =>
        // Each store writes to two archives, so that each archive has two writers.
        [keys[n]!, keys[(n + 1) % keys.length]!].map((key) =>
          store.saveReads(
            Array.from({ length: 10 }, (_, m) =>
              read(
                series(key, `m${m}`),
                Array.from({ length: 20 }, (_, d) => good(daysBefore(d), n)),
              ),
            ),
            NOON,
          ),
        ),
      ),
    );
    const total = 4 * 10 * 20;
    expect(saved.reduce((sum, s) => sum + s.inserted, 0)).toBe(total);
    expect(saved.reduce((sum, s) => sum + s.updated, 0)).toBe(total);
    expect(await stores[3]!.sampleCounts()).toEqual({
      total,
      byVerdict: [{ verdict: 'good', count: total }],
    });
    await closeAll(stores);
  });

  it('have one leader, and another once that is done', async () => {
    const [first, second] = (await openMany(2)) as [Store, Store];
    const seen = await first.withLeadership(() => second.withLeadership(async () => 'second'));
    expect(seen).toBe('not-leader');
    expect(await second.withLeadership(async () => 'second')).toBe('second');
    await closeAll([first, second]);
  });

  it('go on after the server has cut their connections', async () => {
    const lines: string[] = [];
    const databaseUrl = await server().newDatabase();
    const store = await openStore({ databaseUrl }, { log: (line) => lines.push(line) });
    const cut = () =>
      server().run("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'lark'");
    const led = store.withLeadership(async () => {
      await cut();
      return 'done';
    });
    await expect(led).rejects.toThrow(StoreError);
    expect(await store.withLeadership(async () => 'again')).toBe('again');
    await cut();
    await expect.poll(() => store.hosts().catch(() => 'still broken')).toEqual([]);
    await store.close();
  });

  it('share it with one that was killed', async () => {
    const databaseUrl = await server().newDatabase();
    const writer = startWriter({ databaseUrl });
    await writer.said('0');
    const store = await openStore({ databaseUrl });
    await writer.kill();
    await store.saveReads([read(series('a', 'm0'), [good(NOON, 1)])], NOON);
    await store.close();
  });
});

await describeOnPostgres('a PostgreSQL that cannot be used is explained in one sentence', (server) => {
  async function refusal(databaseUrl: string): Promise<string> {
    const error = await openStore({ databaseUrl }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(StoreError);
    expect((error as StoreError).message).not.toContain('\n');
    return (error as StoreError).message;
  }

  it('wrong password, which is not repeated', async () => {
    const url = new URL(await server().newDatabase());
    url.username = PASSWORD_ROLE;
    url.password = 'wrong-one';
    const message = await refusal(url.href);
    expect(message).toContain('the user name or the password is wrong');
    expect(message).not.toContain('wrong-one');
  });

  it('right password; a user who may not make tables', async () => {
    const url = new URL(await server().newDatabase());
    url.username = PASSWORD_ROLE;
    url.password = 'right';
    expect(await refusal(url.href)).toContain('this user may not do that');
  });

  it('no password where one is asked for', async () => {
    const url = new URL(await server().newDatabase());
    url.username = PASSWORD_ROLE;
    expect(await refusal(url.href)).toContain('password');
  });

  it('no such database', async () => {
    const url = new URL(await server().newDatabase());
    url.pathname = '/missing';
    expect(await refusal(url.href)).toContain('there is no such database; create it');
  });

  it('no server: socket, port, name', async () => {
    expect(await refusal('postgres://u@localhost/db?host=/nonexistent')).toContain('there is no such socket');
    expect(await refusal('postgres://u:secret@127.0.0.1:9/db')).toMatch(
      /^PostgreSQL at postgres:\/\/u:\*\*\*@127.0.0.1:9\/db cannot be used: nothing listens there/,
    );
    expect(await refusal('postgres://u@no-such-host.invalid/db')).toContain('its host name');
  });
});
