import {
  baseValue,
  EVENT_TYPES,
  eventTypesOf,
  lastVisibleRun,
  PLURAL,
  type SummaryType,
  statisticsValue,
  type View,
  visibleRuns,
} from './events.ts';
import type { Archive, Json, Test } from './model.ts';
import type { ArchiveRequest, Reply, Resolver } from './query.ts';
import { ARCHIVE_PATH, fieldFilters, page, Refusal, timeWindow } from './query.ts';
import type { Run } from './series.ts';

/**
 * An elmond archive (perfSONAR 5.0+): esmond's reading interface on top of OpenSearch, with the differences that
 * reference/perfsonar.md §2 lists. Behaviour after perfsonar/elmond; shapes after what that code really answered.
 */
export function elmond(archive: Archive, request: ArchiveRequest, view: View, resolve: Resolver): Reply {
  // Since 5.1.4 Apache asks for TLS before elmond is reached.
  if (request.scheme === 'http' && archive.version === '5.1.4') {
    return html(403, 'Forbidden', "You don't have permission to access this resource.");
  }
  try {
    const body = route(archive, request, view, resolve);
    return { status: 200, contentType: 'application/json', body: `${JSON.stringify(body)}\n` };
  } catch (error) {
    if (error instanceof Refusal) return html(error.status, TITLES[error.status] ?? 'Error', error.message);
    throw error;
  }
}

const NOT_FOUND =
  'The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.';
const SERVER_ERROR =
  'The server encountered an internal error and was unable to complete your request. Either the server is overloaded or there is an error in the application.';
const TITLES: Record<number, string> = { 400: 'Bad Request', 404: 'Not Found', 500: 'Internal Server Error' };

function html(status: number, title: string, text: string): Reply {
  return {
    status,
    contentType: 'text/html; charset=utf-8',
    body: `<!doctype html>\n<html lang=en>\n<title>${status} ${title}</title>\n<h1>${title}</h1>\n<p>${text}</p>\n`,
  };
}

/** Flask's three routes: '/', '/<key>', '/<key>/<event>/<summary>/<window>'. Anything else is 404. */
function route(archive: Archive, request: ArchiveRequest, view: View, resolve: Resolver): Json {
  if (request.path === '' || request.path === '/') return list(archive, request, view, resolve);
  const parts = request.path.slice(1).split('/');
  if (parts.some((part) => part === '') || (parts.length !== 1 && parts.length !== 4)) {
    throw new Refusal(404, NOT_FOUND);
  }
  const [key, event, summaryType, window] = parts;
  if (parts.length === 1) {
    const test = archive.tests.get(key!);
    const last = test && lastVisibleRun(archive, test, 0, view.nowSeconds, view);
    if (!test || !last) throw new Refusal(404, `Unable to find metadata with key ${key}`);
    return metadata(archive, test, last, request);
  }
  return data(archive, key!, event!, summaryType!, window!, request, view);
}

// --- metadata

const DEFAULT_LIMIT = 1000;
const MAX_LIMIT = 10_000;

function limits(query: URLSearchParams): { limit: number; offset: number } {
  const read = (name: string, fallback: number): number => {
    const text = query.get(name);
    if (text === null || text === '') return fallback;
    if (!/^[+-]?\d+$/.test(text)) throw new Refusal(400, `${name} parameter must be an integer`);
    return Number(text);
  };
  const limit = read('limit', DEFAULT_LIMIT);
  if (limit > MAX_LIMIT) throw new Refusal(400, `limit parameter cannot exceed ${MAX_LIMIT}`);
  return { limit, offset: read('offset', 0) };
}

