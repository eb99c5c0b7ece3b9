import { z } from 'zod';
import { type ArchivedTest, type Readable, seriesKey } from '../../domain.ts';
import { HttpFailure, parseJson } from '../http.ts';
import type { ReadContext } from './driver.ts';
import { endpointsOf } from './endpoint.ts';
import { failureReason } from './failures.ts';
import { METRIC_SOURCES, type MetricSource } from './metrics.ts';
import { numberOf, timeOf } from './numbers.ts';

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

const optionalText = z
  .unknown()
  .optional()
  .transform((value) => (typeof value === 'string' || typeof value === 'number' ? String(value) : undefined));

/** Epoch seconds as number or text; null where the archive says that it never got data; else it says nothing. */
const timeUpdated = z
  .unknown()
  .optional()
  .transform((value) => {
    return value === null ? null : (timeOf(value) ?? undefined);
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
  'ip-transport-protocol': optionalText,
  'bw-target-bandwidth': z.unknown().optional().transform(numberOf),
  'metadata-count-total': z.unknown().optional().transform(numberOf),
  'event-types': z.array(z.unknown()).transform(fitting(eventTypeSchema)),
});
type Test = z.infer<typeof testSchema>;
type EventType = z.infer<typeof eventTypeSchema>;

/** A list of points in the archive, and what is made of them. */
export interface DataPlan {
  test: ArchivedTest;
  /** The series that are filled from the points; none where they are traces. */
  series: SeriesPlan[];
  dataUrl: string;
  /** Length of the archive's summary window; 0 where each value is a measurement of its own. */
  summaryMs: number;
  timeUpdated: Date | null | undefined;
  /** Where values are numbers of packets: where those that were sent are. */
  sentUrl?: string;
}

/** A series that is made of the points of a plan. */
export interface SeriesPlan {
  metric: Exclude<Readable, 'trace'>;
  eventType: string;
  /** Its values are numbers of packets, to be divided by how many were sent. */
  isCount?: boolean;
  /** Of a point's `val`; undefined where it says nothing of the metric. */
  valueOf: MetricSource['valueOf'];
  /** Of a run that failed: why. */
  failureOf?(val: unknown): string;
}

/**
 * The seriesKey() whose checkpoint is the plan's: that of its first series, which is handed over after the others. So
 * what it says was read has been handed over of all.
 */
export function keyOf({ test: { metadataKey }, series }: DataPlan): string {
  return seriesKey({ metadataKey, metric: series[0]?.metric ?? 'trace' });
}

/**
 * All that there is to read in the archive. Pages are counted here: the advertised next page leads nowhere on elmond 5.0–5.1.3.
 * Lists may shift while they are paged, so a test that comes twice counts once.
 */
export async function listData(context: ReadContext): Promise<DataPlan[]> {
  const plans = new Map<string, DataPlan>();
  const rangeSeconds = metadataRangeSeconds(context);
  let malformed = 0;
  let total: number | undefined;
  const readPage = (page: readonly unknown[]): number => {
    for (const element of page) {
      const parsed = testSchema.safeParse(element);
      if (!parsed.success) {
        malformed += 1;
        continue;
      }
      total ??= parsed.data['metadata-count-total'] ?? undefined;
      for (const plan of plansOf(parsed.data, context)) plans.set(keyOf(plan), plan);
    }
    return page.length;
  };
  const readText = (text: string, url: string): number => {
    const page = parseJson(text, url);
    if (!Array.isArray(page)) throw new HttpFailure('bad-data', url, 'answered no list of metadata');
    return readPage(page);
  };
  const answered = context.takeAnswer();
  let count = readPage(Array.isArray(answered) ? answered : []);
  for (let offset = count; ; offset += count) {
    if (total === undefined ? count < METADATA_LIMIT : offset >= total) break;
    const url = metadataUrl(context.url, rangeSeconds, offset);
    const body = await context.getBody(url);
    count = readText(body.take(), url);
    if (count === 0) break;
  }
  if (malformed > 0)
    context.log.warn({ archive: context.archiveKey, malformed }, 'metadata that cannot be read');
  return [...plans.values()];
}

function plansOf(test: Test, context: ReadContext): DataPlan[] {
  if (test['subject-type'] !== 'point-to-point') return [];
  const types = new Map(test['event-types'].map((type) => [type['event-type'], type]));
  const plans = new Map<string, DataPlan>();
  const archived: ArchivedTest = {
    archiveKey: context.archiveKey,
    metadataKey: test['metadata-key'],
    ...endpointsOf({
      source: test.source,
      destination: test.destination,
      inputSource: test['input-source'],
      inputDestination: test['input-destination'],
    }),
    tool: test['tool-name'] ?? 'unknown',
  };
  /** Delays and their variation are two series of the same points. */
  const planOf = (eventType: string, isHistogram: boolean): { plan: DataPlan; name: string } | undefined => {
    const type = types.get(eventType);
    const data = type && dataOf(type, isHistogram);
    if (!data || !URL.canParse(data.uri, context.url)) return undefined;
    const dataUrl = advertisedUrl(data.uri, context.url);
    const { summaryMs, timeUpdated } = data;
    const plan = plans.get(dataUrl) ?? { test: archived, series: [], dataUrl, summaryMs, timeUpdated };
    plans.set(dataUrl, plan);
    return { plan, name: data.name };
  };
  const sent = types.get('packet-count-sent')?.['base-uri'];
  for (const source of METRIC_SOURCES) {
    if (!context.metrics.includes(source.metric) || isLeftOut(source, test, types)) continue;
    const found = planOf(source.eventType, source.isHistogram);
    if (!found) continue;
    found.plan.series.push({
      metric: source.metric,
      eventType: found.name,
      ...(source.isCount && { isCount: true }),
      valueOf: source.valueOf,
    });
    if (source.isCount && sent !== undefined && URL.canParse(sent, context.url))
      found.plan.sentUrl = advertisedUrl(sent, context.url);
  }
  if (context.metrics.includes('failedRuns'))
    planOf('failures', false)?.plan.series.push({
      metric: 'failedRuns',
      eventType: 'failures',
      valueOf: one,
      failureOf: failureReason,
    });
  if (context.metrics.includes('trace')) planOf('packet-trace', false);
  return [...plans.values()];
}

/** Not made where it is used: it would keep all that is known of the test. */
const one = (): number => 1;

function isLeftOut(source: MetricSource, test: Test, types: ReadonlyMap<string, EventType>): boolean {
  if (source.unlessTestHas !== undefined && types.has(source.unlessTestHas)) return true;
  const rateIsSet =
    test['ip-transport-protocol']?.toLowerCase() === 'udp' || (test['bw-target-bandwidth'] ?? 0) > 0;
  return source.unlessRateIsSet === true && rateIsSet;
}

/** Where an event type's values are: of delays the finest statistics, the histogram itself where there are none. */
function dataOf(type: EventType, isHistogram: boolean) {
  const name = type['event-type'];
  if (isHistogram) {
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
