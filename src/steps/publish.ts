import { verdictOf } from '../breaker/verdict.ts';
import { pathAd, type ReadyAd } from '../collector/path-ad.ts';
import { publish } from '../collector/publish.ts';
import type { AdSink } from '../collector/sink.ts';
import { siteAds } from '../collector/site-ad.ts';
import { type Breaker, EVERY_SITE, type PathEstimate, pathName } from '../domain.ts';
import type { Store } from '../store/store.ts';

/**
 * The ads of all paths that have an estimate or a breaker, made as they are asked for. Also what `lark ads` shows.
 * A path without a breaker of its own stands under those of its sites (`*>DST`, `SRC>*`).
 */
export function* pathAds(
  estimates: readonly PathEstimate[],
  breakers: readonly Breaker[],
  lifetimeSeconds: number,
): Generator<ReadyAd> {
  const byPath = Map.groupBy(breakers, pathName);
  const ofSite = (srcSite: string, dstSite: string): Breaker[] =>
    byPath.get(pathName({ srcSite, dstSite })) ?? [];
  for (const path of estimates) {
    const { srcSite, dstSite } = path;
    const own = byPath.get(pathName(path)) ?? [
      ...ofSite(EVERY_SITE, dstSite),
      ...ofSite(srcSite, EVERY_SITE),
    ];
    yield pathAd(path, verdictOf(own), lifetimeSeconds);
  }
  const estimated = new Set(estimates.map(pathName));
  for (const [name, own] of byPath) {
    if (!estimated.has(name)) yield pathAd(own[0]!, verdictOf(own), lifetimeSeconds);
  }
}

/** All that stands in the collector: the ads of paths, and which machines stand at which site. */
export function* wantedAds(
  estimates: readonly PathEstimate[],
  breakers: readonly Breaker[],
  siteOfMachine: ReadonlyMap<string, string>,
  lifetimeSeconds: number,
): Generator<ReadyAd> {
  yield* pathAds(estimates, breakers, lifetimeSeconds);
  yield* siteAds(siteOfMachine, lifetimeSeconds);
}

/** Brings the sink up to date and the store's knowledge of it; returns why not all of it could be done. */
export async function publishAds(
  store: Store,
  sink: AdSink,
  wanted: Iterable<ReadyAd>,
  lifetimeSeconds: number,
  now: Date,
): Promise<string | undefined> {
  const journal = {
    standing: store.publications,
    begin: store.beginPublications,
    settle: store.savePublications,
  };
  return publish(sink, journal, { wanted, lifetimeSeconds, now });
}
