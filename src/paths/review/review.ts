import type { PairSummary } from '../../domain.ts';
import type { PathInput } from '../estimate.ts';
import { settleClocks } from './clocks.ts';
import { excludeDuplicates } from './duplicates.ts';
import { tellFailures } from './losses.ts';
import { excludeOutliers } from './outliers.ts';
import { excludeStale } from './stale.ts';
import { summarise } from './summary.ts';
import {
  type HostContext,
  type ReasonCounts,
  type ReviewedPath,
  type ReviewInput,
  type ReviewOptions,
  reversed,
} from './types.ts';
import { addCounts, SeriesReview } from './verdicts.ts';

/**
 * Looks at the samples of paths among each other and at what is known of their hosts, and leaves those out that do not
 * tell what the path is like: see REVIEW_REASONS. What is left is what estimates are made of; one-way delays are
 * corrected where the clocks' offsets are known.
 *
 * A path's reverse tells of its clocks and of its hosts: where both are given, they are judged together. Tests of one
 * host pair over IPv4 and over IPv6 are not duplicates, as the two take different ways: both stay, and the estimate sees
 * to it that the pair counts once.
 */
export function review(
  paths: readonly ReviewInput[],
  context: HostContext,
  options: ReviewOptions,
  now: Date,
): ReviewedPath[] {
  const all = paths.map((path) => path.series.map((series) => new SeriesReview(series)));
  const byPair = Map.groupBy(all.flat(), ({ series }) => series.pair);
  const summaries = new Map<string, PairSummary>();
  for (const [pair, reviews] of byPair) {
    const summary = summarise(
      pair,
      reviews.map(({ series }) => series),
    );
    if (summary) summaries.set(pair, summary);
  }
  for (const [pair, reviews] of byPair) {
    excludeDuplicates(reviews);
    const delays = reviews.filter(({ series }) => series.metric === 'oneWayDelayMs');
    if (delays.length > 0)
      settleClocks(delays, pair, context.clocks, summaries.get(pair), summaries.get(reversed(pair)));
  }
  return paths.map(({ srcSite, dstSite }, index) => {
    const reviews = all[index]!;
    judgePath(reviews, byPair, context, options, now);
    const excluded: ReasonCounts = {};
    const notes = reviews.filter(({ hasNote }) => hasNote).map(({ note }) => note);
    for (const note of notes) addCounts(excluded, note.excluded);
    const pairs = new Set(reviews.map(({ series }) => series.pair));
    return {
      input: reviewedInput(srcSite, dstSite, reviews),
      excluded,
      notes,
      pairs: [...pairs].flatMap((pair) => summaries.get(pair) ?? []),
    };
  });
}

function judgePath(
  reviews: readonly SeriesReview[],
  byPair: ReadonlyMap<string, readonly SeriesReview[]>,
  context: HostContext,
  options: ReviewOptions,
  now: Date,
): void {
  const measured = reviews.filter(({ counting }) => counting > 0);
  for (const ofMetric of Map.groupBy(measured, ({ series }) => series.metric).values())
    excludeStale(ofMetric, now.getTime(), options.staleHours);
  const losses = measured.filter(({ series }) => series.metric === 'lossRate');
  for (const [pair, ofPair] of Map.groupBy(losses, ({ series }) => series.pair))
    tellFailures(ofPair, pair, measured, byPair.get(reversed(pair)) ?? [], context);
  for (const each of measured) excludeOutliers(each);
}

function reviewedInput(srcSite: string, dstSite: string, reviews: readonly SeriesReview[]): PathInput {
  const left = reviews.filter(({ counting }) => counting > 0);
  return {
    srcSite,
    dstSite,
    series: left.map((each) => {
      const { impossible: _, leftOutCount = 0, ...series } = each.series;
      const unfit = leftOutCount + each.unfit;
      return { ...series, ...each.remaining(), ...(unfit > 0 && { leftOutCount: unfit }) };
    }),
  };
}
