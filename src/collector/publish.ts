import { messageOf } from '../errors.ts';
import type { PathAd } from './path-ad.ts';
import { isDue, type Standing } from './plan.ts';
import type { AdSink } from './sink.ts';

export interface PublishInput {
  /** Read once, while those that are due are sent: HTCondor's own work goes on beside the making of ads. */
  wanted: Iterable<PathAd>;
  /** What was sent before. */
  standing: ReadonlyMap<string, Standing>;
  lifetimeSeconds: number;
  now: Date;
}

export interface PublishResult {
  advertised: { name: string; contentHash: string }[];
  withdrawn: string[];
  /** Why not all of it was done; the next cycle finds the same differences and catches up. */
  failure?: string;
}

/**
 * Makes the sink hold exactly the wanted ads. Never throws for a sink that is down: what could not be said is in
 * `failure`, and only what really was said is in the result.
 *
 * An ad is sent again a third of its lifetime after it was sent: a cycle may be late, and it is still renewed before
 * half of it is over. So is the sign; a sink without it has lost everything, and gets everything again.
 */
export async function publish(sink: AdSink, input: PublishInput): Promise<PublishResult> {
  const { standing, now, lifetimeSeconds } = input;
  const renewAfterSeconds = lifetimeSeconds / 3;
  const result: PublishResult = { advertised: [], withdrawn: [] };
  try {
    const signedAt = await sink.signedAt();
    const wanted = new Set<string>();
    const sent: PublishResult['advertised'] = [];
    function* due(): Generator<PathAd> {
      for (const ad of input.wanted) {
        const { name, contentHash } = ad;
        wanted.add(name);
        if (signedAt && !isDue(contentHash, standing.get(name), now, renewAfterSeconds)) continue;
        sent.push({ name, contentHash });
        yield ad;
      }
    }
    await sink.advertise(due());
    result.advertised = sent;

    const unwanted = [...standing.keys()].filter((name) => !wanted.has(name));
    await sink.withdraw(unwanted);
    result.withdrawn = unwanted;

    if (!signedAt || isDue('', { contentHash: '', advertisedAt: signedAt }, now, renewAfterSeconds)) {
      await sink.sign(now, lifetimeSeconds);
    }
  } catch (error) {
    result.failure = messageOf(error);
  }
  return result;
}
