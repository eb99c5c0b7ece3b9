import { messageOf } from '../errors.ts';
import type { ReadyAd } from './path-ad.ts';
import { isDue, type Standing } from './plan.ts';
import type { AdSink } from './sink.ts';

export interface PublishInput {
  wanted: Iterable<ReadyAd>;
  lifetimeSeconds: number;
  now: Date;
}

/** Where it is taken down what was sent, so that the next cycle knows what stands. */
export interface Journal {
  /** What was sent before, by name. */
  standing(): Promise<ReadonlyMap<string, Standing>>;
  /** These are about to be sent; until `settle` nobody knows whether they stand. */
  begin(names: readonly string[]): Promise<void>;
  /** This is what stands now. */
  settle(standing: ReadonlyMap<string, Standing>): Promise<void>;
}

/**
 * Makes the sink hold exactly the wanted ads; returns why not all of it could be done. A sink that is down costs no
 * more: the next cycle finds the same differences and catches up.
 *
 * An ad is sent again a third of its lifetime after it was sent: a cycle may be late, and it is still renewed before
 * half of it is over. So is the sign; a sink without it has lost everything, and gets everything again.
 * @throws what the journal throws
 */
export async function publish(
  sink: AdSink,
  journal: Journal,
  { wanted, now, lifetimeSeconds }: PublishInput,
): Promise<string | undefined> {
  const renewAfterSeconds = lifetimeSeconds / 3;
  try {
    // HTCondor looks for its sign while the ads are made.
    const asking = told(sink.signedAt());
    const [ads, standing] = await during(
      asking,
      async () => [[...wanted], await journal.standing()] as const,
    );
    const signedAt = await asking;
    const due = ads.filter(
      ({ name, contentHash }) => !signedAt || isDue(contentHash, standing.get(name), now, renewAfterSeconds),
    );
    const next = new Map(standing);
    if (due.length > 0) {
      await journal.begin(due.map(({ name }) => name));
      await told(sink.advertise(due));
      for (const { name, contentHash } of due) next.set(name, { contentHash, advertisedAt: now });
    }

    const names = new Set(ads.map(({ name }) => name));
    const unwanted = [...standing.keys()].filter((name) => !names.has(name));
    // What was sent is taken down even where nothing can be withdrawn.
    const notWithdrawn = await sink.withdraw(unwanted).then(() => undefined, messageOf);
    if (notWithdrawn === undefined) for (const name of unwanted) next.delete(name);
    if (due.length > 0 || unwanted.length > 0) await journal.settle(next);
    if (notWithdrawn !== undefined) return notWithdrawn;

    if (!signedAt || isDue('', { contentHash: '', advertisedAt: signedAt }, now, renewAfterSeconds)) {
      await told(sink.sign(now, lifetimeSeconds));
    }
    return undefined;
  } catch (error) {
    if (error instanceof SinkFailure) return error.message;
    throw error;
  }
}

/** Does `work` while `other` is under way; should that fail meanwhile, whoever awaits it later hears of it. */
function during<T>(other: Promise<unknown>, work: () => Promise<T>): Promise<T> {
  other.catch(() => {});
  return work();
}

/** What the sink could not do, apart from what the journal throws. */
class SinkFailure extends Error {}

async function told<T>(act: Promise<T>): Promise<T> {
  try {
    return await act;
  } catch (error) {
    throw new SinkFailure(messageOf(error));
  }
}
