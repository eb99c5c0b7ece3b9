import type { Json } from './model.ts';
import { Refusal, type Reply } from './query.ts';

/**
 * The part of Elasticsearch's and OpenSearch's `_search` that clients of perfSONAR use, over documents that need not
 * exist until they are asked for. What is not here is refused with 400 rather than answered wrongly: other queries,
 * aggregations, scripts, sorting a time series by anything but time first.
 *
 * In one point it is stricter than the originals: `term` on an analysed text field never matches. There it would
 * match a value that is one lower-case token.
 */

/** text: analysed, and its `.keyword` beside it. keyword: a term as it stands. none: stored, not indexed. */
export type FieldKind = 'keyword' | 'text' | 'date' | 'number' | 'boolean' | 'none';

export interface SearchDocument {
  id: string;
  index: string;
  /** The value at a dotted path; undefined where the document has none. A list matches by any of its members. */
  get(field: string): Json | undefined;
  source(): Json;
  /** The JSON text of what the filter leaves of `source()`, where there is a faster way to it. */
  text?(filter: SourceFilter): string;
}

/** `_source` of a request. */
export interface SourceFilter {
  /** The same for the same filter. */
  name: string;
  /** What is left of a value that stands at this dotted path ('' for the whole); undefined where nothing is. */
  apply(value: Json, path: string): Json | undefined;
}

export interface TimeBounds {
  /** Epoch ms, both ends inclusive. */
  fromMs: number;
  toMs: number;
}

export interface SearchIndex {
  /** Kind of a field without `.keyword`; undefined where no document ever had it. */
  kindOf(field: string): FieldKind | undefined;
  /** All documents, or for an index with a time field those in the bounds. In no order. */
  documents(bounds: TimeBounds): Iterable<SearchDocument>;
  /** The field that documents are bounded by, and the range in which there are any. */
  time?: { field: string; extent(): TimeBounds };
}

const RESULT_WINDOW = 10_000;
const COUNT_LIMIT = 10_000;

/** An error in the originals' form; `type` as they name it. */
export function searchError(status: number, type: string, reason: string): Reply {
  const cause = { type, reason };
  return {
    status,
    contentType: 'application/json; charset=UTF-8',
    body: JSON.stringify({ error: { root_cause: [cause], ...cause }, status }),
  };
}

class SearchRefusal extends Refusal {
  readonly type: string;
  constructor(type: string, reason: string) {
    super(400, reason);
    this.type = type;
  }
}

const illegal = (reason: string): SearchRefusal => new SearchRefusal('illegal_argument_exception', reason);
const unparsable = (reason: string): SearchRefusal => new SearchRefusal('parsing_exception', reason);

/** Answers one `_search`; `nowMs` is what `now` means in date mathematics. */
export function search(index: SearchIndex, query: URLSearchParams, body: string, nowMs: number): Reply {
  try {
    const found = run(index, readRequest(query, body), nowMs);
    return { status: 200, contentType: 'application/json; charset=UTF-8', body: found };
  } catch (error) {
    if (error instanceof SearchRefusal) return searchError(400, error.type, error.message);
    throw error;
  }
}

// --- the request

type JsonObject = { [key: string]: Json };

interface SearchRequest {
  query: Json;
  from: number;
  size: number;
  sort: Json;
  searchAfter: Json[] | null;
  source: Json;
  trackTotalHits: boolean;
}

const KNOWN = new Set([
  'query',
  'from',
  'size',
  'sort',
  'search_after',
  '_source',
  'track_total_hits',
  'timeout',
]);

function readRequest(parameters: URLSearchParams, text: string): SearchRequest {
  let body: Json = {};
  if (text.trim() !== '') {
    try {
      body = JSON.parse(text) as Json;
    } catch (error) {
      throw new SearchRefusal('json_parse_exception', (error as Error).message);
    }
  }
  if (!isObject(body)) throw unparsable('Expected [START_OBJECT] but found another token');
  for (const key of Object.keys(body)) {
    if (!KNOWN.has(key)) throw unparsable(`Unknown key for a VALUE in [${key}].`);
  }
  const from = wholeNumber(parameters.get('from') ?? body.from ?? 0, 'from');
  const size = wholeNumber(parameters.get('size') ?? body.size ?? 10, 'size');
  if (from + size > RESULT_WINDOW) {
    throw illegal(
      `Result window is too large, from + size must be less than or equal to: [${RESULT_WINDOW}] but was [${from + size}]. See the scroll api for a more efficient way to request large data sets. This limit can be set by changing the [index.max_result_window] index level setting.`,
    );
  }
  const after = body.search_after ?? null;
  if (after !== null && !Array.isArray(after)) throw unparsable('[search_after] must be an array');
  if (after !== null && from > 0) {
    throw illegal('`from` parameter must be set to 0 when `search_after` is used.');
  }
  return {
    query: body.query ?? { match_all: {} },
    from,
    size,
    sort: body.sort ?? [],
    searchAfter: after,
    source: body._source ?? true,
    trackTotalHits: body.track_total_hits !== false,
  };
}

