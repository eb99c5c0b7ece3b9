import { z } from 'zod';
import type { Series, SeriesRead } from '../../domain.ts';
import { identifier } from '../address.ts';
import { HttpFailure } from '../http.ts';
import { forEachLimited } from '../limit.ts';
import { seriesKey } from '../series-key.ts';
import type { ReadContext } from './driver.ts';
import { METRIC_SOURCES, type MetricSource, numberOf } from './metrics.ts';

/**
 * esmond's reading interface, which elmond took over: a list of tests (metadata), each of which advertises event
 * types with the URIs of their data. A `Dialect` holds what differs.
 */
export interface Dialect {
  /** `limit` of a data request. */
  pageLimit: number;
  /** An answer with at least this many points may have been cut, so the rest is asked for. */
  maybeCutFrom: number;
  /**
   * Whether a series can have nothing that was not read up to the checkpoint. `timeUpdated` is the advertised
   * `time-updated`: null where the archive says it never got data, undefined where it says nothing.
   */
  hasNothingNew(timeUpdated: Date | null | undefined, checkpoint: Date): boolean;
  /** Up to where a series is known when all was read that the archive held at `timeUpdated`. */
  checkpointFrom(timeUpdated: Date | null | undefined): Date | undefined;
}

const METADATA_LIMIT = 1000;

/** The metadata call. Without a time range old archives list tests that ended years ago. */
export function metadataUrl(baseUrl: string, rangeSeconds: number, offset = 0): string {
  const page = offset > 0 ? `&offset=${offset}` : '';
  return `${baseUrl}?time-range=${rangeSeconds}&limit=${METADATA_LIMIT}${page}`;
}

/** How far back the metadata call must look: the lookback, or since the archive was last read if that is longer. */
export function metadataRangeSeconds(
  context: Pick<ReadContext, 'now' | 'checkpoints' | 'lookbackMs' | 'overlapMs'>,
) {
  let newest = 0;
  for (const checkpoint of context.checkpoints.values()) newest = Math.max(newest, checkpoint.getTime());
  const sinceLastRead = newest > 0 ? context.now.getTime() - newest : 0;
  return Math.ceil((Math.max(context.lookbackMs, sinceLastRead) + context.overlapMs) / 1000);
}

/** Does the first base URI that the list advertises end like this? */
export function advertisesBase(answer: readonly unknown[], ending: RegExp): boolean {
  for (const element of answer) {
    const types = testSchema.safeParse(element).data?.['event-types'] ?? [];
    const uri = types.find((type) => type['base-uri'] !== undefined)?.['base-uri'];
    if (uri !== undefined) return ending.test(uri);
  }
  return false;
}

/**
 * Reads an archive of the dialect: all metadata first, then the data of each series that may have news. The series
 * that were read least far come first, so that an archive that is never done in time does not starve any.
 */
export async function readEsmondInterface(context: ReadContext, dialect: Dialect): Promise<void> {
  const readUpTo = ({ series }: SeriesPlan) => context.checkpoints.get(seriesKey(series))?.getTime() ?? 0;
  const plans = (await listSeries(context)).sort((a, b) => readUpTo(a) - readUpTo(b));
  let transportFailures = 0;
  await forEachLimited(plans, context.concurrency, async (plan) => {
    try {
      context.seriesDone(await readSeries(plan, context, dialect));
      transportFailures = 0;
    } catch (error) {
      if (!(error instanceof HttpFailure)) throw error;
      transportFailures = TRANSPORT_FAULTS.has(error.fault) ? transportFailures + 1 : 0;
      if (transportFailures >= TRANSPORT_FAILURES_TO_GIVE_UP) throw error;
      context.seriesFailed(error);
    }
  });
}

/** A host that cannot be reached three times in succession is left alone until the next cycle. */
const TRANSPORT_FAILURES_TO_GIVE_UP = 3;
const TRANSPORT_FAULTS = new Set(['dns', 'refused', 'unreachable', 'timeout', 'certificate']);

// Metadata

const optionalText = z
  .unknown()
  .optional()
  .transform((value) => (typeof value === 'string' || typeof value === 'number' ? String(value) : undefined));

