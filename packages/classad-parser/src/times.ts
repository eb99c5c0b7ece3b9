/** Absolute and relative times as text, as HTCondor 23.9.6 reads and writes them (src/classad/literals.cpp, util.cpp). */
import { formatG } from './numbers.ts';
import { isSpace } from './text.ts';
import { AbsTime, RelTime } from './values.ts';

export function localUtcOffsetSeconds(epochSeconds: number): number {
  return new Date(epochSeconds * 1000).getTimezoneOffset() * -60 + 0;
}

const isDigit = (char: string): boolean => char >= '0' && char <= '9' && char.length === 1;

/**
 * Reads a date such as `2003-01-25T09:00:00-06:00`: any separators, everything after the year optional, then an offset
 * (`Z`, `±hhmm`, `±hh:mm`); without one it is local time. Undefined when there is no year, or digits are left over.
 */
export function parseAbsTime(
  text: string,
  utcOffsetSeconds: (epochSeconds: number) => number = localUtcOffsetSeconds,
): AbsTime | undefined {
  let rest = text;
  let offset: number | undefined;
  let last = rest.length - 1;
  while (last >= 0 && isSpace(rest.charCodeAt(last))) last -= 1;
  if (last > 0 && (rest[last] === 'z' || rest[last] === 'Z')) {
    offset = 0;
    rest = rest.slice(0, last) + rest.slice(last + 1);
  } else {
    const length = rest.length;
    const sign = (at: number) => at > 0 && (rest[at] === '+' || rest[at] === '-');
    // The colon of an offset is dropped before it is known to be one.
    if (!sign(length - 5) && sign(length - 6) && rest[length - 3] === ':') {
      rest = rest.slice(0, length - 3) + rest.slice(length - 2);
    }
    const zone = /([+-])([0-9]{2})([0-9]{2})$/.exec(rest);
    if (zone !== null && zone.index > 0) {
      const seconds = Number(zone[2]) * 3600 + Number(zone[3]) * 60;
      offset = zone[1] === '+' ? seconds : 0 - seconds;
      rest = rest.slice(0, zone.index);
    }
  }
  const fields = readDateFields(rest);
  if (fields === undefined) return undefined;
  const [year, month, day, hour, minute, second] = fields;
  const wallSeconds = civilSeconds(year, month, day, hour, minute, second);
  const offsetSeconds = offset ?? utcOffsetSeconds(wallSeconds - utcOffsetSeconds(wallSeconds));
  // HTCondor cannot tell an offset (or a time) of −1 second from a failure.
  if (offsetSeconds === -1 || wallSeconds === -1) return undefined;
  return new AbsTime(wallSeconds - offsetSeconds, offsetSeconds);
}

/** Seconds from 1970 to a civil date, months and days out of range carrying over as in mktime. Month from 0. */
export function civilSeconds(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
): number {
  // Not Date.UTC, which reads the years 0 to 99 as 1900 to 1999.
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  date.setUTCHours(hour, minute, second);
  return date.getTime() / 1000;
}

type DateFields = [year: number, month: number, day: number, hour: number, minute: number, second: number];

function readDateFields(text: string): DateFields | undefined {
  let at = 0;
  const skip = () => {
    while (at < text.length && !isDigit(text.charAt(at))) at += 1;
  };
  const read = (width: number, missing: number): number => {
    skip();
    if (at > text.length - width) return missing;
    const digits = Number.parseInt(text.slice(at, at + width), 10);
    at += width;
    return digits;
  };
  skip();
  if (at > text.length - 4) return undefined;
  const year = read(4, 0);
  const month = read(2, 1) - 1;
  const day = read(2, 0);
  const hour = read(2, 0);
  const minute = read(2, 0);
  const second = read(2, 0);
  skip();
  return at < text.length ? undefined : [year, month, day, hour, minute, second];
}

/**
 * Reads a span such as `1+02:03:04.5` or `-1d 2h 3m 4.5s`, every part optional, from its end. Undefined when something
 * else is left.
 */
