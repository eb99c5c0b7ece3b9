import { usualInterval } from './intervals.ts';
import type { SeriesReview } from './verdicts.ts';

const HOUR_MS = 3_600_000;
/** A test that missed so many of its runs does not just have a late one. */
const MISSED_RUNS = 10;
/** Archives and their readers may be behind by so much. */
const LEAST_MS = 2 * HOUR_MS;

/** How long a test may bring nothing before it is taken for silent. */
export function allowedSilenceMs(intervalMs: number | undefined, staleHours: number): number {
  const most = staleHours * HOUR_MS;
  return intervalMs === undefined ? most : Math.min(most, Math.max(LEAST_MS, MISSED_RUNS * intervalMs));
}

/**
 * Leaves out the series of a path that have fallen silent, where others of the metric go on: what was measured days ago
 * must not outweigh what is. Where all are silent they stay, and the path's quality says how old they are.
 * @param reviews of one metric of one path
 */
export function excludeStale(reviews: readonly SeriesReview[], nowMs: number, staleHours: number): void {
  const stale = reviews.filter(({ columns: { atMs } }) => {
    const silentMs = nowMs - atMs.at(-1)!;
    // Most series are fresh; their interval need not be known.
    return silentMs > LEAST_MS && silentMs > allowedSilenceMs(usualInterval(atMs), staleHours);
  });
  for (const review of stale) {
    review.note.staleIntervalMs = usualInterval(review.columns.atMs) ?? 0;
    review.hasNote = true;
  }
  if (stale.length === 0 || stale.length === reviews.length) return;
  for (const review of stale) review.excludeAll('stale');
}