/** Epoch seconds as number or text; null where the archive says that it never got data; else it says nothing. */
const timeUpdated = z
  .unknown()
  .optional()
  .transform((value) => {
    if (value === null) return null;
    const seconds = numberOf(value);
    return seconds === null || !isTime(seconds) ? undefined : new Date(seconds * 1000);
  });

/** The elements of a list that fit; the others are left out. */
function fitting<T>(element: z.ZodType<T>): (list: unknown) => T[] {
  return (list) =>
    (Array.isArray(list) ? list : []).flatMap((item) => {
      const parsed = element.safeParse(item);
      return parsed.success ? [parsed.data] : [];
    });
}

const summarySchema = z.object({
  uri: z.string(),
  'summary-type': z.string(),
  'summary-window': z.unknown().transform(numberOf).pipe(z.number().int().nonnegative()),
  'time-updated': timeUpdated,
});

const eventTypeSchema = z.object({
  'event-type': z.string(),
  'base-uri': z.string().optional(),
  'time-updated': timeUpdated,
  summaries: z.unknown().optional().transform(fitting(summarySchema)),
});

const testSchema = z.object({
  'metadata-key': z.string().min(1),
  'subject-type': optionalText,
  source: z.string().min(1),
  destination: z.string().min(1),
  'input-source': optionalText,
  'input-destination': optionalText,
  'tool-name': optionalText,
  'metadata-count-total': z.unknown().optional().transform(numberOf),
  'event-types': z.array(z.unknown()).transform(fitting(eventTypeSchema)),
});
type Test = z.infer<typeof testSchema>;
type EventType = z.infer<typeof eventTypeSchema>;

/** One series and where its data is. */
interface SeriesPlan {
  series: Series;
  dataUrl: string;
  /** Length of the archive's summary window; 0 where each value is a measurement of its own. */
  summaryMs: number;
  timeUpdated: Date | null | undefined;
  valueOf: MetricSource['valueOf'];
}

/**
 * All series of the archive. Pages are counted here: the advertised next page leads nowhere on elmond 5.0–5.1.3.
 * Lists may shift while they are paged, so a test that comes twice counts once.
 */
async function listSeries(context: ReadContext): Promise<SeriesPlan[]> {
  const plans = new Map<string, SeriesPlan>();
  const rangeSeconds = metadataRangeSeconds(context);
  let page = context.takeAnswer();
  let malformed = 0;
  let total: number | undefined;
  for (let offset = 0; ; ) {
    for (const element of page) {
      const parsed = testSchema.safeParse(element);
      if (!parsed.success) {
        malformed += 1;
        continue;
      }
      total ??= parsed.data['metadata-count-total'] ?? undefined;
      for (const plan of plansOf(parsed.data, context)) plans.set(seriesKey(plan.series), plan);
    }
    offset += page.length;
    if (total === undefined ? page.length < METADATA_LIMIT : offset >= total) break;
    const url = metadataUrl(context.url, rangeSeconds, offset);
    const answer = await context.getJson(url);
    if (!Array.isArray(answer)) throw new HttpFailure('bad-data', url, 'answered no list of metadata');
    if (answer.length === 0) break;
    page = answer;
  }
  if (malformed > 0)
    context.log.warn({ archive: context.archiveKey, malformed }, 'metadata that cannot be read');
  return [...plans.values()];
}

function plansOf(test: Test, context: ReadContext): SeriesPlan[] {
  if (test['subject-type'] !== 'point-to-point') return [];
  const types = new Map(test['event-types'].map((type) => [type['event-type'], type]));
  const endpoints = {
    ...endpoint('source', 'sourceName', test.source, test['input-source']),
    ...endpoint('destination', 'destinationName', test.destination, test['input-destination']),
  };
  const ipVersion = ipVersionOf(endpoints.source) ?? ipVersionOf(endpoints.destination);
  return METRIC_SOURCES.flatMap((source) => {
    const type = types.get(source.eventType);
    if (!type || !context.metrics.includes(source.metric)) return [];
    if (source.unlessTestHas !== undefined && types.has(source.unlessTestHas)) return [];
    const data = dataOf(type, source);
    if (!data || !URL.canParse(data.uri, context.url)) return [];
    const series: Series = {
      archiveKey: context.archiveKey,
      metadataKey: test['metadata-key'],
      metric: source.metric,
      ...endpoints,
      tool: test['tool-name'] ?? 'unknown',
      ...(ipVersion && { ipVersion }),
      eventType: data.name,
    };
    const { summaryMs, timeUpdated } = data;
    return [
      {
        series,
        dataUrl: advertisedUrl(data.uri, context.url),
        summaryMs,
        timeUpdated,
        valueOf: source.valueOf,
      },
    ];
  });
}

