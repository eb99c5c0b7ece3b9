import { createHash } from 'node:crypto';
import type { Archive } from '../domain.ts';

/** What is known of an archive's last harvests. The store's archives fit. */
export interface AttemptHistory {
  key: string;
  /** Failed harvests since the last that was ok or partial. */
  consecutiveFailures: number;
  /** The last harvest; absent before the first. */
  lastReport?: { at: Date };
}

const MINUTE_MS = 60_000;
const FIRST_WAIT_MS = 3 * MINUTE_MS;
const LONGEST_WAIT_MS = 6 * 60 * MINUTE_MS;
/** Share of the wait by which it is longer or shorter, at most. */
const JITTER = 0.25;

/**
 * When an archive may be harvested again: at once where the last harvest was ok or partial, else 3 minutes after it,
 * doubled with each further failure up to 6 hours, and each time longer or shorter by up to a quarter, so that what
 * failed together does not come back together. With cycles of 5 minutes, a first failure costs no cycle; a dead
 * archive is asked four times a day.
 *
 * @param jitter 0..1 (1 excluded)
 * @returns undefined where nothing is waited for
 */
export function nextAttemptAt(
  history: Pick<AttemptHistory, 'consecutiveFailures' | 'lastReport'>,
  jitter: number,
): Date | undefined {
  const { consecutiveFailures, lastReport } = history;
  if (consecutiveFailures <= 0 || !lastReport) return undefined;
  // The exponent is bounded for the sake of an archive that is dead for years.
  const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.min(consecutiveFailures - 1, 30), LONGEST_WAIT_MS);
  return new Date(lastReport.at.getTime() + wait * (1 - JITTER + 2 * JITTER * jitter));
}

/**
 * Whether an archive is to be harvested now. An attempt in the future was written by a clock that was wrong, and
 * holds up nothing.
 */
export function isDue(history: AttemptHistory, now: Date, jitterOf = steadyJitter): boolean {
  const next = nextAttemptAt(history, jitterOf(history));
  if (!next || !history.lastReport) return true;
  return next <= now || history.lastReport.at > now;
}

/** Those that are to be harvested now, and those whose back-off lasts, in the order given. */
export function partitionDue<A extends Archive & AttemptHistory>(
  archives: readonly A[],
  now: Date,
  jitterOf = steadyJitter,
): { due: A[]; waiting: A[] } {
  const due: A[] = [];
  const waiting: A[] = [];
  for (const archive of archives) (isDue(archive, now, jitterOf) ? due : waiting).push(archive);
  return { due, waiting };
}

/**
 * A number 0..1 that belongs to this failure of this archive. It must not be drawn anew at every look: with
 * enough looks the smallest would win, and there would be no spread left. It is also the same in every process.
 */
export function steadyJitter({
  key,
  consecutiveFailures,
}: Pick<AttemptHistory, 'key' | 'consecutiveFailures'>): number {
  const hash = createHash('sha256').update(`${consecutiveFailures} ${key}`).digest();
  return hash.readUInt32BE(0) / 2 ** 32;
}
