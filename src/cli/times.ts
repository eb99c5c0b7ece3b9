import { UserError } from '../errors.ts';

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/**
 * `90s`, `30m`, `2h`, `1d`, or several of them as in `1d12h`, in seconds.
 * @param where named in the error, e.g. `--for`
 * @throws UserError
 */
export function durationSeconds(text: string, where: string): number {
  if (!/^(?:\d+(?:\.\d+)?[smhd])+$/.test(text)) {
    throw new UserError(`${where}: "${text}" is no duration; write it as 90s, 30m, 2h or 1d`);
  }
  let seconds = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)([smhd])/g)) {
    seconds += Number(number) * UNITS[unit!]!;
  }
  return seconds;
}

/**
 * The moment that an option names.
 * @throws UserError
 */
export function timeOf(option: string, text: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw new UserError(`${option} ${text}: expected a time such as 2026-01-31 or 2026-01-31T06:00Z`);
  return time;
}
