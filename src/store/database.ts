/**
 * The one small interface behind which PGlite and PostgreSQL look alike: the same SQL, the same parameters, the same
 * JavaScript values back. timestamptz comes as `Date`; bytea as `Uint8Array`; bigint and numeric as `number` (a bigint beyond 2^53 as
 * `bigint`); json and jsonb parsed.
 */

/** Bytes are for bytea; they are given away, and nobody but the database may use them afterwards. */
export type Parameter = string | number | boolean | Date | Uint8Array | null | undefined;

export interface Queryable {
  /** One statement. Throws StoreError. */
  query<Row>(sql: string, parameters?: readonly Parameter[]): Promise<Row[]>;
  /** Any number of statements, without parameters. Throws StoreError. */
  script(sql: string): Promise<void>;
}

export interface Transaction extends Queryable {
  /**
   * One statement after another, up to the first that fails, where nobody wants their rows: to PGlite's thread and back is a
   * long way while this one is busy. Throws StoreError.
   */
  queryAll(statements: readonly Statement[]): Promise<void>;
}

export type Statement = readonly [sql: string, parameters: readonly Parameter[]];

export interface Database extends Queryable {
  readonly kind: 'pglite' | 'postgres';
  /** For people; never holds a password. */
  describe(): string;
  /**
   * Commits when `work` resolves, rolls back when it throws. `work` must use the handle it is given and nothing else:
   * on PGlite, the only connection is taken until the transaction is over.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /**
   * Runs `work` unless another process, or another call in this one, is leading. Who loses the connection to PostgreSQL
   * loses the lead at that moment, but learns of it only by the StoreError that is thrown after `work`.
   */
  asLeader<T>(work: () => Promise<T>): Promise<T | 'not-leader'>;
  /**
   * A statement with values of any kind, or any number of statements without; for a library that brings SQL of its own
   * (pg-boss). All rows of all statements.
   */
  raw(sql: string, values?: readonly unknown[]): Promise<{ rows: unknown[] }>;
  /** What a PostgreSQL server does in the background by itself. */
  maintain(): Promise<void>;
  /** Lets running statements finish. A second call does nothing. */
  close(): Promise<void>;
}

/** int8 and numeric arrive as text; both drivers are given the same parsers. */
export function parseBigint(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

export const TYPE_OIDS = { bytea: 17, int8: 20, numeric: 1700 } as const;

/** A Date as ISO text: node-postgres would write it in the process's own time zone, PGlite in UTC. */
export function plainParameters(
  parameters: readonly Parameter[],
): (string | number | boolean | Uint8Array | null)[] {
  return parameters.map((p) => (p instanceof Date ? p.toISOString() : (p ?? null)));
}
