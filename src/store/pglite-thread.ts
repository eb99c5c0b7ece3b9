/**
 * PGlite in a thread of its own: PostgreSQL as WebAssembly blocks the thread that runs it for as long as a statement takes, and the
 * service has archives to read and questions to answer meanwhile. `pglite.ts` starts it, and is the only one to talk to it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite, type Transaction } from '@electric-sql/pglite';
import { collectYoung, garbageBound, releaseMemory } from '../collect.ts';
import { parseBigint, TYPE_OIDS } from './database.ts';
import { errorCode, errorMessage } from './error.ts';
import { ownedBuffers } from './owned-buffers.ts';

/** A statement's values, or any number of statements without. */
export interface Statement {
  sql: string;
  /** Absent: a script. */
  parameters?: readonly unknown[];
  /** The transaction it belongs to; absent: none. */
  transaction?: number;
}

/** `begin` is answered when the transaction's turn has come; it is the caller's until `commit` or `rollback`. */
export type Order =
  | ({ do: 'run' } & Statement)
  | { do: 'runAll'; statements: readonly Statement[] }
  | { do: 'begin' | 'commit' | 'rollback'; transaction: number }
  | { do: 'close' };

export interface Failure {
  message: string;
  /** SQLSTATE, or Node's error code. */
  code: string | undefined;
  /** The database refused a statement; else something about it broke. */
  isRefusal: boolean;
}

/** Answers come in any order; that to number 0 comes unasked, when the database is open. */
export type Answer = { id: number } & ({ rows: unknown[] } | { failure: Failure });

export interface ThreadOptions {
  dataDirectory: string;
  /** PostgreSQL's settings, by name. */
  settings: Record<string, string>;
}

/** What one transaction waits for: its end. */
interface Running {
  tx: Transaction;
  end: PromiseWithResolvers<'commit' | 'rollback'>;
  ended: Promise<void>;
}

/**
 * After so many bytes and characters that came or went, the thread collects its young garbage: each was there several times,
 * as a message, as a parameter, as parts of the protocol. V8 sees the half of it, and would wait for some hundred megabytes.
 */
const COLLECT_AFTER = 512 << 10;
/** What grew old meanwhile may be so much. */
const MOST_GARBAGE_BYTES = 16 << 20;
/** After so many, memory is given back to the machine; or after a part of that, when nothing was asked for this long. */
const RELEASE_AFTER = 16 << 20;
const RELEASE_IDLE_AFTER = 1 << 20;
const IDLE_MS = 400;
/** Since the last release. */
let moved = 0;
let movedWhenCollected = 0;
let idle: NodeJS.Timeout | undefined;

const boundGarbage = garbageBound(MOST_GARBAGE_BYTES);
const port = parentPort!;
const { dataDirectory, settings } = workerData as ThreadOptions;
const transactions = new Map<number, Running>();
let pglite: PGlite;

answer(0, async () => {
  pglite = await PGlite.create({
    dataDir: dataDirectory,
    startParams: [
      ...PGlite.defaultStartParams,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    parsers: {
      [TYPE_OIDS.int8]: parseBigint,
      [TYPE_OIDS.numeric]: Number,
      // PGlite's own takes a call for each byte.
      [TYPE_OIDS.bytea]: (text: string) => Buffer.from(text.slice(2), 'hex'),
    },
    // As they are: PGlite's own makes text of them, a call for each byte.
    serializers: { [TYPE_OIDS.bytea]: (bytes: Uint8Array) => bytes as unknown as string },
  });
  // To open it takes three times what it needs then.
  releaseMemory();
  return [];
});
port.on('message', async ({ id, order }: { id: number; order: Order }) => {
  await answer(id, () => execute(order));
  // With nobody left to listen to, the thread ends.
  if (order.do === 'close') port.close();
});

async function answer(id: number, work: () => Promise<unknown[]>): Promise<void> {
  let said: Answer;
  try {
    said = { id, rows: await work() };
  } catch (error) {
    said = { id, failure: failureOf(error) };
  }
  const values = 'rows' in said ? said.rows.flatMap((row): unknown[] => Object.values(row as object)) : [];
  moved += sizeOf(values);
  port.postMessage(said, ownedBuffers(values));
  clearTimeout(idle);
  if (moved >= RELEASE_AFTER) release();
  else if (moved >= RELEASE_IDLE_AFTER) idle = setTimeout(release, IDLE_MS).unref();
  collect();
}

function collect(): void {
  if (moved - movedWhenCollected >= COLLECT_AFTER) {
    movedWhenCollected = moved;
    collectYoung();
  }
  boundGarbage();
}

function release(): void {
  moved = 0;
  movedWhenCollected = 0;
  releaseMemory();
}

function sizeOf(values: readonly unknown[]): number {
  let size = 0;
  for (const value of values) {
    if (typeof value === 'string') size += value.length;
    else if (value instanceof Uint8Array) size += value.byteLength;
  }
  return size;
}

async function execute(order: Order): Promise<unknown[]> {
  switch (order.do) {
    case 'run':
      return run(order);
    case 'runAll':
      for (const statement of order.statements) {
        await run(statement);
        collect();
      }
      return [];
    case 'begin':
      await begin(order.transaction);
      return [];
    case 'commit':
    case 'rollback': {
      const { end, ended } = transactions.get(order.transaction)!;
      end.resolve(order.do);
      await ended;
      return [];
    }
    case 'close':
      await pglite.close();
      return [];
  }
}

async function run({ sql, parameters, transaction }: Statement): Promise<unknown[]> {
  const on = transaction === undefined ? pglite : transactions.get(transaction)!.tx;
  if (parameters) {
    moved += sizeOf(parameters);
    return (await on.query(sql, [...parameters])).rows;
  }
  const results = await on.exec(sql);
  return results.flatMap(({ rows }) => rows);
}

function begin(transaction: number): Promise<void> {
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<'commit' | 'rollback'>();
  const ended = pglite.transaction(async (tx) => {
    transactions.set(transaction, { tx, end, ended });
    begun.resolve();
    if ((await end.promise) === 'rollback') await tx.rollback();
  });
  ended.finally(() => transactions.delete(transaction)).catch(begun.reject);
  return begun.promise;
}

function failureOf(error: unknown): Failure {
  return {
    message: errorMessage(error),
    code: errorCode(error),
    isRefusal: error instanceof Error && error.name === 'error' && 'severity' in error,
  };
}
