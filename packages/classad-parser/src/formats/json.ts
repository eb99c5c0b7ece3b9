/** Ads as JSON, as `condor_status -json` writes them: what JSON cannot say is a string `/Expr(…)/`. */
import { AdExpr, type Expr, ListExpr, Literal } from '../ast.ts';
import { ClassAd } from '../classad.ts';
import { ClassAdSyntaxError } from '../errors.ts';
import { readInteger } from '../integers.ts';
import { MAX_NESTING, parseExpr } from '../parser.ts';
import { unparse, unparseReal, unparseValue } from '../unparse.ts';
import { ERROR, Real, RelTime } from '../values.ts';

/**
 * Parses ads in JSON: objects one after another, or in an array, as HTCondor's tools write them.
 * @throws ClassAdSyntaxError
 */
export function parseJsonAds(text: string): ClassAd[] {
  const reader = new JsonReader(text);
  const ads: ClassAd[] = [];
  while (reader.skipTo('{')) ads.push(reader.readAd());
  return ads;
}

/**
 * Parses one ad in JSON, which must be the whole text.
 * @throws ClassAdSyntaxError
 */
export function parseJsonAd(text: string): ClassAd {
  const reader = new JsonReader(text);
  const ad = reader.readAd();
  reader.expectEnd();
  return ad;
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;

class JsonReader {
  private readonly text: string;
  private at = 0;
  private nesting = 0;

  constructor(text: string) {
    this.text = text;
  }

  private skipSpace(): void {
    while (' \t\r\n'.includes(this.text.charAt(this.at)) && this.at < this.text.length) this.at += 1;
  }

  private fail(expected: string, at = this.at): never {
    throw new ClassAdSyntaxError(this.text, at, expected);
  }

  /** Passes over what may stand between ads; false at the end of the text. */
  skipTo(mark: string): boolean {
    for (;;) {
      this.skipSpace();
      const char = this.text.charAt(this.at);
      if (char === mark) return true;
      if (char === '') return false;
      if (!'[],'.includes(char)) this.fail('an ad in braces');
      this.at += 1;
    }
  }

  expectEnd(): void {
    this.skipSpace();
    if (this.at < this.text.length) this.fail('the end of the text');
  }

  private take(char: string): boolean {
    this.skipSpace();
    if (this.text.charAt(this.at) !== char) return false;
    this.at += 1;
    return true;
  }

  private expect(char: string): void {
    if (!this.take(char)) this.fail(char);
  }

  readAd(): ClassAd {
    this.enter();
    const ad = new ClassAd();
    this.expect('{');
    while (!this.take('}')) {
      if (this.take(',')) continue;
      this.skipSpace();
      if (this.text.charAt(this.at) !== '"') this.fail('a name in quotes or }');
      const name = this.readString().value;
      this.expect(':');
      ad.insert(name, this.readValue());
      this.skipSpace();
      if (!',}'.includes(this.text.charAt(this.at) || ' ')) this.fail(', or }');
    }
    this.nesting -= 1;
    return ad;
  }

  private enter(): void {
    this.nesting += 1;
    if (this.nesting > MAX_NESTING) this.fail(`at most ${MAX_NESTING} values within each other`);
  }

  private readValue(): Expr {
    this.skipSpace();
    const start = this.at;
    const char = this.text.charAt(start);
    if (char === '{') return new AdExpr(this.readAd(), start, this.at);
    if (char === '[') return new ListExpr(this.readList(), start, this.at);
    if (char === '"') return this.readStringOrExpression();
    const word = /true|false|null/y;
    word.lastIndex = start;
    const found = word.exec(this.text)?.[0];
    if (found !== undefined) {
      this.at += found.length;
      return new Literal(found === 'null' ? undefined : found === 'true', start, this.at);
    }
    return this.readNumber();
  }

  private readList(): Expr[] {
    this.enter();
    const items: Expr[] = [];
    this.expect('[');
    if (!this.take(']')) {
      do items.push(this.readValue());
      while (this.take(','));
      if (!this.take(']')) this.fail(', or ]');
    }
    this.nesting -= 1;
    return items;
  }

  private readNumber(): Expr {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) this.fail('a value');
    const start = this.at;
    this.at += match[0].length;
    const isReal = match[1] !== undefined || match[2] !== undefined;
    return new Literal(isReal ? new Real(Number(match[0])) : readInteger(match[0]), start, this.at);
  }

  private readStringOrExpression(): Expr {
    const start = this.at;
    const { value, raw } = this.readString();
    const quoted = /^\\\/expr\(/i.test(raw) && raw.endsWith(')\\/');
    if (!quoted) return new Literal(value, start, this.at);
    try {
      return parseExpr(value.slice('/Expr('.length, -')/'.length));
    } catch (error) {
      if (!(error instanceof ClassAdSyntaxError)) throw error;
      throw new ClassAdSyntaxError(
        this.text,
        start,
        `${error.expected} in the quoted expression`,
        this.at - start,
      );
    }
  }

  private readString(): { value: string; raw: string } {
    const start = this.at + 1;
    let value = '';
    let at = start;
    for (let from = start; ; from = at) {
      while (at < this.text.length && this.text.charAt(at) !== '"' && this.text.charAt(at) !== '\\') at += 1;
      if (at >= this.text.length) this.fail('a string that ends in "', start - 1);
      value += this.text.slice(from, at);
      if (this.text.charAt(at) === '"') break;
      const char = this.text.charAt(at + 1);
      at += 2;
      if (char === 'u') {
        const digits = this.text.slice(at, at + 4);
        if (!/^[0-9a-fA-F]{4}$/.test(digits) || digits === '0000')
          this.fail('four hexadecimal digits, not 0000', at);
        value += String.fromCharCode(Number.parseInt(digits, 16));
        at += 4;
      } else {
        value += ESCAPES[char] ?? char;
      }
    }
    this.at = at + 1;
    return { value, raw: this.text.slice(start, at) };
  }
}

/** An ad as JSON over several lines, laid out as HTCondor's tools do. */
export function writeJson(ad: ClassAd): string {
  return writeAd(ad, 0);
}

function writeAd(ad: ClassAd, indent: number): string {
  const line = `\n${' '.repeat(indent + 2)}`;
  const attributes = [...ad].map(
    ([name, expr]) => `${line}"${escapeText(name)}": ${writeExpr(expr, indent + 2)}`,
  );
  return `{${attributes.join(',')}\n${' '.repeat(indent)}}`;
}

function writeExpr(expr: Expr, indent: number): string {
  switch (expr.kind) {
    case 'literal':
      return writeLiteral(expr);
    case 'ad':
      return writeAd(expr.ad, indent);
    case 'list': {
      const line = `\n${' '.repeat(indent + 2)}`;
      const items = expr.items.map((item) => line + writeExpr(item, indent + 2));
      return `[${items.join(',')}\n${' '.repeat(indent)}]`;
    }
    default:
      return quoteExpression(unparse(expr));
  }
}

function writeLiteral({ value }: Literal): string {
  if (value === undefined) return 'null';
  if (typeof value === 'string') return `"${escapeText(value)}"`;
  if (value instanceof Real && Number.isFinite(value.value)) return unparseReal(value.value, 'old');
  if (value instanceof RelTime) return unparseReal(value.seconds, 'old');
  return typeof value === 'object' || value === ERROR ? quoteExpression(unparseValue(value)) : String(value);
}

function quoteExpression(text: string): string {
  return `"\\/Expr(${escapeText(text)})\\/"`;
}

const WRITTEN_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function escapeText(text: string): string {
  return text.replace(/[\x00-\x1f"\\]/g, (char) => {
    return WRITTEN_ESCAPES[char] ?? `\\u00${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  });
}
