import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { type Migration, migrate } from '../../../src/store/migrate.ts';
import { describeOnBoth, openDatabase } from './databases.ts';

function migration(number: number, sql: string): Migration {
  const checksum = createHash('sha256').update(sql).digest('hex');
  return { number, name: `00${number}-test.sql`, sql, checksum };
}

await describeOnBoth('migrations', (newLocation) => {
  it('are applied once, in order, each whole or not at all; changed and unknown ones are errors', async () => {
    const db = await openDatabase(await newLocation());
    const first = migration(1, 'create table t (i integer); insert into t values (1);');
    const second = migration(2, 'insert into t values (2); alter table t add column s text;');
    expect(await migrate(db, [first])).toEqual(['001-test.sql']);
    expect(await migrate(db, [first, second])).toEqual(['002-test.sql']);
    expect(await migrate(db, [first, second])).toEqual([]);
    expect(await db.query('select * from t order by i')).toEqual([
      { i: 1, s: null },
      { i: 2, s: null },
    ]);

    const broken = migration(3, 'insert into t values (3); insert into missing values (1);');
    await expect(migrate(db, [first, second, broken])).rejects.toThrow('missing');
    expect(await db.query('select count(*) as count from t')).toEqual([{ count: 2 }]);
    expect(await migrate(db, [first, second, migration(3, 'insert into t values (3);')])).toHaveLength(1);

    await expect(migrate(db, [first, migration(2, 'select 1;')])).rejects.toThrow(
      /^Migration 002-test.sql was changed after .* Restore the file/,
    );
    await expect(migrate(db, [first, second])).rejects.toThrow(
      'is newer than this Lark: it has migration 003',
    );
    await db.close();
  });

  it('leave the values that both drivers give alike', async () => {
    const db = await openDatabase(await newLocation());
    const at = new Date('2026-03-29T01:30:00.123Z');
    const [row] = await db.query(
      `select 9007199254740991::bigint as safe, 9007199254740993::bigint as unsafe, 12.5::numeric as numeric,
         0.1::float8 as float, $1::timestamptz as at, $2::boolean as flag, $3::text as nothing,
         '{"a": [1]}'::jsonb as json, array['x', null] as list`,
      [at, true, undefined],
    );
    expect(row).toEqual({
      safe: 9007199254740991,
      unsafe: 9007199254740993n,
      numeric: 12.5,
      float: 0.1,
      at,
      flag: true,
      nothing: null,
      json: { a: [1] },
      list: ['x', null],
    });
    await db.close();
  });

  it('transactions queue, are alone, and roll back whole when their work throws', async () => {
    const db = await openDatabase(await newLocation());
    await db.script('create table t (i integer)');
    const ours = new Error('ours');
    const failing = db.transaction(async (tx) => {
      await tx.query('insert into t values (1)');
      await new Promise((resolve) => setTimeout(resolve, 30));
      throw ours;
    });
    const seen = db.query('select * from t');
    await expect(failing).rejects.toBe(ours);
    expect(await seen).toEqual([]);
    const working = db.transaction(async (tx) => {
      await tx.query('insert into t values (2)');
      return tx.query<{ i: number }>('select i from t');
    });
    expect(await working).toEqual([{ i: 2 }]);
    // A statement that fails ends its transaction, not the connection.
    await expect(db.transaction((tx) => tx.query('select * from nowhere'))).rejects.toThrow('nowhere');
    expect(await db.query('select i from t')).toEqual([{ i: 2 }]);
    await db.close();
  });

  it('closing waits for what was begun, refuses what comes after, and may be asked for twice', async () => {
    const location = await newLocation();
    const db = await openDatabase(location);
    await db.script('create table t (i integer)');
    const begun = [1, 2, 3].map((i) =>
      db.transaction(async (tx) => {
        await tx.query('insert into t values ($1)', [i]);
        await new Promise((resolve) => setTimeout(resolve, 20));
        await tx.query('insert into t values ($1)', [-i]);
      }),
    );
    const asked = db.query('select 1 as one');
    await Promise.all([db.close(), db.close()]);
    await Promise.all(begun);
    expect(await asked).toEqual([{ one: 1 }]);
    await expect(db.query('select 1')).rejects.toThrow('is closed');
    await expect(db.transaction(async () => 1)).rejects.toThrow('is closed');

    const again = await openDatabase(location);
    expect(await again.query('select count(*) as count from t')).toEqual([{ count: 6 }]);
    await again.close();
  });
});
