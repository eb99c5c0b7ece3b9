import type { Reply } from './query.ts';
import type { LookupRecord } from './records.ts';

/**
 * A simple lookup service (sLS) as it was up to about 2025, with the Mongo back end's rules: values of one key are
 * separated by commas, `operator` joins keys, `<key>-operator` joins the values of one, `*` is a wildcard at either
 * end. There is no paging. Errors are plain text. Behaviour after esnet/simple-lookup-service.
 */
export function lookup(path: string, query: URLSearchParams, records: () => Iterable<LookupRecord>): Reply {
  const [root, kind, id, key, ...rest] = path.split('/').filter((part) => part !== '');
  if (root !== 'lookup' || kind === undefined || rest.length > 0) return text(404, 'Not found');
  if (id === undefined) {
    if (kind !== 'records') return text(404, `Unknown resource ${kind}`);
    return search(query, records());
  }
  const uri = `lookup/${kind}/${id}`;
  for (const record of records()) {
    if (record.uri !== uri) continue;
    if (key === undefined) return json(record);
    const value = record[key];
    return value === undefined ? text(404, `Record has no key ${key}`) : json({ [key]: value });
  }
  return text(404, `Record not found: ${uri}`);
}

/** Parsed by the server, but without effect on what it sends. */
const IGNORED = new Set(['skip', 'maxresults', 'operator']);

interface Condition {
  key: string;
  any: boolean;
  matches: ((value: string) => boolean)[];
}

function search(query: URLSearchParams, records: Iterable<LookupRecord>): Reply {
  const operator = readOperator(query, 'operator');
  if (operator === null) return text(400, 'operator must be any or all');
  const conditions: Condition[] = [];
  for (const key of new Set(query.keys())) {
    if (IGNORED.has(key) || key.endsWith('-operator')) continue;
    const own = readOperator(query, `${key}-operator`, 'any');
    if (own === null) return text(400, `${key}-operator must be any or all`);
    // Of a repeated parameter only the first is read.
    const values = (query.get(key) ?? '').split(',').filter((value) => value !== '');
    conditions.push({ key, any: own === 'any', matches: values.map(matcher) });
  }
  const holds = (record: LookupRecord) => (condition: Condition) => {
    const value = record[condition.key];
    const values = value === undefined ? [] : typeof value === 'string' ? [value] : value;
    const hit = (match: (value: string) => boolean): boolean => values.some(match);
    return condition.any ? condition.matches.some(hit) : condition.matches.every(hit);
  };
  const found: LookupRecord[] = [];
  for (const record of records) {
    const test = holds(record);
    const kept =
      conditions.length === 0 || (operator === 'any' ? conditions.some(test) : conditions.every(test));
    if (kept) found.push(record);
  }
  return json(found);
}

function readOperator(
  query: URLSearchParams,
  name: string,
  fallback: 'any' | 'all' = 'all',
): 'any' | 'all' | null {
  const value = query.get(name)?.toLowerCase() ?? fallback;
  return value === 'any' || value === 'all' ? value : null;
}

function matcher(pattern: string): (value: string) => boolean {
  const head = pattern.startsWith('*');
  const tail = pattern.endsWith('*');
  if (pattern === '*') return () => true;
  if (head && tail) return (value) => value.includes(pattern.slice(1, -1));
  if (head) return (value) => value.endsWith(pattern.slice(1));
  if (tail) return (value) => value.startsWith(pattern.slice(0, -1));
  return (value) => value === pattern;
}

function json(body: LookupRecord | LookupRecord[]): Reply {
  return { status: 200, contentType: 'application/json', body: JSON.stringify(body) };
}

function text(status: number, body: string): Reply {
  return { status, contentType: 'text/plain', body };
}
