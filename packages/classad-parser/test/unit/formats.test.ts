import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ClassAd,
  type Format,
  parseAds,
  parseExpr,
  parseJsonAd,
  parseJsonAds,
  parseNewAds,
  parseXmlAds,
  Real,
  readAds,
  unparse,
  unparseAd,
  writeJson,
  writeOld,
  writeXml,
} from '../../src/index.ts';

const fixture = (name: string) => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8');
const squeezed = (text: string) => text.replace(/\n{2,}/g, '\n').trim();

const FORMS: Record<Format, { read: (text: string) => ClassAd[]; write: (ads: ClassAd[]) => string }> = {
  old: { read: parseAds, write: (ads) => ads.map(writeOld).join('\n') },
  new: { read: parseNewAds, write: (ads) => ads.map((ad) => unparseAd(ad)).join('\n') },
  json: { read: parseJsonAds, write: (ads) => `[\n${ads.map((ad) => `${writeJson(ad)}\n`).join(',\n')}]` },
  xml: { read: parseXmlAds, write: writeXml },
};

describe('ads a pool gave', () => {
  it.each(['machine', 'job'])('%s: every form is written back as it was', (name) => {
    for (const [extension, form] of [
      ['long', 'old'],
      ['json.txt', 'json'],
      ['xml', 'xml'],
    ] as const) {
      const text = fixture(`${name}.${extension}`);
      const ads = FORMS[form].read(text);
      expect(ads).toHaveLength(1);
      expect(ads[0]!.size).toBeGreaterThan(100);
      expect(squeezed(FORMS[form].write(ads))).toBe(squeezed(text));
    }
  });

  it.each(['machine', 'job'])('%s: nothing is lost from form to form', (name) => {
    const [ad] = parseAds(fixture(`${name}.long`));
    const lines = (one: ClassAd) => writeOld(one).split('\n').sort();
    for (const { read, write } of Object.values(FORMS))
      expect(lines(read(write([ad!]))[0]!)).toEqual(lines(ad!));
  });
});

describe('streams', () => {
  const ads = [...parseAds(fixture('machine.long')), ...parseAds(fixture('job.long'))];
  const texts = ads.map((ad) => unparseAd(ad));

  it.each(['old', 'new', 'json', 'xml'] as const)('read %s in pieces of any size', async (form) => {
    const bytes = Buffer.from(FORMS[form].write([...ads, ...ads]));
    for (const size of [1, 7, 1000, bytes.length]) {
      const chunks = function* () {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      };
      const read: string[] = [];
      for await (const ad of readAds(chunks(), form)) read.push(unparseAd(ad));
      expect(read).toEqual([...texts, ...texts]);
    }
  });

  it('give an ad as soon as it has ended', async () => {
    const taken: string[] = [];
    const chunks = function* () {
      yield 'A = 1\n\n';
      taken.push('asked on');
      yield 'A = 2\n';
    };
    for await (const ad of readAds(chunks(), 'old')) taken.push(writeOld(ad));
    expect(taken).toEqual(['A = 1\n', 'asked on', 'A = 2\n']);
  });

  it('count lines from the beginning of the stream', async () => {
    const wrong = {
      old: 'A = 1\n\n\nA = (\n',
      new: '[ a = 1 ]\n\n\n[ a = ]',
      json: '{"a": 1}\n\n\n{"a": }',
      xml: '<c></c>\n\n\n<c><z/></c>',
    };
    for (const [form, text] of Object.entries(wrong)) {
      await expect(collect(readAds([text], form as Format))).rejects.toMatchObject({ line: 4 });
    }
  });

  it('are not misled by brackets in strings and comments', async () => {
    const text = `[ a = "]"; /* ] */ b = 'we]ird'; // ]\n c = "\\"]" ] [ d = 1 ]`;
    expect((await collect(readAds([...text], 'new'))).map((ad) => ad.size)).toEqual([3, 1]);
    expect(
      (await collect(readAds([...'[{"a": "}\\""}, {"b": {"c": 1}}]'], 'json'))).map((ad) => ad.size),
    ).toEqual([1, 1]);
  });
});

describe('old syntax', () => {
  it('takes a backslash for itself, unless a quote follows that does not end the line', () => {
    const [ad] = parseAds('A = "C:\\dir\\"\nB = "say \\"hi\\""\nC = "a\\nb"\n');
    expect(ad!.getString('A')).toBe('C:\\dir\\');
    expect(ad!.getString('B')).toBe('say "hi"');
    expect(ad!.getString('C')).toBe('a\\nb');
  });

  it('skips comments and blank lines, and takes both kinds of line ends', () => {
    const ads = parseAds('# a comment\r\n\r\nA = 1\r\nB = A =?= 1\r\n \t\r\n\r\n  C=true');
    expect(ads.map((ad) => [...ad.names()])).toEqual([['A', 'B'], ['C']]);
    expect(ads[0]!.evaluate('b')).toBe(true);
  });

  it.each([
    '1',
    '-1',
    '0',
    '123456789012345',
    '9007199254740993',
    '-9223372036854775808',
    '1.5',
    '-0.25',
    '100.0',
    '0.1',
    '1e300',
    '-0.0',
    '123456.789012',
  ])('reads the number %s as the language does', (text) => {
    const [ad] = parseAds(`A = ${text}\n`);
    expect(ad!.get('A')).toMatchObject({
      kind: 'literal',
      value: (parseExpr(text) as { value?: unknown }).value,
    });
  });

  it('reads any real with few digits as JavaScript does', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 999_999_999 }),
        fc.integer({ min: 1, max: 8 }),
        (digits, decimals) => {
          const text = (digits / 10 ** decimals).toFixed(decimals);
          expect(parseAds(`A = ${text}\n`)[0]!.evaluate('A')).toEqual(new Real(Number(text)));
        },
      ),
    );
  });
});

describe('JSON', () => {
  it('holds what JSON cannot say in quoted expressions, and integers exactly', () => {
    const ad = parseJsonAd(
      '{"a": 9223372036854775807, "b": 1.0, "c": "\\/Expr(a + 1)\\/", "d": null, "e": "/Expr(x)/", "f": [1, {"g": true}], "h": 2}',
    );
    expect(ad.evaluate('a')).toBe(9223372036854775807n);
    expect(ad.evaluate('b')).toEqual(new Real(1));
    expect(unparse(ad.get('c')!)).toBe('a + 1');
    expect(ad.evaluate('e')).toBe('/Expr(x)/');
    expect(JSON.parse(writeJson(ad))).toMatchObject({
      b: 1,
      c: '/Expr(a + 1)/',
      d: null,
      f: [1, { g: true }],
    });
    expect(writeJson(parseJsonAd(writeJson(ad)))).toBe(writeJson(ad));
  });
});

describe('XML', () => {
  it('keeps names and strings with marks, quotes and control characters', () => {
    const ad = ClassAd.from({ 's<&>': 'a <b> & "c" \'d\' \t\u0001é\\' })
      .setExpr('e', 'a < 1 && b > "x"')
      .set('empty', '');
    const [back] = parseXmlAds(writeXml([ad]));
    expect(unparseAd(back!)).toBe(unparseAd(ad));
  });
});

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
