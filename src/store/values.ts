/**
 * JavaScript values to and from SQL in bulk. Arrays go as PostgreSQL array literals made here: both drivers pass text
 * through, and their own array serialisers quote every number.
 */
import type { Queryable } from './database.ts';

/** Text as PostgreSQL can hold it: without NUL, which no text value may contain, and without lone surrogates. */
export function storableText(text: string): string {
  return text.replaceAll('\0', '').toWellFormed();
}

export function numberArray(values: Iterable<number | null | undefined>): string {
  const parts: string[] = [];
  for (const value of values) {
    parts.push(value === null || value === undefined ? 'NULL' : String(value));
  }
  return `{${parts.join(',')}}`;
}

export function textArray(values: Iterable<string | null | undefined>): string {
  const parts: string[] = [];
  for (const value of values) {
    parts.push(
      value === null || value === undefined
        ? 'NULL'
        : `"${storableText(value).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`,
    );
  }
  return `{${parts.join(',')}}`;
}

/** For `jsonb_to_recordset($1::jsonb)`; Dates become ISO text, absent keys NULL. */
export function jsonParameter(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'string' ? storableText(part) : part,
  );
}

/** SQL's NULL is our absent key. */
export type Nullable<T> = { [K in keyof T]: undefined extends T[K] ? T[K] | null : T[K] };

export function withoutNulls<T extends object>(row: Nullable<T>): T {
  // Not by taking keys away: V8 makes a table of such an object, of a kilobyte.
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(row)) if (value !== null) result[key] = value;
  return result as T;
}

/** Each text once, where a few are named again and again in what was parsed. */
export function sameTexts(): <T extends string>(text: T) => T {
  const texts = new Map<string, string>();
  return <T extends string>(text: T): T => {
    const known = texts.get(text);
    if (known === undefined) texts.set(text, text);
    return (known as T | undefined) ?? text;
  };
}

/**
 * Many rows as one JSON text: PGlite needs about 1 µs for each field of each row that crosses from the database, a
 * multiple of what parsing the same as JSON takes. `columns` are SQL expressions; a row comes as the tuple of them.
 */
export async function queryTuples<Tuple extends readonly unknown[]>(
  db: Queryable,
  columns: string,
  from: string,
  parameters: readonly (string | number | Date | null)[] = [],
): Promise<Tuple[]> {
  const [row] = await db.query<{ json: string | null }>(
    `select string_agg(json_build_array(${columns})::text, ',') as json from ${from}`,
    parameters,
  );
  return JSON.parse(`[${row?.json ?? ''}]`) as Tuple[];
}

/** Where there may be very many rows, so many cross at once: each crossing makes copies, and PGlite never gives memory back. */
const ROWS_AT_ONCE = 2000;

export function* inParts<T>(rows: readonly T[]): Generator<T[]> {
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) yield rows.slice(from, from + ROWS_AT_ONCE);
}

/**
 * Reads a table by its key, part after part. `ask` gets a condition with what follows it in the statement, and the values
 * of its parameters, which are the first; it gives tuples that begin with the key.
 * @param make what is kept of a tuple
 */
export async function byKey<Tuple extends readonly unknown[], Row>(
  key: readonly string[],
  ask: (condition: string, after: (string | number | null)[]) => Promise<Tuple[]>,
  make: (tuple: Tuple) => Row,
): Promise<Row[]> {
  const columns = key.join(', ');
  const places = key.map((_, i) => `$${i + 1}`).join(', ');
  const condition = `((${columns}) > (${places}) or $1 is null) order by ${columns} limit ${ROWS_AT_ONCE}`;
  const all: Row[] = [];
  let after: (string | number | null)[] = key.map(() => null);
  for (;;) {
    const part = await ask(condition, after);
    for (const tuple of part) all.push(make(tuple));
    if (part.length < ROWS_AT_ONCE) return all;
    after = part.at(-1)!.slice(0, key.length) as (string | number)[];
  }
}

/** SQL for a timestamptz as ms since 1970. */
export function epochMs(column: string): string {
  return `date_part('epoch', ${column}) * 1000`;
}

/** The Date for what `epochMs` gave: the multiplication may leave it a hair beside the whole number. */
export function dateFromMs(ms: number): Date {
  return new Date(Math.round(ms));
}
