import type { Store } from '../store/store.ts';

/**
 * A host or archive is used for a day after a source last named it: lookup leases are renewed hourly, and an
 * outage of the lookup service must not empty the map.
 */
export const LISTED_MS = 24 * 3_600_000;

/** Discovery is due when no source has answered for so long; so one that failed altogether is tried again at once. */
export async function discoveryIsDue(store: Store, everyMinutes: number, now: Date): Promise<boolean> {
  const answered = (await store.sources()).filter(({ ok }) => ok).map(({ at }) => at.getTime());
  return now.getTime() - Math.max(0, ...answered) >= everyMinutes * 60_000;
}
