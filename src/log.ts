import { destination, type Logger, pino } from 'pino';

/** What stages need of a logger; pino's has it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** One JSON object a line on standard error, so that standard output stays free for answers. */
export function createLog(level: string): Logger {
  return pino({ level, base: null }, destination({ dest: 2, sync: true }));
}
