import {
  baseValue,
  EVENT_TYPES,
  eventTypesOf,
  histogramOf,
  histogramValue,
  lastVisibleRun,
  PLURAL,
  statisticsJson,
  statisticsValue,
  type View,
  visibleRuns,
} from './events.ts';
import type { Archive, Json, Test } from './model.ts';
import type { ArchiveRequest, Reply, Resolver, TimeWindow } from './query.ts';
import { ARCHIVE_PATH, fieldFilters, page, Refusal, timeWindow } from './query.ts';
import { mergeHistograms, type Run, statistics } from './series.ts';

/**
 * An esmond archive (2014–2022). Behaviour after perfsonar/esmond `api_v2.py`; shapes after captured payloads.
 * Trailing slashes are optional, errors are JSON, data comes ascending and is cut at a default limit.
 */
export function esmond(archive: Archive, request: ArchiveRequest, view: View, resolve: Resolver): Reply {
  try {
    return json(200, route(archive, request, view, resolve));
  } catch (error) {
    if (error instanceof Refusal) return json(error.status, { detail: error.message });
    throw error;
  }
}

function route(archive: Archive, request: ArchiveRequest, view: View, resolve: Resolver): Json {
  const [key, event, summaryType, window, ...rest] = request.path.split('/').filter((part) => part !== '');
  if (rest.length > 0) throw new Refusal(404, 'Not found.');
  if (key === undefined) return list(archive, request, view, resolve);
  const test = archive.tests.get(key);
  if (!test) throw new Refusal(404, 'Not found.');
  if (event === undefined) return metadata(archive, test, request.origin, view);
  if (summaryType === undefined)
    return eventList(archive, test, view).filter((e) => e['event-type'] === event);
  return data(archive, test, event, summaryType, window ?? null, request, view);
}

// --- metadata

function list(archive: Archive, request: ArchiveRequest, view: View, resolve: Resolver): Json {
  const { query } = request;
  const window = timeWindow(query, view.nowSeconds);
  const wanted = fieldFilters(query, resolve);
  const found = [...archive.tests.values()].filter((test) => {
    const fields = fieldsOf(test);
    if (wanted.some(([name, values]) => !values.includes(String(fields[name])))) return false;
    return matchesEventFilters(archive, test, query, window, view);
  });
  const limit = positive(query.get('limit')) ?? archive.defaultLimit;
  const offset = positive(query.get('offset')) ?? 0;
  const elements = found
    .slice(offset, offset + limit)
    .map((test) => metadata(archive, test, request.origin, view));
  // Pagination is told in the first element only; an empty answer tells nothing.
  if (elements[0]) {
    elements[0]['metadata-count-total'] = found.length;
    elements[0]['metadata-previous-page'] =
      offset > 0 ? pageUrl(request, limit, Math.max(0, offset - limit)) : null;
    elements[0]['metadata-next-page'] =
      offset + limit < found.length ? pageUrl(request, limit, offset + limit) : null;
  }
  return elements;
}

/** Event type, summary and time must match one and the same row, as esmond's one SQL filter asks. */
function matchesEventFilters(
  archive: Archive,
  test: Test,
  query: URLSearchParams,
  window: TimeWindow,
  view: View,
): boolean {
  const event = query.get('event-type');
  const summaryType = query.get('summary-type');
  const summaryWindow = query.get('summary-window');
  if (event === null && summaryType === null && summaryWindow === null && !window.given) return true;
  for (const type of eventTypesOf(test, 'esmond')) {
    if (event !== null && type.name !== event) continue;
    const rows = [{ type: 'base', windowSeconds: 0 }, ...type.summaries];
    const row = rows.some(
      (candidate) =>
        (summaryType === null || candidate.type === summaryType) &&
        (summaryWindow === null || String(candidate.windowSeconds) === summaryWindow),
    );
    if (!row) continue;
    if (!window.given) return true;
    const updated = timeUpdated(archive, test, type.name, view);
    if (updated !== null && updated >= window.begin && (window.end === null || updated <= window.end)) {
      return true;
    }
  }
  return false;
}

function pageUrl(request: ArchiveRequest, limit: number, offset: number): string {
  const query = new URLSearchParams(request.query);
  query.set('limit', String(limit));
  if (offset > 0) query.set('offset', String(offset));
  else query.delete('offset');
  return `${request.origin}${ARCHIVE_PATH}/?${query}`;
}

/** The stored parameters: strings, whatever they measure. */
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
  };
  if (test.tool.startsWith('pscheduler/')) fields['pscheduler-test-type'] = test.type;
  else fields['time-interval'] = String(test.intervalSeconds);
  switch (test.type) {
    case 'throughput':
      fields['time-duration'] = test.tool.startsWith('bwctl/') ? '20' : '29.0';
      fields['ip-transport-protocol'] = test.udp ? 'udp' : 'tcp';
      fields['bw-parallel-streams'] = '1';
      if (test.udp) fields['bw-target-bandwidth'] = '50000000';
      break;
    case 'latencybg':
      fields['time-duration'] = '86400.0';
      fields['time-probe-interval'] = '0.1';
      fields['sample-size'] = '600';
      fields['sample-bucket-width'] = '0.0001';
      fields['ip-packet-padding'] = '0';
      fields['mode-flip'] = 'False';
      break;
    case 'rtt':
      fields['time-duration'] = '11.0';
      fields['sample-size'] = '10';
      fields['ip-packet-size'] = '1000';
      break;
    case 'trace':
      fields['time-duration'] = '8.0';
      fields['ip-packet-size'] = '40';
      fields['trace-max-ttl'] = '64';
      break;
  }
  return fields;
}

