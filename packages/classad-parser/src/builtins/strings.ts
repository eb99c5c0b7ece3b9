/** Functions of strings, and of strings that are lists. Lengths and positions count bytes. */
import { compileExpr } from '../compile.ts';
import { toInt32, truncateToInteger } from '../integers.ts';
import { isInteger } from '../operators.ts';
import { type Compiled, type EvalState, EvaluationFailure, FAILURE_STEPS } from '../state.ts';
import {
  compareBytes,
  compareIgnoringCase,
  fromBytes,
  isAscii,
  isSpace,
  lowerCase,
  toBytes,
  upperCase,
} from '../text.ts';
import { ERROR, ListValue, Real, type Value } from '../values.ts';
import { MAX_TEXT_LENGTH, madeList, readDouble, toText } from './convert.ts';
import { type Builtin, strict } from './registry.ts';

/** `strcat`: undefined as soon as one part is; `join` leaves undefined parts out and puts its first between. */
const strcat: Builtin = (args, state) => {
  let out = '';
  for (const arg of args) {
    const text = toText(arg(state));
    if (typeof text !== 'string') return text;
    if (out.length + text.length > MAX_TEXT_LENGTH) return ERROR;
    out += text;
  }
  return out;
};

/** A value with a failure taken for an error. */
export function attempt(arg: Compiled, state: EvalState): Value {
  const { current, depthLeft } = state;
  try {
    return arg(state);
  } catch (error) {
    if (!(error instanceof EvaluationFailure)) throw error;
    state.budget.steps -= FAILURE_STEPS;
    state.current = current;
    state.depthLeft = depthLeft;
    return ERROR;
  }
}

const join: Builtin = (args, state) => {
  let parts: ((state: EvalState) => Value)[] = [...args];
  if (args.length === 1 || args.length === 2) {
    const last = attempt(args[args.length - 1]!, state);
    if (last instanceof ListValue) {
      const separator = args.length === 2 ? args[0]! : () => '';
      parts = [separator, ...last.items.map(compileExpr)];
    }
  }
  let out = '';
  let separator = '';
  let sawUndefined = false;
  let sawText = false;
  for (const [index, part] of parts.entries()) {
    const text = toText(part(state));
    if (text === undefined) {
      sawUndefined = true;
      continue;
    }
    if (typeof text !== 'string') return ERROR;
    if (index === 0) {
      separator = text;
      continue;
    }
    // A separator follows what has been joined so far, so empty parts at the front get none.
    if (out !== '') out += separator;
    sawText = true;
    if (out.length + text.length > MAX_TEXT_LENGTH) return ERROR;
    out += text;
  }
  return sawUndefined && !sawText ? undefined : out;
};

const changeCase = (change: (text: string) => string): Builtin =>
  strict(1, 1, ([value]) => {
    const text = toText(value);
    return typeof text === 'string' ? change(text) : text;
  });

/** As in Perl: a negative offset counts from the end, a negative length leaves out that much at the end. */
function substr(text: string, offset: number, length: number | undefined): string {
  const ascii = isAscii(text);
  const bytes = ascii ? undefined : toBytes(text);
  const total = bytes?.length ?? text.length;
  const from = offset < 0 ? Math.max(total + offset, 0) : Math.min(offset, total);
  let count = length === undefined ? total - from : length;
  if (length !== undefined && length < 0) count = Math.max(total - from + length, 0);
  const to = Math.min(from + count, total);
  return bytes === undefined ? text.slice(from, to) : fromBytes(bytes.subarray(from, to));
}

const comparison = (compare: (a: string, b: string) => number): Builtin =>
  strict(2, 2, ([left, right]) => {
    if (left === undefined || right === undefined) return undefined;
    const a = toText(left);
    const b = toText(right);
    return typeof a === 'string' && typeof b === 'string' ? Math.sign(compare(a, b)) : ERROR;
  });

/** HTCondor's tokens: separated by any of the delimiters, trimmed, empty ones left out. */
export function tokens(text: string, delimiters: string): string[] {
  const found: string[] = [];
  let token = '';
  const flush = () => {
    if (token.trim() !== '') found.push(trim(token));
    token = '';
  };
  for (const char of text) {
    if (delimiters.includes(char)) flush();
    else token += char;
  }
  flush();
  return found;
}

