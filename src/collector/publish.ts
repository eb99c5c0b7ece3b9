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
  /** The sink has forgotten what was sent before: nothing of `standing` stands any more. */
  forgotten: boolean;
  /** Why not all of it was done; the next cycle finds the same differences and catches up. */
  failure?: string;
}

/**
 * Makes the sink hold exactly the wanted ads. Never throws for a sink that is down: what could not be said is in
 * `failure`, and only what really was said is in the result.
 */
export async function publish(sink: AdSink, input: PublishInput): Promise<PublishResult> {
  const result: PublishResult = { advertised: [], withdrawn: [], forgotten: false };
  try {
    result.forgotten = !(await sink.remembers());
    const plan = planPublication(
      new Map(input.wanted.map((ad) => [ad.name, ad.contentHash])),
      result.forgotten ? new Map() : input.standing,
      input.now,
      // A third of the lifetime: a cycle may be late and still renew before half of it is over.
      input.lifetimeSeconds / 3,
    );
    const byName = new Map(input.wanted.map((ad) => [ad.name, ad]));
    const ads = plan.advertise.map((name) => byName.get(name)!);
    await sink.advertise(ads, input.lifetimeSeconds);
    result.advertised = ads;
    if (!result.forgotten) await sink.withdraw(plan.withdraw);
    result.withdrawn = plan.withdraw;
  } catch (error) {
    result.failure = messageOf(error);
  }
  return result;
}
