import type { Known } from '../spider/discover.ts';
import type { Store } from '../store/store.ts';
import { hasUrl } from './transfer.ts';

/**
 * A host or archive is used for a day after a source last named it: lookup leases are renewed hourly, and an
 * outage of the lookup service must not empty the map.
 */
export const LISTED_MS = 24 * 3_600_000;

/**
 * Discovery is due when no source has answered for so long; so one that failed altogether is tried again at once. An
 * answer in the future was noted by a clock that was wrong.
 */
export async function discoveryIsDue(store: Store, everyMinutes: number, now: Date): Promise<boolean> {
  const answered = (await store.sources()).filter(({ ok, at }) => ok && at <= now);
  const last = Math.max(0, ...answered.map(({ at }) => at.getTime()));
  return now.getTime() - last >= everyMinutes * 60_000;
}

/** All that was known before, for the next discovery. */
export async function knownBefore(store: Store, now: Date): Promise<Known> {
  const sources = await store.sources();
  const since = now.getTime() - LISTED_MS;
  return {
    hosts: await store.hosts(),
    archives: (await store.archives()).filter(hasUrl),
    answered: new Map(
      sources.flatMap(({ source, answeredAt }) =>
        answeredAt && answeredAt <= now && answeredAt.getTime() >= since ? [[source, answeredAt]] : [],
      ),
    ),
  };
}
