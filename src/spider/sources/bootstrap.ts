import { z } from 'zod';
import { HttpFailure } from '../http.ts';
import { requestFailure, type SourceAnswer, type SourceDeps, sourceReport } from './source.ts';

const bootstrapSchema = z.object({
  hosts: z.array(z.object({ locator: z.string(), status: z.string().optional() }).catch({ locator: '' })),
});

/** The locators of the lookup servers that the document (`activehosts.json`) says are alive. */
export async function readBootstrap(url: string, deps: SourceDeps): Promise<SourceAnswer<string[]>> {
  try {
    const document = bootstrapSchema.safeParse(await deps.http.getJson(url, deps.signal));
    if (!document.success)
      throw new HttpFailure('bad-data', url, 'is no bootstrap document: it has no list `hosts`');
    const { hosts } = document.data;
    const alive = hosts.filter(
      ({ locator, status }) =>
        status?.toLowerCase() === 'alive' && /^https?:/.test(locator) && URL.canParse(locator),
    );
    return { found: alive.map(({ locator }) => locator), report: sourceReport(url, hosts.length) };
  } catch (error) {
    return { found: [], report: sourceReport(url, 0, requestFailure(error, deps)) };
  }
}
