/**
 * Something the user can mend: bad input, a missing program, a store in use. The message is one sentence that
 * says what was wrong, where, and what to do; the CLI prints it without a stack trace and exits 1.
 */
export class UserError extends Error {
  override name = 'UserError';
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
