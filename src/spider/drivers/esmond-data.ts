import { type SeriesRead, seriesKey } from '../../domain.ts';
import { HttpFailure } from '../http.ts';
import type { ReadContext } from './driver.ts';
import type { Dialect } from './esmond-interface.ts';
import type { SeriesPlan } from './esmond-metadata.ts';
import { timeOf } from './numbers.ts';

/**
 * Reads a series from a little before its checkpoint to now, and hands out each page as a read of its own.
 *
 * A page's checkpoint is the newest of: the checkpoint before, its newest sample, and the end of its window, but that
 * not later than `now` less the lookback; for the last page also what `time-updated` proves. Never later than `now`.
 * So a series that is silent is looked at again over its whole silence (up to the lookback), and results that an
 * archive takes in late are found; a running series only over the overlap. A series that never had a value is not
 * handed out at all.
 */
export async function readSeries(
  plan: SeriesPlan,
  context: ReadContext,
  dialect: Dialect,
): Promise<'read' | 'nothing-new'> {
  const now = context.now.getTime();
  const checkpoint = context.checkpoints.get(seriesKey(plan.series))?.getTime();
  // A checkpoint after now was written by a clock that was wrong.
  const before = checkpoint === undefined ? undefined : Math.min(checkpoint, now);
  const from = before === undefined ? now - context.lookbackMs : before - context.overlapMs;
  if (dialect.hasNothingNew(plan.timeUpdated, new Date(before ?? from))) return 'nothing-new';

  let newest = before ?? 0;
  let lastSample = Number.NEGATIVE_INFINITY;
  const hasNews = (read: SeriesRead) => read.samples.length > 0 || (before !== undefined && newest > before);
  const start = plan.summaryMs > 0 ? Math.floor(from / plan.summaryMs) * plan.summaryMs : from;
  // Whole summary windows: elmond computes them from the runs in the window asked for.
  const step =
    plan.summaryMs > 0 ? Math.ceil(context.windowMs / plan.summaryMs) * plan.summaryMs : context.windowMs;
  for (let begin = start; begin < now; begin += step) {
    const end = Math.min(begin + step, now);
    for await (const page of pagesOf(plan, { begin, end, after: lastSample }, context, dialect)) {
      lastSample = page.samples.at(-1)?.at.getTime() ?? lastSample;
      newest = Math.max(newest, lastSample);
      if (page.isLast) newest = Math.max(newest, Math.min(end, now - context.lookbackMs));
      if (page.isLast && end === now && plan.summaryMs === 0)
        newest = Math.max(newest, dialect.checkpointFrom(plan.timeUpdated)?.getTime() ?? 0);
      newest = Math.min(newest, now);
      const read = { series: plan.series, samples: page.samples, checkpoint: new Date(newest) };
      if (hasNews(read)) await context.emit(read);
    }
  }
  return 'read';
}

interface Page {
  samples: SeriesRead['samples'];
  isLast: boolean;
}

/**
 * The samples of a window that are later than `after`, which was read before. Archives send the oldest points and cut
 * the rest, so an answer that may have been cut is followed by a request from its last point on. That moves
 * `time-start` and not `offset`, since elmond takes no `offset` beyond 10,000 and none for summaries.
 */
async function* pagesOf(
  plan: SeriesPlan,
  window: { begin: number; end: number; after: number },
  context: ReadContext,
  dialect: Dialect,
): AsyncGenerator<Page> {
  const endSeconds = Math.ceil(window.end / 1000);
  let fromSeconds = Math.floor(window.begin / 1000);
  let { after } = window;
  for (;;) {
    const url = `${plan.dataUrl}?time-start=${fromSeconds}&time-end=${endSeconds}&limit=${dialect.pageLimit}`;
    const points = await context.getJson(url);
    if (!Array.isArray(points)) throw new HttpFailure('bad-data', url, 'answered no list of points');
    const samples = samplesOf(points, plan, url).filter(({ at }) => {
      const time = at.getTime();
      // A summary that reaches beyond the window is not made of all its runs, and the newest one still grows.
      const isComplete = plan.summaryMs === 0 || time + plan.summaryMs <= window.end;
      return time > after && time >= fromSeconds * 1000 && isComplete;
    });
    const last = samples.at(-1)?.at.getTime();
    const isLast = points.length < dialect.maybeCutFrom || last === undefined;
    yield { samples, isLast };
    if (isLast) return;
    after = last;
    fromSeconds = Math.floor(last / 1000);
  }
}

/** Points in order of time, one for each time: a number is kept before none, the first before the second. */
function samplesOf(points: readonly unknown[], plan: SeriesPlan, url: string): SeriesRead['samples'] {
  const byTime = new Map<number, number | null>();
  for (const point of points) {
    const { ts, val } = (typeof point === 'object' && point !== null ? point : {}) as {
      ts?: unknown;
      val?: unknown;
    };
    const time = timeOf(ts)?.getTime();
    if (time === undefined) continue;
    const value = plan.valueOf(val);
    if ((byTime.get(time) ?? null) === null) byTime.set(time, value);
  }
  if (points.length > 0 && byTime.size === 0)
    throw new HttpFailure('bad-data', url, 'answered points without a time');
  return [...byTime].sort(([a], [b]) => a - b).map(([time, value]) => ({ at: new Date(time), value }));
}