function wholeNumber(value: Json, name: string): number {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0) {
    throw illegal(`[${name}] parameter cannot be negative, found [${JSON.stringify(value)}]`);
  }
  return number;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// --- queries

type Predicate = (document: SearchDocument) => boolean;

/** The path to read and what a term on it is compared with; null where nothing can ever match. */
function termField(index: SearchIndex, field: string): { path: string; kind: FieldKind } | null {
  const path = field.replace(/\.keyword$/, '');
  const kind = index.kindOf(path);
  if (kind === undefined || kind === 'none') return null;
  if (path === field) return kind === 'text' ? null : { path, kind };
  return kind === 'text' ? { path, kind } : null;
}

function valuesOf(document: SearchDocument, path: string): Json[] {
  const value = document.get(path);
  return value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
}

function compile(index: SearchIndex, query: Json, nowMs: number): Predicate {
  if (!isObject(query)) throw unparsable('[_na] query malformed, must start with start_object');
  const entries = Object.entries(query);
  if (entries.length !== 1) throw unparsable('[_na] query malformed, empty clause found or more than one');
  const [name, clause] = entries[0]!;
  if (!isObject(clause)) throw unparsable(`[${name}] query malformed, no start_object after query name`);
  switch (name) {
    case 'match_all':
      return () => true;
    case 'bool':
      return compileBool(index, clause, nowMs);
    case 'term':
      return compileTerms(index, clause, name);
    case 'terms':
      return compileTerms(index, clause, name);
    case 'range':
      return compileRange(index, clause, nowMs);
    case 'exists': {
      const { field } = clause;
      if (typeof field !== 'string') throw unparsable('[exists] must be provided with a [field]');
      return (document) => valuesOf(document, field.replace(/\.keyword$/, '')).length > 0;
    }
    default:
      throw unparsable(`unknown query [${name}]`);
  }
}

