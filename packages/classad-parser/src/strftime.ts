/** C's strftime in the C locale (glibc), as far as a date without a time zone goes. */

import { civilSeconds } from './times.ts';

/** Fields as in C's tm, but with the full year. Values out of range are written as they are. */
export interface DateComponents {
  year: number;
  /** 0 to 11. */
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  /** 0 is Sunday. */
  weekday: number;
  /** 0 is the first of January. */
  yearday: number;
}

const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const MAX_LENGTH = 1022;

/** The formatted date; empty when it is longer than HTCondor's buffer. */
export function strftime(format: string, date: DateComponents): string {
  const out = expand(format, date);
  return out.length > MAX_LENGTH ? '' : out;
}

const COMPOSITE: Readonly<Record<string, string>> = {
  c: '%a %b %e %H:%M:%S %Y',
  D: '%m/%d/%y',
  x: '%m/%d/%y',
  F: '%Y-%m-%d',
  R: '%H:%M',
  r: '%I:%M:%S %p',
  T: '%H:%M:%S',
  X: '%H:%M:%S',
  n: '\n',
  t: '\t',
  '%': '%',
};

function expand(format: string, date: DateComponents): string {
  return format.replace(
    /%([-_0^#+]*)([0-9]*)([EO]?)([\s\S])/g,
    (whole, flags: string, width: string, _modifier, code: string) => {
      const text = conversion(code, flags, date);
      if (text === undefined) return whole;
      return decorate(text.text, text.pad, text.width, flags, width);
    },
  );
}

interface Converted {
  text: string;
  pad: string;
  width: number;
}

const number = (value: number, width: number, pad = '0'): Converted => ({ text: String(value), pad, width });
const word = (text: string): Converted => ({ text, pad: ' ', width: 0 });

function conversion(code: string, flags: string, date: DateComponents): Converted | undefined {
  const hour12 = date.hour % 12 === 0 ? 12 : date.hour % 12;
  switch (code) {
    case 'a':
      return word(WEEKDAYS[date.weekday]?.slice(0, 3) ?? '?');
    case 'A':
      return word(WEEKDAYS[date.weekday] ?? '?');
    case 'b':
    case 'h':
      return word(MONTHS[date.month]?.slice(0, 3) ?? '?');
    case 'B':
      return word(MONTHS[date.month] ?? '?');
    case 'C':
      return number(Math.floor(date.year / 100), 1);
    case 'd':
      return number(date.day, 2);
    case 'e':
      return number(date.day, 2, ' ');
    case 'G':
      return number(isoWeek(date).year, 1);
    case 'g':
      return number(modulo(isoWeek(date).year, 100), 2);
    case 'H':
      return number(date.hour, 2);
    case 'I':
      return number(hour12, 2);
    case 'j':
      return number(date.yearday + 1, 3);
    case 'k':
      return number(date.hour, 2, ' ');
    case 'l':
      return number(hour12, 2, ' ');
    case 'm':
      return number(date.month + 1, 2);
    case 'M':
      return number(date.minute, 2);
    case 'p':
      return word(flags.includes('#') ? (date.hour > 11 ? 'pm' : 'am') : date.hour > 11 ? 'PM' : 'AM');
    case 'P':
      return word(date.hour > 11 ? 'pm' : 'am');
    case 's':
      return number(civilSeconds(date.year, date.month, date.day, date.hour, date.minute, date.second), 1);
    case 'S':
      return number(date.second, 2);
    case 'u':
      return number(((date.weekday + 6) % 7) + 1, 1);
    case 'U':
      return number(Math.floor((date.yearday - date.weekday + 7) / 7), 2);
    case 'V':
      return number(isoWeek(date).week, 2);
    case 'w':
      return number(date.weekday, 1);
    case 'W':
      return number(Math.floor((date.yearday - modulo(date.weekday - 1, 7) + 7) / 7), 2);
    case 'y':
      return number(modulo(date.year, 100), 2);
    case 'Y':
      return number(date.year, 1);
    case 'z':
      return word('+0000');
    case 'Z':
      return word('UTC');
    default: {
      const composite = COMPOSITE[code];
      return composite === undefined ? undefined : word(composite === '%' ? '%' : expand(composite, date));
    }
  }
}

function decorate(text: string, pad: string, width: number, flags: string, given: string): string {
  const wanted = given === '' ? width : Number(given.slice(0, 4));
  const filler = flags.includes('_') ? ' ' : flags.includes('0') || flags.includes('+') ? '0' : pad;
  const padded = flags.includes('-') ? text : padNumber(text, wanted, filler);
  return flags.includes('^') ? padded.toUpperCase() : padded;
}

function padNumber(text: string, width: number, filler: string): string {
  if (filler === '0' && text.startsWith('-')) return `-${text.slice(1).padStart(width - 1, '0')}`;
  return text.padStart(width, filler);
}

const modulo = (value: number, by: number): number => ((value % by) + by) % by;

const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);

/** The ISO week and the year it belongs to. */
function isoWeek(date: DateComponents): { year: number; week: number } {
  const daysInYear = (year: number): number => (isLeap(year) ? 366 : 365);
  const weekDays = (yearday: number): number => {
    const bigEnough = 4 * 7;
    return yearday - modulo(yearday - date.weekday + 4 + bigEnough, 7) + 3;
  };
  let year = date.year;
  let days = weekDays(date.yearday);
  if (days < 0) {
    year -= 1;
    days = weekDays(date.yearday + daysInYear(year));
  } else {
    const next = weekDays(date.yearday - daysInYear(year));
    if (next >= 0) {
      year += 1;
      days = next;
    }
  }
  return { year, week: Math.floor(days / 7) + 1 };
}
