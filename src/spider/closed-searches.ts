import { LRUCache } from 'lru-cache';
import type { HttpFailure } from './http.ts';

const MINUTE_MS = 60_000;
/** A server that says that there is no such thing, or that it is not for us, will say so for a while. */
const REFUSED_MS = 6 * 60 * MINUTE_MS;
/** A server that is overloaded or broken may be well again soon; until then the other face is read. */
const BROKEN_MS = 15 * MINUTE_MS;
/** Of a wait, by chance. */
const SHORTEST = 0.75;
const LONGEST = 1.25;
const REFUSALS = new Set([401, 403, 404, 405, 410]);

/**
 * Remembers, by scheme, host and port, where no OpenSearch was open, so that it is not asked for at every cycle. In
 * memory alone: after a restart each archive is asked once more.
 */
export class ClosedSearches {
  readonly #until = new LRUCache<string, number>({ max: 20_000 });
  readonly #random: () => number;

  /** @param random 0..1 (1 excluded); spreads the new attempts of archives that were asked together */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  has(origin: string, now: Date): boolean {
    const leftMs = (this.#until.get(origin) ?? 0) - now.getTime();
    // One that is farther away was noted by a clock that was wrong.
    return leftMs > 0 && leftMs < LONGEST * REFUSED_MS;
  }

  add(origin: string, failure: HttpFailure, now: Date): void {
    const isRefusal =
      REFUSALS.has(failure.status ?? 0) ||
      failure.fault === 'not-json' ||
      failure.fault === 'unknown-archive';
    const wait = isRefusal ? REFUSED_MS : BROKEN_MS;
    this.#until.set(origin, now.getTime() + wait * (SHORTEST + (LONGEST - SHORTEST) * this.#random()));
  }
}
