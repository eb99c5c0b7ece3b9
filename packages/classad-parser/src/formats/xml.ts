/** Ads as XML, as `condor_status -xml` writes them. */
import { AdExpr, type Expr, ListExpr, Literal } from '../ast.ts';
import { readDouble } from '../builtins/convert.ts';
import { ClassAd } from '../classad.ts';
import { ClassAdSyntaxError } from '../errors.ts';
import { readInteger } from '../integers.ts';
import { resolveEscapes } from '../lexer.ts';
import { formatE } from '../numbers.ts';
import { MAX_NESTING, parseExpr } from '../parser.ts';
import { formatAbsTime, parseAbsTime, parseRelTime } from '../times.ts';
import { escapeText, unparse } from '../unparse.ts';
import { AbsTime, ERROR, Real, RelTime } from '../values.ts';

/**
 * Parses ads in XML: `<c>` elements, with or without a `<classads>` around them.
 * @throws ClassAdSyntaxError
 */
export function parseXmlAds(text: string): ClassAd[] {
  const reader = new XmlReader(text);
  const ads: ClassAd[] = [];
  while (reader.nextAd()) ads.push(reader.readAd());
  return ads;
}

interface Tag {
  name: string;
  attribute: string;
  closing: boolean;
  empty: boolean;
  start: number;
}

