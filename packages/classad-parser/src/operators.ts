/** What the operators do to values. Behaviour of HTCondor 23.9.6 (src/classad/operators.cpp), checked against it. */
import type { BinaryOperator, UnaryOperator } from './ast.ts';
import { INT64_MAX, INT64_MIN, normalize, truncateToInt32 } from './integers.ts';
import { compareIgnoringCase } from './text.ts';
import { AbsTime, ERROR, type Integer, type ListValue, Real, RelTime, typeOf, type Value } from './values.ts';

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%';
export type ComparisonOperator = '<' | '<=' | '==' | '!=' | '>=' | '>';
export type BitwiseOperator = '|' | '^' | '&' | '<<' | '>>' | '>>>';

/** Booleans and numbers count as true or false; undefined for anything else. NaN is true, as in C. */
export function truth(value: Value): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number' || typeof value === 'bigint') return value !== 0;
  if (value instanceof Real) return value.value !== 0;
  return undefined;
}

/** What a logical operator makes of an operand: true, false, undefined or error. */
export function logical(value: Value): Value {
  return value === undefined || value === ERROR ? value : (truth(value) ?? ERROR);
}

/** `left || right`, for a left operand that is not true. */
export function or(left: Value, right: Value): Value {
  const a = logical(left);
  const b = logical(right);
  if (a === ERROR) return ERROR;
  if (a === false) return b;
  return b === false ? undefined : b;
}

/** `left && right`, for a left operand that is not false. */
export function and(left: Value, right: Value): Value {
  const a = logical(left);
  const b = logical(right);
  // An operand that cannot be a condition is an error even beside one that decides.
  if (a === ERROR || a === true) return a === true ? b : ERROR;
  return b === true ? undefined : b;
}

export function unary(op: UnaryOperator, value: Value): Value {
  if (value === undefined || value === ERROR) return value;
  switch (op) {
    case '!': {
      const condition = truth(value);
      return condition === undefined ? ERROR : !condition;
    }
    case '+':
      return isInteger(value) || value instanceof Real || value instanceof RelTime ? value : ERROR;
    case '-':
      if (isInteger(value)) return typeof value === 'number' ? 0 - value : normalize(-value);
      if (value instanceof Real) return new Real(-value.value);
      if (value instanceof RelTime) return new RelTime(-value.seconds);
      return ERROR;
    case '~':
      return isInteger(value) ? normalize(~BigInt(value)) : ERROR;
  }
}

export function binary(op: Exclude<BinaryOperator, '||' | '&&'>, left: Value, right: Value): Value {
  switch (op) {
    case 'is':
      return identical(left, right);
    case 'isnt': {
      const same = identical(left, right);
      return same === ERROR ? ERROR : !same;
    }
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return arithmetic(op, left, right);
    case '|':
    case '^':
    case '&':
    case '<<':
    case '>>':
    case '>>>':
      return exceptional(left, right) ? propagate(left, right) : bitwise(op, left, right);
    default:
      return compare(op, left, right);
  }
}

export function isInteger(value: Value): value is Integer {
  return typeof value === 'number' || typeof value === 'bigint';
}

function exceptional(left: Value, right: Value): boolean {
  return left === undefined || left === ERROR || right === undefined || right === ERROR;
}

/** Strict operators: an error wins over an undefined, whichever side they are on. */
function propagate(left: Value, right: Value): Value {
  return left === ERROR || right === ERROR ? ERROR : undefined;
}

/** Same type and same value. Strings compare with case; two lists, or two ads, cannot be compared. */
function identical(left: Value, right: Value): Value {
  if (typeof left !== 'object' || typeof right !== 'object') return left === right;
  const type = typeOf(left);
  if (type !== typeOf(right)) return false;
  switch (type) {
    case 'real':
      return (left as Real).value === (right as Real).value;
    case 'absoluteTime': {
      const [a, b] = [left as AbsTime, right as AbsTime];
      return a.epochSeconds === b.epochSeconds && a.offsetSeconds === b.offsetSeconds;
    }
    case 'relativeTime':
      return (left as RelTime).seconds === (right as RelTime).seconds;
    case 'error':
      return true;
    case 'list':
      return (left as ListValue).made === (right as ListValue).made ? ERROR : false;
    default:
      return ERROR;
  }
}

function holds(op: ComparisonOperator, left: number | bigint, right: number | bigint): boolean {
  switch (op) {
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '==':
      // biome-ignore lint/suspicious/noDoubleEquals: a number and a bigint of the same value are equal
      return left == right;
    case '!=':
      // biome-ignore lint/suspicious/noDoubleEquals: a number and a bigint of the same value are equal
      return left != right;
    case '>=':
      return left >= right;
    case '>':
      return left > right;
  }
}

/** Numbers and booleans compare by value, strings without case, times with their like; all else is an error. */
export function compare(op: ComparisonOperator, left: Value, right: Value): Value {
  if (typeof left === 'number' && typeof right === 'number') return holds(op, left, right);
  if (typeof left === 'string' && typeof right === 'string')
    return holds(op, compareIgnoringCase(left, right), 0);
  if (exceptional(left, right)) return propagate(left, right);
  const a = numeric(left);
  const b = numeric(right);
  if (a !== undefined && b !== undefined) {
    // An integer meeting a real becomes one, which may round it.
    if (typeof a === 'bigint' && right instanceof Real) return holds(op, Number(a), b);
    if (typeof b === 'bigint' && left instanceof Real) return holds(op, a, Number(b));
    return holds(op, a, b);
  }
  if (left instanceof AbsTime && right instanceof AbsTime)
    return holds(op, left.epochSeconds, right.epochSeconds);
  if (left instanceof RelTime && right instanceof RelTime) return holds(op, left.seconds, right.seconds);
  return ERROR;
}

