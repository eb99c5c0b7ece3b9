import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ClassAdSyntaxError,
  evaluate,
  parseAds,
  parseExpr,
  parseJsonAds,
  parseNewAd,
  parseXmlAds,
  unparse,
} from '../../src/index.ts';
import { expression } from '../support/generator.ts';

function syntaxError(read: () => unknown): ClassAdSyntaxError {
  try {
    read();
  } catch (error) {
    if (error instanceof ClassAdSyntaxError) return error;
    throw error;
  }
  throw new Error('it was read without complaint');
}

describe('the parser', () => {
  it('knows where everything stands', () => {
    const text = ' a.b + f(1, "x")';
    const expr = parseExpr(text);
    expect(text.slice(expr.start, expr.end)).toBe('a.b + f(1, "x")');
    if (expr.kind !== 'binary' || expr.right.kind !== 'call') throw new Error('another tree was expected');
    expect(text.slice(expr.left.start, expr.left.end)).toBe('a.b');
    expect(expr.right.args.map(({ start, end }) => text.slice(start, end))).toEqual(['1', '"x"']);
  });

  it.each([
    ['1 +', 1, 4, '', 'an expression'],
    ['a = 1', 1, 3, '=', 'an operator or the end of the expression'],
    ['f(1\n 2)', 2, 2, '2', ', or )'],
    ['"abc', 1, 1, '"abc', 'a string that ends in "'],
    ['1 ? 2', 1, 6, '', ':'],
    ['007', 1, 1, '0', 'a number without leading zeros'],
    ['x && #', 1, 6, '#', 'an expression'],
    ['/* open', 1, 1, '/*', 'a comment that ends in */'],
    ['absTime("never")', 1, 9, '"never"', 'a time'],
  ])('says where and why %j cannot be read', (text, line, column, found, expected) => {
    expect(syntaxError(() => parseExpr(text))).toMatchObject({ line, column, found, expected });
  });

  it('says it in lines of the whole text, in each form', () => {
    expect(syntaxError(() => parseAds('A = 1\n\nB = 2\nC = (3\n')).line).toBe(4);
    expect(syntaxError(() => parseNewAd('[ a = 1;\n b 2 ]'))).toMatchObject({
      line: 2,
      column: 4,
      expected: '=',
    });
    expect(syntaxError(() => parseJsonAds('[{"a": 1},\n{"a": ?}]'))).toMatchObject({ line: 2, column: 7 });
    expect(syntaxError(() => parseXmlAds('<classads>\n<c><b n="x"/></c>'))).toMatchObject({
      line: 2,
      column: 4,
    });
  });

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(expression, (text) => {
        const once = unparse(parseExpr(text));
        expect(unparse(parseExpr(once))).toBe(unparse(parseExpr(unparse(parseExpr(once)))));
      }),
      { numRuns: 500 },
    );
  });

  const fragment = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 6 }),
    fc.constantFrom(
      ...['"', "'", '\\', '[', ']', '{', '}', '(', ')', ';', '=', '=?=', '?:', '1e', '0x', '/*', '//', '.'],
    ),
    fc.constantFrom(
      'a',
      'MY.',
      '1',
      '-1',
      '"x"',
      '<c>',
      '<a n="b">',
      '\n',
      '&&',
      'is',
      'true',
      '{"a":',
      'relTime("',
    ),
  );
  const noise = fc.array(fragment, { maxLength: 30 }).map((parts) => parts.join(''));

  it.each([
    ['expressions', parseExpr],
    ['ads in old syntax', parseAds],
    ['ads in new syntax', parseNewAd],
    ['ads in JSON', parseJsonAds],
    ['ads in XML', parseXmlAds],
  ])('takes any text for %s, or refuses it', (_what, read) => {
    fc.assert(
      fc.property(noise, (text) => {
        try {
          read(text);
        } catch (error) {
          expect(error).toBeInstanceOf(ClassAdSyntaxError);
        }
      }),
      { numRuns: 1500 },
    );
  });

  it('evaluates any text it takes', () => {
    fc.assert(
      fc.property(noise, (text) => {
        let expr: ReturnType<typeof parseExpr>;
        try {
          expr = parseExpr(text);
        } catch {
          return;
        }
        evaluate(expr);
      }),
      { numRuns: 1500 },
    );
  });
});