export function parseRelTime(text: string): RelTime | undefined {
  let at = text.length - 1;
  const skipSpace = () => {
    while (at >= 0 && isSpace(text.charCodeAt(at))) at -= 1;
  };
  const digitsBefore = (): string => {
    const end = at + 1;
    while (at >= 0 && isDigit(text.charAt(at))) at -= 1;
    return text.slice(at + 1, end);
  };
  const unit = (letter: string, mark: string): number => {
    skipSpace();
    const char = at >= 0 ? text.charAt(at) : '';
    if (char === '' || (char.toLowerCase() !== letter && char !== mark)) return 0;
    at -= 1;
    skipSpace();
    return intOf(digitsBefore());
  };
  skipSpace();
  let seconds = 0;
  const last = at >= 0 ? text.charAt(at) : '';
  if (last === 's' || last === 'S' || isDigit(last)) {
    if (!isDigit(last)) at -= 1;
    skipSpace();
    let digits = digitsBefore();
    if (at >= 0 && text.charAt(at) === '.') {
      at -= 1;
      digits = `${digitsBefore()}.${digits}`;
    }
    seconds = Number(digits === '' || digits === '.' ? 0 : digits);
  }
  const minutes = unit('m', ':');
  const hours = unit('h', ':');
  const days = unit('d', '+');
  skipSpace();
  const negative = at >= 0 && text.charAt(at) === '-';
  if (negative) at -= 1;
  skipSpace();
  if (at >= 0) return undefined;
  // Days, hours and minutes add up in C's int.
  const whole = ((days * 86400) | 0) + ((hours * 3600) | 0) + ((minutes * 60) | 0);
  return new RelTime((negative ? -1 : 1) * ((whole | 0) + seconds));
}

/** Digits as C's int; what does not fit reads as 0. */
function intOf(digits: string): number {
  const value = Number(digits === '' ? 0 : digits);
  return value <= 2147483647 ? value : 0;
}

const two = (value: number): string => String(value).padStart(2, '0');

export function formatAbsTime(time: AbsTime): string {
  const offset = time.offsetSeconds;
  const date = new Date((time.epochSeconds + offset) * 1000);
  const size = Math.abs(offset);
  const zone = `${offset > 0 ? '+' : '-'}${two(Math.trunc(size / 3600))}:${two(Math.trunc(size / 60) % 60)}`;
  if (Number.isNaN(date.getTime())) return `-${zone}`;
  const day = `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
  return `${day}T${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}${zone}`;
}

export function formatRelTime(time: RelTime): string {
  const size = Math.abs(time.seconds);
  const sign = time.seconds < 0 ? '-' : '';
  const fraction = size - Math.floor(size);
  // C's int: what does not fit is the smallest int, and its parts are negative.
  const whole = size <= 2147483647 ? Math.trunc(size) : -2147483648;
  const days = Math.trunc(whole / 86400);
  const hours = Math.trunc((whole % 86400) / 3600);
  const minutes = Math.trunc((whole % 3600) / 60);
  const seconds = (whole % 60) + (Number.isNaN(fraction) ? Number.NaN : fraction);
  const last = fraction === 0 ? pad2(String(Math.trunc(seconds))) : pad2(formatShort(seconds));
  if (days !== 0) return `${sign}${days}+${pad2(String(hours))}:${pad2(String(minutes))}:${last}`;
  if (hours !== 0) return `${sign}${pad2(String(hours))}:${pad2(String(minutes))}:${last}`;
  return minutes === 0 ? sign + last : `${sign}${pad2(String(minutes))}:${last}`;
}

/** `%02d`: zeros go after the sign. */
function pad2(text: string): string {
  return text.startsWith('-') ? `-${text.slice(1).padStart(1, '0')}` : text.padStart(2, '0');
}

function formatShort(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return formatG(value, 6, 'e');
}
