import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Sample } from '../../../src/domain.ts';
import type { Database } from '../../../src/store/database.ts';
import { migrate, readMigrations } from '../../../src/store/migrate.ts';
import { openStore, type Store } from '../../../src/store/store.ts';
import { describeOnBoth, openDatabase } from './databases.ts';
import { archive, daysBefore, discovery, good, minutesBefore, NOON, read, series } from './examples.ts';

// Neither this process nor the test server is in UTC: nothing may depend on that.
process.env.TZ = 'America/St_Johns';

const MINUTE_MS = 60_000;
const ODD_VALUES = [0, -0.5, 0.1 + 0.2, 5e-324, 2 ** -1022, 1.5e-310, Number.MAX_VALUE, -1e300, null];

/** Every 97 minutes over nine days, good and not, in no order. */
const mixed: Sample[] = Array.from({ length: 130 }, (_, i) => ({
  at: new Date(NOON.getTime() - ((i * 37) % 130) * 97 * MINUTE_MS + i),
  value: ODD_VALUES[i % ODD_VALUES.length]!,
  ...(i % 5 === 0 ? { verdict: 'bad', reason: 'negative' } : { verdict: 'good' }),
}));
const ascending = mixed.toSorted((a, b) => a.at.getTime() - b.at.getTime());

const METRICS = ['throughputMbps', 'retransmits', 'rttMs', 'lossRate'] as const;

interface Row extends Omit<Sample, 'reason'> {
  reason: string | null;
}

function rowsBySql(db: Database, seriesId: number): Promise<Row[]> {
  return db.query<Row>(
    'select at, value, verdict, reason from sample_rows where series_id = $1 order by at',
    [seriesId],
  );
}

const asRows = (samples: readonly Sample[]): Row[] =>
  samples.map(({ reason, ...rest }) => ({ ...rest, reason: reason ?? null }));

