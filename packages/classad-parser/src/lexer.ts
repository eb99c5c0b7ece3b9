import { ClassAdSyntaxError } from './errors.ts';
import { readInteger } from './integers.ts';
import { fromBytes, isSpace, toBytes } from './text.ts';
import type { Integer } from './values.ts';

export type TokenType = 'end' | 'identifier' | 'string' | 'integer' | 'real' | 'word' | 'punctuation';

/** How strings are written: `new` with C's escapes; `old` (attribute lines) where only `\"` is special. */
export type StringSyntax = 'new' | 'old';

const QUOTE = 34;
const APOSTROPHE = 39;
const BACKSLASH = 92;
const WORDS = new Set(['true', 'false', 'undefined', 'error', 'is', 'isnt']);
const PUNCTUATION: readonly string[] = [
  '>>>',
  '=?=',
  '=!=',
  '&&',
  '||',
  '<=',
  '<<',
  '>=',
  '>>',
  '==',
  '!=',
  ...'*/%+-~^?:;,[](){}&|<>=!',
];
const PUNCTUATION_BY_FIRST = Map.groupBy(PUNCTUATION, (symbol) => symbol.charCodeAt(0));

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isNameStart(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95;
}

/** One pass over a text, holding the token it is at. */
export class Lexer {
  readonly text: string;
  readonly strings: StringSyntax;
  type: TokenType = 'end';
  /** Identifier (any spelling), word or operator (lower case), or the value of a string. */
  symbol = '';
  integer: Integer = 0;
  real = 0;
  start = 0;
  end = 0;
  /** Whether a minus here would subtract from what is before it, rather than sign what follows. */
  private afterOperand = false;

  constructor(text: string, strings: StringSyntax, offset = 0) {
    this.text = text;
    this.strings = strings;
    this.end = offset;
    this.next();
  }

  fail(expected: string, offset = this.start): never {
    throw new ClassAdSyntaxError(this.text, offset, expected, offset === this.start ? this.end - offset : 1);
  }

  next(): void {
    this.skipSpace();
    const { text, start } = this;
    const code = text.charCodeAt(start);
    if (start >= text.length || code === 0) {
      this.type = 'end';
      this.end = start;
    } else if (isNameStart(code)) {
      this.readName();
    } else if (isDigit(code) || code === 46) {
      this.readNumber();
    } else if (code === 45 && !this.afterOperand && this.digitFollows(start + 1)) {
      this.readNumber();
    } else if (code === QUOTE || code === APOSTROPHE) {
      this.readString(code);
    } else {
      this.readPunctuation(code);
    }
    this.afterOperand = endsOperand(this.type, this.symbol);
  }

  private digitFollows(at: number): boolean {
    const { text } = this;
    return isDigit(text.charCodeAt(at)) || (text.charCodeAt(at) === 46 && isDigit(text.charCodeAt(at + 1)));
  }

  private skipSpace(): void {
    const { text } = this;
    let at = this.end;
    for (;;) {
      const code = text.charCodeAt(at);
      if (isSpace(code)) {
        at += 1;
      } else if (code === 47 && text.charCodeAt(at + 1) === 47) {
        const lineEnd = text.indexOf('\n', at);
        at = lineEnd === -1 ? text.length : lineEnd;
      } else if (code === 47 && text.charCodeAt(at + 1) === 42) {
        const close = text.indexOf('*/', at + 2);
        if (close === -1) throw new ClassAdSyntaxError(text, at, 'a comment that ends in */', 2);
        at = close + 2;
      } else {
        this.start = at;
        return;
      }
    }
  }

  private readName(): void {
    const { text, start } = this;
    let at = start + 1;
    while (isNameStart(text.charCodeAt(at)) || isDigit(text.charCodeAt(at))) at += 1;
    this.end = at;
    const name = text.slice(start, at);
    const lower = name.length <= 9 ? name.toLowerCase() : '';
    if (WORDS.has(lower)) {
      this.type = 'word';
      this.symbol = lower;
    } else {
      this.type = 'identifier';
      this.symbol = name;
    }
  }

