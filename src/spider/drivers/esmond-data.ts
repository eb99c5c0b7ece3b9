import {
  type ArchivedTest,
  type RawSample,
  READABLE,
  type SeriesRead,
  seriesKey,
  type TraceRun,
} from '../../domain.ts';
import { HttpFailure, parseJson } from '../http.ts';
import type { ReadContext } from './driver.ts';
import type { Dialect } from './esmond-interface.ts';
import { type DataPlan, keyOf, type SeriesPlan } from './esmond-metadata.ts';
import { fieldsOf } from './fields.ts';
import { rateOf } from './metrics.ts';
import { msOf, numberOf } from './numbers.ts';
import { Routes, routeOfProbes } from './route.ts';

/**
 * Reads a plan's points from a little before its checkpoint to now, and hands out each page as a read of its own.
 *
 * A page's checkpoint is the newest of: the checkpoint before, its newest sample, and the end of its window, but that
 * not later than `now` less the lookback; for the last page also what `time-updated` proves. Never later than `now`.
 * So a series that is silent is looked at again over its whole silence (up to the lookback), and results that an
 * archive takes in late are found; a running series only over the overlap. A series that never had a value is not
 * handed out at all.
 */
export async function readData(
  plan: DataPlan,
  context: ReadContext,
  dialect: Dialect,
): Promise<'read' | 'nothing-new'> {
  const now = context.now.getTime();
  const checkpoint = context.checkpoints.get(keyOf(plan))?.getTime();
  // A checkpoint after now was written by a clock that was wrong.
  const before = checkpoint === undefined ? undefined : Math.min(checkpoint, now);
  const from = before === undefined ? now - context.lookbackMs : before - context.overlapMs;
  if (dialect.hasNothingNew(plan.timeUpdated, new Date(before ?? from))) return 'nothing-new';
  if (dialect.failuresOnceAnHour && isOfFailures(plan) && !isFirstOfHour(plan.test, context))
    return 'nothing-new';

  const routes = new Routes();
  let newest = before ?? 0;
  let lastPoint = Number.NEGATIVE_INFINITY;
  const start = plan.summaryMs > 0 ? Math.floor(from / plan.summaryMs) * plan.summaryMs : from;
  // Whole summary windows: elmond computes them from the runs in the window asked for.
  const step =
    plan.summaryMs > 0 ? Math.ceil(context.windowMs / plan.summaryMs) * plan.summaryMs : context.windowMs;
  for (let begin = start; begin < now; begin += step) {
    const end = Math.min(begin + step, now);
    for await (const page of pagesOf(plan, { begin, end, after: lastPoint }, context, dialect)) {
      lastPoint = page.points.at(-1)?.atMs ?? lastPoint;
      newest = Math.max(newest, lastPoint);
      if (page.isLast) newest = Math.max(newest, Math.min(end, now - context.lookbackMs));
      if (page.isLast && end === now && plan.summaryMs === 0)
        newest = Math.max(newest, dialect.checkpointFrom(plan.timeUpdated)?.getTime() ?? 0);
      newest = Math.min(newest, now);
      const isAhead = before !== undefined && newest > before;
      await emitPage(plan, page.points, { checkpoint: new Date(newest), isAhead, routes }, context);
    }
  }
  return 'read';
}

const isOfFailures = ({ series }: DataPlan) => series[0]?.metric === 'failedRuns';

const HOUR_MS = 3_600_000;

/**
 * Whether an hour has begun since the test was read. Each test has an hour of its own, so that they do not all ask at
 * once. A test of which nothing was read in an hour is asked in each harvest.
 */
function isFirstOfHour({ metadataKey }: ArchivedTest, context: ReadContext): boolean {
  let last = 0;
  for (const metric of READABLE)
    last = Math.max(last, context.checkpoints.get(seriesKey({ metadataKey, metric }))?.getTime() ?? 0);
  let minute = 0;
  for (const letter of metadataKey) minute = (minute + letter.charCodeAt(0)) % 60;
  const hourOf = (ms: number) => Math.floor((ms - minute * 60_000) / HOUR_MS);
  return hourOf(last) < hourOf(context.now.getTime());
}

/** Empties `points`; not async: see ReadContext.emit. */
function emitPage(
  plan: DataPlan,
  points: Point[],
  how: { checkpoint: Date; isAhead: boolean; routes: Routes },
  context: ReadContext,
): Promise<void> {
  const { test, series } = plan;
  const { checkpoint, isAhead, routes } = how;
  if (series.length === 0) {
    const runs = runsOf(points, test, routes);
    points.length = 0;
    return runs.length > 0 || isAhead ? context.emitTraces({ test, runs, checkpoint }) : Promise.resolve();
  }
  // The first of them last: its checkpoint speaks for all.
  const reads = series.toReversed().flatMap((one): SeriesRead[] => {
    const { metric, eventType } = one;
    const samples = samplesOf(points, one);
    if (samples.length === 0 && !(isAhead && one === series[0])) return [];
    return [{ series: { ...test, metric, eventType }, samples, checkpoint }];
  });
  points.length = 0;
  return context.emit(reads);
}

