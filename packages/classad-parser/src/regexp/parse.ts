/** Reads patterns in the syntax of PCRE2, matching bytes as HTCondor has it do. */
import {
  type AssertionTest,
  type ByteSet,
  byteSet,
  CLASS_ESCAPES,
  type Condition,
  foldCase,
  type GroupLookup,
  invert,
  lengths,
  type Node,
  type PatternOptions,
  POSIX_CLASSES,
} from './syntax.ts';

/** A pattern PCRE would refuse, or one with a feature this engine does not have. */
export class PatternError extends Error {}

export interface ParsedPattern {
  node: Node;
  groupCount: number;
  names: ReadonlyMap<string, number>;
  groups: ReadonlyMap<number, Node>;
  groupOf: GroupLookup;
}

const MAX_NESTING = 250;
const MAX_REPEAT = 65535;
const MAX_LOOKBEHIND = 255;

export function parsePattern(pattern: string, options: PatternOptions): ParsedPattern {
  return new PatternParser(pattern, options).parse();
}

const CONTROL_ESCAPES: Readonly<Record<string, number>> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 };
const ASSERTION_ESCAPES: Readonly<Record<string, AssertionTest>> = {
  A: 'textStart',
  Z: 'textEndOrNewline',
  z: 'textEnd',
  G: 'searchStart',
  b: 'wordBoundary',
  B: 'noWordBoundary',
};

class PatternParser {
  private readonly pattern: string;
  private options: PatternOptions;
  private at = 0;
  private depth = 0;
  /** Lookarounds around where we are. */
  private looks = 0;
  private groupCount = 0;
  private readonly names = new Map<string, number>();
  private readonly groups = new Map<number, Node>();
  private readonly referenced: (number | string)[] = [];
  private readonly lookbehinds: Node[] = [];
  private readonly totalGroups: number;

  constructor(pattern: string, options: PatternOptions) {
    this.pattern = pattern;
    this.options = options;
    this.totalGroups = countGroups(pattern);
  }

  parse(): ParsedPattern {
    const node = this.parseAlternatives();
    if (this.at < this.pattern.length) this.fail('unmatched )');
    for (const group of this.referenced) {
      const known = typeof group === 'number' ? group <= this.groupCount : this.names.has(group);
      if (!known) this.fail(`reference to group ${group}, which is not there`);
    }
    const groupOf = (group: number | string) =>
      this.groups.get(typeof group === 'number' ? group : this.names.get(group)!);
    for (const behind of this.lookbehinds) {
      if (lengths(behind, groupOf).most > MAX_LOOKBEHIND) this.fail('a lookbehind without a limit');
    }
    return { node, groupCount: this.groupCount, names: this.names, groups: this.groups, groupOf };
  }

  private fail(problem: string): never {
    throw new PatternError(`${problem} at ${this.at}`);
  }

