/**
 * The step of a cycle that estimates: reads the samples of the paths that have new ones, has them reviewed in their
 * context, and estimates from what is left.
 */
import { releaseMemory } from '../collect.ts';
import type { Config } from '../config.ts';
import { type PairSummary, type PathEstimate, type PathReview, pathName } from '../domain.ts';
import { age, estimate } from '../paths/estimate.ts';
import type { PathSeries } from '../paths/pairs.ts';
import { changedHosts, type HostActivity, hostContext, hostFindings } from '../paths/review/host-findings.ts';
import { review } from '../paths/review/review.ts';
import { type HostContext, hostsOf } from '../paths/review/types.ts';
import type { Store } from '../store/store.ts';
import { type Places, predictions } from './predict.ts';
import { readSamples } from './sample.ts';
import { withTransferEvidence } from './transfer.ts';

/** An estimate without new samples is made again when it is this old: old samples leave its window. */
const ESTIMATE_AGAIN_MS = 3_600_000;

/** Samples of so many series are in memory at once: with one a minute over a day, some 5 MB. */
const SERIES_AT_ONCE = 120;

type Options = Config['estimate'];

/**
 * Estimates the paths that have new samples or an old estimate; the others only grow older. Those that nobody measured
 * are predicted from them.
 *
 * What is known of hosts is taken from all pairs, those included whose samples stay unread. Where that changes by what
 * was read now, the paths of these hosts are looked at once more: so the first cycle of all knows as much as any other.
 */
export async function estimatePaths(
  store: Store,
  options: Options,
  located: Places & { paths: readonly PathSeries[] },
  touched: ReadonlySet<number>,
  now: Date,
): Promise<PathEstimate[]> {
  const { paths } = located;
  const stored = await store.estimates();
  const known = new Map(stored.filter(({ measured }) => measured).map((path) => [pathName(path), path]));
  const reviews = new Map((await store.reviews()).map((each) => [pathName(each), each]));
  const summaries = new Map<string, PairSummary>();
  for (const { pairs } of reviews.values()) for (const pair of pairs) summaries.set(pair.pair, pair);
  const activity = await hostActivity(store, paths, now);
  const findings = () => hostFindings(summaries, activity, options.staleHours, now);

  const due = new Map<string, PathSeries>();
  for (const [there, back] of bothWays(paths)) {
    // The one direction tells of the other's clocks: they are looked at together.
    const both = back ? [there, back] : [there];
    const isDue = both.some((path) => {
      const before = known.get(pathName(path));
      return (
        !before ||
        now.getTime() - before.estimatedAt.getTime() >= ESTIMATE_AGAIN_MS ||
        path.series.some(({ id }) => touched.has(id)) ||
        path.transfers?.some(({ id }) => touched.has(id))
      );
    });
    if (isDue) for (const path of both) due.set(pathName(path), path);
  }

  const fresh = new Map<string, Estimated>();
  const estimateAll = async (some: readonly PathSeries[], context: HostContext): Promise<void> => {
    for await (const one of estimated(store, options, some, context, now)) {
      const name = pathName(one.review);
      keepUnseen(one.review, reviews.get(name));
      fresh.set(name, one);
      for (const pair of one.review.pairs) summaries.set(pair.pair, pair);
    }
  };
  const before = hostContext(findings());
  await estimateAll([...due.values()], before);
  const found = findings();
  const context = hostContext(found);
  const changed = changedHosts(before, context);
  const again = paths.filter((path) =>
    path.series.some(({ pair }) => hostsOf(pair).some((host) => changed.has(host))),
  );
  await estimateAll(again, context);

  const freshEstimates = [...fresh.values()].flatMap(({ path }) => path ?? []);
  const measured = paths
    .filter((path) => !fresh.has(pathName(path)))
    .map((path) => age(known.get(pathName(path))!, options, now))
    .concat(freshEstimates);
  const predicted = await predictions(
    store,
    options,
    located,
    measured,
    stored.filter((path) => !path.measured),
    now,
  );
  // What predicting took, before the tables take theirs.
  releaseMemory();
  const estimates = [...measured, ...predicted.all].sort((a, b) => (pathName(a) < pathName(b) ? -1 : 1));
  const standing = new Set(estimates.map(pathName));
  await store.saveEstimates(
    [...freshEstimates, ...predicted.fresh],
    stored.filter((path) => !standing.has(pathName(path))),
  );
  const current = new Set(paths.map(pathName));
  await store.saveReviews(
    [...fresh.values()].map((each) => each.review),
    [...reviews.values()].filter((each) => !current.has(pathName(each))),
  );
  await store.saveHostFindings(found, now);
  return estimates;
}

