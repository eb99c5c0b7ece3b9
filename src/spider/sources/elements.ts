import { HttpFailure, parseJson } from '../http.ts';

/**
 * The elements of a JSON array, parsed one after the other. All of a long answer at once takes many times the memory
 * of its text.
 * @throws HttpFailure `not-json`, `truncated` or `bad-data`: where the text is no array, or broken off, that is after
 * the elements before
 */
export function* listElements(text: string, url: string): Generator<unknown> {
  const begin = /^\s*\[/.exec(text)?.[0].length;
  if (begin === undefined) {
    parseJson(text, url);
    throw new HttpFailure('bad-data', url, 'answered no list');
  }
  try {
    for (const [start, end] of elementRanges(text, begin)) yield JSON.parse(text.slice(start, end));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // Says what is wrong with the whole.
    parseJson(text, url);
    throw error;
  }
}

/** Where each element begins and ends. Only brackets and quotes are looked at: the parser finds all else. */
function* elementRanges(text: string, begin: number): Generator<[start: number, end: number]> {
  let depth = 1;
  let start = begin;
  for (let at = begin; at < text.length; at++) {
    switch (text[at]) {
      case '"':
        at = endOfString(text, at);
        break;
      case '[':
      case '{':
        depth += 1;
        break;
      case ',':
        if (depth > 1) break;
        yield [start, at];
        start = at + 1;
        break;
      case ']':
      case '}':
        depth -= 1;
        if (depth > 0) break;
        if (text[at] === '}' || text.slice(at + 1).trim() !== '') throw new SyntaxError('no end of the list');
        if (start > begin || text.slice(start, at).trim() !== '') yield [start, at];
        return;
    }
  }
  throw new SyntaxError('the list does not end');
}

/** The quote that closes what the one at `open` opens. */
function endOfString(text: string, open: number): number {
  for (let at = text.indexOf('"', open + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let escapes = 0;
    while (text[at - 1 - escapes] === '\\') escapes += 1;
    if (escapes % 2 === 0) return at;
  }
  throw new SyntaxError('a text does not end');
}