  private take(text: string): boolean {
    if (!this.pattern.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private matchHere(expression: RegExp): RegExpExecArray | undefined {
    expression.lastIndex = this.at;
    const match = expression.exec(this.pattern);
    if (match === null) return undefined;
    this.at += match[0].length;
    return match;
  }

  /** Up to a closing parenthesis or the end. Options set inside hold to the end of the group, across its bars. */
  private parseAlternatives(sharedGroups = false): Node {
    this.depth += 1;
    if (this.depth > MAX_NESTING) this.fail('too many parentheses');
    const outer = this.options;
    const groupsBefore = this.groupCount;
    const nodes = [this.parseSequence()];
    let groupsAfter = this.groupCount;
    while (this.take('|')) {
      // In (?|…) every alternative numbers its groups from the same one.
      if (sharedGroups) this.groupCount = groupsBefore;
      nodes.push(this.parseSequence());
      groupsAfter = Math.max(groupsAfter, this.groupCount);
    }
    this.groupCount = groupsAfter;
    this.options = outer;
    this.depth -= 1;
    return nodes.length === 1 ? nodes[0]! : { kind: 'alternatives', nodes };
  }

  private parseSequence(): Node {
    const nodes: Node[] = [];
    for (;;) {
      this.skipIgnored();
      const char = this.pattern.charAt(this.at);
      if (char === '' || char === '|' || char === ')') break;
      const { node, repeatable } = this.parseItem();
      if (node !== undefined) nodes.push(repeatable ? this.parseQuantifier(node) : node);
    }
    return nodes.length === 1 ? nodes[0]! : { kind: 'sequence', nodes };
  }

  private skipIgnored(): void {
    for (;;) {
      if (this.matchHere(/\(\?#[^)]*\)/y) !== undefined || this.matchHere(/\\E/y) !== undefined) continue;
      if (this.pattern.startsWith('(?#', this.at)) this.fail('a comment without )');
      if (this.options.extended && this.matchHere(/[ \t-\r]+|#[^\n]*/y) !== undefined) continue;
      return;
    }
  }

  private parseQuantifier(node: Node): Node {
    this.skipIgnored();
    const range = this.parseRange();
    if (range === undefined) return node;
    const [plain, marked] = this.options.ungreedy
      ? (['lazy', 'greedy'] as const)
      : (['greedy', 'lazy'] as const);
    const mode = this.take('?') ? marked : this.take('+') ? 'possessive' : plain;
    return { kind: 'repeat', node, ...range, mode };
  }

  private parseRange(): { least: number; most: number } | undefined {
    if (this.take('*')) return { least: 0, most: Number.POSITIVE_INFINITY };
    if (this.take('+')) return { least: 1, most: Number.POSITIVE_INFINITY };
    if (this.take('?')) return { least: 0, most: 1 };
    const match = this.matchHere(/\{[ \t]*(?:(\d+)[ \t]*(?:(,)[ \t]*(\d*)[ \t]*)?|,[ \t]*(\d+)[ \t]*)\}/y);
    if (match === undefined) return undefined;
    const [, low, comma, high, highOnly] = match;
    const least = Number(low ?? 0);
    const most =
      highOnly !== undefined
        ? Number(highOnly)
        : comma === undefined
          ? least
          : high === ''
            ? Number.POSITIVE_INFINITY
            : Number(high);
    if (least > MAX_REPEAT || (most > MAX_REPEAT && most !== Number.POSITIVE_INFINITY))
      this.fail('too large a number');
    if (most < least) this.fail('numbers out of order');
    return { least, most };
  }

  private parseItem(): { node: Node | undefined; repeatable: boolean } {
    const char = this.pattern.charAt(this.at);
    switch (char) {
      case '(':
        return this.parseGroup();
      case '[': {
        const set = this.parseClass();
        return repeatable({ kind: 'set', set });
      }
      case '\\':
        return this.parseEscape();
      case '.':
        this.at += 1;
        return repeatable({
          kind: 'set',
          set: byteSet((code) => this.options.dotAll === true || code !== 10),
        });
      case '^':
        this.at += 1;
        return single({ kind: 'assertion', test: this.options.multiline ? 'lineStart' : 'textStart' });
      case '$':
        this.at += 1;
        return single({ kind: 'assertion', test: this.options.multiline ? 'lineEnd' : 'textEndOrNewline' });
      case '*':
      case '+':
      case '?':
        return this.fail('nothing to repeat');
      default: {
        if (char === '{' && this.parseRange() !== undefined) this.fail('nothing to repeat');
        this.at += 1;
        return repeatable(this.literal(char.charCodeAt(0)));
      }
    }
  }

  private literal(code: number): Node {
    if (code > 255) this.fail('a character code above 255');
    const set = byteSet((other) => other === code);
    return { kind: 'set', set: this.options.ignoreCase ? foldCase(set) : set };
  }

  private parseEscape(): { node: Node | undefined; repeatable: boolean } {
    this.at += 1;
    const char = this.pattern.charAt(this.at);
    if (char === '') this.fail('a backslash at the end');
    if (char === 'Q') {
      this.at += 1;
      return this.parseQuoted();
    }
    const test = ASSERTION_ESCAPES[char];
    if (test !== undefined) {
      this.at += 1;
      return single({ kind: 'assertion', test });
    }
    const set = this.parseClassEscape();
    if (set !== undefined) return repeatable({ kind: 'set', set });
    if (this.take('K')) {
      if (this.looks > 0) this.fail('\\K in a lookaround');
      return single({ kind: 'keep' });
    }
    if (this.take('C')) return repeatable({ kind: 'set', set: byteSet(() => true) });
    if (this.take('R')) return repeatable({ kind: 'newline' });
    const reference = this.parseReference();
    if (reference !== undefined) return repeatable(reference);
    return repeatable(this.literal(this.parseCharacterEscape(false)));
  }

  private parseQuoted(): { node: Node | undefined; repeatable: boolean } {
    const end = this.pattern.indexOf('\\E', this.at);
    const text = this.pattern.slice(this.at, end === -1 ? undefined : end);
    this.at += text.length;
    this.take('\\E');
    const nodes = [...text].map((char) => this.literal(char.charCodeAt(0)));
    const last = nodes.pop();
    if (last === undefined) return single(undefined);
    if (nodes.length === 0) return repeatable(last);
    // A quantifier applies to the last character alone.
    return single({ kind: 'sequence', nodes: [...nodes, this.parseQuantifier(last)] });
  }

  /** `\d` and its like, after the backslash. */
  private parseClassEscape(): ByteSet | undefined {
    const char = this.pattern.charAt(this.at);
    if (char === 'p' || char === 'P') return this.parseProperty();
    if (char === 'N') {
      if (this.pattern.charAt(this.at + 1) === '{') this.fail('\\N{…}, which needs UTF');
      this.at += 1;
      return invert(CLASS_ESCAPES.N!);
    }
    const set = CLASS_ESCAPES[char.toLowerCase()];
    if (set === undefined || char === '') return undefined;
    this.at += 1;
    return char === char.toLowerCase() ? set : invert(set);
  }

  private parseProperty(): ByteSet {
    const match = this.matchHere(/([pP])(?:\{(\^?)([A-Za-z_& ]+)\}|([A-Z]))/y);
    const name = match?.[3] ?? match?.[4];
    if (match === undefined || name === undefined) this.fail('a malformed property');
    const property =
      propertyNamed(name) ?? propertyNamed(`Script=${name}`) ?? this.fail('an unknown property');
    const set = byteSet((code) => property.test(String.fromCharCode(code)));
    return (match[1] === 'P') !== (match[2] === '^') ? invert(set) : set;
  }

  private parseReference(): Node | undefined {
    const { ignoreCase = false } = this.options;
    const named =
      this.matchHere(/k(?:\{\s*(\w+)\s*\}|<(\w+)>|'(\w+)')/y) ?? this.matchHere(/g\{\s*([A-Za-z_]\w*)\s*\}/y);
    if (named !== undefined) return this.refer(named[1] ?? named[2] ?? named[3]!, ignoreCase);
    const numbered = this.matchHere(/g(?:\{\s*([+-]?\d+)\s*\}|([+-]?\d+))/y);
    if (numbered !== undefined) return this.refer(this.relative(numbered[1] ?? numbered[2]!), ignoreCase);
    const called = this.matchHere(/g(?:<([+-]?\d+|\w+)>|'([+-]?\d+|\w+)')/y);
    if (called !== undefined) return this.recurse(called[1] ?? called[2]!);
    const digits = /^[1-9][0-9]*/.exec(this.pattern.slice(this.at));
    if (digits === null) return undefined;
    const group = Number(digits[0]);
    if (group >= 10 && group > this.totalGroups) return undefined;
    this.at += digits[0].length;
    return this.refer(group, ignoreCase);
  }

  private relative(text: string): number {
    if (text.startsWith('-')) return this.groupCount + 1 + Number(text);
    return text.startsWith('+') ? this.groupCount + Number(text) : Number(text);
  }

  private refer(group: number | string, ignoreCase: boolean): Node {
    if (typeof group === 'number' && group < 1) this.fail('a reference to no group');
    this.referenced.push(group);
    return { kind: 'reference', group, ignoreCase };
  }

  private recurse(name: string): Node {
    const group = /^[+-]?\d+$/.test(name) ? this.relative(name) : name;
    if (group !== 0) this.referenced.push(group);
    return { kind: 'recursion', group };
  }

  /** A single character written with a backslash. */
  private parseCharacterEscape(inClass: boolean): number {
    const char = this.pattern.charAt(this.at);
    const control = CONTROL_ESCAPES[char];
    if (control !== undefined) {
      this.at += 1;
      return control;
    }
    if (inClass && this.take('b')) return 8;
    if (inClass && 'gk89'.includes(char)) {
      this.at += 1;
      return char.charCodeAt(0);
    }
    const hex = this.matchHere(/x(?:\{[ \t]*([0-9a-fA-F]+)[ \t]*\}|([0-9a-fA-F]{0,2}))/y);
    if (hex !== undefined) {
      if (hex[2] === '' && this.pattern.charAt(this.at) === '{') this.fail('a malformed \\x{…}');
      return this.byte(Number.parseInt(hex[1] ?? (hex[2] === '' ? '0' : hex[2]!), 16));
    }
    const octal = this.matchHere(/o\{[ \t]*([0-7]+)[ \t]*\}/y);
    if (octal !== undefined) return this.byte(Number.parseInt(octal[1]!, 8));
    const digits = this.matchHere(/0[0-7]{0,2}|[1-7][0-7]{0,2}/y);
    if (digits !== undefined) return this.byte(Number.parseInt(digits[0], 8));
    if (this.take('c')) {
      const letter = this.pattern.charAt(this.at).toUpperCase();
      if (letter === '' || letter < ' ' || letter > '~') this.fail('a malformed \\c');
      this.at += 1;
      return letter.charCodeAt(0) ^ 64;
    }
    if (/[A-Za-z0-9]/.test(char)) this.fail(`an unknown escape \\${char}`);
    this.at += 1;
    return char.charCodeAt(0);
  }

  private byte(code: number): number {
    if (code > 255) this.fail('a character code above 255');
    return code;
  }

  private parseClass(): ByteSet {
    if (this.matchHere(/\[([:.=])\^?[a-z]*\1\]/y) !== undefined) this.fail('a POSIX class outside a class');
    this.at += 1;
    const negative = this.take('^');
    const set = new Uint8Array(256);
    let first = true;
    for (;;) {
      if (this.at >= this.pattern.length) this.fail('a class without ]');
      if (!first && this.take(']')) break;
      const from = this.parseClassItem();
      if (from === undefined) continue;
      first = false;
      const rangeFollows =
        this.pattern.charAt(this.at) === '-' && !'-]'.includes(this.pattern.charAt(this.at + 1) || ']');
      const plainHyphen = this.pattern.charAt(this.at) === '-' && this.pattern.charAt(this.at + 1) === '-';
      if (typeof from !== 'number') {
        for (let code = 0; code < 256; code++) if (from[code] === 1) set[code] = 1;
        if (rangeFollows) this.fail('a range that begins with a class');
      } else if (rangeFollows || plainHyphen) {
        this.at += 1;
        const to = this.parseClassItem();
        if (typeof to !== 'number') this.fail('a range that ends in a class');
        if (to < from) this.fail('a range out of order');
        for (let code = from; code <= to; code++) set[code] = 1;
      } else {
        set[from] = 1;
      }
    }
    const folded = this.options.ignoreCase ? foldCase(set) : set;
    return negative ? invert(folded) : folded;
  }

  /** A character, a set of them, or nothing (`\E`). */
  private parseClassItem(): number | ByteSet | undefined {
    const posix = this.matchHere(/\[:(\^?)([a-z]+):\]/y);
    if (posix !== undefined) {
      const test = POSIX_CLASSES[posix[2]!];
      if (test === undefined) this.fail('an unknown POSIX class');
      const set = byteSet(test);
      const folded =
        this.options.ignoreCase && (posix[2] === 'lower' || posix[2] === 'upper') ? foldCase(set) : set;
      return posix[1] === '^' ? invert(folded) : folded;
    }
    if (/^\[([.=]).*?\1\]/s.test(this.pattern.slice(this.at, this.at + 100)))
      this.fail('a collating element');
    if (!this.take('\\')) {
      const code = this.pattern.charCodeAt(this.at);
      this.at += 1;
      return code;
    }
    if (this.at >= this.pattern.length) this.fail('a backslash at the end');
    if (this.take('E')) return undefined;
    if (this.take('Q')) return this.parseQuotedInClass();
    if (/[BRX]/.test(this.pattern.charAt(this.at))) this.fail('an escape not allowed in a class');
    if (this.pattern.charAt(this.at) === 'N') this.fail('\\N in a class');
    return this.parseClassEscape() ?? this.parseCharacterEscape(true);
  }

  private parseQuotedInClass(): ByteSet {
    const end = this.pattern.indexOf('\\E', this.at);
    if (end === -1) this.fail('a class without ]');
    const text = this.pattern.slice(this.at, end);
    this.at = end + 2;
    return byteSet((code) => text.includes(String.fromCharCode(code)));
  }

  private parseGroup(): { node: Node | undefined; repeatable: boolean } {
    if (this.take('(*')) return this.parseVerb();
    if (!this.take('(?')) {
      this.at += 1;
      if (this.options.noCapture) return repeatable(this.close(this.parseAlternatives()));
      return repeatable(this.capture(undefined));
    }
    const named = this.matchHere(/(?:P?<([A-Za-z_]\w{0,127})>|'([A-Za-z_]\w{0,127})')/y);
    if (named !== undefined) return repeatable(this.capture(named[1] ?? named[2]));
    if (this.take(':')) return repeatable(this.close(this.parseAlternatives()));
    if (this.take('>')) return repeatable({ kind: 'atomic', node: this.close(this.parseAlternatives()) });
    if (this.take('|')) return repeatable(this.close(this.parseAlternatives(true)));
    if (this.matchHere(/C\d*\)/y) !== undefined) return single(undefined);
    const look = this.parseLook();
    if (look !== undefined) return repeatable(look);
    if (this.take('(')) return repeatable(this.parseConditional());
    const recursion = this.matchHere(/(?:R|([+-]?\d+)|&(\w+)|P>(\w+))\)/y);
    if (recursion !== undefined)
      return repeatable(this.recurse(recursion[1] ?? recursion[2] ?? recursion[3] ?? '0'));
    const backReference = this.matchHere(/P=(\w+)\)/y);
    if (backReference !== undefined) {
      return repeatable(this.refer(backReference[1]!, this.options.ignoreCase === true));
    }
    return this.parseOptions();
  }

  private close(node: Node): Node {
    if (!this.take(')')) this.fail('a group without )');
    return node;
  }

  private capture(name: string | undefined): Node {
    this.groupCount += 1;
    const index = this.groupCount;
    if (name !== undefined) {
      const other = this.names.get(name);
      if (other !== undefined && other !== index && !this.options.sharedNames)
        this.fail('two groups of one name');
      this.names.set(name, other ?? index);
    }
    const node: Node = { kind: 'group', index, node: this.close(this.parseAlternatives()) };
    this.groups.set(index, node);
    return node;
  }

  private parseLook(): Node | undefined {
    const kind = this.matchHere(/<?[=!]/y)?.[0];
    if (kind === undefined) return undefined;
    this.looks += 1;
    const node = this.close(this.parseAlternatives());
    this.looks -= 1;
    const behind = kind.startsWith('<');
    if (behind) this.lookbehinds.push(node);
    return { kind: 'look', behind, negative: kind.endsWith('!'), node };
  }

  private parseConditional(): Node {
    let condition: Condition;
    const group = this.matchHere(/(?:<(\w+)>|'(\w+)'|([+-]?\d+))\)/y);
    if (group !== undefined) {
      const which = group[3] === undefined ? (group[1] ?? group[2]!) : this.relative(group[3]);
      this.referenced.push(which);
      condition = { group: which };
    } else if (this.take('DEFINE)')) {
      condition = { define: true };
    } else if (this.take('?')) {
      const look = this.parseLook();
      if (look === undefined) this.fail('a condition that is no assertion');
      condition = { look };
    } else {
      const name = this.matchHere(/(\w+)\)/y)?.[1];
      if (name === undefined || /^R\d*$/.test(name)) return this.fail('a condition that is not supported');
      this.referenced.push(name);
      condition = { group: name };
    }
    const body = this.close(this.parseAlternatives());
    const branches = body.kind === 'alternatives' ? body.nodes : [body];
    if (branches.length > 2 || ('define' in condition && branches.length > 1)) this.fail('too many branches');
    const empty: Node = { kind: 'sequence', nodes: [] };
    return {
      kind: 'conditional',
      condition,
      whenTrue: branches[0] ?? empty,
      whenFalse: branches[1] ?? empty,
    };
  }

  /** `(?i)` holds to the end of the group it stands in, `(?i:…)` inside itself. */
  private parseOptions(): { node: Node | undefined; repeatable: boolean } {
    const match = this.matchHere(/(\^?)([imsxnJU]*)(?:-([imsxnJU]*))?([):])/y);
    if (match === undefined) return this.fail('an unknown group');
    const [, reset, on = '', off = '', end] = match;
    const outer = this.options;
    const options = reset === '^' ? {} : { ...outer };
    this.options = { ...options, ...optionsOf(on, true), ...optionsOf(off, false) };
    if (end === ')') return single(undefined);
    const node = this.close(this.parseAlternatives());
    this.options = outer;
    return repeatable(node);
  }

  private parseVerb(): { node: Node | undefined; repeatable: boolean } {
    if (this.matchHere(/(?:FAIL|F)\)/y) !== undefined) return single({ kind: 'fail' });
    return this.fail('a verb that is not supported');
  }
}

