import { readFileSync } from 'node:fs';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Scalar } from 'yaml';
import type { z } from 'zod';
import { messageOf, UserError } from './errors.ts';
import { nearest } from './nearest.ts';

/** Reads a file of the user's. @throws UserError that names it */
export function readUserFile(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UserError(`cannot read ${what} ${file}: ${messageOf(error)}`);
  }
}

/** Changes the raw values before they are checked; returns where those values came from, by `section.key`. */
export type Override = (raw: Record<string, unknown>) => ReadonlyMap<string, string>;

/**
 * Parses YAML and checks it against a schema of strict objects.
 * @throws UserError with one line for each thing that is wrong: `FILE:LINE: what, expected, got`; an unknown
 *   key is answered with the nearest known one.
 */
export function checkedYaml<S extends z.ZodObject>(
  schema: S,
  text: string,
  file: string,
  override?: Override,
): z.infer<S> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const broken = document.errors[0];
  if (broken) {
    throw new UserError(`${file}:${lines.linePos(broken.pos[0]).line}: not valid YAML: ${broken.message}`);
  }
  if (document.contents !== null && !isMap(document.contents)) {
    throw new UserError(`${file}: expected "key: value" lines (${Object.keys(schema.shape).join(', ')})`);
  }
  const raw = (document.toJS() ?? {}) as Record<string, unknown>;
  // A section whose keys are all commented out reads as null; it means the same as no section.
  for (const [key, value] of Object.entries(raw)) if (value === null) delete raw[key];
  const origins = override?.(raw);

  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const where = (path: PropertyKey[]): string => {
    const origin = origins?.get(path.slice(0, 2).join('.'));
    if (origin) return origin;
    const offset = offsetOf(document.contents, path);
    return offset === undefined ? file : `${file}:${lines.linePos(offset).line}`;
  };
  throw new UserError(result.error.issues.flatMap((issue) => describe(issue, raw, schema, where)).join('\n'));
}

/** Where in the text the value of `path` is named: its key, or its place in a list. */
function offsetOf(contents: unknown, path: PropertyKey[]): number | undefined {
  let node = contents;
  let offset: number | undefined;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && item.key.value === key);
      if (!pair) break;
      offset = (pair.key as Scalar).range?.[0];
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      offset = (node as Scalar | undefined)?.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}

function describe(
  issue: z.core.$ZodIssue,
  raw: unknown,
  schema: z.ZodType,
  where: (path: PropertyKey[]) => string,
): string[] {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const full = path ? `${path}.${key}` : key;
      return `${where([...issue.path, key])}: unknown key "${full}"${nearest(key, keysAt(schema, issue.path))}`;
    });
  }
  const got = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)?.[key], raw);
  return [
    `${where(issue.path)}: ${path}: expected ${expected(issue)}, got ${JSON.stringify(got) ?? 'nothing'}`,
  ];
}

/** The keys that the schema knows at `path`. */
function keysAt(schema: z.ZodType, path: PropertyKey[]): string[] {
  let at = unwrap(schema);
  for (const key of path) {
    if (at.def.type === 'object') at = unwrap((at as z.ZodObject).shape[key as string]!);
    else if (at.def.type === 'array') at = unwrap((at as z.ZodArray<z.ZodType>).element);
  }
  return at.def.type === 'object' ? Object.keys((at as z.ZodObject).shape) : [];
}

/** The schema behind optional, default and prefault. */
export function unwrap(schema: z.ZodType): z.ZodType {
  const inner = (schema.def as { innerType?: z.ZodType }).innerType;
  return inner ? unwrap(inner) : schema;
}

const TYPE_NAMES: Record<string, string> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of keys',
};

function expected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return TYPE_NAMES[issue.expected] ?? issue.expected;
    case 'too_small':
      if (issue.origin === 'string') return 'a text that is not empty';
      return `a number ${issue.inclusive === false ? 'above' : 'of at least'} ${issue.minimum}`;
    case 'too_big':
      return `a number of at most ${issue.maximum}`;
    case 'invalid_value':
      return issue.values.length === 1 ? String(issue.values[0]) : `one of ${issue.values.join(', ')}`;
    case 'invalid_union':
      return [...new Set(issue.errors.flatMap((branch) => branch.slice(0, 1).map(expected)))].join(' or ');
    default:
      return issue.message;
  }
}
