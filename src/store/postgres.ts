/** PostgreSQL 15 or newer through a `pg` pool. */
import pg from 'pg';
import {
  type Database,
  type Parameter,
  parseBigint,
  plainParameters,
  type Transaction,
  TYPE_OIDS,
} from './database.ts';
import { errorCode, errorMessage, StoreError } from './error.ts';
import { Gate } from './gate.ts';
import { ADVISORY_LOCKS } from './locks.ts';

const OLDEST_SERVER = 150_000;
/** Per process; PostgreSQL's own default is to accept a hundred in all. */
const CONNECTIONS = 10;

/** @throws StoreError for what is no PostgreSQL URL, a server that does not answer or accept us, or one before 15. */
export async function openPostgres(databaseUrl: string, log: (line: string) => void): Promise<Database> {
  const shown = maskedUrl(databaseUrl);
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    application_name: 'lark',
    max: CONNECTIONS,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    statement_timeout: 300_000,
    types: { getTypeParser },
  });
  // An idle connection that breaks is replaced when next needed; without a listener, it would end the process.
  pool.on('error', (error) => log(`A connection to ${shown} broke: ${error.message}`));
  const database = new Postgres(pool, shown);
  try {
    const [server] = await database.query<{ version: string; name: string }>(
      "select current_setting('server_version_num') as version, current_setting('server_version') as name",
    );
    if (Number(server?.version) < OLDEST_SERVER) {
      throw new StoreError(`${shown} is PostgreSQL ${server?.name}; Lark needs 15 or newer.`);
    }
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** The URL with its password, wherever it stands, as `***`. @throws StoreError when it is no PostgreSQL URL. */
export function maskedUrl(databaseUrl: string): string {
  let url: URL;
  try {
    url = new URL(databaseUrl);
  } catch (cause) {
    throw new StoreError(
      'The database URL cannot be read; it has the form postgres://user:password@host:5432/database.',
      { cause },
    );
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') {
    throw new StoreError(`The database URL must begin with postgres://, not with ${url.protocol}//.`);
  }
  if (url.password !== '') {
    url.password = '***';
  }
  if (url.searchParams.has('password')) {
    url.searchParams.set('password', '***');
  }
  return url.href;
}

function getTypeParser(oid: number, format?: 'text' | 'binary'): unknown {
  if (oid === TYPE_OIDS.int8) {
    return parseBigint;
  }
  return oid === TYPE_OIDS.numeric ? Number : pg.types.getTypeParser(oid, format);
}

class Postgres implements Database {
  readonly kind = 'postgres';
  readonly #pool: pg.Pool;
  readonly #shown: string;
  readonly #gate: Gate;

  constructor(pool: pg.Pool, shown: string) {
    this.#pool = pool;
    this.#shown = shown;
    this.#gate = new Gate(this.describe(), CONNECTIONS);
  }

  describe(): string {
    return `PostgreSQL at ${this.#shown}`;
  }

  query<Row>(sql: string, parameters: readonly Parameter[] = []): Promise<Row[]> {
    return this.#gate.through(() => this.#explain(() => query<Row>(this.#pool, sql, parameters)));
  }

  script(sql: string): Promise<void> {
    return this.#gate.through(() => this.#explain(() => script(this.#pool, sql)));
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#onConnection(async (tx) => {
      await tx.script('begin');
      const result = await work(tx);
      await tx.script('commit');
      return result;
    });
  }

  raw(sql: string, values: readonly unknown[] = []): Promise<{ rows: unknown[] }> {
    return this.#gate.through(() =>
      this.#explain(async () => {
        // Without values the driver lets several statements through, and answers with a list.
        const result: pg.QueryResult | pg.QueryResult[] =
          values.length > 0 ? await this.#pool.query(sql, [...values]) : await this.#pool.query(sql);
        return { rows: (Array.isArray(result) ? result : [result]).flatMap(({ rows }) => rows) };
      }),
    );
  }

  /** The advisory lock belongs to one connection, and the server frees it when that ends, however it ends. */
  asLeader<T>(work: () => Promise<T>): Promise<T | 'not-leader'> {
    return this.#onConnection(async (connection) => {
      const [row] = await connection.query<{ leader: boolean }>('select pg_try_advisory_lock($1) as leader', [
        ADVISORY_LOCKS.leader,
      ]);
      if (row?.leader !== true) {
        return 'not-leader';
      }
      const result = await work();
      await connection.query('select pg_advisory_unlock($1)', [ADVISORY_LOCKS.leader]);
      return result;
    });
  }

  async maintain(): Promise<void> {}

  close(): Promise<void> {
    return this.#gate.close(() => this.#pool.end());
  }

  /**
   * One connection for all of `work`. When that throws, the connection is closed instead of reused: the server then
   * rolls back and frees its locks, in whatever state the connection was.
   */
  #onConnection<T>(work: (connection: Transaction) => Promise<T>): Promise<T> {
    return this.#gate.through(() => this.#withClient(work));
  }

  async #withClient<T>(work: (connection: Transaction) => Promise<T>): Promise<T> {
    const client = await this.#explain(() => this.#pool.connect());
    // Between two statements nobody awaits the client; its breaking then shows at the next statement.
    const ignore = () => {};
    client.on('error', ignore);
    let failed = true;
    try {
      const result = await work({
        query: (sql, parameters = []) => this.#explain(() => query(client, sql, parameters)),
        script: (sql) => this.#explain(() => script(client, sql)),
        queryAll: async (statements) => {
          for (const [sql, parameters] of statements)
            await this.#explain(() => query(client, sql, parameters));
        },
      });
      failed = false;
      return result;
    } finally {
      client.off('error', ignore);
      client.release(failed);
    }
  }

  /** Around the driver's calls only: what a caller's own work throws is not the database's doing. */
  async #explain<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const code = errorCode(error);
      const explanation = code === undefined ? undefined : EXPLANATIONS[code];
      const message = errorMessage(error);
      const what = explanation
        ? `cannot be used: ${explanation} (${message})`
        : error instanceof pg.DatabaseError
          ? `refused a statement: ${message}`
          : `does not answer: ${message}`;
      throw new StoreError(`${this.describe()} ${what}`, { cause: error, code });
    }
  }
}

const EXPLANATIONS: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there; start the server or correct the URL',
  ECONNRESET: 'the connection was cut',
  ENOENT: 'there is no such socket; start the server or correct the URL',
  ENOTFOUND: 'its host name is not known; correct the URL',
  EAI_AGAIN: 'its host name cannot be looked up now',
  EHOSTUNREACH: 'its host cannot be reached',
  ENETUNREACH: 'its network cannot be reached',
  ETIMEDOUT: 'its host does not answer',
  '28P01': 'the user name or the password is wrong',
  '28000': 'the server does not accept this user from here; see its pg_hba.conf',
  '3D000': 'there is no such database; create it',
  '42501': 'this user may not do that; let it own the database, or grant it create on the schema',
  '53300': 'the server has no connection left',
  '57P01': 'the server was stopped',
  '57P03': 'the server is starting up or shutting down',
};

async function query<Row>(
  on: pg.Pool | pg.PoolClient,
  sql: string,
  parameters: readonly Parameter[],
): Promise<Row[]> {
  return (await on.query(sql, plainParameters(parameters))).rows as Row[];
}

async function script(on: pg.Pool | pg.PoolClient, sql: string): Promise<void> {
  await on.query(sql);
}
