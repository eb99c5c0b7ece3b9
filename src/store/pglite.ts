/**
 * The embedded PostgreSQL: PGlite over a directory.
 *
 *     <directory>/data      the database
 *     <directory>/lock.<n>  who has it open (directory-lock.ts)
 *
 * A commit survives the process's death at any moment (kill -9): it has reached the kernel. It may not survive the
 * machine's: PGlite's file system has no fsync. Where a power cut must cost nothing, use PostgreSQL.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { type Database, type Parameter, plainParameters, type Transaction } from './database.ts';
import { acquireLock, type DirectoryLock } from './directory-lock.ts';
import { errorCode, errorMessage, StoreError } from './error.ts';
import { Gate } from './gate.ts';
import { ownedBuffers } from './owned-buffers.ts';
import { newestPartitions } from './partitions.ts';
import type { Answer, Failure, Order, Statement, ThreadOptions } from './pglite-thread.ts';

export interface PgliteDatabase extends Database {
  readonly kind: 'pglite';
  announceApi(url: string, token: string): Promise<void>;
}

const run = promisify(execFile);
const INIT = fileURLToPath(new URL('./pglite-init.ts', import.meta.url));
const THREAD = new URL('./pglite-thread.ts', import.meta.url);
const UNFINISHED = 'data.new';
const INIT_LIMIT_MS = 120_000;

/**
 * V8 takes 600 MB for a moment to optimize one function of PostgreSQL's, the largest, which soon is a hot one. As its
 * baseline compiler makes them, statements take about a fifth longer, and that is all that they take.
 */
const WITHOUT_WASM_OPTIMIZER = ['--no-wasm-tier-up', '--no-wasm-dynamic-tiering'];

/**
 * The buffers are a part of this process's memory; the kernel's page cache holds the rest of what is read often. PGlite's own:
 * 128 MB. `full_page_writes` stays on, though nothing is synced: kill -9 in the middle of a write leaves half a page too.
 */
const SETTINGS = {
  shared_buffers: '8MB',
  wal_buffers: '1MB',
  // A new segment of 16 MB is not filled with zeros first, which takes as much memory and a tenth of all processor time.
  wal_init_zero: 'off',
};

/** Rewritten every cycle; so are the newest blocks of samples, in partitions that change their names. */
const BUSY_TABLES = [
  'hosts',
  'archives',
  'archive_reports',
  'discovery_sources',
  'series',
  'checkpoints',
  'sample_totals',
  'sites',
  'site_assignments',
  'estimates',
  'breakers',
  'publications',
];

/** @throws StoreError when the directory cannot be used, or another process has it open. */
export async function openPglite(where: string): Promise<PgliteDatabase> {
  const directory = resolve(where);
  let lock: DirectoryLock;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    lock = await acquireLock(directory, new Date());
  } catch (error) {
    throw error instanceof StoreError ? error : unusable(directory, error);
  }
  try {
    return new Pglite(directory, lock, await openData(directory));
  } catch (error) {
    await lock.release();
    throw unusable(directory, error);
  }
}

async function openData(directory: string): Promise<Thread> {
  const data = join(directory, 'data');
  if (!(await exists(data))) {
    // An initialisation that was cut short is not recognisable as such: so it happens aside, and counts once renamed;
    // and in a folder of its own, since that of a killed process may still be under way.
    for (const name of await readdir(directory)) {
      if (name.startsWith(UNFINISHED))
        await rm(join(directory, name), { recursive: true, force: true, maxRetries: 3 });
    }
    const unfinished = await mkdtemp(join(directory, UNFINISHED));
    await run(process.execPath, [...WITHOUT_WASM_OPTIMIZER, INIT, unfinished], { timeout: INIT_LIMIT_MS });
    await rename(unfinished, data);
  }
  for (const flag of WITHOUT_WASM_OPTIMIZER) setFlagsFromString(flag);
  return Thread.start({ dataDirectory: data, settings: SETTINGS });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') {
      return false;
    }
    throw error;
  }
}

function unusable(directory: string, cause: unknown): StoreError {
  const code = errorCode(cause);
  const why =
    code === 'EACCES' || code === 'EPERM'
      ? 'permission denied; give this user the directory, or choose another'
      : code === 'ENOTDIR' || code === 'EEXIST'
        ? 'a part of the path is a file, not a directory'
        : errorMessage(cause);
  return new StoreError(`The store in ${directory} cannot be opened: ${why}`, { cause, code });
}

class Pglite implements PgliteDatabase {
  readonly kind = 'pglite';
  readonly #directory: string;
  readonly #lock: DirectoryLock;
  readonly #thread: Thread;
  readonly #gate: Gate;
  #transactions = 0;
  #leading = false;

  constructor(directory: string, lock: DirectoryLock, thread: Thread) {
    this.#directory = directory;
    this.#lock = lock;
    this.#thread = thread;
    // PGlite itself lets one statement or transaction through at a time.
    this.#gate = new Gate(`The store in ${directory}`, Number.POSITIVE_INFINITY);
  }

  describe(): string {
    return `PGlite in ${this.#directory}`;
  }

