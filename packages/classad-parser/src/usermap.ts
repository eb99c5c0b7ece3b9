/** The maps of `userMap()`, in HTCondor's map file format (src/condor_utils/MapFile.cpp of 23.9.6). */
import { compilePattern, fromLatin1, MatchLimitError, toLatin1 } from './regexp/pattern.ts';
import { lowerCase } from './text.ts';

/** A map: from a key to what the file maps it to under a method (`*` unless said otherwise). */
export type UserMap = (key: string, method?: string) => string | undefined;

interface Entry {
  method: string;
  /** Literal keys between two patterns are looked up at once. */
  literals: Map<string, string> | undefined;
  pattern: { matcher: NonNullable<ReturnType<typeof compilePattern>>; result: string } | undefined;
}

/**
 * Reads a map file: lines of `method key result`, where the method is `*` for maps of `userMap`. A key between
 * slashes, with `i` after it for no case, is a regular expression whose groups the result may use as `\1`. A field may
 * be in double quotes. `#` begins a comment line. Lines that are not complete are skipped, as HTCondor skips them;
 * `@include` is not followed.
 */
export function parseUserMap(text: string): UserMap {
  const entries: Entry[] = [];
  for (const line of text.split('\n')) {
    const method = readField(line, 0, false);
    if (method.text === '' || method.text.startsWith('#') || method.text === '@include') continue;
    const key = readField(line, method.end, true);
    const result = readField(line, key.end, false);
    if (key.text === '' || result.text === '') continue;
    addEntry(entries, lowerCase(method.text), key, result.text);
  }
  const byMethod = Map.groupBy(entries, (entry) => entry.method);
  return (key, method = '*') => lookUp(byMethod.get(lowerCase(method)) ?? [], key);
}

/** Maps for an evaluation's context, by name; each the text of a map file. */
export function userMapsFrom(files: Readonly<Record<string, string>>): ReadonlyMap<string, UserMap> {
  return new Map(Object.entries(files).map(([name, text]) => [lowerCase(name), parseUserMap(text)]));
}

interface Field {
  text: string;
  end: number;
  pattern: { ignoreCase: boolean } | undefined;
}

const SPACE = ' \t\n';

function readField(line: string, from: number, mayBePattern: boolean): Field {
  let at = from;
  while (at < line.length && SPACE.includes(line.charAt(at))) at += 1;
  const first = line.charAt(at);
  if (first !== '"' && !(first === '/' && mayBePattern)) {
    const start = at;
    while (at < line.length && !SPACE.includes(line.charAt(at))) at += 1;
    return { text: line.slice(start, at), end: at, pattern: undefined };
  }
  let text = '';
  for (at += 1; at < line.length && line.charAt(at) !== first; at++) {
    let char = line.charAt(at);
    if (char === '\\' && at + 1 < line.length) {
      at += 1;
      const next = line.charAt(at);
      char = next === first || next === '\\' ? next : `\\${next}`;
    }
    text += char;
  }
  at += 1;
  if (first === '"') return { text, end: at, pattern: undefined };
  const flags = /[iU]*/y;
  flags.lastIndex = at;
  const letters = flags.exec(line)?.[0] ?? '';
  return { text, end: at + letters.length, pattern: { ignoreCase: letters.includes('i') } };
}

function addEntry(entries: Entry[], method: string, key: Field, result: string): void {
  if (key.pattern !== undefined) {
    const matcher = compilePattern(key.text, key.pattern);
    if (matcher !== undefined) entries.push({ method, literals: undefined, pattern: { matcher, result } });
    return;
  }
  let last = entries.findLast((entry) => entry.method === method);
  if (last?.literals === undefined) {
    last = { method, literals: new Map(), pattern: undefined };
    entries.push(last);
  }
  if (!last.literals!.has(key.text)) last.literals!.set(key.text, result);
}

function lookUp(entries: readonly Entry[], key: string): string | undefined {
  for (const { literals, pattern } of entries) {
    const literal = literals?.get(key);
    if (literal !== undefined) return fill(literal, [key]);
    if (pattern === undefined) continue;
    try {
      const match = pattern.matcher.exec(toLatin1(key), 0, false);
      if (match !== undefined)
        return fill(
          pattern.result,
          match.groups.map((group) => fromLatin1(group ?? '')),
        );
    } catch (error) {
      if (!(error instanceof MatchLimitError)) throw error;
    }
  }
  return undefined;
}

/** `\0` to `\9` are the match and its groups; what is no group is left as it stands. */
function fill(template: string, groups: readonly string[]): string {
  return template.replace(/\\([0-9])/g, (whole, digit: string) => groups[Number(digit)] ?? whole);
}
