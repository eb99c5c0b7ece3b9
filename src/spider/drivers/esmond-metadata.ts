import { z } from 'zod';
import { type Series, seriesKey } from '../../domain.ts';
import { HttpFailure } from '../http.ts';
import type { ReadContext } from './driver.ts';
import { endpointsOf } from './endpoint.ts';
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

/** One series and where its data is. */
export interface SeriesPlan {
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
export async function listSeries(context: ReadContext): Promise<SeriesPlan[]> {
  const plans = new Map<string, SeriesPlan>();
  const rangeSeconds = metadataRangeSeconds(context);
  const answered = context.takeAnswer();
  let page: readonly unknown[] = Array.isArray(answered) ? answered : [];
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
  const endpoints = endpointsOf({
    source: test.source,
    destination: test.destination,
    inputSource: test['input-source'],
    inputDestination: test['input-destination'],
  });
  const rateIsSet =
    test['ip-transport-protocol']?.toLowerCase() === 'udp' || (test['bw-target-bandwidth'] ?? 0) > 0;
  return METRIC_SOURCES.flatMap((source) => {
    const type = types.get(source.eventType);
    if (!type || !context.metrics.includes(source.metric)) return [];
    if (source.unlessTestHas !== undefined && types.has(source.unlessTestHas)) return [];
    if (source.unlessRateIsSet && rateIsSet) return [];
    const data = dataOf(type, source);
    if (!data || !URL.canParse(data.uri, context.url)) return [];
    const series: Series = {
      archiveKey: context.archiveKey,
      metadataKey: test['metadata-key'],
      metric: source.metric,
      ...endpoints,
      tool: test['tool-name'] ?? 'unknown',
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
