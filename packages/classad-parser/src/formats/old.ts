/** Old syntax: one `attribute = expression` a line, ads separated by blank lines. */
import { type Expr, Literal } from '../ast.ts';
import { ClassAd } from '../classad.ts';
import { ClassAdSyntaxError } from '../errors.ts';
import { Parser, parseExpr } from '../parser.ts';
import type { Shape } from '../shape.ts';
import { isPlainName, unparse, unparseValue } from '../unparse.ts';
import { Real } from '../values.ts';

/**
 * Parses ads in old syntax: what condor_status -long writes and condor_advertise reads. Lines beginning with `#` are
 * comments.
 * @throws ClassAdSyntaxError
 */
export function parseAds(text: string): ClassAd[] {
  const ads: ClassAd[] = [];
  let ad = new ClassAd();
  for (let start = 0; start < text.length; ) {
    let end = text.indexOf('\n', start);
    if (end === -1) end = text.length;
    const from = skipSpace(text, start, end);
    if (from === end) {
      if (ad.size > 0) {
        ads.push(ad);
        ad = new ClassAd();
      }
    } else if (text.charCodeAt(from) !== 35) {
      readLine(text, from, end, ad);
    }
    start = end + 1;
  }
  if (ad.size > 0) ads.push(ad);
  return ads;
}

function skipSpace(text: string, from: number, end: number): number {
  let at = from;
  while (at < end && (text.charCodeAt(at) === 32 || (text.charCodeAt(at) >= 9 && text.charCodeAt(at) <= 13)))
    at += 1;
  return at;
}

function isNameCode(code: number): boolean {
  return (
    (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || (code >= 48 && code <= 57)
  );
}

function readLine(text: string, from: number, end: number, ad: ClassAd): void {
  const { shape } = ad;
  const expected = shape.expectedName;
  // Ads of one kind name the same attributes in the same order: look whether this one does before reading the name.
  const asExpected =
    expected !== undefined &&
    text.startsWith(expected, from) &&
    !isNameCode(text.charCodeAt(from + expected.length)) &&
    from + expected.length < end;
  let nameEnd = from;
  if (asExpected) nameEnd += expected.length;
  else while (nameEnd < end && isNameCode(text.charCodeAt(nameEnd))) nameEnd += 1;
  let at = skipSpace(text, nameEnd, end);
  if (nameEnd === from || at === end || text.charCodeAt(at) !== 61) {
    throw new ClassAdSyntaxError(text, at, nameEnd === from ? 'an attribute name' : '=');
  }
  at = skipSpace(text, at + 1, end);
  const expr = readLiteral(text, at, end) ?? readAny(text, at, end);
  if (asExpected) {
    ad.shape = shape.with(expected);
    ad.slots.push(expr);
  } else {
    ad.insert(text.slice(from, nameEnd), expr);
  }
}

function readAny(text: string, from: number, end: number): Expr {
  const parser = new Parser(text.slice(0, end), 'old', from);
  const expr = parser.parseExpression();
  parser.expectEnd();
  return expr;
}

const MAX_EXACT_DIGITS = 15;

/** The plain literals nearly every line holds, without the tokenizer; undefined for anything else. */
function readLiteral(text: string, from: number, end: number): Expr | undefined {
  const first = text.charCodeAt(from);
  if (first === 34) {
    const close = text.indexOf('"', from + 1);
    return close === end - 1 && text.charCodeAt(close - 1) !== 92
      ? new Literal(text.slice(from + 1, close), from, end)
      : undefined;
  }
  if (first === 116 || first === 102) {
    if (end - from === 4 && text.startsWith('true', from)) return new Literal(true, from, end);
    return end - from === 5 && text.startsWith('false', from) ? new Literal(false, from, end) : undefined;
  }
  return readNumber(text, from, end, first);
}

/** A number of few enough digits that adding them up is exact: dividing by a power of ten then rounds but once. */
function readNumber(text: string, from: number, end: number, first: number): Expr | undefined {
  const start = first === 45 ? from + 1 : from;
  if (end - start > MAX_EXACT_DIGITS + 1 || start === end) return undefined;
  let value = 0;
  let point = -1;
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code >= 48 && code <= 57) {
      value = value * 10 + (code - 48);
    } else if (code === 46 && point === -1 && at > start && at < end - 1) {
      point = at;
    } else {
      return undefined;
    }
  }
  if (text.charCodeAt(start) === 48 && end - start > 1 && point !== start + 1) return undefined;
  if (point === -1) {
    return end - start > MAX_EXACT_DIGITS
      ? undefined
      : new Literal(first === 45 ? 0 - value : value, from, end);
  }
  const real = value / POWERS_OF_TEN[end - point - 1]!;
  return new Literal(new Real(first === 45 ? -real : real), from, end);
}

const POWERS_OF_TEN = Array.from({ length: MAX_EXACT_DIGITS + 1 }, (_, power) => 10 ** power);

/**
 * An ad in old syntax, one line for each attribute in the order of the ad. Ads in a file need a blank line between.
 * @throws RangeError for what this syntax cannot hold: a string with a line break, a string that ends in a backslash
 * within an expression, a name that needs quotes
 */
export function writeOld(ad: ClassAd): string {
  const { slots } = ad;
  const beginnings = lineBeginnings(ad.shape);
  let out = '';
  for (let i = 0; i < slots.length; i++) {
    const expr = slots[i]!;
    const text = expr.kind === 'literal' ? unparseValue(expr.value, 'old') : unparse(expr, 'old');
    if (text.includes('\n')) {
      throw new RangeError(`${ad.names()[i]}: old syntax cannot hold a line break in a string`);
    }
    if (expr.kind !== 'literal' && text.includes('\\"') && !readsBack(text)) {
      throw new RangeError(`${ad.names()[i]}: old syntax cannot hold a string ending in a backslash here`);
    }
    out += `${beginnings[i]}${text}\n`;
  }
  return out;
}

/** A quote after a backslash is read as part of the string, so not everything that can be written can be read. */
function readsBack(text: string): boolean {
  try {
    return unparse(parseExpr(text, { strings: 'old' }), 'old') === text;
  } catch (error) {
    if (!(error instanceof ClassAdSyntaxError)) throw error;
    return false;
  }
}

const beginningsOf = new WeakMap<Shape, string[]>();

/** What the lines of ads with these names begin with. */
function lineBeginnings(shape: Shape): readonly string[] {
  const known = beginningsOf.get(shape);
  if (known?.length === shape.length) return known;
  const beginnings = shape.names().map((name) => {
    if (!isPlainName(name)) throw new RangeError(`${name}: old syntax cannot hold this attribute name`);
    return `${name} = `;
  });
  beginningsOf.set(shape, beginnings);
  return beginnings;
}
