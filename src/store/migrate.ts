/** Numbered SQL files, each applied once, in its own transaction, in order. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { Database } from './database.ts';
import { StoreError } from './error.ts';
import { ADVISORY_LOCKS } from './locks.ts';

export interface Migration {
  number: number;
  name: string;
  sql: string;
  checksum: string;
}

const SQL_DIRECTORY = new URL('../../sql/', import.meta.url);

/** `NNN-name.sql`, numbered from 1 without a gap. @throws StoreError for any other file there. */
export async function readMigrations(directory: URL = SQL_DIRECTORY): Promise<Migration[]> {
  const migrations: Migration[] = [];
  for (const name of (await readdir(directory)).sort()) {
    const number = Number(/^(\d{3})-[a-z0-9-]+\.sql$/.exec(name)?.[1]);
    if (number !== migrations.length + 1) {
      throw new StoreError(
        `Migration ${migrations.length + 1} was expected in sql/, not "${name}": files are named NNN-name.sql, ` +
          'numbered from 001 without a gap.',
      );
    }
    // Git may have checked the file out with the line ends of another system.
    const sql = (await readFile(new URL(name, directory), 'utf8')).replaceAll('\r\n', '\n');
    migrations.push({ number, name, sql, checksum: createHash('sha256').update(sql).digest('hex') });
  }
  return migrations;
}

/**
 * Brings the database up to the last of `migrations`; gives the names of those it applied. Processes that migrate at
 * once wait for each other.
 *
 * @throws StoreError when an applied migration was changed since, or the database is ahead of these migrations.
 */
export async function migrate(db: Database, migrations: readonly Migration[]): Promise<string[]> {
  await checkApplied(db, migrations);
  const names: string[] = [];
  for (const migration of migrations) {
    const applied = await db.transaction(async (tx) => {
      await tx.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.migrations]);
      const done = await tx.query('select 1 from migrations where number = $1', [migration.number]);
      if (done.length > 0) {
        return false;
      }
      await tx.script(migration.sql);
      await tx.query('insert into migrations (number, name, checksum) values ($1, $2, $3)', [
        migration.number,
        migration.name,
        migration.checksum,
      ]);
      return true;
    });
    if (applied) {
      names.push(migration.name);
    }
  }
  return names;
}

async function checkApplied(db: Database, migrations: readonly Migration[]): Promise<void> {
  const applied = await db.transaction(async (tx) => {
    // Under the lock, as "if not exists" alone fails when two do it at the same moment.
    await tx.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.migrations]);
    await tx.script(`create table if not exists migrations (
      number integer primary key,
      name text not null,
      checksum text not null,
      applied_at timestamptz not null default now()
    )`);
    return tx.query<{ number: number; name: string; checksum: string }>(
      'select number, name, checksum from migrations order by number',
    );
  });
  for (const { number, name, checksum } of applied) {
    const known = migrations[number - 1];
    if (!known) {
      throw new StoreError(
        `${db.describe()} is newer than this Lark: it has migration ${name}, which is not among ours. Update Lark.`,
      );
    }
    if (known.checksum !== checksum) {
      throw new StoreError(
        `Migration ${known.name} was changed after ${db.describe()} had applied it as ${name}. Restore the file, and ` +
          'put the change into a new migration.',
      );
    }
  }
}
