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
import { PGlite, type Transaction } from '@electric-sql/pglite';
import {
  type Database,
  type Parameter,
  parseBigint,
  plainParameters,
  type Queryable,
  TYPE_OIDS,
} from './database.ts';
import { acquireLock, type DirectoryLock } from './directory-lock.ts';
import { errorCode, errorMessage, StoreError } from './error.ts';
import { Gate } from './gate.ts';
import { newestPartitions } from './partitions.ts';

export interface PgliteDatabase extends Database {
  readonly kind: 'pglite';
  announceApi(url: string, token: string): Promise<void>;
}

const run = promisify(execFile);
const INIT = fileURLToPath(new URL('./pglite-init.ts', import.meta.url));
const UNFINISHED = 'data.new';
const INIT_LIMIT_MS = 120_000;

/**
 * V8 takes 600 MB for a moment to optimize one function of PostgreSQL's, the largest, which soon is a hot one. As its
 * baseline compiler makes them, statements take about a fifth longer, and that is all that they take.
 */
const WITHOUT_WASM_OPTIMIZER = ['--no-wasm-tier-up', '--no-wasm-dynamic-tiering'];

/** Part of this process's memory; the kernel's page cache holds the rest of what is read often. PGlite's own: 128 MB. */
const SHARED_BUFFERS = '32MB';

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

async function openData(directory: string): Promise<PGlite> {
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
  return PGlite.create({
    dataDir: data,
    startParams: [...PGlite.defaultStartParams, '-c', `shared_buffers=${SHARED_BUFFERS}`],
    parsers: {
      [TYPE_OIDS.int8]: parseBigint,
      [TYPE_OIDS.numeric]: Number,
      // PGlite's own takes a call for each byte.
      [TYPE_OIDS.bytea]: (text: string) => Buffer.from(text.slice(2), 'hex'),
    },
    serializers: {
      [TYPE_OIDS.bytea]: (bytes: Uint8Array) =>
        `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`,
    },
  });
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
  readonly #pglite: PGlite;
  readonly #gate: Gate;
  #leading = false;

  constructor(directory: string, lock: DirectoryLock, pglite: PGlite) {
    this.#directory = directory;
    this.#lock = lock;
    this.#pglite = pglite;
    // PGlite itself lets one statement or transaction through at a time.
    this.#gate = new Gate(`The store in ${directory}`, Number.POSITIVE_INFINITY);
  }

  describe(): string {
    return `PGlite in ${this.#directory}`;
  }

  query<Row>(sql: string, parameters: readonly Parameter[] = []): Promise<Row[]> {
    return this.#guard(() => query<Row>(this.#pglite, sql, parameters));
  }

  script(sql: string): Promise<void> {
    return this.#guard(() => script(this.#pglite, sql));
  }

  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return this.#guard(() =>
      this.#pglite.transaction((tx) =>
        work({
          query: (sql, parameters = []) => query(tx, sql, parameters),
          script: (sql) => script(tx, sql),
        }),
      ),
    );
  }

  raw(sql: string, values: readonly unknown[] = []): Promise<{ rows: unknown[] }> {
    return this.#guard(async () => {
      if (values.length > 0) return this.#pglite.query(sql, [...values]);
      const results = await this.#pglite.exec(sql);
      return { rows: results.flatMap(({ rows }) => rows) };
    });
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
    return this.#gate.close(() => this.#pglite.close().finally(() => this.#lock.release()));
  }

  #guard<T>(work: () => Promise<T>): Promise<T> {
    return this.#gate.through(async () => {
      try {
        return await work();
      } catch (error) {
        throw refused(error);
      }
    });
  }
}

async function query<Row>(
  on: PGlite | Transaction,
  sql: string,
  parameters: readonly Parameter[],
): Promise<Row[]> {
  return (await on.query<Row>(sql, plainParameters(parameters))).rows;
}

async function script(on: PGlite | Transaction, sql: string): Promise<void> {
  await on.exec(sql);
}

/** Only the database's own errors are wrapped: what a transaction's `work` throws passes through unchanged. */
function refused(error: unknown): unknown {
  return error instanceof Error && error.name === 'error' && 'severity' in error
    ? new StoreError(`The store's database (PGlite) refused a statement: ${error.message}`, {
        cause: error,
        code: errorCode(error),
      })
    : error;
}
