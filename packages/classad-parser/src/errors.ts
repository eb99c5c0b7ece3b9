/** Where in a text something is; line and column count from 1, the column in characters. */
export interface Position {
  offset: number;
  line: number;
  column: number;
}

export function position(text: string, offset: number): Position {
  let line = 1;
  let lineStart = 0;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) {
    line += 1;
    lineStart = at + 1;
  }
  return { offset, line, column: offset - lineStart + 1 };
}

const SHOWN_LENGTH = 40;

/** Text that is not a ClassAd (or not an expression). */
export class ClassAdSyntaxError extends Error {
  readonly line: number;
  readonly column: number;
  readonly offset: number;
  /** The text that could not be read, cut to 40 characters; empty at the end of the input. */
  readonly found: string;
  readonly expected: string;
  private readonly text: string;
  private readonly linesBefore: number;

  /** `linesBefore` counts the lines before the text, where it is part of a longer one. */
  constructor(text: string, offset: number, expected: string, length = 1, linesBefore = 0) {
    const at = position(text, offset);
    at.line += linesBefore;
    const found = text.slice(offset, offset + Math.min(Math.max(length, 1), SHOWN_LENGTH));
    const shown = found === '' ? 'the end of the text' : JSON.stringify(found);
    super(`line ${at.line}, column ${at.column}: expected ${expected}, found ${shown}`);
    this.name = 'ClassAdSyntaxError';
    this.offset = offset;
    this.line = at.line;
    this.column = at.column;
    this.found = found;
    this.expected = expected;
    this.text = text;
    this.linesBefore = linesBefore;
  }

  /** The same error in a text with this many lines before the one it was found in. */
  movedDown(lines: number): ClassAdSyntaxError {
    return new ClassAdSyntaxError(
      this.text,
      this.offset,
      this.expected,
      this.found.length,
      this.linesBefore + lines,
    );
  }
}
