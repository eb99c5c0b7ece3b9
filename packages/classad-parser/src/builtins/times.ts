/** Functions of times. Local time comes from the evaluation's environment. */
import { ClassAd } from '../classad.ts';
import { compileExpr } from '../compile.ts';
import { toInt32, truncateToInt32 } from '../integers.ts';
import { isInteger } from '../operators.ts';
import { enter } from '../scope.ts';
import { type Environment, type EvalState, EvaluationFailure, FAILURE } from '../state.ts';
import { strftime } from '../strftime.ts';
import { lowerCase } from '../text.ts';
import { AbsTime, ERROR, Real, RelTime, type Value } from '../values.ts';
import { toInteger } from './convert.ts';
import { type Builtin, strict } from './registry.ts';

const wholeSeconds = (time: RelTime): number => truncateToInt32(time.seconds);

function localTime(epochSeconds: number, environment: Environment): AbsTime {
  return new AbsTime(epochSeconds, environment.utcOffsetSeconds(epochSeconds));
}

/** The civil date and time an absolute time is written with. */
function civil(time: AbsTime): Date {
  return new Date((time.epochSeconds + time.offsetSeconds) * 1000);
}

const DAY_MS = 86_400_000;

function dayOfYear(date: Date): number {
  return Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS);
}

const ABSOLUTE_FIELDS: Readonly<Record<string, (date: Date) => number>> = {
  year: (date) => date.getUTCFullYear(),
  month: (date) => date.getUTCMonth() + 1,
  dayOfYear,
  dayOfMonth: (date) => date.getUTCDate(),
  dayOfWeek: (date) => date.getUTCDay(),
  hours: (date) => date.getUTCHours(),
  minutes: (date) => date.getUTCMinutes(),
  seconds: (date) => date.getUTCSeconds(),
};

const RELATIVE_FIELDS: Readonly<Record<string, (seconds: number) => number>> = {
  days: (seconds) => Math.trunc(seconds / 86400),
  hours: (seconds) => Math.trunc((seconds % 86400) / 3600),
  minutes: (seconds) => Math.trunc((seconds % 3600) / 60),
  seconds: (seconds) => seconds % 60,
};

/** A field of a time: of an absolute one in local time, whatever offset it is written with. */
const field = (name: string): Builtin =>
  strict(1, 1, ([time], state) => {
    if (time instanceof AbsTime) {
      const read = ABSOLUTE_FIELDS[name];
      return read === undefined ? ERROR : read(civil(localTime(time.epochSeconds, state.environment)));
    }
    if (!(time instanceof RelTime)) return ERROR;
    const read = RELATIVE_FIELDS[name];
    return read === undefined ? ERROR : read(wholeSeconds(time)) + 0;
  });

function timeOf(value: Value, environment: Environment): AbsTime | RelTime | undefined {
  if (isInteger(value)) return localTime(toInt32(value), environment);
  if (value instanceof Real) return localTime(truncateToInt32(value.value), environment);
  return value instanceof AbsTime || value instanceof RelTime ? value : undefined;
}

function split(time: AbsTime | RelTime): ClassAd {
  if (time instanceof AbsTime) {
    const date = civil(time);
    return ClassAd.from({
      Type: 'AbsoluteTime',
      Year: date.getUTCFullYear(),
      Month: date.getUTCMonth() + 1,
      Day: date.getUTCDate(),
      Hours: date.getUTCHours(),
      Minutes: date.getUTCMinutes(),
      Seconds: date.getUTCSeconds(),
      Offset: time.offsetSeconds,
    });
  }
  const size = Math.abs(time.seconds);
  const whole = truncateToInt32(size);
  const parts = [
    Math.trunc(whole / 86400),
    Math.trunc((whole % 86400) / 3600),
    Math.trunc((whole % 3600) / 60),
  ];
  parts.push((whole % 60) + (size - Math.floor(size)));
  if (time.seconds < 0) {
    // Only the largest part carries the sign.
    const largest = parts.findIndex((part) => part > 0);
    const signed = largest === -1 ? 3 : largest;
    parts[signed] = -parts[signed]!;
  }
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts;
  return ClassAd.from({
    Type: 'RelativeTime',
    Days: days + 0,
    Hours: hours + 0,
    Minutes: minutes + 0,
    Seconds: new Real(seconds),
  });
}

/** An attribute of an ad if it is an integer, otherwise 0. */
function integerAttribute(ad: ClassAd, name: string, state: EvalState): number {
  const expr = ad.lookup(lowerCase(name));
  if (expr === undefined) return 0;
  try {
    const value = compileExpr(expr)(enter(ad, state));
    return isInteger(value) ? toInt32(value) : 0;
  } catch (error) {
    if (!(error instanceof EvaluationFailure)) throw error;
    return 0;
  }
}

