/** Comparison of version strings: runs of digits compare as numbers (glibc's strverscmp, with its care for zeros). */
import { toBytes } from '../text.ts';
import { ERROR, type Value } from '../values.ts';
import { toText } from './convert.ts';
import { type Builtin, strict } from './registry.ts';

const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;

/** Negative, zero or positive; the number itself is HTCondor's, and visible as `versioncmp`'s value. */
export function compareVersions(left: string, right: string): number {
  const a = toBytes(left);
  const b = toBytes(right);
  // Past the end reads as C's terminating NUL; bytes are signed.
  const atA = (i: number): number => a[i] ?? 0;
  const atB = (i: number): number => b[i] ?? 0;
  const signed = (byte: number): number => (byte < 128 ? byte : byte - 256);

  let mismatch = 0;
  while (mismatch < a.length && a[mismatch] === b[mismatch]) mismatch += 1;
  if (atA(mismatch) === atB(mismatch)) return 0;
  const difference = signed(atA(mismatch)) - signed(atB(mismatch));

  let start = mismatch;
  while (start > 0 && isDigit(atA(start - 1))) start -= 1;
  if (start === mismatch && (!isDigit(atA(mismatch)) || !isDigit(atB(mismatch)))) return difference;

  const zerosEnd = (at: (i: number) => number): number => {
    let end = start;
    while (at(end) === 48) end += 1;
    // The last zero of a number is its value, not padding.
    return end > start && !isDigit(at(end)) ? end - 1 : end;
  };
  const zerosA = zerosEnd(atA);
  const zerosB = zerosEnd(atB);
  if (zerosA !== zerosB) return zerosB - zerosA;
  if (zerosA > start) return difference;

  let endA = zerosA;
  while (isDigit(atA(endA))) endA += 1;
  let endB = zerosB;
  while (isDigit(atB(endB))) endB += 1;
  return endA === endB ? difference : endA - endB;
}

function compareValues(left: Value, right: Value): number | undefined | typeof ERROR {
  if (left === undefined || right === undefined) return undefined;
  const a = toText(left);
  const b = toText(right);
  return typeof a === 'string' && typeof b === 'string' ? compareVersions(a, b) : ERROR;
}

/** HTCondor compares these names with case: `versionle` is known, but an error. */
const test = (name: string, holds: (order: number) => boolean): Builtin =>
  strict(2, 2, ([left, right], _state, call) => {
    const order = compareValues(left, right);
    if (typeof order !== 'number') return order;
    return call.name === name ? holds(order) : ERROR;
  });

export const versionFunctions: Readonly<Record<string, Builtin>> = {
  versioncmp: strict(2, 2, ([left, right]) => compareValues(left, right)),
  versionLE: test('versionLE', (order) => order <= 0),
  versionLT: test('versionLT', (order) => order < 0),
  versionGE: test('versionGE', (order) => order >= 0),
  versionGT: test('versionGT', (order) => order > 0),
  versionEQ: test('versionEQ', (order) => order === 0),
  version_in_range: strict(3, 3, ([version, least, most]) => {
    if (least === undefined || most === undefined) return undefined;
    const low = compareValues(least, version);
    const high = compareValues(version, most);
    return typeof low === 'number' && typeof high === 'number' ? low <= 0 && high <= 0 : ERROR;
  }),
};