function metadata(archive: Archive, test: Test, origin: string, view: View): Record<string, Json> {
  const uri = `${ARCHIVE_PATH}/${test.key}/`;
  return { url: `${origin}${uri}`, uri, ...fieldsOf(test), 'event-types': eventList(archive, test, view) };
}

function eventList(archive: Archive, test: Test, view: View): Record<string, Json>[] {
  return eventTypesOf(test, 'esmond').map((type) => {
    const updated = timeUpdated(archive, test, type.name, view);
    const uri = `${ARCHIVE_PATH}/${test.key}/${type.name}`;
    return {
      'event-type': type.name,
      'base-uri': `${uri}/base`,
      'time-updated': updated,
      summaries: type.summaries.map((summary) => ({
        uri: `${uri}/${PLURAL[summary.type]}/${summary.windowSeconds}`,
        'summary-type': summary.type,
        'summary-window': String(summary.windowSeconds),
        'time-updated': updated,
      })),
    };
  });
}

/** When the last point came in; null where none is known. Failures are rare, so they are not sought for long. */
function timeUpdated(archive: Archive, test: Test, event: string, view: View): number | null {
  const wantSuccess = event !== 'failures';
  const since = wantSuccess ? 0 : view.nowSeconds - 500 * test.intervalSeconds;
  return (
    lastVisibleRun(archive, test, since, view.nowSeconds, view, (run) => run.succeeded === wantSuccess)?.ts ??
    null
  );
}

// --- data

function data(
  archive: Archive,
  test: Test,
  event: string,
  summaryType: string,
  windowText: string | null,
  request: ArchiveRequest,
  view: View,
): Json {
  if (!EVENT_TYPES.has(event)) throw new Refusal(400, `Unsupported event type '${event}' provided`);
  if (summaryType !== 'base' && !Object.values<string>(PLURAL).includes(summaryType)) {
    throw new Refusal(400, `Invalid summary type '${summaryType}'`);
  }
  if (windowText !== null && !/^\d+$/.test(windowText)) {
    throw new Refusal(400, 'Summary window parameter must be an integer');
  }
  const window = timeWindow(request.query, view.nowSeconds);
  const begin = window.begin;
  const end = window.end ?? view.nowSeconds;
  const limit = positive(request.query.get('limit')) ?? archive.defaultLimit;
  const offset = positive(request.query.get('offset')) ?? 0;
  if (summaryType === 'base') return page(basePoints(archive, test, event, begin, end, view), offset, limit);
  const windowSeconds = Number(windowText ?? 0);
  const type = eventTypesOf(test, 'esmond').find((candidate) => candidate.name === event);
  const summary = type?.summaries.find(
    (candidate) => PLURAL[candidate.type] === summaryType && candidate.windowSeconds === windowSeconds,
  );
  if (!summary) return [];
  const points =
    windowSeconds === 0
      ? statisticsPoints(archive, test, event, begin, end, view)
      : summaryPoints(archive, test, event, summary.type, windowSeconds, begin, end, view);
  return page(points, offset, limit);
}

function* basePoints(archive: Archive, test: Test, event: string, begin: number, end: number, view: View) {
  for (const run of visibleRuns(archive, test, begin, end, view)) {
    const val = baseValue(archive, test, event, run);
    if (val !== null) yield { ts: run.ts, val };
  }
}

function* statisticsPoints(
  archive: Archive,
  test: Test,
  event: string,
  begin: number,
  end: number,
  view: View,
) {
  for (const run of visibleRuns(archive, test, begin, end, view)) {
    const val = statisticsValue(archive, test, event, run);
    if (val !== null) yield { ts: run.ts, val };
  }
}

/** Bins that begin in the window, each made of all its runs: esmond summarises when it stores. */
function* summaryPoints(
  archive: Archive,
  test: Test,
  event: string,
  type: keyof typeof PLURAL,
  windowSeconds: number,
  begin: number,
  end: number,
  view: View,
): Generator<{ ts: number; val: Json }> {
  const first = Math.ceil(Math.max(begin, test.startSeconds) / windowSeconds) * windowSeconds;
  const last = Math.min(end, view.nowSeconds, test.endSeconds);
  for (let bin = first; bin <= last; bin += windowSeconds) {
    const binRuns = [...visibleRuns(archive, test, bin, bin + windowSeconds - 1, view)];
    const val = summarise(archive, test, event, type, binRuns);
    if (val !== null) yield { ts: bin, val };
  }
}

function summarise(
  archive: Archive,
  test: Test,
  event: string,
  type: keyof typeof PLURAL,
  binRuns: Run[],
): Json | null {
  if (event.startsWith('histogram-')) {
    const merged = mergeHistograms(
      binRuns.map((run) => histogramOf(test, event, run)).filter((histogram) => histogram !== null),
    );
    if (type === 'aggregation') return histogramValue(merged);
    const stats = statistics(merged);
    return stats && statisticsJson(stats, false);
  }
  const values = binRuns
    .map((run) => baseValue(archive, test, event, run))
    .filter((value) => typeof value === 'number');
  if (values.length === 0) return null;
  const sum = values.reduce((total, value) => total + value, 0);
  // Counts add up; rates and throughputs are averaged (each run sends the same number of packets).
  return event.startsWith('packet-count') ? sum : sum / values.length;
}

// ---

function positive(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text) && Number(text) > 0 ? Number(text) : null;
}

function json(status: number, body: Json): Reply {
  return { status, contentType: 'application/json', body: JSON.stringify(body) };
}
