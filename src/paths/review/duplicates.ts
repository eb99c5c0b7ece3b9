import type { Columns, ReviewSeries } from './types.ts';
import type { SeriesReview } from './verdicts.ts';

/** Archives give whole seconds, aggregated indices milliseconds. */
const SAME_TIME_MS = 1000;
/** Units are converted on the way, and round trips go through seconds: not every digit is the same. */
const SAME_VALUE = 1e-6;
/** Two tests that start at the same second by chance do not go on doing so. */
const SAME_TEST_SHARE = 0.5;

/**
 * Excludes runs that are there from more than one archive: a host may write into its own archive and into a central
 * one, and an aggregated index collects what the archives have. A run is the same when pair, metric, family and tool
 * are, and its time and value. One archive's own series are never duplicates of each other.
 *
 * An aggregated index does not name the tool, and has the mean of a delay where archives give the median: there the
 * time alone decides, if it does so for most of the samples.
 * @param reviews of one host pair
 */
export function excludeDuplicates(reviews: readonly SeriesReview[]): void {
  if (reviews.length < 2) return;
  const withSamples = reviews.filter(({ counting }) => counting > 0);
  for (const candidates of Map.groupBy(withSamples, ({ series }) => series.metric).values()) {
    if (candidates.length < 2) continue;
    const ordered = candidates.toSorted(byTrust);
    for (let i = 1; i < ordered.length; i++) {
      for (let j = 0; j < i; j++) excludeSame(ordered[i]!, ordered[j]!);
    }
  }
}

/** An archive's own word before an aggregate's, then who has more to say; at last the older series, so that it stays so. */
function byTrust(a: SeriesReview, b: SeriesReview): number {
  return (
    Number(isAggregate(a.series)) - Number(isAggregate(b.series)) ||
    b.columns.values.length - a.columns.values.length ||
    a.series.id - b.series.id
  );
}

function isAggregate({ tool }: ReviewSeries): boolean {
  return tool === 'unknown';
}

function excludeSame(copy: SeriesReview, kept: SeriesReview): void {
  if (!mayBeSame(copy.series, kept.series)) return;
  const timeIsEnough =
    copy.series.metric === 'oneWayDelayMs' && isAggregate(copy.series) !== isAggregate(kept.series);
  const { same, overlapping } = sameRuns(copy.columns, kept.columns, timeIsEnough);
  if (same.length === 0 || same.length < SAME_TEST_SHARE * overlapping) return;
  for (const index of same) copy.exclude(index, 'duplicate');
  copy.note.duplicateOf ??= kept.series.id;
}

function mayBeSame(a: ReviewSeries, b: ReviewSeries): boolean {
  if (a.archiveKey === b.archiveKey) return false;
  if (a.ipVersion && b.ipVersion && a.ipVersion !== b.ipVersion) return false;
  return isAggregate(a) || isAggregate(b) || toolName(a.tool) === toolName(b.tool);
}

function toolName(tool: string): string {
  return tool.replace(/^pscheduler\//, '');
}

/** Which samples of `copy` are in `kept` too, and how many lie in the time that both cover. */
function sameRuns(
  copy: Columns,
  kept: Columns,
  timeIsEnough: boolean,
): { same: number[]; overlapping: number } {
  const same: number[] = [];
  const first = Math.max(copy.atMs[0]!, kept.atMs[0]!) - SAME_TIME_MS;
  const last = Math.min(copy.atMs.at(-1)!, kept.atMs.at(-1)!) + SAME_TIME_MS;
  let overlapping = 0;
  let next = 0;
  for (let i = 0; i < copy.atMs.length; i++) {
    const at = copy.atMs[i]!;
    if (at < first) continue;
    if (at > last) break;
    overlapping += 1;
    while (next < kept.atMs.length && kept.atMs[next]! < at - SAME_TIME_MS) next += 1;
    for (let j = next; j < kept.atMs.length && kept.atMs[j]! <= at + SAME_TIME_MS; j++) {
      if (!timeIsEnough && !isSameValue(copy.values[i]!, kept.values[j]!)) continue;
      same.push(i);
      break;
    }
  }
  return { same, overlapping };
}

function isSameValue(a: number, b: number): boolean {
  return Math.abs(a - b) <= SAME_VALUE * Math.max(Math.abs(a), Math.abs(b));
}
