/** The parts of a PCRE pattern. Text is bytes: every character of a string here is one of 0 to 255. */

export type Node =
  | { kind: 'set'; set: ByteSet }
  | { kind: 'sequence'; nodes: Node[] }
  | { kind: 'alternatives'; nodes: Node[] }
  | { kind: 'group'; index: number; node: Node }
  | { kind: 'repeat'; node: Node; least: number; most: number; mode: 'greedy' | 'lazy' | 'possessive' }
  | { kind: 'assertion'; test: AssertionTest }
  | { kind: 'look'; behind: boolean; negative: boolean; node: Node }
  | { kind: 'atomic'; node: Node }
  | { kind: 'reference'; group: number | string; ignoreCase: boolean }
  | { kind: 'recursion'; group: number | string }
  | { kind: 'conditional'; condition: Condition; whenTrue: Node; whenFalse: Node }
  | { kind: 'newline' }
  | { kind: 'keep' }
  | { kind: 'fail' };

export type Condition = { group: number | string } | { look: Node } | { define: true };

export type AssertionTest =
  | 'textStart'
  | 'lineStart'
  | 'textEnd'
  | 'textEndOrNewline'
  | 'lineEnd'
  | 'searchStart'
  | 'wordBoundary'
  | 'noWordBoundary';

/** One flag for each of the 256 bytes. */
export type ByteSet = Uint8Array;

export interface PatternOptions {
  ignoreCase?: boolean;
  multiline?: boolean;
  dotAll?: boolean;
  extended?: boolean;
  /** Quantifiers are lazy, and greedy with `?`. */
  ungreedy?: boolean;
  /** Plain parentheses do not capture. */
  noCapture?: boolean;
  /** Groups may share a name. */
  sharedNames?: boolean;
}

export function byteSet(includes: (code: number) => boolean): ByteSet {
  return Uint8Array.from({ length: 256 }, (_, code) => (includes(code) ? 1 : 0));
}

const between = (low: string, high: string) => (code: number) =>
  code >= low.charCodeAt(0) && code <= high.charCodeAt(0);
const isDigit = between('0', '9');
const isUpper = between('A', 'Z');
const isLower = between('a', 'z');
const isAlpha = (code: number): boolean => isUpper(code) || isLower(code);
const isWord = (code: number): boolean => isAlpha(code) || isDigit(code) || code === 95;
const isSpace = (code: number): boolean => code === 32 || (code >= 9 && code <= 13);
const isGraph = (code: number): boolean => code > 32 && code < 127;

export const WORD = byteSet(isWord);
export const CLASS_ESCAPES: Readonly<Record<string, ByteSet>> = {
  d: byteSet(isDigit),
  w: WORD,
  s: byteSet(isSpace),
  h: byteSet((code) => code === 9 || code === 32 || code === 0xa0),
  v: byteSet((code) => (code >= 10 && code <= 13) || code === 0x85),
  N: byteSet((code) => code === 10),
};

export const POSIX_CLASSES: Readonly<Record<string, (code: number) => boolean>> = {
  alnum: (code) => isAlpha(code) || isDigit(code),
  alpha: isAlpha,
  ascii: (code) => code < 128,
  blank: (code) => code === 9 || code === 32,
  cntrl: (code) => code < 32 || code === 127,
  digit: isDigit,
  graph: isGraph,
  lower: isLower,
  print: (code) => code === 32 || isGraph(code),
  punct: (code) => isGraph(code) && !isAlpha(code) && !isDigit(code),
  space: isSpace,
  upper: isUpper,
  word: isWord,
  xdigit: (code) => isDigit(code) || between('a', 'f')(code) || between('A', 'F')(code),
};

export function invert(set: ByteSet): ByteSet {
  return set.map((flag) => 1 - flag);
}

/** Adds the other case of every letter. */
export function foldCase(set: ByteSet): ByteSet {
  const folded = set.slice();
  for (let upper = 65; upper <= 90; upper++) {
    if (set[upper] === 1 || set[upper + 32] === 1) {
      folded[upper] = 1;
      folded[upper + 32] = 1;
    }
  }
  return folded;
}

/** The node of a group, by number or name. */
export type GroupLookup = (group: number | string) => Node | undefined;

const MAX_DEPTH = 500;

/** The shortest and the longest text a node can match. A reference to a group is as long as the group. */
export function lengths(node: Node, groupOf: GroupLookup, depth = 0): { least: number; most: number } {
  const of = (inner: Node) => lengths(inner, groupOf, depth + 1);
  switch (node.kind) {
    case 'set':
      return { least: 1, most: 1 };
    case 'newline':
      return { least: 1, most: 2 };
    case 'sequence':
      return node.nodes.map(of).reduce((a, b) => ({ least: a.least + b.least, most: a.most + b.most }), {
        least: 0,
        most: 0,
      });
    case 'alternatives': {
      const all = node.nodes.map(of);
      return {
        least: Math.min(...all.map((one) => one.least)),
        most: Math.max(...all.map((one) => one.most)),
      };
    }
    case 'group':
    case 'atomic':
      return of(node.node);
    case 'repeat': {
      const one = of(node.node);
      return { least: one.least * node.least, most: one.most === 0 ? 0 : one.most * node.most };
    }
    case 'conditional': {
      const [a, b] = [of(node.whenTrue), of(node.whenFalse)];
      return { least: Math.min(a.least, b.least), most: Math.max(a.most, b.most) };
    }
    case 'reference':
    case 'recursion': {
      const group = groupOf(node.group);
      if (group === undefined || depth > MAX_DEPTH) return { least: 0, most: Number.POSITIVE_INFINITY };
      return of(group);
    }
    default:
      return { least: 0, most: 0 };
  }
}