  async query<Row>(sql: string, parameters: readonly Parameter[] = []): Promise<Row[]> {
    return (await this.#run({ sql, parameters: plainParameters(parameters) })) as Row[];
  }

  async script(sql: string): Promise<void> {
    await this.#run({ sql });
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#gate.through(async () => {
      const transaction = ++this.#transactions;
      await this.#thread.ask({ do: 'begin', transaction });
      const run = (statement: Statement) => this.#thread.ask({ do: 'run', ...statement, transaction });
      let result: T;
      try {
        result = await work({
          query: async <Row>(sql: string, parameters: readonly Parameter[] = []) =>
            (await run({ sql, parameters: plainParameters(parameters) })) as Row[],
          script: async (sql) => void (await run({ sql })),
          queryAll: async (statements) => {
            const bound = statements.map(([sql, parameters]) => ({
              sql,
              parameters: plainParameters(parameters),
              transaction,
            }));
            await this.#thread.ask({ do: 'runAll', statements: bound });
          },
        });
      } catch (error) {
        await this.#thread.ask({ do: 'rollback', transaction });
        throw error;
      }
      await this.#thread.ask({ do: 'commit', transaction });
      return result;
    });
  }

  async raw(sql: string, values: readonly unknown[] = []): Promise<{ rows: unknown[] }> {
    return { rows: await this.#run(values.length > 0 ? { sql, parameters: values } : { sql }) };
  }

  async asLeader<T>(work: () => Promise<T>): Promise<T | 'not-leader'> {
    if (this.#leading) {
      return 'not-leader';
    }
    this.#leading = true;
    try {
      return await work();
    } finally {
      this.#leading = false;
    }
  }

  /**
   * PGlite runs in one process, without PostgreSQL's autovacuum, and in that mode WAL alone never causes a checkpoint:
   * left alone, tables that change every cycle and the WAL grow until the next start.
   */
  async maintain(): Promise<void> {
    await this.query(`vacuum (analyze) ${BUSY_TABLES.join(', ')}`);
    const partitions = await newestPartitions(this);
    if (partitions.length > 0) await this.query(`vacuum ${partitions.join(', ')}`);
    await this.query('checkpoint');
  }

  announceApi(url: string, token: string): Promise<void> {
    return this.#lock.announceApi(url, token);
  }

  close(): Promise<void> {
    return this.#gate.close(() => this.#thread.close().finally(() => this.#lock.release()));
  }

  #run(statement: Statement): Promise<unknown[]> {
    return this.#gate.through(() => this.#thread.ask({ do: 'run', ...statement }));
  }
}

/** This side of pglite-thread.ts. The process lives on for the thread's sake only while an answer is awaited. */
class Thread {
  readonly #worker: Worker;
  readonly #ended: Promise<unknown>;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown[]>>();
  #asked = 0;
  #end: StoreError | undefined;

  /** @throws StoreError when PGlite cannot open its data */
  static async start(options: ThreadOptions): Promise<Thread> {
    const thread = new Thread(options);
    try {
      await thread.#answer(0);
    } catch (error) {
      await thread.#worker.terminate();
      throw error;
    }
    return thread;
  }

  private constructor(options: ThreadOptions) {
    this.#worker = new Worker(THREAD, {
      workerData: options,
      resourceLimits: { maxYoungGenerationSizeMb: 3 },
    });
    this.#worker.on('message', ({ id, ...said }: Answer) => {
      const question = this.#waiting.get(id)!;
      this.#forget(id);
      if ('rows' in said) question.resolve(said.rows);
      else question.reject(storeError(said.failure));
    });
    this.#worker.on('error', (error) => this.#fail(error));
    this.#ended = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#fail(new Error(`its thread ended with ${code}`));
        resolve(undefined);
      });
    });
  }

  /** @throws StoreError */
  ask(order: Order): Promise<unknown[]> {
    if (this.#end) return Promise.reject(this.#end);
    this.#asked += 1;
    const answer = this.#answer(this.#asked);
    const statements = order.do === 'run' ? [order] : order.do === 'runAll' ? order.statements : [];
    const given = statements.flatMap(({ parameters }) => ownedBuffers(parameters ?? []));
    this.#worker.postMessage({ id: this.#asked, order }, given);
    return answer;
  }

  async close(): Promise<void> {
    await this.ask({ do: 'close' });
    this.#worker.ref();
    await this.#ended;
  }

  #answer(id: number): Promise<unknown[]> {
    const question = Promise.withResolvers<unknown[]>();
    this.#waiting.set(id, question);
    this.#worker.ref();
    return question.promise;
  }

  #forget(id: number): void {
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker.unref();
  }

  #fail(cause: Error): void {
    this.#end ??= new StoreError(`The store's database (PGlite) broke: ${errorMessage(cause)}`, { cause });
    for (const [id, { reject }] of this.#waiting) {
      this.#forget(id);
      reject(this.#end);
    }
  }
}

function storeError({ message, code, isRefusal }: Failure): StoreError {
  const what = isRefusal ? 'refused a statement' : 'failed';
  return new StoreError(`The store's database (PGlite) ${what}: ${message}`, { code });
}