interface Estimated {
  review: PathReview;
  /** Undefined where no sample is left. */
  path: PathEstimate | undefined;
}

async function* estimated(
  store: Store,
  options: Options,
  paths: readonly PathSeries[],
  context: HostContext,
  now: Date,
): AsyncGenerator<Estimated> {
  const size = (both: readonly (PathSeries | undefined)[]): number =>
    both.reduce((sum, path) => sum + (path?.series.length ?? 0) + (path?.transfers?.length ?? 0), 0);
  for (const batch of inBatches([...bothWays(paths)], SERIES_AT_ONCE, size)) {
    const read = await readSamples(
      store,
      batch.flat().filter((path) => path !== undefined),
      options,
      now,
    );
    const reviewed = review(read, context, options, now);
    const inputs = reviewed.map(({ input }) => input);
    const made = estimate(
      await withTransferEvidence(store, batch.flat(), inputs, options, now),
      options,
      now,
    );
    const byName = new Map(made.map((path) => [pathName(path), path]));
    for (const { input, excluded, pairs } of reviewed) {
      const { srcSite, dstSite } = input;
      yield {
        review: { srcSite, dstSite, excluded, pairs, reviewedAt: now },
        path: byName.get(pathName(input)),
      };
    }
  }
}

/** Each path with the one that leads back, where there is one. */
function* bothWays(paths: readonly PathSeries[]): Generator<[PathSeries, PathSeries | undefined]> {
  const byName = new Map(paths.map((path) => [pathName(path), path]));
  for (const path of paths) {
    const back = byName.get(pathName({ srcSite: path.dstSite, dstSite: path.srcSite }));
    if (!back || path.srcSite < path.dstSite) yield [path, back];
  }
}

/** Pairs whose samples have left the window are remembered as they were: a host that stopped is known by them. */
function keepUnseen(now: PathReview, before: PathReview | undefined): void {
  const seen = new Set(now.pairs.map(({ pair }) => pair));
  for (const pair of before?.pairs ?? []) if (!seen.has(pair.pair)) now.pairs.push(pair);
}

/** When each host's own tests last brought something, and up to when that is known. */
async function hostActivity(
  store: Store,
  paths: readonly PathSeries[],
  now: Date,
): Promise<Map<string, HostActivity>> {
  const readToMs = new Map((await store.archives()).map((each) => [each.key, each.lastSuccessAt?.getTime()]));
  const activity = new Map<string, HostActivity>();
  for (const { pair, archiveKey, lastSampleAt } of paths.flatMap(({ series }) => series)) {
    if (!lastSampleAt) continue;
    const [host] = hostsOf(pair);
    const lastSampleMs = Math.min(lastSampleAt.getTime(), now.getTime());
    const known = activity.get(host);
    // An archive that could not be read, or that is not written to any more, says nothing of the host.
    if (known && known.lastSampleMs >= lastSampleMs) continue;
    activity.set(host, { lastSampleMs, readToMs: readToMs.get(archiveKey) ?? 0 });
  }
  return activity;
}

function* inBatches<T>(items: readonly T[], limit: number, weigh: (item: T) => number): Generator<T[]> {
  let batch: T[] = [];
  let weight = 0;
  for (const item of items) {
    batch.push(item);
    weight += weigh(item);
    if (weight < limit) continue;
    yield batch;
    batch = [];
    weight = 0;
  }
  if (batch.length > 0) yield batch;
}
