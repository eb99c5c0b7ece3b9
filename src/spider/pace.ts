import type { Archive } from '../domain.ts';
import { type HostRule, permittedUrls } from '../host-rules.ts';
import { type Http, HttpFailure } from './http.ts';
import { forEachLimited } from './limit.ts';

/** Who has not answered by then begins with those that take longest. */
const LIMIT_MS = 3000;

/**
 * Seconds that archives take to answer a small question, by key; none for those that do not answer. A harvest of thousands of
 * requests, two at a time, lasts as long as each answer makes it: who takes a quarter of a second is to begin first, or all
 * wait for it at the end. Of archives that were read before this is known.
 * @throws the signal's reason when it aborts
 */
export async function answerSeconds(
  archives: readonly Archive[],
  deps: { http: Http; concurrency: number; hosts: readonly HostRule[]; signal: AbortSignal },
): Promise<Map<string, number>> {
  const seconds = new Map<string, number>();
  await forEachLimited(archives, deps.concurrency, async ({ key, urls }) => {
    const [url] = permittedUrls(urls, deps.hosts);
    if (url === undefined) return;
    const begun = performance.now();
    const signal = AbortSignal.any([deps.signal, AbortSignal.timeout(LIMIT_MS)]);
    try {
      await deps.http.getBody(`${url}?limit=1`, signal, { isHurried: true });
    } catch (error) {
      deps.signal.throwIfAborted();
      // To say no takes as long as to say yes.
      if (!(error instanceof HttpFailure && error.status !== undefined)) return;
    }
    seconds.set(key, (performance.now() - begun) / 1000);
  });
  return seconds;
}