/** An endpoint's address (or the text the archive has instead), and the name it was configured by. */
function endpoint<F extends string, N extends string>(
  field: F,
  nameField: N,
  text: string,
  input: string | undefined,
): Record<F, string> & Partial<Record<N, string>> {
  const name = [input, text]
    .map((each) => identifier(each ?? ''))
    .find((found) => found?.kind === 'name')?.text;
  return {
    [field]: identifier(text)?.text ?? text.toLowerCase(),
    ...(name !== undefined && { [nameField]: name }),
  } as Record<F, string> & Partial<Record<N, string>>;
}

function ipVersionOf(text: string): 4 | 6 | undefined {
  if (identifier(text)?.kind !== 'address') return undefined;
  return text.includes(':') ? 6 : 4;
}

/** Where an event type's values are: of delays the finest statistics, the histogram itself where there are none. */
function dataOf(type: EventType, source: MetricSource) {
  const name = type['event-type'];
  if (source.isHistogram) {
    const [finest] = type.summaries
      .filter((summary) => summary['summary-type'].startsWith('statistic'))
      .sort((a, b) => a['summary-window'] - b['summary-window']);
    if (finest) {
      const seconds = finest['summary-window'];
      return {
        name: `${name}/statistics/${seconds}`,
        uri: finest.uri,
        summaryMs: seconds * 1000,
        timeUpdated: later(type['time-updated'], finest['time-updated']),
      };
    }
  }
  const uri = type['base-uri'];
  return uri === undefined ? undefined : { name, uri, summaryMs: 0, timeUpdated: type['time-updated'] };
}

function later(a: Date | null | undefined, b: Date | null | undefined): Date | null | undefined {
  if (a && b) return a > b ? a : b;
  return a || b || (a === null || b === null ? null : undefined);
}

/**
 * The advertised URI on the server that answers: archives name themselves by hosts and ports that do not lead to
 * them. Never with a final slash, which elmond answers with 404.
 */
export function advertisedUrl(uri: string, baseUrl: string): string {
  const { origin } = new URL(baseUrl);
  return `${origin}${new URL(uri, baseUrl).pathname.replace(/\/+$/, '')}`;
}

// Data

/**
 * Reads a series from a little before its checkpoint to now, and hands out each page as a read of its own.
 *
 * A page's checkpoint is the newest of: the checkpoint before, its newest sample, and the end of its window, but that
 * not later than `now` less the lookback; for the last page also what `time-updated` proves. Never later than `now`.
 * So a series that is silent is looked at again over its whole silence (up to the lookback), and results that an
 * archive takes in late are found; a running series only over the overlap. A series that never had a value is not
 * handed out at all.
 */
async function readSeries(
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
    const seconds = numberOf(ts);
    if (seconds === null || !isTime(seconds)) continue;
    const time = Math.round(seconds * 1000);
    const value = plan.valueOf(val);
    if ((byTime.get(time) ?? null) === null) byTime.set(time, value);
  }
  if (points.length > 0 && byTime.size === 0)
    throw new HttpFailure('bad-data', url, 'answered points without a time');
  return [...byTime].sort(([a], [b]) => a - b).map(([time, value]) => ({ at: new Date(time), value }));
}

/** Up to the year 2100: later times are milliseconds taken for seconds, or nonsense. */
function isTime(seconds: number): boolean {
  return seconds > 0 && seconds < 4_102_444_800;
}
