/** Arguments and environments of jobs, as strings in HTCondor's two syntaxes. */
import { compileExpr } from '../compile.ts';
import { toInt32 } from '../integers.ts';
import { isInteger } from '../operators.ts';
import { compareBytes } from '../text.ts';
import { ERROR, ListValue, type Value } from '../values.ts';
import { madeList } from './convert.ts';
import { type Builtin, strict } from './registry.ts';

const SPACE = /[ \t\n\r]/;

/** Version 2: separated by space, quoted by `'`, a quote within quotes doubled. Undefined when a quote is not closed. */
function splitArguments(text: string): string[] | undefined {
  const found: string[] = [];
  let current = '';
  let started = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (SPACE.test(char)) {
      if (started) found.push(current);
      current = '';
      started = false;
      continue;
    }
    started = true;
    if (char !== "'") {
      current += char;
      continue;
    }
    for (at += 1; text.charAt(at) !== "'" || text.charAt(at + 1) === "'"; at++) {
      if (at >= text.length) return undefined;
      if (text.charAt(at) === "'") at += 1;
      current += text.charAt(at);
    }
  }
  if (started) found.push(current);
  return found;
}

function joinArguments(list: readonly string[]): string {
  let out = '';
  for (const argument of list) {
    if (out !== '') out += ' ';
    if (argument === '') out += "''";
    for (const char of argument) {
      if (!SPACE.test(char) && char !== "'") {
        out += char;
        continue;
      }
      // Quoted sections that touch become one.
      if (out.endsWith("'")) out = out.slice(0, -1);
      else out += "'";
      out += char === "'" ? "'''" : `${char}'`;
    }
  }
  return out;
}

/** The syntax version a second argument asks for: 1 or 2, which is the default; otherwise error. */
function syntaxVersion(values: readonly Value[]): 1 | 2 | typeof ERROR {
  if (values.length < 2) return 2;
  const version = values[1];
  if (!isInteger(version)) return ERROR;
  const number = toInt32(version);
  return number === 1 || number === 2 ? number : ERROR;
}

const argsToList: Builtin = (args, state) => {
  if (args.length !== 1 && args.length !== 2) return ERROR;
  const version = syntaxVersion([undefined, ...args.slice(1).map((arg) => arg(state))]);
  if (version === ERROR) return ERROR;
  const text = args[0]!(state);
  if (typeof text !== 'string') return ERROR;
  const list = version === 1 ? text.split(/[ \t\n\r]+/).filter((part) => part !== '') : splitArguments(text);
  return list === undefined ? ERROR : madeList(list);
};

const listToArgs: Builtin = (args, state) => {
  if (args.length !== 1 && args.length !== 2) return ERROR;
  const version = syntaxVersion([undefined, ...args.slice(1).map((arg) => arg(state))]);
  if (version === ERROR) return ERROR;
  const list = args[0]!(state);
  if (!(list instanceof ListValue)) return ERROR;
  const texts: string[] = [];
  for (const item of list.items) {
    const text = compileExpr(item)(state);
    if (typeof text !== 'string') return ERROR;
    texts.push(text);
  }
  if (version === 2) return joinArguments(texts);
  if (texts.some((text) => SPACE.test(text))) return ERROR;
  // An empty argument leaves no trace at the front, and a space elsewhere.
  return texts.reduce((out, text) => (out === '' ? text : `${out} ${text}`), '');
};

/** Adds `NAME=value` to an environment; false when it is not of that form. An unexpanded `$$(…)` is kept as it is. */
function setVariable(environment: Map<string, string | undefined>, entry: string): boolean {
  const mark = entry.indexOf('=');
  if (mark === -1 && entry.includes('$$')) {
    environment.set(entry, undefined);
    return true;
  }
  if (mark <= 0) return false;
  environment.set(entry.slice(0, mark), entry.slice(mark + 1));
  return true;
}

function formatEnvironment(environment: ReadonlyMap<string, string | undefined>): string {
  const entries = [...environment].sort(([a], [b]) => compareBytes(a, b));
  return joinArguments(entries.map(([name, value]) => (value === undefined ? name : `${name}=${value}`)));
}

const PERMITTED_DELIMITERS = '!#$%&*+,-/:;<>?@^`|~\x1f';

/** Version 1: entries between semicolons, or between the mark the text begins with; a newline always separates. */
function readEnvironmentV1(text: string): Map<string, string | undefined> | undefined {
  const environment = new Map<string, string | undefined>();
  if (text === '') return environment;
  const marked = PERMITTED_DELIMITERS.includes(text.charAt(0));
  const delimiter = marked ? text.charAt(0) : ';';
  let rest = marked ? text.slice(1) : text;
  while (rest !== '') {
    rest = rest.replace(/^[ \t\n\r]+/, '');
    let end = 0;
    while (end < rest.length && rest.charAt(end) !== '\n' && rest.charAt(end) !== delimiter) end += 1;
    const entry = rest.slice(0, end);
    rest = rest.slice(end + 1);
    if (entry !== '' && !setVariable(environment, entry)) return undefined;
  }
  return environment;
}

const mergeEnvironment: Builtin = (args, state) => {
  const environment = new Map<string, string | undefined>();
  for (const arg of args) {
    const text = arg(state);
    if (text === undefined) continue;
    if (typeof text !== 'string') return ERROR;
    const entries = splitArguments(text);
    if (entries === undefined) return ERROR;
    for (const entry of entries) if (entry === '' || !setVariable(environment, entry)) return ERROR;
  }
  return formatEnvironment(environment);
};

export const environmentFunctions: Readonly<Record<string, Builtin>> = {
  argsToList,
  listToArgs,
  mergeEnvironment,
  envV1ToV2: strict(1, 1, ([text]) => {
    if (text === undefined) return undefined;
    if (typeof text !== 'string') return ERROR;
    const environment = readEnvironmentV1(text);
    return environment === undefined ? ERROR : formatEnvironment(environment);
  }),
};
