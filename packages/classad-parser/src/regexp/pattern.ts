/**
 * A backtracking matcher for PCRE patterns on bytes, with a limit on its steps.
 *
 * JavaScript's own engine is not used: it has no step limit, so a hostile pattern could stop the process; and it
 * differs from PCRE in syntax (possessive quantifiers, atomic groups, recursion, `\h`, POSIX classes, `\K`), in what
 * `$` means, and in that it matches UTF-16 where HTCondor matches bytes.
 */
import { fromBytes, isAscii, toBytes } from '../text.ts';
import { type ParsedPattern, PatternError, parsePattern } from './parse.ts';
import {
  type AssertionTest,
  type Condition,
  lengths,
  type Node,
  type PatternOptions,
  WORD,
} from './syntax.ts';

/** Steps one match may take before it is an error. */
export const MAX_STEPS = 1_000_000;

/** A match that ran into the step limit (or nested too deep), which HTCondor calls an error too. */
export class MatchLimitError extends Error {}

/** Continues a match at a position; true when everything after matched too. */
type Continue = (at: number) => boolean;

/** Positions of the whole match and of each group, −1 where unset. */
export interface Match {
  start: number;
  end: number;
  groups: readonly (string | undefined)[];
}

const CACHE_SIZE = 256;
const cache = new Map<string, Pattern | undefined>();

/** A pattern ready to match, or undefined when it is malformed. */
export function compilePattern(pattern: string, options: PatternOptions): Pattern | undefined {
  const { ignoreCase, multiline, dotAll, extended } = options;
  const key = `${ignoreCase ? 'i' : ''}${multiline ? 'm' : ''}${dotAll ? 's' : ''}${extended ? 'x' : ''}/${pattern}`;
  if (cache.has(key)) return cache.get(key);
  let compiled: Pattern | undefined;
  try {
    compiled = new Pattern(parsePattern(toLatin1(pattern), options));
  } catch (error) {
    // RangeError: nested beyond the stack.
    if (!(error instanceof PatternError || error instanceof RangeError)) throw error;
  }
  const [oldest] = cache.keys();
  if (cache.size >= CACHE_SIZE && oldest !== undefined) cache.delete(oldest);
  cache.set(key, compiled);
  return compiled;
}

export function toLatin1(text: string): string {
  return isAscii(text) ? text : Buffer.from(toBytes(text)).toString('latin1');
}

export function fromLatin1(text: string): string {
  return isAscii(text) ? text : fromBytes(Buffer.from(text, 'latin1'));
}

export class Pattern {
  private readonly parsed: ParsedPattern;
  private readonly begin: Continue;
  private readonly recursive = new Map<number, Continue>();
  private readonly returns: Continue[] = [];
  private text = '';
  private steps = 0;
  private searchStart = 0;
  private matchStart = 0;
  private matchEnd = 0;
  private notEmptyAt = -1;
  private captures: number[] = [];
  /** Where the groups being matched began, a stack for each. */
  private readonly groupStarts: number[][] = [];

  constructor(parsed: ParsedPattern) {
    this.parsed = parsed;
    this.begin = this.compile(parsed.node, (at) => {
      if (at === this.notEmptyAt && this.matchStart === at) return false;
      this.matchEnd = at;
      return true;
    });
  }

  get groupCount(): number {
    return this.parsed.groupCount;
  }

  /** Whether the pattern matches anywhere. @throws MatchLimitError */
  test(text: string): boolean {
    return this.exec(toLatin1(text), 0, false) !== undefined;
  }

  /** Whether the pattern matches something, and not just nothing. @throws MatchLimitError */
  matchesNonEmpty(text: string): boolean {
    const bytes = toLatin1(text);
    for (let at = 0; at <= bytes.length; at++) {
      if (this.exec(bytes, at, true) !== undefined) return true;
    }
    return false;
  }

  /**
   * The first match in a text of bytes at or after a position; with `here`, only at the position, and not empty.
   * @throws MatchLimitError
   */
  exec(text: string, from: number, here: boolean): Match | undefined {
    this.text = text;
    this.steps = 0;
    this.searchStart = from;
    this.notEmptyAt = here ? from : -1;
    // A match that was cut short leaves these as they were.
    this.returns.length = 0;
    for (const starts of this.groupStarts) starts.length = 0;
    try {
      for (let start = from; start <= (here ? from : text.length); start++) {
        this.captures = new Array<number>(2 * (this.parsed.groupCount + 1)).fill(-1);
        this.matchStart = start;
        if (this.begin(start)) return this.result();
      }
      return undefined;
    } catch (error) {
      if (error instanceof RangeError) throw new MatchLimitError('the match nests too deep');
      throw error;
    }
  }

