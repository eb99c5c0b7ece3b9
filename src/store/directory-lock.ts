/**
 * One process at a time in a PGlite directory: PGlite itself takes no lock, and two writers destroy the files.
 *
 * The lock is the highest-numbered `lock.<n>` file. It is held while the process named in it lives, and never passes
 * by deletion: whoever finds lock.n without a live holder creates lock.n+1, which the file system lets one process do.
 * (With a single file, two processes could both judge it stale, and the slower would delete the faster one's new lock.)
 */
import { randomUUID } from 'node:crypto';
import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, errorMessage, StoreError } from './error.ts';

export interface LockHolder {
  pid: number;
  startedAt: Date;
  /** Where the holder answers for other processes, once it does; and the word by which it knows who may read this. */
  apiUrl?: string;
  apiToken?: string;
}

export interface DirectoryLock {
  announceApi(url: string, token: string): Promise<void>;
  release(): Promise<void>;
}

interface LockFile {
  pid: number;
  startedAt: string;
  apiUrl?: string;
  apiToken?: string;
  /** Boot and start time of the process: tells it from a later one with the same pid. Absent where /proc is. */
  processStart?: string;
}

/**
 * The live process that holds the directory; undefined when nobody does, or there is no such directory.
 *
 * @throws StoreError when this user may not look.
 */
export async function lockHolder(directory: string): Promise<LockHolder | undefined> {
  let lock: LockFile | undefined;
  try {
    const generation = await highestGeneration(directory);
    lock = generation === 0 ? undefined : await liveLock(lockPath(directory, generation));
  } catch (cause) {
    throw new StoreError(`The store in ${directory} cannot be looked at: ${errorMessage(cause)}`, {
      cause,
      code: errorCode(cause),
    });
  }
  return (
    lock && {
      pid: lock.pid,
      startedAt: new Date(lock.startedAt),
      ...(lock.apiUrl !== undefined && { apiUrl: lock.apiUrl }),
      ...(lock.apiToken !== undefined && { apiToken: lock.apiToken }),
    }
  );
}

/** @throws StoreError when a live process, this one included, holds the directory. */
export async function acquireLock(directory: string, now: Date): Promise<DirectoryLock> {
  const processStart = await processStartOf(process.pid);
  const mine: LockFile = {
    pid: process.pid,
    startedAt: now.toISOString(),
    ...(processStart !== undefined && { processStart }),
  };
  for (;;) {
    const generation = await highestGeneration(directory);
    const holder = generation === 0 ? undefined : await liveLock(lockPath(directory, generation));
    if (holder) {
      throw heldBy(directory, holder);
    }
    const path = lockPath(directory, generation + 1);
    if (!(await createWhole(path, mine))) {
      continue;
    }
    // A file that a slow rival made below ours, or we below a faster one's, is no lock: only the highest counts.
    if ((await highestGeneration(directory)) !== generation + 1) {
      await rm(path, { force: true });
      continue;
    }
    await removeOlder(directory, generation + 1);
    return {
      async announceApi(url, token) {
        mine.apiUrl = url;
        mine.apiToken = token;
        await replaceWhole(path, mine);
      },
      // Emptied, not deleted: the number must never be used again.
      release: () => replaceWhole(path, {}),
    };
  }
}

function heldBy(directory: string, holder: LockFile): StoreError {
  if (holder.pid === process.pid) {
    return new StoreError(`The store in ${directory} is already open in this process.`, { code: 'HELD' });
  }
  const ask = holder.apiUrl === undefined ? 'ask it through its API' : `ask it at ${holder.apiUrl}`;
  return new StoreError(
    `The store in ${directory} is in use by process ${holder.pid} (since ${holder.startedAt}): ${ask}, stop it, ` +
      'or use PostgreSQL (DATABASE_URL), which several processes can share.',
    { code: 'HELD' },
  );
}

const LOCK_NAME = /^lock\.([1-9]\d{0,14})$/;

function lockPath(directory: string, generation: number): string {
  return join(directory, `lock.${generation}`);
}

async function generations(directory: string): Promise<number[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') {
      return [];
    }
    throw error;
  }
  return names.flatMap((name) => LOCK_NAME.exec(name)?.slice(1).map(Number) ?? []);
}

async function highestGeneration(directory: string): Promise<number> {
  return Math.max(0, ...(await generations(directory)));
}

async function removeOlder(directory: string, generation: number): Promise<void> {
  for (const older of await generations(directory)) {
    if (older < generation) {
      await rm(lockPath(directory, older), { force: true });
    }
  }
}

async function liveLock(path: string): Promise<LockFile | undefined> {
  let lock: Partial<LockFile>;
  try {
    lock = JSON.parse(await readFile(path, 'utf8')) as Partial<LockFile>;
  } catch (error) {
    // Gone in between, or (after a power cut) without its content: nobody's.
    if (errorCode(error) === 'ENOENT' || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
  const { pid, startedAt } = lock;
  if (pid === undefined || startedAt === undefined || !isAlive(pid)) {
    return undefined;
  }
  if (lock.processStart !== undefined && lock.processStart !== (await processStartOf(pid))) {
    return undefined;
  }
  return { ...lock, pid, startedAt };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, under another user.
    return errorCode(error) === 'EPERM';
  }
}

/** Boot id and start time in clock ticks since boot (proc(5), field 22 of stat); undefined where /proc is not. */
async function processStartOf(pid: number): Promise<string | undefined> {
  try {
    const [bootId, stat] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    // The command's name, in parentheses, may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A killed process whose parent has not yet waited for it: it holds nothing any more.
    return fields[0] === 'Z' ? undefined : `${bootId.trim()}/${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** The file appears with its whole content, or not at all; false when it is there already. */
async function createWhole(path: string, content: object): Promise<boolean> {
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, JSON.stringify(content), { mode: 0o600 });
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') {
      return false;
    }
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function replaceWhole(path: string, content: object): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, JSON.stringify(content), { mode: 0o600 });
  await rename(temporary, path);
}
