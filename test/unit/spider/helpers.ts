import { type Archive, type SeriesRead, seriesKey } from '../../../src/domain.ts';
import type { Log } from '../../../src/log.ts';
import { ClosedSearches } from '../../../src/spider/closed-searches.ts';
import { type HarvestEvent, type HarvestOptions, harvest } from '../../../src/spider/harvest.ts';
import { type Body, type Http, HttpFailure } from '../../../src/spider/http.ts';

/** Reads are kept as they are. */
export const AS_READ = {
  keep: (read: SeriesRead): SeriesRead => read,
  join: (earlier: SeriesRead, later: SeriesRead): SeriesRead => ({
    ...later,
    samples: [...earlier.samples, ...later.samples],
  }),
};

export const quietLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** No archive's OpenSearch is asked for. */
export class NoSearches extends ClosedSearches {
  override has(): boolean {
    return true;
  }
}

export interface FakeHttp extends Http {
  /** URLs in the order in which they were asked for. */
  asked: URL[];
}

/**
 * An Http that answers from a function, which gets the body of what is posted; undefined is answered with 404, as
 * an HttpFailure is thrown as it is.
 */
export function fakeHttp(answer: (url: URL, signal?: AbortSignal, posted?: unknown) => unknown): FakeHttp {
  const asked: URL[] = [];
  const ask = async (text: string, signal?: AbortSignal, posted?: unknown) => {
    signal?.throwIfAborted();
    const url = new URL(text);
    asked.push(url);
    const value = await answer(url, signal, posted);
    if (value === undefined) throw new HttpFailure('http-error', text, 'answered 404', 404);
    return value;
  };
  return {
    asked,
    getJson: (url, signal) => ask(url, signal),
    getBody: async (url, signal) => bodyOf(await ask(url, signal)),
    postJson: (url, body, signal) => ask(url, signal, body),
    postForBody: async (url, body, signal) => bodyOf(await ask(url, signal, body)),
    send: async (_, url, body, signal) => String(await ask(url, signal, body)),
    getDocument: async (url, _known, _tls, signal) => ({
      isUnchanged: false,
      text: String(await ask(url, signal)),
    }),
    oneMachine() {},
    connectFailure: async () => undefined,
    requestsByHost: () => new Map(),
    close() {},
  };
}

function bodyOf(value: unknown): Body {
  const text = JSON.stringify(value);
  return { take: () => text };
}

export const HARVEST: HarvestOptions = {
  lookbackHours: 24,
  overlapMinutes: 60,
  concurrency: 4,
  perHostConcurrency: 2,
  archiveTimeoutSeconds: 20,
};

export const ARCHIVE: Archive = {
  key: 'archive',
  urls: ['https://archive.example.org/esmond/perfsonar/archive/'],
  sources: [],
};

/** Harvests one archive to the end. */
export async function harvestOne(
  http: Http,
  now: Date,
  more: {
    archive?: Archive;
    options?: Partial<HarvestOptions>;
    checkpoints?: Map<string, Date>;
    closedSearches?: ClosedSearches;
  } = {},
) {
  const events: HarvestEvent<SeriesRead>[] = [];
  for await (const event of harvest(
    [more.archive ?? ARCHIVE],
    { ...HARVEST, ...more.options },
    {
      http,
      now,
      ...AS_READ,
      log: quietLog,
      checkpoints: async () => more.checkpoints ?? new Map(),
      closedSearches: more.closedSearches ?? new NoSearches(),
    },
  ))
    events.push(event);
  const reads = events.flatMap((event) => (event.type === 'reads' ? event.reads : []));
  const traces = events.flatMap((event) => (event.type === 'traces' ? event.reads : []));
  const [report] = events.flatMap((event) => (event.type === 'report' ? [event.report] : []));
  const checkpoints = checkpointsOf(reads);
  for (const { test, checkpoint } of traces)
    checkpoints.set(seriesKey({ metadataKey: test.metadataKey, metric: 'trace' }), checkpoint);
  return { events, reads, traces, report: report!, checkpoints };
}

export function checkpointsOf(reads: readonly SeriesRead[]): Map<string, Date> {
  return new Map(reads.map((read) => [seriesKey(read.series), read.checkpoint]));
}

/** Epoch seconds. */
export const seconds = (time: Date) => time.getTime() / 1000;

export interface FakeEventType {
  name: string;
  timeUpdated?: unknown;
  /** `statistics/0` and the like. */
  summaries?: string[];
}

/** One metadata element, in esmond's form or elmond's. */
export function metadataElement(
  kind: 'esmond' | 'elmond',
  key: string,
  eventTypes: FakeEventType[],
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  const uri = `/esmond/perfsonar/archive/${key}`;
  return {
    'metadata-key': key,
    'subject-type': 'point-to-point',
    source: '198.51.100.1',
    destination: '203.0.113.9',
    'input-source': 'ps.a.example.org',
    'input-destination': '203.0.113.9',
    'tool-name': 'pscheduler/tool',
    uri,
    'event-types': eventTypes.map(({ name, timeUpdated, summaries }) => ({
      'event-type': name,
      'base-uri': `${uri}/${name}/base${kind === 'elmond' ? '/0' : ''}`,
      ...(timeUpdated !== undefined && { 'time-updated': timeUpdated }),
      summaries: (summaries ?? []).map((summary) => {
        const [type, window] = summary.split('/');
        return {
          'summary-type': type,
          'summary-window': kind === 'esmond' ? window : Number(window),
          uri: `${uri}/${name}/${summary}`,
        };
      }),
    })),
    ...more,
  };
}

export interface Point {
  ts: number;
  val: unknown;
}

/** Answers as esmond answers data calls: ascending, both ends of the window in it, cut at the limit. */
export function pointsFor(url: URL, points: readonly Point[]): Point[] {
  const number = (name: string, fallback: number) => Number(url.searchParams.get(name) ?? fallback);
  const found = points.filter(({ ts }) => ts >= number('time-start', 0) && ts <= number('time-end', 1e12));
  return found.slice(number('offset', 0), number('offset', 0) + number('limit', 1000));
}

export const isMetadataCall = (url: URL) => url.pathname.endsWith('/archive/');