  private result(): Match {
    const groups: (string | undefined)[] = [];
    let last = 0;
    for (let group = 1; group <= this.parsed.groupCount; group++) {
      const start = this.captures[2 * group]!;
      groups.push(start === -1 ? undefined : this.text.slice(start, this.captures[2 * group + 1]));
      if (start !== -1) last = group;
    }
    groups.length = last;
    groups.unshift(this.text.slice(this.matchStart, this.matchEnd));
    return { start: this.matchStart, end: this.matchEnd, groups };
  }

  private step(): void {
    this.steps += 1;
    if (this.steps > MAX_STEPS) throw new MatchLimitError('the match takes too many steps');
  }

  private compile(node: Node, next: Continue): Continue {
    switch (node.kind) {
      case 'set': {
        const { set } = node;
        return (at) => {
          this.step();
          return at < this.text.length && set[this.text.charCodeAt(at)] === 1 && next(at + 1);
        };
      }
      case 'sequence':
        return node.nodes.reduceRight((rest, part) => this.compile(part, rest), next);
      case 'alternatives': {
        const branches = node.nodes.map((branch) => this.compile(branch, next));
        return (at) => {
          for (const branch of branches) {
            this.step();
            if (branch(at)) return true;
          }
          return false;
        };
      }
      case 'group':
        return this.compileGroup(node.index, node.node, next);
      case 'repeat':
        return this.compileRepeat(node, next);
      case 'assertion':
        return (at) => this.holds(node.test, at) && next(at);
      case 'look':
        return this.compileLook(node, next);
      case 'atomic':
        return this.compileAtomic(node.node, next);
      case 'reference':
        return this.compileReference(node, next);
      case 'recursion':
        return this.compileRecursion(node.group, next);
      case 'conditional':
        return this.compileConditional(node.condition, node.whenTrue, node.whenFalse, next);
      case 'newline':
        return (at) => {
          this.step();
          if (this.text.startsWith('\r\n', at)) return next(at + 2);
          return at < this.text.length && '\n\x0b\f\r\x85'.includes(this.text.charAt(at)) && next(at + 1);
        };
      case 'keep':
        return (at) => {
          const before = this.matchStart;
          this.matchStart = at;
          if (next(at)) return true;
          this.matchStart = before;
          return false;
        };
      case 'fail':
        return () => false;
    }
  }

  private compileGroup(index: number, node: Node, next: Continue): Continue {
    const starts: number[] = [];
    this.groupStarts.push(starts);
    const body = this.compile(node, (at) => {
      const { captures } = this;
      const [oldStart, oldEnd] = [captures[2 * index]!, captures[2 * index + 1]!];
      const start = starts.pop()!;
      captures[2 * index] = start;
      captures[2 * index + 1] = at;
      if (next(at)) return true;
      starts.push(start);
      this.captures[2 * index] = oldStart;
      this.captures[2 * index + 1] = oldEnd;
      return false;
    });
    return (at) => {
      this.step();
      starts.push(at);
      if (body(at)) return true;
      starts.pop();
      return false;
    };
  }

  private compileRepeat(node: Extract<Node, { kind: 'repeat' }>, next: Continue): Continue {
    const { least, most, mode } = node;
    if (mode === 'possessive') return this.compileAtomic({ ...node, mode: 'greedy' }, next);
    if (node.node.kind === 'set') return this.compileRun(node.node.set, least, most, mode, next);
    let count = 0;
    let last = -1;
    const again = (at: number): boolean => {
      // After an iteration that matched nothing, another would too.
      if (count >= most || (count >= least && at === last)) return false;
      const [oldCount, oldLast] = [count, last];
      count += 1;
      last = at;
      if (body(at)) return true;
      count = oldCount;
      last = oldLast;
      return false;
    };
    const loop = (at: number): boolean => {
      this.step();
      if (count < least) return again(at);
      const [countHere, lastHere] = [count, last];
      const leave = (): boolean => {
        if (next(at)) return true;
        count = countHere;
        last = lastHere;
        return false;
      };
      return mode === 'lazy' ? leave() || again(at) : again(at) || leave();
    };
    const body = this.compile(node.node, loop);
    return (at) => {
      const [outerCount, outerLast] = [count, last];
      count = 0;
      last = -1;
      if (loop(at)) return true;
      count = outerCount;
      last = outerLast;
      return false;
    };
  }

  private compileRun(
    set: Uint8Array,
    least: number,
    most: number,
    mode: 'greedy' | 'lazy',
    next: Continue,
  ): Continue {
    return (at) => {
      const { text } = this;
      const limit = Math.min(text.length, at + most);
      const needed = at + least;
      let end = at;
      const untilNeeded = mode === 'lazy' ? Math.min(limit, needed) : limit;
      while (end < untilNeeded && set[text.charCodeAt(end)] === 1) end += 1;
      this.steps += end - at;
      if (end < needed) return false;
      if (mode === 'greedy') {
        for (; end >= needed; end--) {
          this.step();
          if (next(end)) return true;
        }
        return false;
      }
      for (;;) {
        this.step();
        if (next(end)) return true;
        if (end >= limit || set[text.charCodeAt(end)] !== 1) return false;
        end += 1;
      }
    };
  }