/** A point of the archive; of counts, `val` is a share of the packets sent. */
interface Point {
  atMs: number;
  val: unknown;
}

interface Page {
  /** In order of time; two may have the same. */
  points: Point[];
  isLast: boolean;
}

/**
 * The points of a window that are later than `after`, which was read before. Archives send the oldest points and cut
 * the rest, so an answer that may have been cut is followed by a request from its last point on. That moves
 * `time-start` and not `offset`, since elmond takes no `offset` beyond 10,000 and none for summaries.
 */
async function* pagesOf(
  plan: DataPlan,
  window: { begin: number; end: number; after: number },
  context: ReadContext,
  dialect: Dialect,
): AsyncGenerator<Page> {
  const endSeconds = Math.ceil(window.end / 1000);
  let fromSeconds = Math.floor(window.begin / 1000);
  let { after } = window;
  for (;;) {
    const answer = await askPoints(plan.dataUrl, fromSeconds, endSeconds, context, dialect);
    const points = answer.points.filter(({ atMs }) => {
      // A summary that reaches beyond the window is not made of all its runs, and the newest one still grows.
      const isComplete = plan.summaryMs === 0 || atMs + plan.summaryMs <= window.end;
      return atMs > after && atMs >= fromSeconds * 1000 && isComplete;
    });
    answer.points.length = 0;
    const last = points.at(-1)?.atMs;
    const isLast = answer.count < dialect.maybeCutFrom || last === undefined;
    const isCount = plan.series.some(({ isCount }) => isCount);
    yield { points: isCount ? await shares(points, plan, context, dialect) : points, isLast };
    if (isLast) return;
    after = last;
    fromSeconds = Math.floor(last / 1000);
  }
}

async function askPoints(
  dataUrl: string,
  fromSeconds: number,
  endSeconds: number,
  context: ReadContext,
  dialect: Dialect,
): Promise<{ points: Point[]; count: number }> {
  const url = `${dataUrl}?time-start=${fromSeconds}&time-end=${endSeconds}&limit=${dialect.pageLimit}`;
  const body = await context.getBody(url);
  return pointsOf(body.take(), url);
}

function pointsOf(text: string, url: string): { points: Point[]; count: number } {
  const answer = parseJson(text, url);
  if (!Array.isArray(answer)) throw new HttpFailure('bad-data', url, 'answered no list of points');
  const points: Point[] = [];
  for (const point of answer as unknown[]) {
    const { ts, val } = fieldsOf(point);
    const atMs = msOf(ts);
    if (atMs !== null) points.push({ atMs, val });
  }
  if (answer.length > 0 && points.length === 0)
    throw new HttpFailure('bad-data', url, 'answered points without a time');
  return { points: points.sort((a, b) => a.atMs - b.atMs), count: answer.length };
}

/**
 * Numbers of packets as shares of those sent. Most are 0 of whatever was sent; how many that were is only asked for
 * where there is something to divide. In place.
 */
async function shares(
  points: Point[],
  plan: DataPlan,
  context: ReadContext,
  dialect: Dialect,
): Promise<Point[]> {
  const counted = points.filter(({ val }) => (numberOf(val) ?? 0) !== 0).map(({ atMs }) => atMs / 1000);
  const sent = new Map<number, number | null>();
  if (counted.length > 0 && plan.sentUrl !== undefined) {
    const [from, to] = [Math.floor(counted[0]!), Math.ceil(counted.at(-1)!)];
    const answer = await askPoints(plan.sentUrl, from, to, context, dialect);
    for (const { atMs, val } of answer.points) sent.set(atMs, numberOf(val));
  }
  for (const point of points) point.val = rateOf(numberOf(point.val), sent.get(point.atMs) ?? null);
  return points;
}

/** One sample for each time: a number is kept before none, the first before the second. */
function samplesOf(points: readonly Point[], plan: SeriesPlan): RawSample[] {
  const samples: RawSample[] = [];
  let beforeMs: number | undefined;
  for (const { atMs, val } of points) {
    const value = plan.valueOf(val);
    if (value === undefined) continue;
    const isAgain = atMs === beforeMs;
    if (isAgain && samples.at(-1)!.value !== null) continue;
    if (isAgain) samples.pop();
    const at = new Date(atMs);
    samples.push(plan.failureOf ? { at, value, failure: plan.failureOf(val) } : { at, value });
    beforeMs = atMs;
  }
  return samples;
}

function runsOf(points: readonly Point[], { destination }: ArchivedTest, routes: Routes): TraceRun[] {
  const runs: TraceRun[] = [];
  for (const { atMs, val } of points) {
    const route = routeOfProbes(val, destination);
    if (route && runs.at(-1)?.at.getTime() !== atMs)
      runs.push({ at: new Date(atMs), route: routes.same(route) });
  }
  return runs;
}
