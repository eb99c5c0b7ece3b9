import ipaddr from 'ipaddr.js';

/** What esmond and elmond have in common: elmond kept esmond's query parameters. */

export interface ArchiveRequest {
  /** Path below /esmond/perfsonar/archive, e.g. '' or '/<key>/throughput/base'. */
  path: string;
  query: URLSearchParams;
  scheme: 'http' | 'https';
  /** e.g. 'http://127.10.0.10:8080' */
  origin: string;
}

export interface Reply {
  status: number;
  contentType: string;
  body: string;
  headers?: Record<string, string>;
}

export const ARCHIVE_PATH = '/esmond/perfsonar/archive';

/** An answer that is not 200; the archive turns the message into its own kind of error body. */
export class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface TimeWindow {
  begin: number;
  /** Null: open. */
  end: number | null;
  given: boolean;
}

/**
 * time, time-start, time-end and time-range in all their combinations (esmond api_v2.py and elmond util.py have the
 * same rules). Both ends are inclusive.
 */
export function timeWindow(query: URLSearchParams, nowSeconds: number): TimeWindow {
  const read = (name: string): number | null => {
    const text = query.get(name);
    if (text === null) return null;
    if (!/^\s*[+-]?\d+\s*$/.test(text)) throw new Refusal(400, 'Time parameter must be an integer');
    return Number(text);
  };
  const [time, start, end, range] = ['time', 'time-start', 'time-end', 'time-range'].map(read);
  let window: TimeWindow;
  if (time != null) window = { begin: time, end: time, given: true };
  else if (start != null && end != null) window = { begin: start, end, given: true };
  else if (start != null && range != null) window = { begin: start, end: start + range, given: true };
  else if (end != null && range != null) window = { begin: end - range, end, given: true };
  else if (start != null) window = { begin: start, end: null, given: true };
  else if (end != null) window = { begin: 0, end, given: true };
  else if (range != null) window = { begin: nowSeconds - range, end: null, given: true };
  else window = { begin: 0, end: nowSeconds, given: false };
  if (window.end !== null && window.end < window.begin) {
    throw new Refusal(400, 'Requested start time must be less than end time');
  }
  return window;
}

/** Names and addresses of the world's hosts, in place of the archive's DNS. */
export type Resolver = (host: string) => { v4: string | null; v6: string | null };

const DNS_RULES: Record<string, (found: { v4: string | null; v6: string | null }) => (string | null)[]> = {
  v4v6: ({ v4, v6 }) => [v6, v4],
  'only-v4': ({ v4 }) => [v4],
  'only-v6': ({ v6 }) => [v6],
  'prefer-v4': ({ v4, v6 }) => [v4 ?? v6],
  'prefer-v6': ({ v4, v6 }) => [v6 ?? v4],
};

/** The addresses a `source`, `destination` or `measurement-agent` filter stands for. */
function resolveFilter(host: string, query: URLSearchParams, resolve: Resolver): string[] {
  const rule = query.get('dns-match-rule') ?? 'v4v6';
  const select = DNS_RULES[rule];
  if (!select) throw new Refusal(400, `Invalid dns-match-rule parameter ${rule}`);
  const found = select(resolve(host)).filter((address) => address !== null);
  if (found.length === 0) throw new Refusal(400, `Unable to find address for host ${host}`);
  return found;
}

const IP_FIELDS = new Set(['source', 'destination', 'measurement-agent']);

const RESERVED = new Set([
  'format',
  'limit',
  'offset',
  'dns-match-rule',
  'time',
  'time-start',
  'time-end',
  'time-range',
  'event-type',
  'summary-type',
  'summary-window',
]);

/** What a metadata field must be, for every parameter that is not one of the rules': one of the given values. */
export function fieldFilters(query: URLSearchParams, resolve: Resolver): [name: string, values: string[]][] {
  return [...new Set(query.keys())]
    .filter((name) => !RESERVED.has(name))
    .map((name) => {
      const value = query.get(name)!;
      return [name, IP_FIELDS.has(name) ? resolveFilter(value, query, resolve) : [value]];
    });
}

/** A resolver that knows literal addresses and the given names. */
export function resolverOf(names: Map<string, { v4: string | null; v6: string | null }>): Resolver {
  return (host) => {
    if (ipaddr.IPv4.isValidFourPartDecimal(host)) return { v4: host, v6: null };
    if (ipaddr.IPv6.isValid(host)) return { v4: null, v6: ipaddr.IPv6.parse(host).toString() };
    return names.get(host.toLowerCase()) ?? { v4: null, v6: null };
  };
}

/** `items` from offset on, at most limit; stops pulling once it has enough. */
export function page<T>(items: Iterable<T>, offset: number, limit: number): T[] {
  const found: T[] = [];
  let seen = 0;
  for (const item of items) {
    if (seen++ < offset) continue;
    if (found.length >= limit) break;
    found.push(item);
  }
  return found;
}