  /** A matcher on its own: the end of its first match, or −1. What it captured stays only if it matched. */
  private alone(node: Node): (at: number, mustEndAt?: number) => number {
    let end = -1;
    let required: number | undefined;
    const body = this.compile(node, (at) => {
      if (required !== undefined && at !== required) return false;
      end = at;
      return true;
    });
    return (at, mustEndAt) => {
      const outer = required;
      const saved = [...this.captures];
      required = mustEndAt;
      const matched = body(at);
      required = outer;
      if (!matched) this.captures = saved;
      return matched ? end : -1;
    };
  }

  private compileAtomic(node: Node, next: Continue): Continue {
    const inner = this.alone(node);
    return (at) => {
      this.step();
      const saved = [...this.captures];
      const end = inner(at);
      if (end !== -1 && next(end)) return true;
      this.captures = saved;
      return false;
    };
  }

  private compileLook(node: Extract<Node, { kind: 'look' }>, next: Continue): Continue {
    const inner = this.alone(node.node);
    const { least, most } = lengths(node.node, this.parsed.groupOf);
    const matches = (at: number): boolean => {
      if (!node.behind) return inner(at) !== -1;
      for (let start = at - least; start >= Math.max(0, at - most); start--) {
        this.step();
        if (inner(start, at) !== -1) return true;
      }
      return false;
    };
    return (at) => {
      this.step();
      const saved = [...this.captures];
      const matched = matches(at);
      if (node.negative && matched) this.captures = saved;
      if (matched !== node.negative && next(at)) return true;
      this.captures = saved;
      return false;
    };
  }

  private groupNumber(group: number | string): number {
    return typeof group === 'number' ? group : (this.parsed.names.get(group) ?? 0);
  }

  private compileReference(node: Extract<Node, { kind: 'reference' }>, next: Continue): Continue {
    const group = this.groupNumber(node.group);
    return (at) => {
      this.step();
      const start = this.captures[2 * group]!;
      if (start === -1) return false;
      const wanted = this.text.slice(start, this.captures[2 * group + 1]);
      const found = this.text.slice(at, at + wanted.length);
      const equal = found === wanted || (node.ignoreCase && lowerAscii(found) === lowerAscii(wanted));
      return equal && next(at + wanted.length);
    };
  }

  /** The group's pattern again; what it captures inside is forgotten after. */
  private compileRecursion(group: number | string, next: Continue): Continue {
    return (at) => {
      this.step();
      const number = this.groupNumber(group);
      let body = this.recursive.get(number);
      if (body === undefined) {
        const node = number === 0 ? this.parsed.node : this.parsed.groups.get(number)!;
        body = this.compile(node, (end) => {
          const resume = this.returns.pop()!;
          if (resume(end)) return true;
          this.returns.push(resume);
          return false;
        });
        this.recursive.set(number, body);
      }
      const saved = [...this.captures];
      this.returns.push((end) => {
        const inner = this.captures;
        this.captures = [...saved];
        if (next(end)) return true;
        this.captures = inner;
        return false;
      });
      if (body(at)) return true;
      this.returns.pop();
      this.captures = saved;
      return false;
    };
  }

  private compileConditional(
    condition: Condition,
    whenTrue: Node,
    whenFalse: Node,
    next: Continue,
  ): Continue {
    if ('define' in condition) return next;
    const yes = this.compile(whenTrue, next);
    const no = this.compile(whenFalse, next);
    if ('look' in condition) {
      let held = false;
      const look = this.compile(condition.look, () => {
        held = true;
        return true;
      });
      return (at) => {
        held = false;
        look(at);
        return held ? yes(at) : no(at);
      };
    }
    const group = this.groupNumber(condition.group);
    return (at) => (this.captures[2 * group] === -1 ? no(at) : yes(at));
  }

  private holds(test: AssertionTest, at: number): boolean {
    this.step();
    const { text } = this;
    switch (test) {
      case 'textStart':
        return at === 0;
      case 'lineStart':
        return at === 0 || (text.charCodeAt(at - 1) === 10 && at < text.length);
      case 'textEnd':
        return at === text.length;
      case 'textEndOrNewline':
        return at === text.length || (at === text.length - 1 && text.charCodeAt(at) === 10);
      case 'lineEnd':
        return at === text.length || text.charCodeAt(at) === 10;
      case 'searchStart':
        return at === this.searchStart;
      default: {
        const before = at > 0 && WORD[text.charCodeAt(at - 1)] === 1;
        const after = at < text.length && WORD[text.charCodeAt(at)] === 1;
        return (before !== after) === (test === 'wordBoundary');
      }
    }
  }
}

function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (run) => run.toLowerCase());
}