  /**
   * Integers and reals. HTCondor reads no octal (`010` is refused) and no hexadecimal (nor the scale suffixes of its
   * older releases), yet `-010` is −10 and `-0x1F` is 0: both follow from how its lexer looks at the first character.
   */
  private readNumber(): void {
    const { text, start } = this;
    let at = start;
    const negative = text.charCodeAt(at) === 45;
    if (negative) at += 1;
    const first = text.charCodeAt(at);
    if (first === 48 && (text.charCodeAt(at + 1) | 32) === 120) {
      this.readHexadecimal(at + 2, negative);
      return;
    }
    const digits = at;
    while (isDigit(text.charCodeAt(at))) at += 1;
    const wholeEnd = at;
    let isReal = false;
    if (text.charCodeAt(at) === 46) {
      if (!isDigit(text.charCodeAt(at + 1))) {
        if (wholeEnd > digits) this.failNumber(at + 1, 'a digit after the decimal point');
        this.readDots(at);
        return;
      }
      isReal = true;
      at += 1;
      while (isDigit(text.charCodeAt(at))) at += 1;
    }
    if ((text.charCodeAt(at) | 32) === 101) {
      isReal = true;
      at += 1;
      if (text.charCodeAt(at) === 43 || text.charCodeAt(at) === 45) at += 1;
      if (!isDigit(text.charCodeAt(at))) this.failNumber(at, 'a digit of the exponent');
      while (isDigit(text.charCodeAt(at))) at += 1;
    }
    this.end = at;
    if (isReal) {
      this.type = 'real';
      this.real = Number(text.slice(start, at));
      return;
    }
    if (first === 48 && wholeEnd - digits > 1 && (!negative || hasNonOctal(text, digits, wholeEnd))) {
      this.failNumber(start, 'a number without leading zeros');
    }
    this.type = 'integer';
    this.integer = readInteger(text.slice(start, at));
  }

  /** A selection. A second dot belongs to it in HTCondor, and digits after that are a number it reads as 0. */
  private readDots(at: number): void {
    const { text } = this;
    this.end = text.charCodeAt(at + 1) === 46 ? at + 2 : at + 1;
    if (this.end === at + 2 && isDigit(text.charCodeAt(this.end))) {
      while (isDigit(text.charCodeAt(this.end))) this.end += 1;
      this.type = 'real';
      this.real = 0;
      return;
    }
    this.type = 'punctuation';
    this.symbol = '.';
  }

  private readHexadecimal(digits: number, negative: boolean): void {
    let at = digits;
    while (/[0-9a-fA-F]/.test(this.text.charAt(at))) at += 1;
    if (!negative || at === digits) this.failNumber(this.start, 'a decimal number');
    this.end = at;
    this.type = 'integer';
    this.integer = 0;
  }

  private failNumber(offset: number, expected: string): never {
    throw new ClassAdSyntaxError(this.text, offset, expected);
  }

  private readString(delimiter: number): void {
    const content = this.strings === 'old' ? this.readOldString(delimiter) : this.readNewString(delimiter);
    this.type = delimiter === QUOTE ? 'string' : 'identifier';
    this.symbol = content;
  }

  /** Strings separated by nothing but space are one. */
  private readNewString(delimiter: number): string {
    const { text, start } = this;
    let raw = '';
    let at = start;
    let escaped = false;
    do {
      const from = at + 1;
      at = from;
      for (let code = text.charCodeAt(at); code !== delimiter; code = text.charCodeAt(at)) {
        if (code === BACKSLASH && at + 1 < text.length) {
          escaped = true;
          at += 1;
        }
        at += 1;
        if (at >= text.length || code === 0) this.failUnclosed(delimiter);
      }
      raw += text.slice(from, at);
      this.end = at + 1;
      at += 1;
      while (isSpace(text.charCodeAt(at))) at += 1;
    } while (text.charCodeAt(at) === delimiter);
    if (!escaped) return raw;
    const unescaped = resolveEscapes(raw);
    if (unescaped === undefined)
      throw new ClassAdSyntaxError(text, start, 'a string without \\0', this.end - start);
    return unescaped;
  }

