import { messageOf } from '../errors.ts';
import type { PathAd } from './path-ad.ts';
import { planPublication, type Standing } from './plan.ts';
import type { AdSink } from './sink.ts';

export interface PublishInput {
  wanted: readonly PathAd[];
  /** What was sent before. */
  standing: ReadonlyMap<string, Standing>;
  lifetimeSeconds: number;
  now: Date;
}

export interface PublishResult {
  advertised: PathAd[];
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
  const result: PublishResult = { advertised: [], withdrawn: [] };
  try {
    const renewAfterSeconds = input.lifetimeSeconds / 3;
    const wanted = new Map(input.wanted.map((ad) => [ad.name, ad.contentHash]));
    const plan = planPublication(wanted, input.standing, input.now, renewAfterSeconds);
    const signedAt = await sink.signedAt();
    const due = new Set(signedAt ? plan.advertise : wanted.keys());
    const ads = input.wanted.filter(({ name }) => due.has(name));
    await sink.advertise(ads);
    result.advertised = ads;
    await sink.withdraw(plan.withdraw);
    result.withdrawn = plan.withdraw;
    if (!signedAt || input.now.getTime() - signedAt.getTime() >= renewAfterSeconds * 1000) {
      await sink.sign(input.now, input.lifetimeSeconds);
    }
  } catch (error) {
    result.failure = messageOf(error);
  }
  return result;
}