const repeatable = (node: Node) => ({ node, repeatable: true });
const single = (node: Node | undefined) => ({ node, repeatable: false });

function optionsOf(letters: string, value: boolean): PatternOptions {
  const options: PatternOptions = {};
  if (letters.includes('i')) options.ignoreCase = value;
  if (letters.includes('m')) options.multiline = value;
  if (letters.includes('s')) options.dotAll = value;
  if (letters.includes('x')) options.extended = value;
  if (letters.includes('U')) options.ungreedy = value;
  if (letters.includes('n')) options.noCapture = value;
  if (letters.includes('J')) options.sharedNames = value;
  return options;
}

function propertyNamed(name: string): RegExp | undefined {
  try {
    return new RegExp(`\\p{${name}}`, 'u');
  } catch {
    return undefined;
  }
}

/** Capturing groups in a pattern: what decides whether `\10` is a group or a character. */
function countGroups(pattern: string): number {
  let count = 0;
  let inClass = false;
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === '\\') at += 1;
    else if (inClass) inClass = char !== ']';
    else if (char === '[') inClass = true;
    else if (char === '(' && /^\((?!\?|\*)|^\(\?(?:P?<[A-Za-z_]|')/.test(pattern.slice(at, at + 5)))
      count += 1;
  }
  return count;
}
