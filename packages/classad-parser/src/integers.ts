/** 64-bit integers: `number` while exact, `bigint` beyond; results wrap around as HTCondor's C++ does. */
import type { Integer } from './values.ts';

/** The canonical form of a 64-bit integer. Takes any bigint and wraps it to 64 bits. */
export function normalize(value: bigint): Integer {
  const wrapped = BigInt.asIntN(64, value);
  return wrapped >= -9007199254740991n && wrapped <= 9007199254740991n ? Number(wrapped) : wrapped;
}

export const INT64_MAX = 9223372036854775807n;
export const INT64_MIN = -9223372036854775808n;

/** Reads decimal digits with an optional minus; a number beyond 64 bits reads as 0, as std::from_chars leaves it. */
export function readInteger(text: string): Integer {
  if (text.length <= 15) return Number(text) + 0;
  const value = BigInt(text);
  return value > INT64_MAX || value < INT64_MIN ? 0 : normalize(value);
}

/** A double to 64 bits the way x86-64 converts: toward zero; what does not fit becomes the smallest integer. */
export function truncateToInteger(value: number): Integer {
  const whole = Math.trunc(value) + 0;
  if (Number.isSafeInteger(whole)) return whole;
  if (!(whole >= -(2 ** 63) && whole < 2 ** 63)) return INT64_MIN;
  return normalize(BigInt(whole));
}

/** A double to C's int, as x86-64 converts: what does not fit becomes the smallest int. */
export function truncateToInt32(value: number): number {
  const whole = Math.trunc(value) + 0;
  return whole >= -2147483648 && whole <= 2147483647 ? whole : -2147483648;
}

/** A 64-bit integer cut to C's int. */
export function toInt32(value: Integer): number {
  return typeof value === 'number' && value >= -2147483648 && value <= 2147483647
    ? value
    : Number(BigInt.asIntN(32, BigInt(value)));
}