  /** A backslash is itself unless a quote follows it, and that quote is not the last character of the line. */
  private readOldString(delimiter: number): string {
    const { text, start } = this;
    let value = '';
    let from = start + 1;
    let at = from;
    for (;;) {
      const code = text.charCodeAt(at);
      if (at >= text.length || code === 0) this.failUnclosed(delimiter);
      if (code !== delimiter) {
        at += 1;
        continue;
      }
      const quotesOn =
        at > from &&
        text.charCodeAt(at - 1) === BACKSLASH &&
        at + 1 < text.length &&
        text.charCodeAt(at + 1) !== 10 &&
        text.charCodeAt(at + 1) !== 0;
      if (!quotesOn) break;
      value += text.slice(from, at - 1) + String.fromCharCode(delimiter);
      at += 1;
      from = at;
    }
    this.end = at + 1;
    return value + text.slice(from, at);
  }

  private failUnclosed(delimiter: number): never {
    const quote = String.fromCharCode(delimiter);
    throw new ClassAdSyntaxError(this.text, this.start, `a string that ends in ${quote}`, 40);
  }

  private readPunctuation(first: number): void {
    const { text, start } = this;
    const symbol = PUNCTUATION_BY_FIRST.get(first)?.find((candidate) => text.startsWith(candidate, start));
    if (symbol === undefined) throw new ClassAdSyntaxError(text, start, 'an expression');
    if (symbol === '=' && text.charCodeAt(start + 1) === 63)
      throw new ClassAdSyntaxError(text, start, '=?=', 2);
    this.type = 'punctuation';
    this.symbol = symbol === '=?=' ? 'is' : symbol === '=!=' ? 'isnt' : symbol;
    this.end = start + symbol.length;
  }
}

function endsOperand(type: TokenType, symbol: string): boolean {
  switch (type) {
    case 'punctuation':
      return symbol === ')' || symbol === ']' || symbol === '}' || symbol === '.';
    case 'word':
      return symbol !== 'is' && symbol !== 'isnt';
    default:
      return type !== 'end';
  }
}

function hasNonOctal(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (text.charCodeAt(i) > 55) return true;
  return false;
}

const isOctal = (char: string): boolean => char >= '0' && char <= '7' && char.length === 1;

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Resolves C escapes; undefined when one of them is NUL, which no ClassAd string can hold. */
export function resolveEscapes(raw: string): string | undefined {
  let out = '';
  let hasHighBytes = false;
  for (let i = 0; i < raw.length; i++) {
    const char = raw.charAt(i);
    if (char !== '\\' || i === raw.length - 1) {
      out += char;
      continue;
    }
    i += 1;
    const escaped = raw.charAt(i);
    if (!isOctal(escaped)) {
      out += SIMPLE_ESCAPES[escaped] ?? escaped;
      continue;
    }
    // One to three octal digits, the third only while the byte stays below 256.
    let byte = Number(escaped);
    if (isOctal(raw.charAt(i + 1))) {
      i += 1;
      byte = byte * 8 + Number(raw.charAt(i));
      if (byte < 32 && isOctal(raw.charAt(i + 1))) {
        i += 1;
        byte = byte * 8 + Number(raw.charAt(i));
      }
    }
    if (byte === 0) return undefined;
    // A byte above 127 is part of a UTF-8 sequence: it waits as a lone surrogate for the others.
    if (byte < 0x80) out += String.fromCharCode(byte);
    else {
      out += String.fromCharCode(0xdc00 + byte);
      hasHighBytes = true;
    }
  }
  return hasHighBytes ? fromBytes(toBytes(out)) : out;
}