const TAG = /<(\/?)([A-Za-z]+)((?:\s+[A-Za-z]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>/y;
const ATTRIBUTE = /[nv]\s*=\s*(?:"([^"]*)"|'([^']*)')/;
const IGNORED = /<\?[^?]*\?>|<!--(?:[^-]|-(?!->))*-->|<![A-Za-z][^>]*>/y;
const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

class XmlReader {
  private readonly text: string;
  private at = 0;
  private nesting = 0;

  constructor(text: string) {
    this.text = text;
  }

  private fail(expected: string, at = this.at): never {
    throw new ClassAdSyntaxError(this.text, at, expected, 20);
  }

  private skipIgnored(): void {
    for (;;) {
      while (' \t\r\n'.includes(this.text.charAt(this.at)) && this.at < this.text.length) this.at += 1;
      IGNORED.lastIndex = this.at;
      const match = IGNORED.exec(this.text);
      if (match === null) return;
      this.at += match[0].length;
    }
  }

  private readTag(expected: string): Tag {
    this.skipIgnored();
    TAG.lastIndex = this.at;
    const match = TAG.exec(this.text);
    if (match === null) this.fail(expected);
    const start = this.at;
    this.at += match[0].length;
    const attribute = ATTRIBUTE.exec(match[3] ?? '');
    return {
      closing: match[1] === '/',
      name: match[2]!,
      attribute: decode(attribute?.[1] ?? attribute?.[2] ?? ''),
      empty: match[4] === '/',
      start,
    };
  }

  /** Goes to the next `<c>`; false at the end of the text. */
  nextAd(): boolean {
    for (;;) {
      this.skipIgnored();
      if (this.at >= this.text.length) return false;
      const before = this.at;
      const tag = this.readTag('<c>');
      if (tag.name === 'c' && !tag.closing) {
        this.at = before;
        return true;
      }
      if (tag.name !== 'classads') this.fail('<c>', before);
    }
  }

  readAd(): ClassAd {
    const open = this.readTag('<c>');
    const ad = new ClassAd();
    if (open.empty) return ad;
    this.nesting += 1;
    if (this.nesting > MAX_NESTING) this.fail(`at most ${MAX_NESTING} values within each other`);
    for (;;) {
      const tag = this.readTag('<a n="…"> or </c>');
      if (tag.name === 'c' && tag.closing) break;
      if (tag.name !== 'a' || tag.closing || tag.attribute === '') this.fail('<a n="…"> or </c>', tag.start);
      ad.insert(tag.attribute, this.readValue());
      this.expectClose('a');
    }
    this.nesting -= 1;
    return ad;
  }

  private expectClose(name: string): void {
    const tag = this.readTag(`</${name}>`);
    if (!tag.closing || tag.name !== name) this.fail(`</${name}>`, tag.start);
  }

  private readValue(): Expr {
    this.skipIgnored();
    const before = this.at;
    const tag = this.readTag('a value');
    if (tag.closing) this.fail('a value', before);
    switch (tag.name) {
      case 'c':
        this.at = before;
        return new AdExpr(this.readAd());
      case 'l':
        return new ListExpr(tag.empty ? [] : this.readList());
      case 'b':
        if (!tag.empty) this.expectClose('b');
        return new Literal(tag.attribute.toLowerCase() === 't');
      case 'un':
      case 'er':
        if (!tag.empty) this.expectClose(tag.name);
        return new Literal(tag.name === 'un' ? undefined : ERROR);
      default:
        return this.readText(tag);
    }
  }

  private readList(): Expr[] {
    this.nesting += 1;
    if (this.nesting > MAX_NESTING) this.fail(`at most ${MAX_NESTING} values within each other`);
    const items: Expr[] = [];
    for (;;) {
      this.skipIgnored();
      if (this.text.startsWith('</', this.at)) break;
      items.push(this.readValue());
    }
    this.expectClose('l');
    this.nesting -= 1;
    return items;
  }

  /** An element that holds text. */
  private readText(tag: Tag): Expr {
    const start = this.at;
    let text = '';
    if (!tag.empty) {
      const end = this.text.indexOf('<', start);
      if (end === -1) this.fail(`</${tag.name}>`, this.text.length);
      text = decode(this.text.slice(start, end));
      this.at = end;
      this.expectClose(tag.name);
    }
    const expr = fromText(tag.name, text);
    if (expr === undefined) this.fail(`a value of <${tag.name}>`, start);
    return expr;
  }
}

function fromText(element: string, text: string): Expr | undefined {
  switch (element) {
    case 'i':
      return /^\s*-?[0-9]+/.test(text) ? new Literal(readInteger(/-?[0-9]+/.exec(text)![0])) : undefined;
    case 'r': {
      const number = readDouble(text);
      return number === undefined ? undefined : new Literal(new Real(number));
    }
    case 's': {
      const string = resolveEscapes(text);
      return string === undefined ? undefined : new Literal(string);
    }
    case 'at':
    case 'rt': {
      const time = element === 'at' ? parseAbsTime(text) : parseRelTime(text);
      return time === undefined ? undefined : new Literal(time);
    }
    case 'e':
      return parseExpr(text);
    default:
      return undefined;
  }
}

function decode(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(
    /&(?:#([0-9]{1,7})|#x([0-9a-fA-F]{1,6})|([a-z]+));/g,
    (whole, decimal, hex, name: string) => {
      if (name !== undefined) return ENTITIES[name] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

const encode = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Ads as an XML document, laid out as HTCondor's tools do. */
export function writeXml(ads: Iterable<ClassAd>): string {
  let out = XML_HEADER;
  for (const ad of ads) out += writeXmlAd(ad);
  return out + XML_FOOTER;
}

export const XML_HEADER = '<?xml version="1.0"?>\n<!DOCTYPE classads SYSTEM "classads.dtd">\n<classads>\n';
export const XML_FOOTER = '</classads>\n';

/** One ad as a `<c>` element, for between the header and the footer. */
export function writeXmlAd(ad: ClassAd): string {
  return `${element(ad, 0)}\n`;
}

function element(ad: ClassAd, indent: number): string {
  const inner = ' '.repeat(indent + 4);
  let out = '<c>\n';
  for (const [name, expr] of ad) {
    const quoted = encode(escapeText(name, '', 'new')).replaceAll('"', '&quot;');
    out += `${inner}<a n="${quoted}">${valueElement(expr, indent + 4)}</a>\n`;
  }
  return `${out}${' '.repeat(indent)}</c>`;
}

function valueElement(expr: Expr, indent: number): string {
  if (expr.kind === 'ad') return element(expr.ad, indent);
  if (expr.kind === 'list') return `<l>${expr.items.map((item) => valueElement(item, indent)).join('')}</l>`;
  if (expr.kind !== 'literal') return `<e>${encode(unparse(expr))}</e>`;
  const { value } = expr;
  if (value === undefined) return '<un/>';
  if (value === ERROR) return '<er/>';
  if (typeof value === 'boolean') return `<b v="${value ? 't' : 'f'}"/>`;
  if (typeof value === 'string') return `<s>${encode(escapeText(value, '', 'new'))}</s>`;
  if (value instanceof Real) return `<r>${realText(value.value)}</r>`;
  if (value instanceof AbsTime) return `<at>${formatAbsTime(value)}</at>`;
  // HTCondor writes the real number a span evaluates to.
  if (value instanceof RelTime) return `<r>${realText(value.seconds)}</r>`;
  return `<i>${value}</i>`;
}

function realText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'INF' : '-INF';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  return formatE(value, 15);
}
