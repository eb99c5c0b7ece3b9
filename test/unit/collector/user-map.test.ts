import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseUserMap } from 'classad-parser';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  isMapText,
  publishUserMaps,
  userMapFile,
  userMapText,
  writeUserMap,
} from '../../../src/collector/user-map.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lark-maps-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const NOW = new Date('2026-05-05T15:00:00.900Z');
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1000);
const site = (entries: Record<string, string>) => ({
  name: 'LARK_SITE',
  entries: new Map(Object.entries(entries)),
});
const file = () => userMapFile(directory, 'LARK_SITE');
const secondsOf = async () => (await stat(file())).mtimeMs / 1000;

describe('the text of a map', () => {
  test('is sorted, one line for each key', () => {
    expect(
      userMapText(
        new Map([
          ['b.example', 'B'],
          ['A>B', 'OPEN,10,3.5'],
        ]),
      ),
    ).toBe('# Written by Lark: changes made here are lost.\n* A>B OPEN,10,3.5\n* b.example B\n');
  });

  test('law: HTCondor reads every key and value as it was meant', () => {
    const text = fc.string({ minLength: 1, unit: 'grapheme' }).filter(isMapText);
    fc.assert(
      fc.property(fc.dictionary(text, text), (entries) => {
        const read = parseUserMap(userMapText(new Map(Object.entries(entries))));
        for (const [key, value] of Object.entries(entries)) expect(read(key)).toBe(value);
      }),
    );
  });

  test.each([[''], ['a\nb'], ['a\\1'], ['a\tb']])('%j cannot be carried', (text) => {
    expect(() => userMapText(new Map([['key', text]]))).toThrow(RangeError);
    expect(() => userMapText(new Map([[text, 'value']]))).toThrow(RangeError);
  });
});

describe('writing', () => {
  test('happens when something is different, and leaves nothing beside', async () => {
    expect(await writeUserMap(directory, site({ a: 'A' }), NOW)).toBe(true);
    expect(await writeUserMap(directory, site({ a: 'A' }), later(9))).toBe(false);
    expect(await readFile(file(), 'utf8')).toContain('* a A\n');
    expect(await readdir(directory)).toEqual(['LARK_SITE.map']);
    expect((await stat(file())).mode & 0o777).toBe(0o644);
  });

  test('two within a second are two for HTCondor as well', async () => {
    await writeUserMap(directory, site({ a: 'A' }), NOW);
    const first = await secondsOf();
    await writeUserMap(directory, site({ a: 'B' }), NOW);
    await writeUserMap(directory, site({ a: 'A' }), NOW);
    expect(await secondsOf()).toBe(first + 2);
    // A clock that was set back moves no time back.
    await writeUserMap(directory, site({ a: 'C' }), later(-3600));
    expect(await secondsOf()).toBe(first + 3);
    await writeUserMap(directory, site({ a: 'D' }), later(60));
    expect(await secondsOf()).toBe(Math.floor(later(60).getTime() / 1000));
  });

  test('the folder is made where it is missing', async () => {
    const inner = join(directory, 'maps');
    expect(await writeUserMap(inner, site({ a: 'A' }), NOW)).toBe(true);
    expect(await readdir(inner)).toEqual(['LARK_SITE.map']);
  });
});

describe('daemons are told', () => {
  let told: string[];
  let broken: Error | undefined;
  const htcondor = {
    reconfigure: async (daemon: string) => {
      if (broken) throw broken;
      told.push(daemon);
    },
  };
  const publish = (entries: Record<string, string>, at: Date) =>
    publishUserMaps(
      htcondor,
      [site(entries)],
      { directory, reconfigDaemons: ['negotiator'], reconfigEverySeconds: 60 },
      at,
    );
  beforeEach(() => {
    told = [];
    broken = undefined;
  });

  test('once for a change, and never for none', async () => {
    expect(await publish({ a: 'A' }, NOW)).toBeUndefined();
    expect(await publish({ a: 'A' }, later(300))).toBeUndefined();
    expect(await publish({ a: 'A' }, later(600))).toBeUndefined();
    expect(told).toEqual(['negotiator']);
  });

  test('not too often: what came too soon is told of later, and once', async () => {
    await publish({ a: 'A' }, NOW);
    await publish({ a: 'B' }, later(10));
    await publish({ a: 'C' }, later(20));
    expect(told).toHaveLength(1);
    expect(await readFile(file(), 'utf8')).toContain('* a C');
    await publish({ a: 'C' }, later(61));
    await publish({ a: 'C' }, later(200));
    expect(told).toHaveLength(2);
  });

  test('a clock that was set back does not silence them', async () => {
    await publish({ a: 'A' }, NOW);
    await publish({ a: 'B' }, later(-7200));
    expect(told).toHaveLength(2);
  });

  test('one that cannot be told is told the next time', async () => {
    broken = new Error('condor_reconfig failed (1): cannot find daemon');
    expect(await publish({ a: 'A' }, NOW)).toBe('user maps: condor_reconfig failed (1): cannot find daemon');
    broken = undefined;
    expect(await publish({ a: 'A' }, later(5))).toBeUndefined();
    expect(told).toEqual(['negotiator']);
  });

  test('half a note of what was told costs one reconfig', async () => {
    await publish({ a: 'A' }, NOW);
    await writeFile(join(directory, 'reconfigured.json'), '{"atSec');
    expect(await publish({ a: 'A' }, later(1))).toBeUndefined();
    expect(told).toHaveLength(2);
  });

  test('a folder that cannot be written is one sentence', async () => {
    await writeFile(join(directory, 'taken'), '');
    const options = {
      directory: join(directory, 'taken'),
      reconfigDaemons: [],
      reconfigEverySeconds: 60,
    };
    expect(await publishUserMaps(htcondor, [site({ a: 'A' })], options, NOW)).toMatch(/^user maps: E/);
  });
});