function clausesOf(clause: JsonObject, name: string): Json[] {
  const value = clause[name];
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

const BOOL_KEYS = new Set(['must', 'filter', 'should', 'must_not', 'minimum_should_match']);

function compileBool(index: SearchIndex, clause: JsonObject, nowMs: number): Predicate {
  const unknown = Object.keys(clause).find((key) => !BOOL_KEYS.has(key));
  if (unknown !== undefined) throw unparsable(`[bool] query does not support [${unknown}]`);
  const of = (name: string): Predicate[] => clausesOf(clause, name).map((q) => compile(index, q, nowMs));
  const all = [...of('must'), ...of('filter')];
  const none = of('must_not');
  const some = of('should');
  const least = Number(clause.minimum_should_match ?? (all.length > 0 || some.length === 0 ? 0 : 1));
  return (document) =>
    all.every((p) => p(document)) &&
    !none.some((p) => p(document)) &&
    (least === 0 || some.filter((p) => p(document)).length >= least);
}

function compileTerms(index: SearchIndex, clause: JsonObject, name: 'term' | 'terms'): Predicate {
  const fields = Object.entries(clause).filter(([key]) => key !== 'boost');
  if (fields.length !== 1) throw unparsable(`[${name}] query doesn't support multiple fields`);
  const [field, given] = fields[0]!;
  if (name === 'terms' && !Array.isArray(given)) throw unparsable('[terms] query requires an array of terms');
  if (name === 'term' && Array.isArray(given)) {
    throw unparsable('[term] query does not support array of values');
  }
  const target = termField(index, field);
  if (!target) return () => false;
  const one = isObject(given) ? given.value! : given;
  const wanted = new Set((Array.isArray(one) ? one : [one]).map(String));
  return (document) => valuesOf(document, target.path).some((value) => wanted.has(String(value)));
}

interface Range {
  field: string;
  /** In epoch ms for dates. */
  low: number;
  high: number;
  /** The end itself is outside. */
  lowOpen: boolean;
  highOpen: boolean;
}

function readRange(index: SearchIndex, clause: JsonObject, nowMs: number): Range {
  const [entry] = Object.entries(clause);
  if (!entry || !isObject(entry[1])) throw unparsable('[range] query malformed');
  const [field, bounds] = entry;
  const kind = index.kindOf(field);
  if (kind !== undefined && kind !== 'date' && kind !== 'number') {
    throw illegal(`the world compares dates and numbers only, and [${field}] is of kind ${kind}`);
  }
  const read = (value: Json): number =>
    kind === 'number' ? Number(value) : dateMs(value, nowMs, String(bounds.format ?? ''));
  const range = {
    field,
    low: Number.NEGATIVE_INFINITY,
    high: Number.POSITIVE_INFINITY,
    lowOpen: false,
    highOpen: false,
  };
  for (const [operator, value] of Object.entries(bounds)) {
    if (value === null) continue;
    if (operator === 'gte' || operator === 'gt') {
      range.low = read(value);
      range.lowOpen = operator === 'gt';
    } else if (operator === 'lte' || operator === 'lt') {
      range.high = read(value);
      range.highOpen = operator === 'lt';
    } else if (operator !== 'format' && operator !== 'boost' && operator !== 'time_zone') {
      throw unparsable(`[range] query does not support [${operator}]`);
    }
  }
  return range;
}

function compileRange(index: SearchIndex, clause: JsonObject, nowMs: number): Predicate {
  const { field, low, high, lowOpen, highOpen } = readRange(index, clause, nowMs);
  const kind = index.kindOf(field);
  return (document) =>
    valuesOf(document, field).some((value) => {
      const number = kind === 'date' && typeof value === 'string' ? Date.parse(value) : Number(value);
      return (lowOpen ? number > low : number >= low) && (highOpen ? number < high : number <= high);
    });
}

const UNIT_MS: Record<string, number> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  H: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** ISO 8601, epoch milliseconds, and `now` with `+1h`, `-7d` and so on. */
function dateMs(value: Json, nowMs: number, format: string): number {
  const text = String(value);
  if (format === 'epoch_second') return Number(text) * 1000;
  const math = /^now((?:[+-]\d+[smhHdw])*)$/.exec(text);
  if (math) {
    const steps = [...math[1]!.matchAll(/([+-]\d+)(.)/g)];
    return steps.reduce((at, [, count, unit]) => at + Number(count) * UNIT_MS[unit!]!, nowMs);
  }
  if (/^\d{5,}$/.test(text)) return Number(text);
  const parsed = /^\d{4}(-\d\d){0,2}(T.*)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(parsed)) {
    throw new SearchRefusal(
      'parse_exception',
      `failed to parse date field [${text}] with format [strict_date_optional_time||epoch_millis]`,
    );
  }
  return parsed;
}

/** The narrowest bounds on the time field that every match must keep. */
function boundsOf(
  index: SearchIndex,
  field: string,
  query: Json,
  within: TimeBounds,
  nowMs: number,
): TimeBounds {
  if (!isObject(query)) return within;
  if (isObject(query.bool)) {
    return [...clausesOf(query.bool, 'must'), ...clausesOf(query.bool, 'filter')].reduce<TimeBounds>(
      (bounds, clause) => boundsOf(index, field, clause, bounds, nowMs),
      within,
    );
  }
  if (!isObject(query.range) || query.range[field] === undefined) return within;
  const { low, high } = readRange(index, query.range, nowMs);
  return { fromMs: Math.max(within.fromMs, low), toMs: Math.min(within.toMs, high) };
}

// --- order

interface SortKey {
  /** Without `.keyword`. */
  path: string;
  kind: FieldKind;
  descending: boolean;
}

