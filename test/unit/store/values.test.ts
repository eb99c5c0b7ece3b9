import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Sample, type SeriesRead, seriesKey } from '../../../src/domain.ts';
import { inColumns } from '../../../src/judged.ts';
import { GOOD } from '../../../src/store/blocks.ts';
import { parseBigint } from '../../../src/store/database.ts';
import { readMigrations } from '../../../src/store/migrate.ts';
import { maskedUrl } from '../../../src/store/postgres.ts';
import { prepare } from '../../../src/store/samples.ts';
import { jsonParameter, numberArray, storableText, textArray } from '../../../src/store/values.ts';

describe('array literals', () => {
  it('write numbers, absent ones as NULL', () => {
    expect(numberArray([1, -2.5, 1e-300, null, undefined])).toBe('{1,-2.5,1e-300,NULL,NULL}');
    expect(numberArray([])).toBe('{}');
  });

  it('quote every text, so that none reads as NULL or as two', () => {
    expect(textArray(['a', 'NULL', '', 'x,"y"\\', null])).toBe('{"a","NULL","","x,\\"y\\"\\\\",NULL}');
  });
});

describe('text that PostgreSQL cannot hold', () => {
  it('loses its NULs and lone surrogates, and nothing else', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const stored = storableText(text);
        expect(stored).toBe(text.replaceAll('\0', '').toWellFormed());
        expect(storableText(stored)).toBe(stored);
      }),
    );
    expect(jsonParameter({ a: ['x\0\ud800', '\\u0000'], b: undefined })).toBe(
      '{"a":["x\ufffd","\\\\u0000"]}',
    );
  });
});

describe('parseBigint', () => {
  it('gives a number where that is exact', () => {
    expect(parseBigint('-9007199254740991')).toBe(-9007199254740991);
    expect(parseBigint('9007199254740993')).toBe(9007199254740993n);
  });
});

describe('maskedUrl', () => {
  it('hides the password wherever it stands', () => {
    expect(maskedUrl('postgres://lark:p%40ss@db.example:5433/lark?sslmode=require')).toBe(
      'postgres://lark:***@db.example:5433/lark?sslmode=require',
    );
    expect(maskedUrl('postgresql://db/lark?user=u&password=secret')).not.toContain('secret');
    expect(maskedUrl('postgres://lark@db/lark')).toBe('postgres://lark@db/lark');
  });

  it('repeats nothing of what is no URL', () => {
    expect(() => maskedUrl('host=db password=secret')).toThrow(
      /^The database URL cannot be read; it has the form/,
    );
    expect(() => maskedUrl('mysql://u:secret@db/x')).toThrow(
      'must begin with postgres://, not with mysql://',
    );
  });
});

describe('the migrations', () => {
  it('are numbered from 1 without a gap', async () => {
    const migrations = await readMigrations();
    expect(migrations.map((m) => m.number)).toEqual(migrations.map((_, i) => i + 1));
    expect(migrations.length).toBeGreaterThan(0);
  });

  it('refuse a stray file', async () => {
    await expect(readMigrations(new URL('./', import.meta.url))).rejects.toThrow(
      'files are named NNN-name.sql',
    );
  });
});

describe('prepare', () => {
  const at = new Date('2026-11-21T12:00:00Z');
  const series = (metadataKey: string) => ({
    archiveKey: 'a',
    metadataKey,
    metric: 'rttMs' as const,
    source: 's',
    destination: 'd',
    tool: 'ping',
    eventType: 'rtt',
  });
  const reads = fc.array(
    fc.record({
      series: fc.constantFrom('m1', 'm2').map(series),
      samples: fc.array(
        fc.record({
          at: fc.date({ min: new Date('2026-11-01'), max: new Date('2026-12-01'), noInvalidDate: false }),
          value: fc.double(),
          verdict: fc.constant('good' as const),
        }),
      ),
      checkpoint: fc.date({ min: new Date('2026-11-01'), max: at, noInvalidDate: true }),
    }),
  );

  it('gives each series once, its samples ascending and within bounds, the later of two for one time', () => {
    fc.assert(
      fc.property(reads, (all: SeriesRead<Sample>[]) => {
        const { prepared, rejected } = prepare(
          all.map(inColumns),
          new Map([['good', GOOD]]),
          at,
          new Date('2026-11-11T12:00:00Z'),
        );
        const keys = prepared.map((p) => seriesKey(p.series));
        expect(new Set(keys)).toEqual(new Set(all.map((r) => seriesKey(r.series))));
        expect(keys).toHaveLength(new Set(keys).size);
        let accepted = 0;
        for (const p of prepared) {
          const given = all.filter((r) => r.series.metadataKey === p.series.metadataKey);
          expect(p.checkpoint.getTime()).toBe(Math.max(...given.map((r) => r.checkpoint.getTime())));
          const kept = given
            .flatMap((r) => r.samples)
            .filter(
              (s) => s.at >= new Date('2026-11-11T12:00:00Z') && s.at <= new Date('2026-11-22T12:00:00Z'),
            );
          accepted += kept.length;
          const last = new Map(kept.map((s) => [s.at.getTime(), s]));
          const ascending = [...last.values()].sort((x, y) => x.at.getTime() - y.at.getTime());
          expect([...p.samples.atMs]).toEqual(ascending.map((s) => s.at.getTime()));
          expect([...p.samples.values]).toEqual(ascending.map((s) => s.value));
          expect([...p.samples.verdictIds]).toEqual(ascending.map(() => GOOD));
        }
        expect(rejected + accepted).toBe(all.reduce((sum, r) => sum + r.samples.length, 0));
      }),
    );
  });
});