const formatTime: Builtin = (args, state) => {
  const { environment } = state;
  if (args.length > 2) return ERROR;
  if (args.length === 0) {
    const date = civil(localTime(environment.nowSeconds(), environment));
    return strftime('%c', {
      year: date.getUTCFullYear(),
      month: date.getUTCMonth(),
      day: date.getUTCDate(),
      hour: date.getUTCHours(),
      minute: date.getUTCMinutes(),
      second: date.getUTCSeconds(),
      weekday: date.getUTCDay(),
      yearday: dayOfYear(date),
    });
  }
  const value = args[0]!(state);
  const time = value instanceof ClassAd ? value : timeOf(value, environment);
  if (time === undefined || time instanceof RelTime) return ERROR;
  const ad = time instanceof ClassAd ? time : split(time);
  const number = (name: string): number => integerAttribute(ad, name, state);
  const [year, month, day] = [number('Year'), number('Month'), number('Day')];
  const components = {
    year: ad.has('Year') ? year : 1900,
    month: ad.has('Month') ? month - 1 : 0,
    day,
    hour: number('Hours'),
    minute: number('Minutes'),
    second: number('Seconds'),
  };
  const days = dayNumbers(components.year, components.month + 1, day);
  const format = args.length === 1 ? '%c' : args[1]!(state);
  return typeof format === 'string' ? strftime(format, { ...components, ...days }) : ERROR;
};

/** Weekday and day of the year as HTCondor computes them: without the C library, so of impossible dates as well. */
function dayNumbers(year: number, month: number, day: number): { weekday: number; yearday: number } {
  const fixed = fixedDay(year, month, day);
  return { weekday: fixed % 7, yearday: fixed - fixedDay(year, 1, 1) };
}

function fixedDay(year: number, month: number, day: number): number {
  const leap = year % 4 === 0 && ![100, 200, 300].includes(year % 400);
  const adjustment = month <= 2 ? 0 : leap ? -1 : -2;
  const before = year - 1;
  return (
    365 * before +
    Math.trunc(before / 4) -
    Math.trunc(before / 100) +
    Math.trunc(before / 400) +
    Math.trunc((367 * month - 362) / 12) +
    adjustment +
    day
  );
}

const interval = strict(1, 1, ([value]) => {
  const total = toInteger(value);
  if (typeof total !== 'number' && typeof total !== 'bigint') return ERROR;
  const seconds = toInt32(total);
  const days = Math.trunc(seconds / 86400);
  const hours = Math.trunc((seconds % 86400) / 3600);
  const minutes = Math.trunc((seconds % 3600) / 60);
  const rest = seconds % 60;
  const two = (part: number): string => String(Math.abs(part)).padStart(2, '0');
  if (days !== 0) return `${days}+${two(hours)}:${two(minutes)}:${two(rest)}`;
  if (hours !== 0) return `${hours}:${two(minutes)}:${two(rest)}`;
  return minutes === 0 ? String(rest + 0) : `${minutes}:${two(rest)}`;
});

/**
 * `absTime(time, offset)`. A literal string never comes here: the parser reads it. A computed one is given back as it
 * is, as HTCondor does.
 */
const absTime: Builtin = (args, state) => {
  const { environment } = state;
  if (args.length === 0) return localTime(environment.nowSeconds(), environment);
  if (args.length > 2) return ERROR;
  const time = args[0]!(state);
  let offset: number | undefined;
  if (args.length === 2) {
    const given = args[1]!(state);
    if (isInteger(given)) offset = toInt32(given);
    else if (given instanceof Real) offset = truncateToInt32(given.value);
    else if (given instanceof RelTime) offset = toInt32(wholeSeconds(given));
    else return ERROR;
  }
  if (time === undefined || time instanceof AbsTime || typeof time === 'string') return time;
  if (isInteger(time)) {
    const seconds = toInt32(time);
    const written = offset ?? environment.utcOffsetSeconds(seconds);
    if (written === -1) throw FAILURE;
    return new AbsTime(seconds, written);
  }
  if (!(time instanceof Real || time instanceof RelTime)) return ERROR;
  const seconds = time instanceof Real ? truncateToInt32(time.value) : wholeSeconds(time);
  return new AbsTime(seconds, offset ?? environment.utcOffsetSeconds(seconds));
};

function relTime(value: Value): Value {
  if (value === undefined || value instanceof RelTime) return value;
  if (isInteger(value)) return new RelTime(toInt32(value));
  if (value instanceof Real) return new RelTime(value.value);
  if (value instanceof AbsTime) return new RelTime(value.epochSeconds);
  return typeof value === 'string' ? new RelTime(0) : ERROR;
}

export const timeFunctions: Readonly<Record<string, Builtin>> = {
  time: strict(0, 0, (_values, { environment }) => environment.nowSeconds()),
  currentTime: strict(0, 0, (_values, { environment }) => localTime(environment.nowSeconds(), environment)),
  timeZoneOffset: strict(
    0,
    0,
    (_values, { environment }) => new RelTime(environment.utcOffsetSeconds(environment.nowSeconds())),
  ),
  dayTime: strict(0, 0, (_values, { environment }) => {
    const date = civil(localTime(environment.nowSeconds(), environment));
    return new RelTime(date.getUTCHours() * 3600 + date.getUTCMinutes() * 60 + date.getUTCSeconds());
  }),
  getYear: field('year'),
  getMonth: field('month'),
  getDayOfYear: field('dayOfYear'),
  getDayOfMonth: field('dayOfMonth'),
  getDayOfWeek: field('dayOfWeek'),
  getDays: field('days'),
  getHours: field('hours'),
  getMinutes: field('minutes'),
  getSeconds: field('seconds'),
  splitTime: strict(1, 1, ([value], { environment }) => {
    if (value === undefined) return undefined;
    const time = timeOf(value, environment);
    return time === undefined ? ERROR : split(time);
  }),
  formatTime,
  interval,
  absTime,
  relTime: strict(1, 1, ([value]) => relTime(value)),
};
