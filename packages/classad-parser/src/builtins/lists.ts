/** Functions of lists. Their elements are evaluated where the function is called, not where the list stands. */

import { ClassAd } from '../classad.ts';
import { compileExpr } from '../compile.ts';
import { arithmetic, binary, type ComparisonOperator, isInteger, truth } from '../operators.ts';
import type { EvalState } from '../state.ts';
import { byteLength } from '../text.ts';
import { ERROR, ListValue, Real, type Value } from '../values.ts';
import { type Builtin, strict } from './registry.ts';

const isNumeric = (value: Value): boolean => truth(value) !== undefined;

/**
 * HTCondor compares two numbers in place: a boolean becomes an integer, and an integer that meets a real becomes one,
 * for all comparisons after.
 */
function promote(value: Value, other: Value): Value {
  if (!isNumeric(value) || !isNumeric(other)) return value;
  const number = typeof value === 'boolean' ? (value ? 1 : 0) : value;
  return isInteger(number) && other instanceof Real ? new Real(Number(number)) : number;
}

function member(value: Value, list: Value, identical: boolean, state: EvalState): Value {
  if (list === undefined || (!identical && value === undefined)) return undefined;
  if (!(list instanceof ListValue) || value instanceof ListValue || value instanceof ClassAd) return ERROR;
  if (!identical && value === ERROR) return ERROR;
  let sought = value;
  for (const item of list.items) {
    const element = compileExpr(item)(state);
    if (binary(identical ? 'is' : '==', element, sought) === true) return true;
    if (!identical) sought = promote(sought, element);
  }
  return false;
}

function size(value: Value): Value {
  if (value === undefined) return undefined;
  if (value instanceof ListValue) return value.items.length;
  if (value instanceof ClassAd) return value.size;
  return typeof value === 'string' ? byteLength(value) : ERROR;
}

/** The numbers of a list, undefined ones left out; undefined for an undefined list, otherwise error. */
function numbersOf(list: Value, state: EvalState): Value[] | undefined | typeof ERROR {
  if (list === undefined) return undefined;
  if (!(list instanceof ListValue)) return ERROR;
  const numbers: Value[] = [];
  for (const item of list.items) {
    const value = compileExpr(item)(state);
    if (value === undefined) continue;
    if (!isNumeric(value)) return ERROR;
    numbers.push(value);
  }
  return numbers;
}

function sum(list: Value, state: EvalState): Value {
  const numbers = numbersOf(list, state);
  if (!Array.isArray(numbers)) return numbers;
  return numbers.length === 0 ? 0 : numbers.reduce((total, number) => arithmetic('+', total, number));
}

/** The average of nothing is 0, as HTCondor has it. */
function average(list: Value, state: EvalState): Value {
  const numbers = numbersOf(list, state);
  if (!Array.isArray(numbers)) return numbers;
  if (numbers.length === 0) return 0;
  const total = numbers.reduce((sofar, number) => arithmetic('+', sofar, number));
  return arithmetic('/', total, new Real(numbers.length));
}

function extreme(list: Value, op: '<' | '>', state: EvalState): Value {
  const numbers = numbersOf(list, state);
  if (!Array.isArray(numbers)) return numbers;
  let [best] = numbers;
  for (const number of numbers.slice(1)) {
    const [candidate, current] = [promote(number, best), promote(best, number)];
    best = binary(op, candidate, current) === true ? candidate : current;
  }
  return best;
}

const COMPARISONS = new Set(['<', '<=', '!=', '==', '>', '>=', 'is', 'isnt']);

function compareEach(op: string, list: ListValue, value: Value, needAll: boolean, state: EvalState): Value {
  let against = value;
  for (const item of list.items) {
    const element = compileExpr(item)(state);
    const result = binary(op as ComparisonOperator, element, against);
    if (op !== 'is' && op !== 'isnt') against = promote(against, element);
    if (result === undefined) return false;
    if (typeof result !== 'boolean') return ERROR;
    if (result !== needAll) return result;
  }
  return needAll;
}

/** Arguments are evaluated one after another, and no more of them once the result is plain. */
function listCompare(needAll: boolean): Builtin {
  return (args, state) => {
    const [first, second, third] = args;
    if (first === undefined || second === undefined || third === undefined || args.length !== 3) return ERROR;
    const op = first(state);
    if (typeof op !== 'string' || !COMPARISONS.has(op)) return op === undefined ? undefined : ERROR;
    const list = second(state);
    if (!(list instanceof ListValue)) return list === undefined ? undefined : ERROR;
    return compareEach(op, list, third(state), needAll, state);
  };
}

export const listFunctions: Readonly<Record<string, Builtin>> = {
  member: strict(2, 2, ([value, list], state) => member(value, list, false, state)),
  identicalMember: strict(2, 2, ([value, list], state) => member(value, list, true, state)),
  size: strict(1, 1, ([value]) => size(value)),
  sum: strict(1, 1, ([list], state) => sum(list, state)),
  avg: strict(1, 1, ([list], state) => average(list, state)),
  min: strict(1, 1, ([list], state) => extreme(list, '<', state)),
  max: strict(1, 1, ([list], state) => extreme(list, '>', state)),
  anyCompare: listCompare(false),
  allCompare: listCompare(true),
};
