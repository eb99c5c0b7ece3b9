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
