/** Doubles as C's printf writes them: correctly rounded, ties to the even digit (JavaScript takes ties upward). */

/** Digits and decimal exponent of a finite, nonzero number, rounded to `count` significant digits. */
function significantDigits(magnitude: number, count: number): { digits: string; exponent: number } {
  let text = magnitude.toExponential(count - 1);
  if (isTie(magnitude, count)) {
    // The digit before an exact half decides: JavaScript rounded up, C leaves an even digit as it is.
    const truncated = magnitude.toExponential(count + 30).slice(0, count === 1 ? 1 : count + 1);
    if (Number(truncated.at(-1)) % 2 === 0) text = truncated + text.slice(text.indexOf('e'));
  }
  const mark = text.indexOf('e');
  return { digits: text[0]! + text.slice(2, mark), exponent: Number(text.slice(mark + 1)) };
}

/** Whether what follows the `count`th digit is exactly one half. Thirty digits are enough to tell for any double. */
function isTie(magnitude: number, count: number): boolean {
  const next = magnitude.toExponential(count);
  if (next[next.indexOf('e') - 1] !== '5') return false;
  const long = magnitude.toExponential(count + 30);
  return long.slice(count === 1 ? 2 : count + 1, long.indexOf('e')) === `5${'0'.repeat(30)}`;
}

const exponentText = (exponent: number): string =>
  `${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;

/** `%.<decimals>E` of a finite number. */
export function formatE(value: number, decimals: number): string {
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  if (value === 0) return `${sign}0.${'0'.repeat(decimals)}E+00`;
  const { digits, exponent } = significantDigits(Math.abs(value), decimals + 1);
  return `${sign}${digits[0]}.${digits.slice(1)}E${exponentText(exponent)}`;
}

/** `%.<precision>G` of a finite number (`%g` with a lower-case mark). */
export function formatG(value: number, precision: number, mark: 'E' | 'e' = 'E'): string {
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  if (value === 0) return `${sign}0`;
  const { digits, exponent } = significantDigits(Math.abs(value), precision);
  let end = digits.length;
  while (end > 1 && digits[end - 1] === '0') end -= 1;
  const kept = digits.slice(0, end);
  if (exponent < -4 || exponent >= precision) {
    const fraction = kept.length > 1 ? `.${kept.slice(1)}` : '';
    return `${sign}${kept[0]}${fraction}${mark}${exponentText(exponent)}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${kept}`;
  const whole = kept.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  const fraction = kept.slice(exponent + 1);
  return `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

/**
 * `%.16G` of a number from 10^-4 to 10^15, fast for those that a few digits tell apart from all others. Where doubles
 * lie closer together than one unit of the 16th digit, those few digits are also what the number rounds to; elsewhere
 * it is rounded here, and cannot be a tie: a double halfway between two numbers of 16 digits ends in 25 or 75.
 */
function shortG16(value: number): string | undefined {
  const text = fewDecimals(value) ?? String(value);
  if (text.length > 16) return undefined;
  const point = text.indexOf('.');
  const limit = value < 1 ? smallLimit(value) : SHORT_LIMITS[point === -1 ? text.length : point]!;
  if (value < limit) return text;
  const rounded = value.toPrecision(16);
  let end = rounded.length;
  while (rounded.charCodeAt(end - 1) === 48) end -= 1;
  return rounded.slice(0, rounded.charCodeAt(end - 1) === 46 ? end - 1 : end);
}

/** What String() gives, in half the time, for numbers below 10^9 of at most six decimals; otherwise undefined. */
function fewDecimals(value: number): string | undefined {
  if (value >= 1e9) return undefined;
  const scaled = Math.round(value * 1e6);
  if (scaled / 1e6 !== value) return undefined;
  const whole = Math.floor(scaled / 1e6);
  let fraction = scaled - whole * 1e6;
  if (fraction === 0) return `${whole}`;
  let width = 6;
  while (fraction % 10 === 0) {
    fraction /= 10;
    width -= 1;
  }
  const digits = `${fraction}`;
  return digits.length === width
    ? `${whole}.${digits}`
    : `${whole}.${'00000'.slice(digits.length - width)}${digits}`;
}

/** By number of digits before the point: up to where doubles lie closer than one unit of the 16th digit. */
const SHORT_LIMITS = Array.from(
  { length: 17 },
  (_, digits) => 2 ** (Math.floor(Math.log2(10 ** (digits - 16))) + 53),
);

/** The same below 1: 2^-1 for 0.1 and more, 2^-4 for 0.01 and more, … */
function smallLimit(value: number): number {
  if (value >= 0.1) return 2 ** -1;
  if (value >= 0.01) return 2 ** -4;
  return value >= 0.001 ? 2 ** -7 : 2 ** -11;
}

/** `%.16G`, which is how HTCondor writes reals in old syntax. */
export function formatG16(value: number): string {
  const size = Math.abs(value);
  const short = size >= 1e-4 && size < 1e15 ? shortG16(size) : undefined;
  if (short === undefined) return formatG(value, 16);
  return value < 0 ? `-${short}` : short;
}