const TEST_TYPES: Record<string, string[]> = {
  'histogram-owdelay': ['latencybg'],
  'histogram-ttl': ['latencybg'],
  'histogram-ttl-reverse': ['rtt'],
  'histogram-rtt': ['rtt'],
  'packet-count-lost': ['latencybg', 'throughput-udp'],
  'packet-count-lost-bidir': ['rtt'],
  'packet-count-sent': ['latencybg', 'rtt', 'throughput-udp'],
  'packet-duplicates': ['latencybg'],
  'packet-duplicates-bidir': ['rtt'],
  'packet-loss-rate': ['latencybg', 'throughput-udp'],
  'packet-loss-rate-bidir': ['rtt'],
  'packet-reorders': ['latencybg'],
  'packet-reorders-bidir': ['rtt'],
  'packet-retransmits': ['throughput-tcp'],
  'packet-retransmits-subintervals': ['throughput-tcp'],
  'packet-trace': ['trace'],
  'path-mtu': ['trace'],
  throughput: ['throughput-tcp', 'throughput-udp'],
  'throughput-subintervals': ['throughput-tcp', 'throughput-udp'],
  'time-error-estimates': ['latencybg'],
};

const SUMMARISED: Record<string, { type: SummaryType; windows: number[] }> = {
  throughput: { type: 'average', windows: [86_400] },
  'histogram-owdelay': { type: 'statistics', windows: [0, 300, 3600, 86_400] },
  'histogram-rtt': { type: 'statistics', windows: [0, 300, 3600, 86_400] },
  'packet-count-sent': { type: 'aggregation', windows: [300, 3600, 86_400] },
  'packet-count-lost': { type: 'aggregation', windows: [300, 3600, 86_400] },
  'packet-count-lost-bidir': { type: 'aggregation', windows: [300, 3600, 86_400] },
  'packet-loss-rate': { type: 'aggregation', windows: [300, 3600, 86_400] },
  'packet-loss-rate-bidir': { type: 'aggregation', windows: [300, 3600, 86_400] },
};

/** The kinds of test that an event or summary filter leaves; null where nothing was filtered. */
function wantedTestTypes(query: URLSearchParams): Set<string> | null {
  const event = query.get('event-type');
  const summaryType = query.get('summary-type');
  const summaryWindow = query.get('summary-window');
  // elmond builds a broken query for this one.
  if (event === 'packet-trace-multi') throw new Refusal(500, SERVER_ERROR);
  let events = event === null ? [] : [event];
  if (summaryType !== null || summaryWindow !== null) {
    events = Object.entries(SUMMARISED)
      .filter(
        ([name, summary]) =>
          (event === null || name === event) &&
          (summaryType === null || summary.type === summaryType) &&
          (summaryWindow === null || summary.windows.includes(Number(summaryWindow))),
      )
      .map(([name]) => name);
    // No such combination exists, and elmond stumbles over its own empty filter.
    if (events.length === 0) throw new Refusal(500, SERVER_ERROR);
  }
  if (events.length === 0 || events.includes('pscheduler-run-href')) return null;
  const types = new Set<string>();
  for (const name of events) for (const type of TEST_TYPES[name] ?? []) types.add(type);
  if (types.size === 0) throw new Refusal(500, SERVER_ERROR);
  return types;
}

function list(archive: Archive, request: ArchiveRequest, view: View, resolve: Resolver): Json {
  const { query } = request;
  const { limit, offset } = limits(query);
  const window = timeWindow(query, view.nowSeconds);
  const types = wantedTestTypes(query);
  const wanted = fieldFilters(query, resolve);
  const found: { test: Test; last: Run }[] = [];
  for (const test of archive.tests.values()) {
    if (
      types &&
      !types.has(test.type === 'throughput' ? `throughput-${test.udp ? 'udp' : 'tcp'}` : test.type)
    ) {
      continue;
    }
    if (!matches(fieldsOf(test), wanted)) continue;
    // Time is matched against the start of runs, and a test without a run in it does not exist.
    const last = lastVisibleRun(archive, test, window.begin, window.end ?? view.nowSeconds, view);
    if (last) found.push({ test, last });
  }
  found.sort((a, b) => b.last.ts - a.last.ts || (a.test.key < b.test.key ? -1 : 1));
  const elements = found
    .slice(offset, offset + limit)
    .map(({ test, last }) => metadata(archive, test, last, request));
  if (elements[0]) {
    elements[0]['metadata-count-total'] = found.length;
    elements[0]['metadata-previous-page'] =
      offset === 0 ? null : pageUrl(archive, request, Math.min(limit, offset), Math.max(0, offset - limit));
    elements[0]['metadata-next-page'] =
      offset + limit >= found.length
        ? null
        : pageUrl(archive, request, Math.min(limit, found.length - offset - limit), offset + limit);
  }
  return elements;
}

