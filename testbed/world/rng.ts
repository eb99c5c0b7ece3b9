import { hash } from 'node:crypto';

/**
 * Randomness as a pure function: the same inputs give the same number, in any order and in any process.
 * Nothing is drawn from a stream, so any time window of any series can be asked for without what precedes it.
 */

/** A well mixed unsigned 32-bit integer from two integers (murmur3 finaliser). */
export function mix(a: number, b: number): number {
  let h = (a ^ Math.imul(b | 0, 0x9e3779b1)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** An unsigned 32-bit integer from any mixture of strings and integers. */
export function hash32(...parts: (string | number)[]): number {
  let h = 0x811c9dc5;
  for (const part of parts) {
    if (typeof part === 'number') {
      h = mix(h, part);
      continue;
    }
    for (let i = 0; i < part.length; i++) h = Math.imul(h ^ part.charCodeAt(i), 0x01000193);
    h = mix(h, part.length);
  }
  return h >>> 0;
}

/** A number in [0, 1). */
export function unit(a: number, b: number): number {
  return mix(a, b) / 0x1_0000_0000;
}

/** A standard normal deviate (Box-Muller). */
export function normal(a: number, b: number): number {
  const u = 1 - unit(a, b);
  const v = unit(a ^ 0x5bd1e995, b);
  return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
}

/** One of the choices. */
export function pick<T>(choices: readonly T[], a: number, b: number): T {
  return choices[Math.floor(unit(a, b) * choices.length)]!;
}

/** A UUID of the text. Digested rather than mixed: among 30,000 records 32 bits would not be unique. */
export function uuid(text: string): string {
  const hex = hash('md5', text);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
