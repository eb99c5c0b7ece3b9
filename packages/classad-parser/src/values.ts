/**
 * The values a ClassAd expression can have, as JavaScript values.
 *
 * | ClassAd       | JavaScript                                                            |
 * | ------------- | --------------------------------------------------------------------- |
 * | undefined     | `undefined`                                                           |
 * | error         | `ERROR`                                                               |
 * | boolean       | `boolean`                                                             |
 * | integer       | `number` within ±(2^53 − 1), otherwise `bigint`: always exact 64 bits |
 * | real          | `Real`, a box around a double: `1.0` is not `1` in this language      |
 * | string        | `string`                                                              |
 * | absolute time | `AbsTime`                                                             |
 * | relative time | `RelTime`                                                             |
 * | list          | `ListValue`                                                           |
 * | ad            | `ClassAd`                                                             |
 *
 * Reals are boxed rather than integers because integers are what matchmaking counts with (memory, cores, times),
 * and because a box is made only by real arithmetic: literals and attributes carry theirs.
 */
import type { Expr } from './ast.ts';
import { ClassAd } from './classad.ts';

/** A ClassAd real: a double that stays distinct from an integer. */
export class Real {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }

  valueOf(): number {
    return this.value;
  }
}

/** The ClassAd error value. There is one; compare with `===`. */
export class ErrorValue {
  toString(): string {
    return 'error';
  }
}
export const ERROR = new ErrorValue();

/** A point in time, with the offset from UTC it is written in. Both in seconds. */
export class AbsTime {
  readonly epochSeconds: number;
  readonly offsetSeconds: number;

  constructor(epochSeconds: number, offsetSeconds: number) {
    this.epochSeconds = epochSeconds;
    this.offsetSeconds = offsetSeconds;
  }

  toDate(): Date {
    return new Date(this.epochSeconds * 1000);
  }
}

/** A span of time in seconds, which may have a fraction. */
export class RelTime {
  readonly seconds: number;

  constructor(seconds: number) {
    this.seconds = seconds;
  }
}

/** A list: its elements are expressions, evaluated when somebody asks, in the ad the list was found in. */
export class ListValue {
  readonly items: readonly Expr[];
  readonly scope: ClassAd | undefined;
  /** Whether a function made it. HTCondor's `is` takes such a list for another type than one that was written. */
  readonly made: boolean;

  constructor(items: readonly Expr[], scope: ClassAd | undefined, made = false) {
    this.items = items;
    this.scope = scope;
    this.made = made;
  }
}

export type Integer = number | bigint;
export type Value =
  | undefined
  | ErrorValue
  | boolean
  | Integer
  | Real
  | string
  | AbsTime
  | RelTime
  | ListValue
  | ClassAd;

export type TypeName =
  | 'undefined'
  | 'error'
  | 'boolean'
  | 'integer'
  | 'real'
  | 'string'
  | 'absoluteTime'
  | 'relativeTime'
  | 'list'
  | 'classad';

export function typeOf(value: Value): TypeName {
  switch (typeof value) {
    case 'undefined':
      return 'undefined';
    case 'boolean':
      return 'boolean';
    case 'number':
    case 'bigint':
      return 'integer';
    case 'string':
      return 'string';
    default:
      if (value instanceof Real) return 'real';
      if (value === ERROR) return 'error';
      if (value instanceof ClassAd) return 'classad';
      if (value instanceof ListValue) return 'list';
      return value instanceof AbsTime ? 'absoluteTime' : 'relativeTime';
  }
}

/** The number behind an integer or a real (an integer beyond 2^53 is rounded), or undefined for any other value. */
export function toNumber(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (value instanceof Real) return value.value;
  if (typeof value === 'bigint') return Number(value);
  return undefined;
}
