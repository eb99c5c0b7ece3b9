import { destination, type Logger, pino } from 'pino';

/** What stages need of a logger; pino's has it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * One JSON object a line on standard error, so that standard output stays free for answers; for people, where
 * standard error is a terminal.
 */
export function createLog(level: string): Logger {
  const stderr = destination({ dest: 2, sync: true });
  if (!process.stderr.isTTY) return pino({ level, base: null }, stderr);
  return pino({ level, base: null }, { write: (line) => stderr.write(readableLine(line)) });
}

const LABELS: Readonly<Record<number, string>> = {
  20: 'debug: ',
  40: 'warning: ',
  50: 'error: ',
  60: 'error: ',
};

/** A line of the log for people: local time, message, and those of its fields that are short. */
export function readableLine(json: string): string {
  const {
    level,
    time,
    msg = '',
    err,
    ...fields
  } = JSON.parse(json) as {
    level: number;
    time: number;
    msg?: string;
    err?: { stack?: string };
  };
  const at = new Date(time).toTimeString().slice(0, 8);
  const told = Object.entries(fields).flatMap(([name, value]) =>
    typeof value === 'object' ? [] : [`${name}=${value}`],
  );
  const stack = err?.stack ? `\n${err.stack}` : '';
  return `${[`${at} ${LABELS[level] ?? ''}${msg}`, ...told].join('  ')}${stack}\n`;
}
