/** Ads from a stream, one at a time: no more of the text is held than the ad being read (and the chunk it ends in). */
import type { ClassAd } from '../classad.ts';
import { ClassAdSyntaxError } from '../errors.ts';
import { parseNewAd } from '../parser.ts';
import { parseJsonAd } from './json.ts';
import { parseAds } from './old.ts';
import { parseXmlAds } from './xml.ts';

export type Format = 'old' | 'new' | 'json' | 'xml';

/** The longest text of one ad, in characters. */
export const MAX_AD_LENGTH = 32 * 1024 * 1024;

/**
 * Reads ads from chunks of text (bytes are UTF-8).
 * @throws ClassAdSyntaxError with the line in the stream; also when one ad is longer than 32 Mi characters
 */
export async function* readAds(
  chunks: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  format: Format,
): AsyncGenerator<ClassAd, void, undefined> {
  const decoder = new TextDecoder();
  const cutter =
    format === 'old' ? new LineCutter() : format === 'xml' ? new XmlCutter() : new BracketCutter(format);
  let line = 1;
  function* parsed(pieces: Iterable<string>): Generator<ClassAd> {
    for (const piece of pieces) {
      try {
        yield* parse(piece, format);
      } catch (error) {
        if (error instanceof ClassAdSyntaxError) throw error.movedDown(line - 1);
        throw error;
      }
      line += count(piece, '\n');
    }
  }
  for await (const chunk of chunks) {
    yield* parsed(cutter.push(typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })));
    if (cutter.held > MAX_AD_LENGTH) {
      throw new ClassAdSyntaxError('', 0, `an ad of at most ${MAX_AD_LENGTH} characters`).movedDown(line - 1);
    }
  }
  yield* parsed(cutter.push(decoder.decode()));
  yield* parsed(cutter.end());
}

function count(text: string, char: string): number {
  let found = 0;
  for (let at = text.indexOf(char); at !== -1; at = text.indexOf(char, at + 1)) found += 1;
  return found;
}

function parse(piece: string, format: Format): ClassAd[] {
  switch (format) {
    case 'old':
      return parseAds(piece);
    case 'xml':
      return parseXmlAds(piece);
    default: {
      // What stands between ads comes before one.
      const start = piece.search(format === 'json' ? /[^\s,[\]]/ : /[^\s,{}]/);
      if (start === -1) return [];
      const blank = piece.slice(0, start).replace(/[^\n]/g, ' ');
      return [
        format === 'json' ? parseJsonAd(blank + piece.slice(start)) : parseNewAd(blank + piece.slice(start)),
      ];
    }
  }
}

/** Cuts text into pieces that hold whole ads. */
interface Cutter {
  push(text: string): Iterable<string>;
  end(): Iterable<string>;
  /** Characters kept back. */
  readonly held: number;
}

class LineCutter implements Cutter {
  private rest = '';
  private searched = 0;

  get held(): number {
    return this.rest.length;
  }

  /** A blank line ends an ad. */
  *push(text: string): Iterable<string> {
    this.rest += text;
    const blank = /\n[ \t\r]*\n/g;
    blank.lastIndex = Math.max(0, this.searched - 1);
    let from = 0;
    for (let match = blank.exec(this.rest); match !== null; match = blank.exec(this.rest)) {
      const end = match.index + match[0].length;
      yield this.rest.slice(from, end);
      from = end;
    }
    this.rest = this.rest.slice(from);
    this.searched = this.rest.lastIndexOf('\n');
  }

  *end(): Iterable<string> {
    yield this.rest;
    this.rest = '';
  }
}

/** Ads between brackets: `[ … ]` in new syntax, `{ … }` in JSON; brackets in strings and comments do not count. */
class BracketCutter implements Cutter {
  private readonly open: string;
  private readonly close: string;
  private readonly quotes: string;
  private readonly comments: boolean;
  private rest = '';
  private at = 0;
  private depth = 0;
  private inside = '';

  constructor(format: 'new' | 'json') {
    [this.open, this.close] = format === 'new' ? ['[', ']'] : ['{', '}'];
    this.quotes = format === 'new' ? '"\'' : '"';
    this.comments = format === 'new';
  }

  get held(): number {
    return this.rest.length;
  }

  *push(text: string): Iterable<string> {
    this.rest += text;
    while (this.at < this.rest.length) {
      const char = this.rest.charAt(this.at);
      if (this.inside !== '') {
        if (!this.leave(char)) return;
      } else if (this.quotes.includes(char)) {
        this.inside = char;
        this.at += 1;
      } else if (this.comments && char === '/') {
        if (this.at + 1 >= this.rest.length) return;
        const next = this.rest.charAt(this.at + 1);
        this.inside = next === '/' ? '\n' : next === '*' ? '*/' : '';
        this.at += this.inside === '' ? 1 : 2;
      } else {
        this.at += 1;
        if (char === this.open) this.depth += 1;
        else if (char === this.close) {
          this.depth -= 1;
          if (this.depth === 0) {
            yield this.rest.slice(0, this.at);
            this.rest = this.rest.slice(this.at);
            this.at = 0;
          } else if (this.depth < 0) {
            this.depth = 0;
          }
        }
      }
    }
  }

  /** One step inside a string or a comment; false when more text is needed to tell. */
  private leave(char: string): boolean {
    if (char === '\\' && this.quotes.includes(this.inside)) {
      if (this.at + 1 >= this.rest.length) return false;
      this.at += 2;
    } else if (this.rest.startsWith(this.inside, this.at)) {
      this.at += this.inside.length;
      this.inside = '';
    } else if (this.inside === '*/' && char === '*' && this.at + 1 >= this.rest.length) {
      return false;
    } else {
      this.at += 1;
    }
    return true;
  }

  *end(): Iterable<string> {
    yield this.rest;
    this.rest = '';
  }
}

class XmlCutter implements Cutter {
  private rest = '';
  private searched = 0;
  private depth = 0;

  get held(): number {
    return this.rest.length;
  }

  *push(text: string): Iterable<string> {
    this.rest += text;
    const tag = /<(\/?)c(\s*\/)?>/g;
    tag.lastIndex = this.searched;
    let from = 0;
    for (let match = tag.exec(this.rest); match !== null; match = tag.exec(this.rest)) {
      if (match[1] === '/') this.depth -= 1;
      else if (match[2] === undefined) this.depth += 1;
      this.searched = match.index + match[0].length;
      if (this.depth > 0) continue;
      yield this.rest.slice(from, this.searched);
      from = this.searched;
    }
    // A tag may be cut at the end of the chunk.
    const lastTag = this.rest.lastIndexOf('<');
    this.searched = Math.max(this.searched, lastTag === -1 ? this.rest.length : lastTag) - from;
    this.rest = this.rest.slice(from);
  }

  *end(): Iterable<string> {
    yield this.rest;
    this.rest = '';
  }
}