function matches(fields: Record<string, Json>, wanted: [string, string[]][]): boolean {
  return wanted.every(([name, values]) => {
    if (name === 'input-source' || name === 'input-destination') {
      // A `term` on analysed text finds only what the analyser leaves in one piece.
      return values.some(
        (value) => /^[a-z0-9.]+$/.test(value) && value === String(fields[name]).toLowerCase(),
      );
    }
    return values.includes(String(fields[name]));
  });
}

/** Up to 5.1.3 the links point at the Flask application behind the proxy, which nobody outside can reach. */
function pageUrl(archive: Archive, request: ArchiveRequest, limit: number, offset: number): string {
  const query = new URLSearchParams(request.query);
  query.set('limit', String(limit));
  query.set('offset', String(offset));
  const place = archive.version === '5.0.8' ? 'http://localhost:5000/' : `${request.origin}${ARCHIVE_PATH}/`;
  return `${place}?${query}`;
}

function fieldsOf(test: Test): Record<string, Json> {
  const fields: Record<string, Json> = {
    'metadata-key': test.key,
    'subject-type': 'point-to-point',
    source: test.sourceAddress,
    destination: test.destinationAddress,
    'measurement-agent': test.sourceAddress,
    'tool-name': test.tool,
    'input-source': test.inputSource,
    'input-destination': test.inputDestination,
    'pscheduler-test-type': test.type,
  };
  switch (test.type) {
    case 'throughput':
      fields['time-duration'] = 19;
      fields['ip-transport-protocol'] = test.udp ? 'udp' : 'tcp';
      if (test.udp) fields['bw-target-bandwidth'] = 50_000_000;
      break;
    case 'latencybg':
      fields['time-duration'] = 86_400;
      fields['time-probe-interval'] = 0.1;
      fields['sample-size'] = 600;
      fields['sample-bucket-width'] = 0.0001;
      fields['mode-flip'] = false;
      break;
    case 'rtt':
      fields['time-duration'] = 11;
      fields['sample-size'] = 10;
      break;
    case 'trace':
      fields['time-duration'] = 8;
      break;
  }
  return fields;
}

function metadata(archive: Archive, test: Test, last: Run, request: ArchiveRequest): Record<string, Json> {
  const uri = `${ARCHIVE_PATH}/${test.key}`;
  // pscheduler.added: when the run was put on the schedule, up to a day before it gave data.
  const added = Math.floor(last.ts / 86_400) * 86_400;
  const search = request.query.size > 0 ? `?${request.query}` : '';
  const url =
    archive.version === '5.1.4'
      ? `${request.origin}${ARCHIVE_PATH}${uri}${search}`
      : `${request.origin}${uri}${search}`;
  return {
    ...fieldsOf(test),
    uri,
    url,
    'event-types': eventTypesOf(test, 'elmond').map((type) => ({
      'event-type': type.name,
      'base-uri': `${uri}/${type.name}/base/0`,
      'time-updated': added,
      summaries: type.summaries.map((summary) => ({
        'event-type': type.name,
        'summary-type': summary.type,
        'summary-window': summary.windowSeconds,
        uri: `${uri}/${type.name}/${PLURAL[summary.type]}/${summary.windowSeconds}`,
      })),
    })),
  };
}

// --- data