function readSort(index: SearchIndex, sort: Json): SortKey[] {
  const list = Array.isArray(sort) ? sort : [sort];
  return list.flatMap((entry): SortKey[] => {
    const [field, how] =
      typeof entry === 'string' ? [entry, 'asc'] : (Object.entries(entry as JsonObject)[0] ?? []);
    if (field === undefined) return [];
    const order = isObject(how) ? (how.order ?? 'asc') : how;
    if (order !== 'asc' && order !== 'desc') throw illegal(`Unknown SortOrder [${JSON.stringify(order)}]`);
    const path = field.replace(/\.keyword$/, '');
    const kind = index.kindOf(path);
    const unmapped = isObject(how) && how.unmapped_type !== undefined;
    if (kind === undefined && !unmapped) {
      throw new SearchRefusal('query_shard_exception', `No mapping found for [${field}] in order to sort on`);
    }
    if (kind === 'text' && path === field) {
      throw illegal(
        `Text fields are not optimised for operations that require per-document field data like aggregations and sorting, so these operations are disabled by default. Please use a keyword field instead. Alternatively, set fielddata=true on [${field}] in order to load field data by uninverting the inverted index.`,
      );
    }
    return [{ path, kind: kind ?? 'keyword', descending: order === 'desc' }];
  });
}

function sortValues(keys: SortKey[], document: SearchDocument): Json[] {
  return keys.map((key) => {
    const values = valuesOf(document, key.path);
    if (values.length === 0) return null;
    const ordered = values.length > 1 ? values.toSorted(compareValues) : values;
    const value = key.descending ? ordered.at(-1)! : ordered[0]!;
    return key.kind === 'date' && typeof value === 'string' ? Date.parse(value) : value;
  });
}

function compareValues(a: Json, b: Json): number {
  return (typeof a === 'number' && typeof b === 'number' ? a < b : String(a) < String(b)) ? -1 : 1;
}

/** What is missing comes last in either direction. */
function compareSort(keys: SortKey[], a: Json[], b: Json[]): number {
  for (const [i, key] of keys.entries()) {
    const x = a[i]!;
    const y = b[i]!;
    if (x === y) continue;
    if (x === null) return 1;
    if (y === null) return -1;
    return key.descending ? -compareValues(x, y) : compareValues(x, y);
  }
  return 0;
}

// --- the search

interface Hit {
  document: SearchDocument;
  sort: Json[];
}

function run(index: SearchIndex, request: SearchRequest, nowMs: number): string {
  const started = Date.now();
  const matches = compile(index, request.query, nowMs);
  let keys = readSort(index, request.sort);
  const after = request.searchAfter;
  if (after && keys.length === 0) throw illegal('Sort must contain at least one field.');
  if (after && after.length !== keys.length) {
    throw illegal(`search_after has ${after.length} value(s) but sort has ${keys.length}.`);
  }
  const sorted = keys.length > 0;
  const { time } = index;
  const whole = time?.extent() ?? { fromMs: 0, toMs: 0 };
  const bounds = time ? boundsOf(index, time.field, request.query, whole, nowMs) : whole;
  if (time && !sorted) keys = [{ path: time.field, kind: 'date', descending: false }];
  if (time && keys[0]!.path !== time.field) throw illegal(`the world sorts by [${time.field}] first`);
  const wanted = request.from + request.size;
  const afterValues = after?.map((value, i) =>
    keys[i]!.kind === 'date' && typeof value === 'string' ? dateMs(value, nowMs, '') : value,
  );
  const follows = (hit: Hit): boolean => !afterValues || compareSort(keys, hit.sort, afterValues) > 0;
  const hitOf = (document: SearchDocument): Hit => ({ document, sort: sortValues(keys, document) });
  let hits: Hit[];
  let count = 0;
  if (time) {
    hits = pageOfTime(index, bounds, matches, keys, afterValues?.[0], wanted, (d) =>
      [hitOf(d)].filter(follows),
    );
    if (request.trackTotalHits) count = countUpTo(COUNT_LIMIT + 1, index.documents(bounds), matches);
  } else {
    const found = [...index.documents(bounds)].filter(matches);
    count = found.length;
    hits = found.map(hitOf).filter(follows);
    if (sorted) hits.sort((a, b) => compareSort(keys, a.sort, b.sort));
  }
  const page = hits.slice(request.from, wanted);
  const total = { value: Math.min(count, COUNT_LIMIT), relation: count > COUNT_LIMIT ? 'gte' : 'eq' };
  const filter = request.source === false ? undefined : sourceFilter(request.source);
  const textOf = ({ document, sort }: Hit): string => {
    const { index: _index, id: _id } = document;
    const source =
      filter && (document.text?.(filter) ?? JSON.stringify(filter.apply(document.source(), '') ?? {}));
    const head = JSON.stringify({ _index, _id, _score: sorted ? null : 1 }).slice(0, -1);
    return `${head}${source ? `,"_source":${source}` : ''}${sorted ? `,"sort":${JSON.stringify(sort)}` : ''}}`;
  };
  const head = {
    took: Date.now() - started,
    timed_out: false,
    _shards: { total: 1, successful: 1, skipped: 0, failed: 0 },
  };
  const about = {
    ...(request.trackTotalHits ? { total } : {}),
    max_score: sorted ? null : page.length > 0 ? 1 : null,
  };
  const begin = `${JSON.stringify(head).slice(0, -1)},"hits":${JSON.stringify(about).slice(0, -1)}`;
  return `${begin},"hits":[${page.map(textOf).join(',')}]}}`;
}