/** The number in a boolean, integer or real. */
function numeric(value: Value): number | bigint | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return value instanceof Real ? value.value : undefined;
}

export function arithmetic(op: ArithmeticOperator, left: Value, right: Value): Value {
  if (typeof left === 'number' && typeof right === 'number') return integerArithmetic(op, left, right);
  if (exceptional(left, right)) return propagate(left, right);
  const a = numeric(left);
  const b = numeric(right);
  if (a !== undefined && b !== undefined) {
    if (left instanceof Real || right instanceof Real) return realArithmetic(op, Number(a), Number(b));
    return typeof a === 'number' && typeof b === 'number'
      ? integerArithmetic(op, a, b)
      : wideArithmetic(op, BigInt(a), BigInt(b));
  }
  return timeArithmetic(op, left, right);
}

function integerArithmetic(op: ArithmeticOperator, a: number, b: number): Value {
  let result: number;
  switch (op) {
    case '+':
      result = a + b;
      break;
    case '-':
      result = a - b;
      break;
    case '*':
      result = a * b;
      break;
    case '/':
      if (b === 0) return ERROR;
      // Dividing what is divisible is exact, where rounding a quotient may not be.
      result = (a - (a % b)) / b;
      break;
    case '%':
      if (b === 0) return ERROR;
      result = a % b;
      break;
  }
  // Adding 0 turns −0, which integers do not have, into 0.
  return Number.isSafeInteger(result) ? result + 0 : wideArithmetic(op, BigInt(a), BigInt(b));
}

function wideArithmetic(op: ArithmeticOperator, a: bigint, b: bigint): Value {
  switch (op) {
    case '+':
      return normalize(a + b);
    case '-':
      return normalize(a - b);
    case '*':
      return normalize(a * b);
    case '/':
      if (b === 0n) return ERROR;
      // The one quotient that does not fit is off by one in HTCondor too.
      return a === INT64_MIN && b === -1n ? INT64_MAX : normalize(a / b);
    case '%':
      return b === 0n ? ERROR : normalize(a % b);
  }
}

/** A result of +infinity is an error; −infinity and NaN are not. There is no remainder of reals. */
function realArithmetic(op: ArithmeticOperator, a: number, b: number): Value {
  let result: number;
  switch (op) {
    case '+':
      result = a + b;
      break;
    case '-':
      result = a - b;
      break;
    case '*':
      result = a * b;
      break;
    case '/':
      result = a / b;
      break;
    case '%':
      return ERROR;
  }
  return result === Number.POSITIVE_INFINITY ? ERROR : new Real(result);
}

function timeArithmetic(op: ArithmeticOperator, left: Value, right: Value): Value {
  if (op === '+') {
    if (left instanceof AbsTime && right instanceof RelTime)
      return shifted(left, truncateToInt32(right.seconds));
    if (left instanceof RelTime && right instanceof AbsTime)
      return shifted(right, truncateToInt32(left.seconds));
    if (left instanceof RelTime && right instanceof RelTime) return new RelTime(left.seconds + right.seconds);
  } else if (op === '-') {
    if (left instanceof AbsTime && right instanceof AbsTime) {
      return new RelTime(left.epochSeconds - right.epochSeconds);
    }
    if (left instanceof AbsTime && right instanceof RelTime)
      return shifted(left, -truncateToInt32(right.seconds));
    if (left instanceof RelTime && right instanceof RelTime) return new RelTime(left.seconds - right.seconds);
  } else if (op === '*' || op === '/') {
    if (left instanceof RelTime && (isInteger(right) || right instanceof Real)) {
      const factor = Number(numeric(right));
      return new RelTime(op === '*' ? left.seconds * factor : left.seconds / factor);
    }
    if (op === '*' && right instanceof RelTime && (isInteger(left) || left instanceof Real)) {
      return new RelTime(right.seconds * Number(numeric(left)));
    }
  }
  return ERROR;
}

function shifted(time: AbsTime, seconds: number): AbsTime {
  return new AbsTime(time.epochSeconds + seconds, time.offsetSeconds);
}

function bitwise(op: BitwiseOperator, left: Value, right: Value): Value {
  if (!isInteger(left) || !isInteger(right)) return ERROR;
  const a = BigInt(left);
  const b = BigInt(right);
  // The processor takes a shift count modulo 64.
  const count = b & 63n;
  switch (op) {
    case '|':
      return normalize(a | b);
    case '^':
      return normalize(a ^ b);
    case '&':
      return normalize(a & b);
    case '<<':
      return normalize(a << count);
    case '>>':
      if (a >= 0n) return normalize(a >> count);
      return b <= 0n ? left : normalize(a >> (b > 64n ? 64n : b));
    case '>>>':
      if (a >= 0n) return normalize(a >> count);
      return normalize((BigInt.asUintN(64, a) >> 1n) >> ((b - 1n) & 63n));
  }
}
