import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPglite } from '../../src/store/pglite.ts';
import { ignoreSignals, serve } from '../spider/child.ts';

/**
 * The same database without the store: rows of the same shape as blocks, written by one insert for each megabyte into
 * one table with the same key, and read by one query for each megabyte. Nothing is compared, counted or taken apart.
 */
ignoreSignals();
const folder = await mkdtemp(join(tmpdir(), 'lark-bench-store-'));
const database = await openPglite(join(folder, 'store'));
await database.script(`create table blocks (
  at timestamptz not null, series_id integer not null, count integer not null, data bytea not null,
  primary key (series_id, at));
  alter table blocks alter column data set storage external;`);
const STATEMENT_BYTES = 1 << 20;

const handlers = {
  /** Seconds to write so many blocks of so many bytes; `offset` keeps their keys apart from those of other calls. */
  async write(blocks: number, bytes: number, offset: number): Promise<number> {
    const atOnce = Math.max(1, Math.floor(STATEMENT_BYTES / bytes));
    const data = crypto.getRandomValues(new Uint8Array(bytes));
    let seconds = 0;
    for (let first = 0; first < blocks; first += atOnce) {
      const count = Math.min(atOnce, blocks - first);
      const all = new Uint8Array(count * bytes);
      for (let i = 0; i < count; i++) all.set(data, i * bytes);
      const started = performance.now();
      await database.query(
        `insert into blocks select to_timestamp(0), $1 + i, 120, substr($2::bytea, 1 + (i - 1) * $3::integer, $3::integer)
         from generate_series(1, $4::integer) as i`,
        [offset + first, all, bytes, count],
      );
      seconds += (performance.now() - started) / 1000;
    }
    return seconds;
  },
  /** Seconds to read them again. */
  async read(blocks: number, bytes: number, offset: number): Promise<number> {
    const atOnce = Math.max(1, Math.floor(STATEMENT_BYTES / bytes));
    const started = performance.now();
    for (let first = 0; first < blocks; first += atOnce) {
      await database.query(
        "select string_agg(data, '') from blocks where series_id > $1 and series_id <= $1 + $2",
        [offset + first, atOnce],
      );
    }
    return (performance.now() - started) / 1000;
  },
};

export type FloorHandlers = typeof handlers;

serve(handlers, async () => {
  await database.close();
  await rm(folder, { recursive: true, force: true });
});
