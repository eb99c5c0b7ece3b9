/** Expressions as text, in HTCondor's own form (src/classad/sink.cpp of 23.9.6). */
import type { Binary, Expr } from './ast.ts';
import { ClassAd } from './classad.ts';
import { formatE, formatG16 } from './numbers.ts';
import { byteLength, compareIgnoringCase, isAscii, lowerCase, toBytes } from './text.ts';
import { formatAbsTime, formatRelTime } from './times.ts';
import { AbsTime, ERROR, ListValue, Real, RelTime, type Value } from './values.ts';

/**
 * `new`: strings with C escapes, reals as `1.500000000000000E+00`, `is`; what `unparse()` and nested syntax use.
 * `old`: strings with only `\"` escaped, reals as `1.5`, `=?=`; what attribute lines use.
 */
export type Syntax = 'new' | 'old';

/** An expression as text. Parentheses appear where they were written, so a parsed expression reads back the same. */
export function unparse(expr: Expr, syntax: Syntax = 'new'): string {
  switch (expr.kind) {
    case 'literal':
      return unparseValue(expr.value, syntax);
    case 'attribute':
      // HTCondor writes the name after a dot unquoted, whatever is in it.
      if (expr.scope !== undefined) return `${unparse(expr.scope, syntax)}.${expr.name}`;
      return (expr.absolute ? '.' : '') + unparseName(expr.name, syntax);
    case 'parentheses':
      return `(${unparse(expr.inner, syntax)})`;
    case 'unary':
      return ` ${expr.op}${unparse(expr.operand, syntax)}`;
    case 'binary':
      return unparseBinary(expr, syntax);
    case 'conditional': {
      const condition = unparse(expr.condition, syntax);
      const middle = expr.whenTrue === undefined ? ' ?: ' : ` ? ${unparse(expr.whenTrue, syntax)} : `;
      return condition + middle + unparse(expr.whenFalse, syntax);
    }
    case 'subscript':
      return `${unparse(expr.container, syntax)}[${unparse(expr.index, syntax)}]`;
    case 'call':
      return `${expr.name}(${expr.args.map((arg) => unparse(arg, syntax)).join(',')})`;
    case 'list':
      return unparseList(expr.items, syntax);
    case 'ad':
      return unparseAd(expr.ad, syntax);
  }
}

/** A chain of operators is as deep a tree as it is long: walk it in a loop. */
function unparseBinary(expr: Binary, syntax: Syntax): string {
  const tail: string[] = [];
  let node: Expr = expr;
  while (node.kind === 'binary') {
    tail.push(` ${operatorText(node.op, syntax)} ${unparse(node.right, syntax)}`);
    node = node.left;
  }
  return unparse(node, syntax) + tail.reverse().join('');
}

function operatorText(op: Binary['op'], syntax: Syntax): string {
  if (syntax === 'new') return op;
  return op === 'is' ? '=?=' : op === 'isnt' ? '=!=' : op;
}

/** A value as the expression that has it. */
export function unparseValue(value: Value, syntax: Syntax = 'new'): string {
  switch (typeof value) {
    case 'string':
      return unparseString(value, syntax);
    case 'object':
      if (value instanceof Real) return unparseReal(value.value, syntax);
      if (value === ERROR) return 'error';
      if (value instanceof AbsTime) return `absTime("${formatAbsTime(value)}")`;
      if (value instanceof RelTime) return `relTime("${formatRelTime(value)}")`;
      if (value instanceof ListValue) return unparseList(value.items, syntax);
      if (value instanceof ClassAd) return unparseAd(value, syntax);
      return 'error';
    default:
      return String(value);
  }
}

/** An ad in new syntax on one line, `[ a = 1; b = "x" ]`, attributes in the order HTCondor keeps them. */
export function unparseAd(ad: ClassAd, syntax: Syntax = 'new'): string {
  const attributes = inHTCondorOrder(ad).map(
    ([name, expr]) => `${unparseName(name, syntax)} = ${unparse(expr, syntax)}`,
  );
  return `[ ${attributes.join('; ')} ]`;
}

function unparseList(items: readonly Expr[], syntax: Syntax): string {
  return `{ ${items.map((item) => unparse(item, syntax)).join(',')} }`;
}

/** HTCondor keeps the attributes of an ad by length of name, then by name. */
export function inHTCondorOrder(ad: ClassAd): [name: string, expr: Expr][] {
  return [...ad].sort(([a], [b]) => byteLength(a) - byteLength(b) || compareIgnoringCase(a, b));
}

const RESERVED = new Set(['error', 'false', 'is', 'isnt', 'parent', 'true', 'undefined']);
const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Whether a name can be written without quotes. */
export function isPlainName(name: string): boolean {
  return PLAIN_NAME.test(name) && !(name.length <= 9 && RESERVED.has(lowerCase(name)));
}

/** An attribute name, quoted where it would not read back as a name. */
export function unparseName(name: string, syntax: Syntax = 'new'): string {
  if (isPlainName(name)) return name;
  return `'${escapeText(name, "'", syntax)}'`;
}

export function unparseString(value: string, syntax: Syntax): string {
  if (syntax === 'old') return value.includes('"') ? `"${value.replaceAll('"', '\\"')}"` : `"${value}"`;
  return `"${escapeText(value, '"', syntax)}"`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
};
const NEEDS_ESCAPE = /[\x00-\x1f\x7f\\]/;

/** Text with C escapes; an empty delimiter escapes no quote. */
export function escapeText(text: string, delimiter: '"' | "'" | '', syntax: Syntax): string {
  const quoted =
    delimiter !== '' && text.includes(delimiter) ? text.replaceAll(delimiter, `\\${delimiter}`) : text;
  if (syntax === 'old') return quoted;
  if (!NEEDS_ESCAPE.test(text) && isAscii(text)) return quoted;
  let out = '';
  for (const byte of toBytes(text)) {
    const char = String.fromCharCode(byte);
    if (char === delimiter) out += `\\${delimiter}`;
    else if (ESCAPES[char] !== undefined) out += ESCAPES[char];
    else if (byte < 32 || byte >= 127) out += `\\${byte.toString(8).padStart(3, '0')}`;
    else out += char;
  }
  return out;
}

export function unparseReal(value: number, syntax: Syntax): string {
  if (Number.isNaN(value)) return 'real("NaN")';
  if (value === Number.POSITIVE_INFINITY) return 'real("INF")';
  if (value === Number.NEGATIVE_INFINITY) return 'real("-INF")';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  if (syntax === 'new') return formatE(value, 15);
  const text = formatG16(value);
  return text.includes('.') || text.includes('E') ? text : `${text}.0`;
}
