import type { Operation } from './types.ts';

/** Texts without a line need no process. */
export function isSomething(operation: Operation): boolean {
  if (operation.kind === 'nft') return operation.text !== '';
  return !('lines' in operation) || operation.lines.length > 0;
}

/** What a step is called in the journal and in timings. */
export function stepOf(operation: Operation): string {
  return operation.kind === 'ip' ? `ip-${operation.where}` : operation.kind;
}
