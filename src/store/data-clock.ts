/** How late it is by what the archives measured, where this machine's clock may be wrong. */
import type { Database } from './database.ts';

/** By so much the clocks of spiders that share a store may differ. */
export const CLOCKS_APART_MS = 5 * 60_000;

const LOOK_AGAIN_MS = 10 * 60_000;

/**
 * What is too old to be kept is so by `now`, but by no later time than the measurements reach: a clock that is weeks
 * ahead for a while must not cost what is stored. The newest sample of all but one series in a hundred counts, since
 * clocks of measuring hosts are ahead too.
 */
export function dataClock(db: Database): (now: Date) => Promise<Date> {
  let reached: Date | null = null;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  return async (now) => {
    if (Math.abs(now.getTime() - lookedAtMs) > LOOK_AGAIN_MS) {
      lookedAtMs = now.getTime();
      const [row] = await db.query<{ reached: Date | null }>(
        'select percentile_disc(0.99) within group (order by last_sample_at) as reached from checkpoints',
      );
      reached = row?.reached ?? null;
    }
    return reached !== null && reached < now ? reached : now;
  };
}
