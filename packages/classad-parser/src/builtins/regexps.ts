/** Functions of regular expressions (PCRE; see regexp/pattern.ts). */
import { compileExpr } from '../compile.ts';
import {
  compilePattern,
  fromLatin1,
  type Match,
  MatchLimitError,
  type Pattern,
  toLatin1,
} from '../regexp/pattern.ts';
import type { PatternOptions } from '../regexp/syntax.ts';
import { ERROR, ListValue, type Value } from '../values.ts';
import { MAX_TEXT_LENGTH } from './convert.ts';
import { type Builtin, strict } from './registry.ts';
import { attempt, tokens } from './strings.ts';

function optionsFrom(letters: string): PatternOptions {
  return {
    ignoreCase: letters.includes('i'),
    multiline: letters.includes('m'),
    dotAll: letters.includes('s'),
    extended: letters.includes('x'),
  };
}

/** Runs a match; running into the limit is an error. */
function bounded(run: () => Value): Value {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof MatchLimitError)) throw error;
    return ERROR;
  }
}

function test(pattern: string, text: string, letters: string): Value {
  const compiled = compilePattern(pattern, optionsFrom(letters));
  return compiled === undefined ? ERROR : bounded(() => compiled.test(text));
}

/** Error if any argument is one, then undefined if any is undefined; otherwise what `apply` makes of them. */
function checked(least: number, most: number, apply: (values: readonly Value[]) => Value): Builtin {
  return strict(least, most, (values) => {
    if (values.includes(ERROR)) return ERROR;
    return values.includes(undefined) ? undefined : apply(values);
  });
}

/** The text a match is replaced by: `\0` to `\9` are the match and its groups; undefined when a group is not there. */
function replacement(template: string, { groups }: Match): string | undefined {
  let missing = false;
  const text = template.replace(/\\([0-9])/g, (_whole, digit: string) => {
    if (Number(digit) >= groups.length) missing = true;
    return groups[Number(digit)] ?? '';
  });
  return missing ? undefined : text;
}

/**
 * The replaced matches alone or, with option `f`, the whole text with them in place; with `g`, every match. After an
 * empty match the next is looked for at the same place, not empty.
 */
function substitute(pattern: Pattern, text: string, template: string, letters: string): Value {
  const whole = letters.includes('f');
  let out = '';
  let at = 0;
  let afterEmpty = false;
  for (;;) {
    const match = pattern.exec(text, at, afterEmpty);
    if (match === undefined) {
      if (!afterEmpty) break;
      // Nothing but the empty match here: keep one character, and look again from the next. HTCondor does so at the end
      // of the text as well, where PCRE refuses.
      if (at === text.length) return ERROR;
      out += text.charAt(at);
      at += 1;
      afterEmpty = false;
      continue;
    }
    if (whole) out += text.slice(at, match.start);
    const replaced = replacement(template, match);
    if (replaced === undefined) return ERROR;
    out += replaced;
    if (out.length > MAX_TEXT_LENGTH) return ERROR;
    at = match.end;
    // Once set it stays, also over a match that is not empty, until there is none: so it is in HTCondor.
    if (match.start === match.end) afterEmpty = true;
    if (!letters.includes('g')) break;
  }
  return fromLatin1(whole ? out + text.slice(at) : out);
}

const replace = (added: string): Builtin =>
  checked(3, 4, ([pattern, text, template, letters = '']) => {
    if (typeof letters !== 'string' || typeof pattern !== 'string') return ERROR;
    if (typeof text !== 'string' || typeof template !== 'string') return ERROR;
    const options = letters + added;
    const compiled = compilePattern(pattern, optionsFrom(options));
    if (compiled === undefined) return ERROR;
    return bounded(() => substitute(compiled, toLatin1(text), toLatin1(template), options));
  });

const regexpMember: Builtin = (args, state) => {
  if (args.length < 2 || args.length > 3) return ERROR;
  const values = args.map((arg) => arg(state));
  if (values.includes(ERROR)) return ERROR;
  if (values.includes(undefined)) return undefined;
  const [pattern, list, letters = ''] = values;
  if (typeof letters !== 'string' || typeof pattern !== 'string' || !(list instanceof ListValue))
    return ERROR;
  let sawUndefined = false;
  for (const item of list.items) {
    const text = attempt(compileExpr(item), state);
    if (text === undefined) sawUndefined = true;
    else if (typeof text !== 'string') return ERROR;
    else if (test(pattern, text, letters) === true) return true;
  }
  return sawUndefined ? undefined : false;
};

export const regexpFunctions: Readonly<Record<string, Builtin>> = {
  regexp: checked(2, 3, ([pattern, text, letters = '']) => {
    if (typeof pattern !== 'string' || typeof text !== 'string' || typeof letters !== 'string') return ERROR;
    return test(pattern, text, letters);
  }),
  regexps: replace(''),
  replace: replace('f'),
  replaceAll: replace('fg'),
  regexpMember,
  stringList_regexpMember: strict(2, 4, (values) => {
    if (values.some((value) => typeof value !== 'string')) return ERROR;
    const [pattern = '', list = '', delimiters = ', ', letters = ''] = values as string[];
    const compiled = compilePattern(pattern, optionsFrom(letters.toLowerCase()));
    if (compiled === undefined) return ERROR;
    const items = tokens(list, delimiters);
    if (items.length === 0) return undefined;
    return items.some((item) => bounded(() => compiled.test(item)) === true);
  }),
};