function trim(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isSpace(text.charCodeAt(from))) from += 1;
  while (to > from && isSpace(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

const FLOAT_MAX = 3.4028234663852886e38;
const FLOAT_MIN = 1.1754943508222875e-38;

function summarize(
  combine: (item: number, sofar: number) => number,
  start: number,
  whenEmpty: Value,
  finish: (total: number, count: number) => number = (total) => total,
): Builtin {
  return strict(1, 2, (values) => {
    const [list, delimiters = ', '] = values;
    if (
      typeof list !== 'string' ||
      typeof delimiters !== 'string' ||
      (values.length === 2 && values[1] === undefined)
    ) {
      return ERROR;
    }
    const items = tokens(list, delimiters);
    if (items.length === 0) return whenEmpty;
    let total = start;
    let isReal = false;
    for (const item of items) {
      const number = readDouble(item);
      if (number === undefined) return ERROR;
      if (!/^[-+0-9]*$/.test(item)) isReal = true;
      total = combine(number, total);
    }
    const result = finish(total, items.length);
    return isReal ? new Real(result) : truncateToInteger(result);
  });
}

function stringListMember(ignoreCase: boolean, subset: boolean): Builtin {
  const fold = ignoreCase ? lowerCase : (text: string) => text;
  return strict(2, 3, (values) => {
    const [item, list, delimiters] = values;
    for (const value of values) if (value !== undefined && typeof value !== 'string') return ERROR;
    if (item === undefined && list === undefined) return undefined;
    const separators = typeof delimiters === 'string' ? delimiters : ', \t\r\n';
    const members = new Set(tokens(typeof list === 'string' ? list : '', separators).map(fold));
    const sought = typeof item === 'string' ? item : '';
    if (!subset) return members.has(fold(sought));
    if (sought === '') return true;
    const wanted = tokens(sought, separators);
    return wanted.length > 0 && wanted.every((one) => members.has(fold(one)));
  });
}

const stringListsIntersect: Builtin = (args, state) => {
  if (args.length < 2 || args.length > 3) return ERROR;
  const values = args.map((arg) => attempt(arg, state));
  if (values.includes(ERROR)) return ERROR;
  if (values.includes(undefined)) return undefined;
  const [left, right, given = ''] = values;
  if (typeof left !== 'string' || typeof right !== 'string' || typeof given !== 'string') return ERROR;
  const delimiters = given === '' ? ' ,' : given;
  const split = (text: string) => splitAny(text, delimiters).filter((part) => part !== '');
  const members = new Set(split(right));
  return split(left).some((part) => members.has(part));
};

function splitAny(text: string, delimiters: string): string[] {
  const parts = [''];
  for (const char of text) {
    if (delimiters.includes(char)) parts.push('');
    else parts[parts.length - 1] += char;
  }
  return parts;
}

/** Separators in a row count as one where they are space, or one kind of mark with space around it. */
function split(text: string, separators: string): ListValue {
  const parts: string[] = [];
  let from = 0;
  let lastMark = '';
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (!separators.includes(char)) continue;
    if (at > from) parts.push(text.slice(from, at));
    else if (lastMark === char) parts.push('');
    if (!isSpace(char.charCodeAt(0))) lastMark = char;
    from = at + 1;
  }
  if (from < text.length) parts.push(text.slice(from));
  return madeList(parts);
}

const splitAt = (alone: 'first' | 'second'): Builtin =>
  strict(1, 1, ([value]) => {
    if (typeof value !== 'string') return ERROR;
    const at = value.indexOf('@');
    if (at === -1) return madeList(alone === 'first' ? [value, ''] : ['', value]);
    return madeList([value.slice(0, at), value.slice(at + 1)]);
  });

export const stringFunctions: Readonly<Record<string, Builtin>> = {
  strcat,
  join,
  toUpper: changeCase(upperCase),
  toLower: changeCase(lowerCase),
  substr: strict(2, 3, (values) => {
    if (values.includes(undefined)) return undefined;
    const [text, offset, length] = values;
    if (typeof text !== 'string' || !isInteger(offset)) return ERROR;
    if (values.length === 2) return substr(text, toInt32(offset), undefined);
    return isInteger(length) ? substr(text, toInt32(offset), toInt32(length)) : ERROR;
  }),
  strcmp: comparison(compareBytes),
  stricmp: comparison(compareIgnoringCase),
  stringListSize: strict(1, 2, (values) => {
    const [list, delimiters] = values;
    if (typeof list !== 'string') return ERROR;
    if (values.length === 1) return tokens(list, ', ').length;
    return typeof delimiters === 'string' ? tokens(list, delimiters).length : ERROR;
  }),
  stringListSum: summarize((item, sofar) => item + sofar, 0, new Real(0)),
  stringListAvg: summarize(
    (item, sofar) => item + sofar,
    0,
    new Real(0),
    (total, count) => total / count,
  ),
  stringListMin: summarize(Math.min, FLOAT_MAX, undefined),
  stringListMax: summarize(Math.max, FLOAT_MIN, undefined),
  stringListMember: stringListMember(false, false),
  stringListIMember: stringListMember(true, false),
  stringListSubsetMatch: stringListMember(false, true),
  stringListISubsetMatch: stringListMember(true, true),
  stringListsIntersect,
  split: strict(1, 2, (values) => {
    const [text, separators] = values;
    if (typeof text !== 'string') return ERROR;
    if (values.length === 1) return split(text, ', \t');
    return typeof separators === 'string' ? split(text, separators) : ERROR;
  }),
  splitUserName: splitAt('first'),
  splitSlotName: splitAt('second'),
};
