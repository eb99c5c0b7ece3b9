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
      lastPoint = page.points.timesMs.at(-1) ?? lastPoint;
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
  points: Points,
  how: { checkpoint: Date; isAhead: boolean; routes: Routes },
  context: ReadContext,
): Promise<void> {
  const { test, series } = plan;
  const { checkpoint, isAhead, routes } = how;
  if (series.length === 0) {
    const runs = runsOf(points, test, routes);
    empty(points);
    return runs.length > 0 || isAhead ? context.emitTraces({ test, runs, checkpoint }) : Promise.resolve();
  }
  // The first of them last: its checkpoint speaks for all.
  const reads = series.toReversed().flatMap((one): SeriesRead[] => {
    const { metric, eventType } = one;
    const samples = samplesOf(points, one);
    if (samples.length === 0 && !(isAhead && one === series[0])) return [];
    return [{ series: { ...test, metric, eventType }, samples, checkpoint }];
  });
  empty(points);
  return context.emit(reads);
}

/**
 * Points of the archive, in order of time; two may have the same. As columns, which V8 keeps without an object for each: they
 * are what most of a harvest's memory goes through.
 */
interface Points {
  timesMs: number[];
  /** Of counts, shares of the packets sent. */
  vals: unknown[];
}

function empty({ timesMs, vals }: Points): void {
  timesMs.length = 0;
  vals.length = 0;
}

interface Page {
  points: Points;
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
    const { points, count } = await askPoints(plan.dataUrl, fromSeconds, endSeconds, context, dialect);
    // A summary that reaches beyond the window is not made of all its runs, and the newest one still grows.
    const newestMs = plan.summaryMs === 0 ? Number.POSITIVE_INFINITY : window.end - plan.summaryMs;
    keepBetween(points, Math.max(after + 1, fromSeconds * 1000), newestMs);
    const last = points.timesMs.at(-1);
    const isLast = count < dialect.maybeCutFrom || last === undefined;
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
): Promise<{ points: Points; count: number }> {
  const url = `${dataUrl}?time-start=${fromSeconds}&time-end=${endSeconds}&limit=${dialect.pageLimit}`;
  const body = await context.getBody(url);
  return pointsOf(body.take(), url);
}

function pointsOf(text: string, url: string): { points: Points; count: number } {
  const answer = parseJson(text, url);
  if (!Array.isArray(answer)) throw new HttpFailure('bad-data', url, 'answered no list of points');
  const points: Points = { timesMs: [], vals: [] };
  let isInOrder = true;
  let lastMs = 0;
  for (const point of answer as unknown[]) {
    const { ts, val } = fieldsOf(point);
    const atMs = msOf(ts);
    if (atMs === null) continue;
    isInOrder &&= atMs >= lastMs;
    lastMs = atMs;
    points.timesMs.push(atMs);
    points.vals.push(val);
  }
  if (answer.length > 0 && points.timesMs.length === 0)
    throw new HttpFailure('bad-data', url, 'answered points without a time');
  return { points: isInOrder ? points : inOrder(points), count: answer.length };
}

function inOrder({ timesMs, vals }: Points): Points {
  const places = [...timesMs.keys()].sort((a, b) => timesMs[a]! - timesMs[b]!);
  return { timesMs: places.map((i) => timesMs[i]!), vals: places.map((i) => vals[i]) };
}

/** In place. Both ends included; milliseconds are whole. */
function keepBetween({ timesMs, vals }: Points, fromMs: number, toMs: number): void {
  const end = timesMs.findLastIndex((atMs) => atMs <= toMs) + 1;
  const begin = timesMs.findIndex((atMs) => atMs >= fromMs);
  for (const column of [timesMs, vals]) {
    column.length = end;
    column.splice(0, begin < 0 ? end : begin);
  }
}

/**
 * Numbers of packets as shares of those sent. Most are 0 of whatever was sent; how many that were is only asked for
 * where there is something to divide. In place.
 */
async function shares(
  points: Points,
  plan: DataPlan,
  context: ReadContext,
  dialect: Dialect,
): Promise<Points> {
  const { timesMs, vals } = points;
  const isCounted = (val: unknown) => (numberOf(val) ?? 0) !== 0;
  const first = vals.findIndex(isCounted);
  let sent: Points = { timesMs: [], vals: [] };
  if (first >= 0 && plan.sentUrl !== undefined) {
    const [from, to] = [timesMs[first]! / 1000, timesMs[vals.findLastIndex(isCounted)]! / 1000];
    sent = (await askPoints(plan.sentUrl, Math.floor(from), Math.ceil(to), context, dialect)).points;
  }
  let place = 0;
  for (const [i, atMs] of timesMs.entries()) {
    // Both are in order; of several of one time, the last counts.
    while (place < sent.timesMs.length && sent.timesMs[place]! <= atMs) place += 1;
    const isSent = place > 0 && sent.timesMs[place - 1] === atMs;
    vals[i] = rateOf(numberOf(vals[i]), isSent ? numberOf(sent.vals[place - 1]) : null);
  }
  return points;
}

/** One sample for each time: a number is kept before none, the first before the second. */
function samplesOf({ timesMs, vals }: Points, plan: SeriesPlan): RawSample[] {
  const samples: RawSample[] = [];
  let beforeMs: number | undefined;
  for (let i = 0; i < timesMs.length; i += 1) {
    const atMs = timesMs[i]!;
    const value = plan.valueOf(vals[i]);
    if (value === undefined) continue;
    const isAgain = atMs === beforeMs;
    if (isAgain && samples.at(-1)!.value !== null) continue;
    if (isAgain) samples.pop();
    const at = new Date(atMs);
    samples.push(plan.failureOf ? { at, value, failure: plan.failureOf(vals[i]) } : { at, value });
    beforeMs = atMs;
  }
  return samples;
}

function runsOf({ timesMs, vals }: Points, { destination }: ArchivedTest, routes: Routes): TraceRun[] {
  const runs: TraceRun[] = [];
  for (const [i, atMs] of timesMs.entries()) {
    const route = routeOfProbes(vals[i], destination);
    if (route && runs.at(-1)?.at.getTime() !== atMs)
      runs.push({ at: new Date(atMs), route: routes.same(route) });
  }
  return runs;
}
