/**
 * Why runs fail, in a few fixed words: the texts are free, of many tools, and name hosts.
 *
 * | reason            | the run                                                            |
 * | ----------------- | ------------------------------------------------------------------ |
 * | `run-refused`     | met a closed port, or a server that would not serve                |
 * | `run-unreachable` | did not get to the other end, or could not resolve its name        |
 * | `run-timed-out`   | took too long, or waited too long for an answer                    |
 * | `run-not-begun`   | was preempted, missed its time or had none on the other's schedule |
 * | `run-forbidden`   | was against a limit of one of the hosts                            |
 * | `run-failed`      | failed for another reason, or none was told                        |
 */
export const FAILURE_REASONS = [
  'run-refused',
  'run-unreachable',
  'run-timed-out',
  'run-not-begun',
  'run-forbidden',
  'run-failed',
] as const;
export type FailureReason = (typeof FAILURE_REASONS)[number];

/** The first that fits counts: what is behind "unable to connect" stands after it. */
const MARKS: readonly [RegExp, FailureReason][] = [
  [/forbidden|not permitted|denied by|limits?\b.*\b(fail|forbid|exceed)/i, 'run-forbidden'],
  [/preempt|non-?start|missed|overdue|cancell?ed|no time|schedul/i, 'run-not-begun'],
  [/refused|reject|server (is )?busy|reset by peer/i, 'run-refused'],
  [/unreachable|no route|resolve|name or service not known|unknown host|no address/i, 'run-unreachable'],
  [/time[d-]?[ -]?out|too long|deadline|expired/i, 'run-timed-out'],
  [/unable to connect|could ?n[o']t connect|can ?not connect|failed to connect/i, 'run-unreachable'],
];

/** @param error what the archive says of a failed run: a text, or an object with the text */
export function failureReason(error: unknown): FailureReason {
  const text = typeof error === 'string' ? error : JSON.stringify(error ?? '');
  return MARKS.find(([mark]) => mark.test(text))?.[1] ?? 'run-failed';
}
