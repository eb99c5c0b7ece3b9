/** Conversions as `string()`, `real()` and `int()` make them, and as other functions make of their arguments. */
import type { Expr } from '../ast.ts';
import { toExpr } from '../classad.ts';
import { truncateToInt32, truncateToInteger } from '../integers.ts';
import { isInteger } from '../operators.ts';
import { formatAbsTime, formatRelTime } from '../times.ts';
import { unparseValue } from '../unparse.ts';
import { AbsTime, ERROR, type Integer, ListValue, Real, RelTime, type Value } from '../values.ts';

/** The longest string a function makes; what would be longer is an error. HTCondor has no limit. */
export const MAX_TEXT_LENGTH = 64 * 1024 * 1024;

/** A string, or what stands for there being none: undefined or error. */
export function toText(value: Value): string | undefined | typeof ERROR {
  if (typeof value === 'string' || value === undefined || value === ERROR) return value as string | undefined;
  if (value instanceof AbsTime) return formatAbsTime(value);
  if (value instanceof RelTime) return formatRelTime(new RelTime(truncateToInt32(value.seconds)));
  return unparseValue(value);
}

const NUMBER =
  /^[ \t-\r]*([+-]?)(?:(0[xX])([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?(?:[pP]([+-]?[0-9]+))?|([0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)|(inf(?:inity)?|nan))/i;

/** C's strtod: the number a text begins with, or undefined when it begins with none. */
export function readDouble(text: string): number | undefined {
  const match = NUMBER.exec(text);
  if (match === null) return undefined;
  const [, sign, hex, hexWhole = '', hexFraction = '', hexExponent = '0', decimal, word] = match;
  let size: number;
  if (word !== undefined) size = word.toLowerCase() === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY;
  else if (decimal !== undefined) size = Number(decimal);
  else if (hex === undefined || hexWhole + hexFraction === '') size = 0;
  else
    size =
      Number(BigInt(`0x${hexWhole}${hexFraction}`)) * 2 ** (Number(hexExponent) - 4 * hexFraction.length);
  return sign === '-' ? -size : size;
}

/** A double, or what stands for there being none: undefined or error. */
export function toDouble(value: Value): number | undefined | typeof ERROR {
  if (typeof value === 'number') return value;
  if (value instanceof Real) return value.value;
  if (value === undefined || value === ERROR) return value as undefined;
  if (typeof value === 'string') return readDouble(value) ?? ERROR;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof AbsTime) return value.epochSeconds;
  if (value instanceof RelTime) return truncateToInt32(value.seconds);
  return ERROR;
}

/** A 64-bit integer, fractions cut off, or what stands for there being none: undefined or error. */
export function toInteger(value: Value): Integer | undefined | typeof ERROR {
  if (isInteger(value)) return value;
  const double = toDouble(value);
  return typeof double === 'number' ? truncateToInteger(double) : double;
}

/** A list as functions make them. */
export function madeList(values: readonly Value[]): ListValue {
  return new ListValue(values.map(toElement), undefined, true);
}

/** A value as an element of a list made of values: of a span only the whole seconds are kept. */
export function toElement(value: Value): Expr {
  return toExpr(value instanceof RelTime ? new RelTime(truncateToInt32(value.seconds)) : value);
}
