import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireLock, lockHolder } from '../../../src/store/directory-lock.ts';

const NOW = new Date('2026-11-21T12:00:00Z');

describe('the lock of a directory', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lark-lock-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const put = (generation: number, content: string) =>
    writeFile(join(directory, `lock.${generation}`), content);
  const names = async () => (await readdir(directory)).sort();

  it('is nobody’s where there is no lock, or no directory', async () => {
    expect(await lockHolder(directory)).toBeUndefined();
    expect(await lockHolder(join(directory, 'missing'))).toBeUndefined();
  });

  it('names its holder and where that answers, until it is released', async () => {
    const lock = await acquireLock(directory, NOW);
    expect(await lockHolder(directory)).toEqual({ pid: process.pid, startedAt: NOW });
    await lock.announceApi('http://127.0.0.1:8471/', 'secret');
    expect(await lockHolder(directory)).toEqual({
      pid: process.pid,
      startedAt: NOW,
      apiUrl: 'http://127.0.0.1:8471/',
      apiToken: 'secret',
    });
    await lock.release();
    expect(await lockHolder(directory)).toBeUndefined();
    await (await acquireLock(directory, NOW)).release();
    expect(await names()).toEqual(['lock.2']);
  });

  it('goes to one of many who take it at once, from a holder that is dead', async () => {
    // Above the kernel's largest pid.
    await put(7, JSON.stringify({ pid: 2 ** 22 + 1, startedAt: NOW.toISOString() }));
    const taken = await Promise.allSettled(Array.from({ length: 25 }, () => acquireLock(directory, NOW)));
    expect(taken.filter((t) => t.status === 'fulfilled')).toHaveLength(1);
    for (const t of taken) {
      if (t.status === 'rejected') {
        expect(String(t.reason)).toContain('already open in this process');
      }
    }
    expect(await names()).toEqual(['lock.8']);
  });

  it('is not its holder’s any more when a later process has the same pid', async () => {
    const processStart = '00000000-0000-0000-0000-000000000000/12345';
    await put(1, JSON.stringify({ pid: process.ppid, startedAt: NOW.toISOString(), processStart }));
    expect(await lockHolder(directory)).toBeUndefined();
    await (await acquireLock(directory, NOW)).release();
  });

  it('stands while its holder lives, with what to do', async () => {
    await put(1, JSON.stringify({ pid: process.ppid, startedAt: NOW.toISOString() }));
    await expect(acquireLock(directory, NOW)).rejects.toThrow(
      `The store in ${directory} is in use by process ${process.ppid} (since 2026-11-21T12:00:00.000Z): ` +
        'ask it through its API, stop it, or use PostgreSQL (DATABASE_URL), which several processes can share.',
    );
    expect(await names()).toEqual(['lock.1']);
  });

  it('is free where a power cut left the file without its content', async () => {
    await put(1, '');
    await (await acquireLock(directory, NOW)).release();
    expect(await names()).toEqual(['lock.2']);
  });
});
