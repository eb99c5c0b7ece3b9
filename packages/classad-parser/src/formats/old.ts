/** Old syntax: one `attribute = expression` a line, ads separated by blank lines. */
import { type Expr, Literal } from '../ast.ts';
import { ClassAd } from '../classad.ts';
import { ClassAdSyntaxError } from '../errors.ts';
import { Parser } from '../parser.ts';
import { unparse, unparseName } from '../unparse.ts';

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
  let nameEnd = from;
  while (nameEnd < end && isNameCode(text.charCodeAt(nameEnd))) nameEnd += 1;
  const name = text.slice(from, nameEnd);
  let at = skipSpace(text, nameEnd, end);
  if (name === '' || at === end || text.charCodeAt(at) !== 61) {
    throw new ClassAdSyntaxError(text, name === '' ? from : at, name === '' ? 'an attribute name' : '=');
  }
  at = skipSpace(text, at + 1, end);
  ad.insert(name, readExpr(text, at, end));
}

function readExpr(text: string, from: number, end: number): Expr {
  return readLiteral(text, from, end) ?? readAny(text, from, end);
}

function readAny(text: string, from: number, end: number): Expr {
  const parser = new Parser(text.slice(0, end), 'old', from);
  const expr = parser.parseExpression();
  parser.expectEnd();
  return expr;
}

/** The plain literals nearly every line holds, without the tokenizer; undefined for anything else. */
function readLiteral(text: string, from: number, end: number): Expr | undefined {
  const first = text.charCodeAt(from);
  if (first === 34) {
    const close = text.indexOf('"', from + 1);
    return close === end - 1 && text.charCodeAt(close - 1) !== 92
      ? new Literal(text.slice(from + 1, close), from, end)
      : undefined;
  }
  return undefined;
}

/** An ad in old syntax, one line for each attribute in the order of the ad. Ads in a file need a blank line between. */
export function writeOld(ad: ClassAd): string {
  let out = '';
  for (const [name, expr] of ad) out += `${unparseName(name, 'old')} = ${unparse(expr, 'old')}\n`;
  return out;
}
