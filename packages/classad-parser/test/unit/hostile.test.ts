/** Input made to do harm ends in an error (or a value), in bounded time and memory. */
import { describe, expect, it } from 'vitest';
import {
  ClassAd,
  ClassAdSyntaxError,
  ERROR,
  evaluate,
  parseAds,
  parseExpr,
  parseNewAd,
  readAds,
  unparse,
} from '../../src/index.ts';

const value = (text: string, my?: ClassAd) => evaluate(parseExpr(text), { my });

describe('hostile input', () => {
  it.each([
    ['(', ')'],
    ['{', '}'],
    ['[a=', ']'],
    ['f(', ')'],
    ['1?', ':1'],
    ['a[', ']'],
  ])('refuses a million of %s within each other', (open, close) => {
    const text = `${open.repeat(1_000_000)}1${close.repeat(1_000_000)}`;
    expect(() => parseExpr(text)).toThrow(ClassAdSyntaxError);
  });

  it.each(['-', '!', '~', '+ '])('refuses a million of %s before an operand', (operator) => {
    expect(() => parseExpr(`${operator.repeat(1_000_000)}1`)).toThrow(ClassAdSyntaxError);
  });

  it('refuses a million selections', () => {
    expect(() => parseExpr(`a${'.b'.repeat(1_000_000)}`)).toThrow(ClassAdSyntaxError);
    expect(() => parseExpr(`a${'[0]'.repeat(1_000_000)}`)).toThrow(ClassAdSyntaxError);
  });

  it('takes what is nested as deep as HTCondor takes it', () => {
    const text = `${'('.repeat(990)}1${')'.repeat(990)}`;
    expect(value(text)).toBe(1);
    expect(unparse(parseExpr(text))).toBe(text);
    expect(value(`${'-('.repeat(990)}1${')'.repeat(990)}`)).toBe(1);
  });

  it('takes chains of operators of any length', () => {
    const text = `1${' + 1'.repeat(200_000)}`;
    expect(value(text)).toBe(200_001);
    expect(unparse(parseExpr(text))).toBe(text);
    expect(value(`false${' || false'.repeat(200_000)} || true`)).toBe(true);
  });

  it('takes lists of a million elements and strings of 10 MB', () => {
    expect(value(`size({${'1,'.repeat(999_999)}1})`)).toBe(1_000_000);
    expect(value(`size("${'x'.repeat(10_000_000)}")`)).toBe(10_000_000);
    expect(parseAds(`A = "${'x'.repeat(10_000_000)}"\n`)[0]?.getString('A')).toHaveLength(10_000_000);
    expect(value(`size(split("${'x,'.repeat(1_000_000)}"))`)).toBe(1_000_000);
  });

  it('ends circular references in an error', () => {
    const ad = parseNewAd(
      '[ a = b; b = a; c = [ d = c["d"] ]; e = {e}[0]; f = eval("f"); g = strcat(g, g); h = MY.h ]',
    );
    for (const name of ['a', 'b', 'e', 'f', 'g', 'h']) expect(ad.evaluate(name)).toBe(ERROR);
    expect(value('c.d', ad)).toBe(ERROR);
  });

  it('ends what refers to itself over and over in an error', () => {
    const ad = new ClassAd();
    for (let i = 0; i < 300; i++) ad.setExpr(`a${i}`, `a${i + 1} + a${i + 1}`);
    ad.set('a300', 1);
    expect(ad.evaluate('a0')).toBe(ERROR);
    for (let i = 0; i < 300; i++) ad.setExpr(`a${i}`, `strcat(a${i + 1}, a${i + 1})`);
    ad.set('a300', 'x');
    expect(ad.evaluate('a0')).toBe(ERROR);
    const doubling = new ClassAd().set('s0', 'xxxxxxxxxxxxxxxx');
    for (let i = 1; i < 60; i++) doubling.setExpr(`s${i}`, `eval("strcat(s${i - 1}, s${i - 1})")`);
    expect(value('size(s10)', doubling)).toBe(16_384);
    expect(value('size(s40)', doubling)).toBe(ERROR);
    expect(parseNewAd('[ a = join(",", join(",", a)) ]').evaluate('a')).toBe(ERROR);
  });

  it.each(['(a+)+$', '(a|a)*$', '(a|aa)+$', '(.*a){20}', '([a-z]+)*\\\\d', '(?:a?){30}a{30}', '(a*)*b'])(
    'ends the pattern %s in a value or an error',
    (pattern) => {
      expect([true, false, ERROR]).toContain(value(`regexp("${pattern}", "${'a'.repeat(29)}!")`));
    },
  );

  it('refuses patterns that nest or recurse without end', () => {
    expect(value(`regexp("${'('.repeat(100_000)}", "a")`)).toBe(ERROR);
    expect(value('regexp("(?R)", "a")')).toBe(ERROR);
    expect(value('regexp("(a)(?1)*(?R)?b", "aaaa")')).not.toBe(true);
  });

  it('refuses a stream whose ad never ends', async () => {
    function* endless() {
      yield '[ a = "';
      for (let i = 0; i < 50; i++) yield 'x'.repeat(1024 * 1024);
    }
    await expect(collect(readAds(endless(), 'new'))).rejects.toThrow(/an ad of at most/);
  });

  it('keeps ads with very many, or ever other, attributes', () => {
    const ad = new ClassAd();
    for (let i = 0; i < 20_000; i++) ad.set(`Attribute${i}`, i);
    expect(ad.evaluate('attribute19999')).toBe(19_999);
    expect(ad.delete('ATTRIBUTE0')).toBe(true);
    expect(ad.size).toBe(19_999);
    const reference = parseExpr('x1');
    for (let i = 0; i < 20_000; i++) {
      const other = ClassAd.from({ [`y${i}`]: 0, [`z${i}`]: 0, x1: i });
      expect(evaluate(reference, { my: other })).toBe(i);
    }
  });
});

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