function data(
  archive: Archive,
  key: string,
  event: string,
  summaryType: string,
  windowText: string,
  request: ArchiveRequest,
  view: View,
): Json {
  if (!/^\d+$/.test(windowText)) throw new Refusal(400, 'Summary window must be an int');
  const windowSeconds = Number(windowText);
  const { limit, offset } = limits(request.query);
  const window = timeWindow(request.query, view.nowSeconds);
  const known = EVENT_TYPES.has(event);
  if (windowSeconds === 0) {
    const readable =
      summaryType === 'base' || (summaryType === 'statistics' && event.startsWith('histogram-'));
    if (!known || !readable) throw new Refusal(400, `Unrecognized event type ${event}`);
    // OpenSearch's result window.
    if (offset + limit > MAX_LIMIT) throw new Refusal(500, SERVER_ERROR);
  } else {
    if (![300, 3600, 86_400].includes(windowSeconds)) {
      throw new Refusal(400, `${windowSeconds} is not a supported summary_window`);
    }
    if (!Object.values<string>(PLURAL).includes(summaryType)) {
      throw new Refusal(400, `Unable to build aggregation for ${event}/${summaryType}`);
    }
  }
  // An unknown key is a search without hits, not an error.
  const test = archive.tests.get(key);
  if (!test) return [];
  const end = window.end ?? view.nowSeconds;
  const found = visibleRuns(archive, test, window.begin, end, view);
  if (windowSeconds > 0) return rollUp(archive, test, event, summaryType, windowSeconds, [...found]);
  // limit and offset count runs. A run without the value gives no point, so a page can be short of its limit.
  const relevant = found.filter((run) => run.succeeded === (event !== 'failures'));
  return page(relevant, offset, limit).flatMap((run) => {
    const val =
      summaryType === 'base'
        ? baseValue(archive, test, event, run)
        : statisticsValue(archive, test, event, run);
    return val === null ? [] : [{ ts: run.ts, val }];
  });
}

/** Aggregated at query time over the runs found: limit and offset are ignored, histograms cannot be added up. */
function rollUp(
  archive: Archive,
  test: Test,
  event: string,
  summaryType: string,
  windowSeconds: number,
  found: Run[],
): Json {
  if (summaryType === 'aggregations' && event.startsWith('histogram-')) return [];
  const bins = Map.groupBy(found, (run) => Math.floor(run.ts / windowSeconds) * windowSeconds);
  const points: Json[] = [];
  for (const [ts, binRuns] of bins) {
    const val =
      summaryType === 'statistics'
        ? meanOfStatistics(archive, test, event, binRuns)
        : rolledNumber(archive, test, event, summaryType, binRuns);
    if (val !== null) points.push({ ts, val });
  }
  return points;
}

function rolledNumber(
  archive: Archive,
  test: Test,
  event: string,
  summaryType: string,
  binRuns: Run[],
): Json | null {
  const values = binRuns
    .map((run) => baseValue(archive, test, event, run))
    .filter((value) => typeof value === 'number');
  if (values.length === 0) return null;
  const sum = values.reduce((total, value) => total + value, 0);
  return summaryType === 'averages' || event.startsWith('packet-loss-rate') ? sum / values.length : sum;
}

/** Percentiles of a window are the means of the runs' percentiles: that is what elmond asks OpenSearch for. */
function meanOfStatistics(archive: Archive, test: Test, event: string, binRuns: Run[]): Json | null {
  const each = binRuns
    .map((run) => statisticsValue(archive, test, event, run))
    .filter((value): value is Record<string, Json> => value !== null && typeof value === 'object');
  if (each.length === 0) return null;
  const numbers = (field: string): number[] =>
    each.flatMap((stats) => stats[field] as Json).filter((value) => typeof value === 'number');
  const mean = (field: string): number | null => {
    const values = numbers(field);
    return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
  };
  return {
    minimum: Math.min(...numbers('minimum')),
    maximum: Math.max(...numbers('maximum')),
    mean: mean('mean'),
    median: mean('median'),
    mode: [mean('mode')],
    'percentile-25': mean('percentile-25'),
    'percentile-75': mean('percentile-75'),
    'percentile-95': mean('percentile-95'),
    'standard-deviation': mean('standard-deviation'),
    variance: mean('variance'),
  };
}