function countUpTo(limit: number, documents: Iterable<SearchDocument>, matches: Predicate): number {
  let count = 0;
  for (const document of documents) if (matches(document) && ++count >= limit) break;
  return count;
}

/**
 * The first `wanted` hits of a time series, through adjoining windows in the order of the search, so that a page
 * costs what it holds and not what the range holds.
 */
function pageOfTime(
  index: SearchIndex,
  bounds: TimeBounds,
  matches: Predicate,
  keys: SortKey[],
  after: Json | undefined,
  wanted: number,
  take: (document: SearchDocument) => Hit[],
): Hit[] {
  const { descending } = keys[0]!;
  let { fromMs, toMs } = bounds;
  if (typeof after === 'number') {
    if (descending) toMs = Math.min(toMs, after);
    else fromMs = Math.max(fromMs, after);
  }
  const hits: Hit[] = [];
  let widthMs = 60_000;
  while (fromMs <= toMs && hits.length < wanted) {
    const window = descending
      ? { fromMs: Math.max(fromMs, toMs - widthMs + 1), toMs }
      : { fromMs, toMs: Math.min(toMs, fromMs + widthMs - 1) };
    const found: Hit[] = [];
    for (const document of index.documents(window)) if (matches(document)) found.push(...take(document));
    found.sort((a, b) => compareSort(keys, a.sort, b.sort));
    for (const hit of found) hits.push(hit);
    if (descending) toMs = window.fromMs - 1;
    else fromMs = window.toMs + 1;
    if (found.length * 2 < wanted - hits.length) widthMs *= 2;
  }
  return hits;
}

// --- _source

/** `_source`: true, a pattern, a list of patterns, or includes and excludes. A pattern covers what is below it. */
function sourceFilter(filter: Json): SourceFilter {
  const list = (value: Json | undefined): string[] =>
    value === undefined ? [] : (Array.isArray(value) ? value : [value]).map(String);
  const spec = filter === true ? {} : isObject(filter) ? filter : { includes: filter };
  const includes = list(spec.includes ?? spec.include).map(pattern);
  const excludes = list(spec.excludes ?? spec.exclude).map(pattern);
  return {
    name: JSON.stringify(filter),
    apply: (value, path) => (filter === true ? value : pruned(value, path, includes, excludes)),
  };
}

/** Matches the path itself and everything below it. */
function pattern(text: string): RegExp {
  const escaped = text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*');
  return new RegExp(`^${escaped}(\\.|$)`);
}

function pruned(value: Json, path: string, includes: RegExp[], excludes: RegExp[]): Json | undefined {
  if (path !== '' && excludes.some((exclude) => exclude.test(path))) return undefined;
  const covered = includes.length === 0 || (path !== '' && includes.some((include) => include.test(path)));
  if (covered && excludes.length === 0) return value;
  if (!isObject(value)) return covered ? value : undefined;
  const kept: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    const below = pruned(member, path === '' ? key : `${path}.${key}`, includes, excludes);
    if (below !== undefined) kept[key] = below;
  }
  return Object.keys(kept).length > 0 || covered ? kept : undefined;
}

/** The value at a dotted path of a plain document. */
export function valueAt(document: Json, path: string): Json | undefined {
  let value: Json | undefined = document;
  for (const key of path.split('.')) {
    if (!isObject(value)) return undefined;
    value = value[key];
  }
  return value;
}