await describeOnBoth('blocks of samples', (newLocation) => {
  it('are made of what an earlier Lark stored in rows', async () => {
    const location = await newLocation();
    const db = await openDatabase(location);
    const migrations = await readMigrations();
    await migrate(db, migrations.slice(0, 5));
    await db.query(
      `insert into archives (key, urls, sources, first_seen, last_seen) values ('a', '{}', '{}', $1, $1)`,
      [NOON],
    );
    await db.script("insert into verdicts (verdict, reason) values ('bad', 'negative')");
    for (let day = 12; day <= 21; day += 1) {
      await db.script(
        `create table samples_202611${day} partition of samples
           for values from ('2026-11-${day} 00:00:00+00') to ('2026-11-${day + 1} 00:00:00+00')`,
      );
    }
    for (const [index, metric] of METRICS.entries()) {
      await db.query(
        `insert into series (archive_key, metadata_key, metric, source, destination, tool, event_type)
         values ('a', 'm', $1, 's', 'd', 't', 'e')`,
        [metric],
      );
      for (const { at, value, verdict } of mixed) {
        await db.query(`insert into samples values ($1, $2, $3, $4)`, [
          at,
          value,
          index + 1,
          verdict === 'good' ? 1 : 2,
        ]);
      }
    }
    await db.query('insert into checkpoints select id, $1, $1 from series', [NOON]);
    await migrate(db, migrations);
    for (const id of [1, 2, 3, 4]) expect(await rowsBySql(db, id)).toEqual(asRows(ascending));
    await db.close();

    const store = await openStore(location);
    expect((await store.sampleCounts()).byVerdict).toEqual([
      { verdict: 'bad', reason: 'negative', count: 26 * 4 },
      { verdict: 'good', count: 104 * 4 },
    ]);
    for (const { id } of await store.series())
      expect(await store.sampleRows({ seriesId: id })).toEqual(ascending);
    // The same again changes nothing: the very blocks that saveReads would have made.
    const reads = METRICS.map((metric) => read(series('a', 'm', { metric }), mixed));
    expect(await store.saveReads(reads, NOON)).toMatchObject({ inserted: 0, updated: 0, rejected: 0 });
    await store.close();
  });

  it('can be looked at row by row in SQL', async () => {
    const location = await newLocation();
    const store = await openStore(location);
    await store.saveDiscovery(discovery({ archives: [archive('a')] }), NOON);
    await store.saveReads(
      METRICS.map((metric) => read(series('a', 'm', { metric }), mixed)),
      NOON,
    );
    await store.close();
    const db = await openDatabase(location);
    for (const id of [1, 2, 3, 4]) expect(await rowsBySql(db, id)).toEqual(asRows(ascending));
    await db.close();
  });

  it('are read in parts that together are the whole, with what is not good or without', async () => {
    const store = await openStore(await newLocation());
    await store.saveDiscovery(discovery({ archives: [archive('a')] }), NOON);
    const suspect: Sample = { at: minutesBefore(2), value: 7, verdict: 'suspect', reason: 'outlier' };
    const reads = Array.from({ length: 300 }, (_, i) =>
      read(series('a', `m${i}`, { metric: METRICS[i % 4]! }), [
        good(daysBefore(8), i),
        good(minutesBefore(4), i),
        suspect,
      ]),
    );
    await store.saveReads(reads, NOON);
    const ids = (await store.series()).map(({ id }) => id);
    const seen = new Set<number>();
    let parts = 0;
    for await (const part of store.judgedSamplesInParts([...ids, 1_000_000], daysBefore(7))) {
      parts += 1;
      for (const [id, { atMs, values, verdictIds }] of part) {
        expect(seen.has(id)).toBe(false);
        seen.add(id);
        expect([...atMs]).toEqual([minutesBefore(4).getTime(), minutesBefore(2).getTime()]);
        expect(values[1]).toBe(7);
        const judgements = await store.judgements();
        expect([...verdictIds].map((verdict) => judgements.get(verdict))).toEqual([
          { verdict: 'good' },
          { verdict: 'suspect', reason: 'outlier' },
        ]);
      }
    }
    expect(seen).toEqual(new Set(ids));
    expect(parts).toBeGreaterThan(2);
    const good7 = await store.samples(ids, daysBefore(7));
    expect([...good7.keys()].toSorted((a, b) => a - b)).toEqual(ids);
    expect([...good7.values()].every(({ atMs }) => atMs.length === 1)).toBe(true);
    await store.close();
  });
});

await describeOnBoth('two writers', (newLocation) => {
  const minutes = fc.uniqueArray(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 60 });

  it('of one archive lose nothing and count nothing twice', async () => {
    const location = await newLocation();
    const one = await openStore(location);
    // On PGlite there is one process, with calls side by side; on PostgreSQL, each has its own connections.
    const other = 'directory' in location ? one : await openStore(location);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(minutes, { minLength: 2, maxLength: 8 }), async (batches) => {
        run += 1;
        const key = `run-${run}`;
        await one.saveDiscovery(discovery({ archives: [archive(key)] }), NOON);
        const before = (await one.sampleCounts()).total;
        const save = (store: Store, batch: readonly number[]) =>
          store.saveReads(
            METRICS.map((metric) =>
              read(
                series(key, 'm', { metric }),
                batch.map((m) => good(minutesBefore(m), m)),
              ),
            ),
            NOON,
          );
        const saved = await Promise.all(batches.map((batch, i) => save(i % 2 === 0 ? one : other, batch)));
        const all = [...new Set(batches.flat())].toSorted((a, b) => b - a);
        expect(saved.reduce((sum, { inserted }) => sum + inserted, 0)).toBe(4 * all.length);
        expect(saved.every(({ updated }) => updated === 0)).toBe(true);
        expect((await one.sampleCounts()).total - before).toBe(4 * all.length);
        for (const { id, archiveKey } of await one.series()) {
          if (archiveKey !== key) continue;
          expect(await one.sampleRows({ seriesId: id })).toEqual(all.map((m) => good(minutesBefore(m), m)));
        }
      }),
      { numRuns: 8 },
    );
    await one.close();
    if (other !== one) await other.close();
  });
});
