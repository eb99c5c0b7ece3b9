import { hash } from 'node:crypto';
import type { Json } from './model.ts';
import type { Reply } from './query.ts';
import type { LookupRecord } from './records.ts';
import { type FieldKind, type SearchDocument, type SearchIndex, search, valueAt } from './search.ts';
import type { NodeRequest } from './servers.ts';

/**
 * The lookup service as it can be read in 2026: Elasticsearch behind a proxy. `_search` and `_mapping` of the index
 * `lookup` are open; PUT and DELETE are not, nor is a POST whose path does not say "search". The registration
 * address of old answers 405 to GET.
 */
export function searchLookup(
  request: NodeRequest,
  nowMs: number,
  documents: () => Iterable<LookupRecord | Record<string, Json>>,
): Reply {
  const { method, path } = request;
  if (method === 'PUT' || method === 'DELETE') return forbidden();
  if (path === '/lookup/_search') return search(indexOf(documents), request.query, request.body, nowMs);
  if (method === 'POST') return forbidden();
  if (path === '/lookup/_mapping') return mapping(documents());
  if (/^\/lookup\/records\/?$/.test(path)) {
    return {
      status: 405,
      contentType: 'application/json',
      body: '{"detail":"Method Not Allowed"}',
      headers: { allow: 'POST' },
    };
  }
  return { status: 404, contentType: 'application/json', body: '{"detail":"Not Found"}' };
}

/** Indexed as they stand; every other text is analysed and has its `.keyword`. */
const KEYWORDS = new Set([
  'type',
  'host-name',
  'interface-addresses',
  'uri',
  'state',
  'client-uuid',
  'host-net-interfaces',
  'person-emails',
]);
const DATES = new Set(['expires', '@timestamp']);

const NUMBERS = new Set([
  'capacity',
  'mtu',
  'ip_versions',
  'host.location.latitude',
  'host.location.longitude',
]);

function kindOf(field: string): FieldKind {
  if (KEYWORDS.has(field)) return 'keyword';
  if (DATES.has(field)) return 'date';
  if (NUMBERS.has(field)) return 'number';
  return field === 'host.vm' ? 'boolean' : 'text';
}

function indexOf(documents: () => Iterable<LookupRecord | Record<string, Json>>): SearchIndex {
  return {
    kindOf,
    *documents() {
      for (const record of documents()) yield documentOf(record);
    },
  };
}

function documentOf(record: LookupRecord | Record<string, Json>): SearchDocument {
  const uri = record.uri;
  const own =
    typeof uri === 'string' ? uri : JSON.stringify([record.name, record.addresses, record['@timestamp']]);
  return {
    id: hash('sha1', own),
    index: 'lookup',
    // Keys of v1 records hold no dots, keys of v2 records are nested.
    get: (field) => (field.includes('.') ? valueAt(record, field) : record[field]),
    source: () => record,
  };
}

function mapping(documents: Iterable<LookupRecord | Record<string, Json>>): Reply {
  const properties: Record<string, Json> = {};
  for (const record of documents) addProperties(properties, record, '');
  return {
    status: 200,
    contentType: 'application/json; charset=UTF-8',
    body: JSON.stringify({ lookup: { mappings: { properties } } }),
  };
}

function addProperties(properties: Record<string, Json>, record: Record<string, Json>, path: string): void {
  for (const [key, value] of Object.entries(record)) {
    const member = Array.isArray(value) ? (value[0] ?? '') : value;
    if (typeof member === 'object' && member !== null && !Array.isArray(member)) {
      const sub = (properties[key] ?? { properties: {} }) as { properties: Record<string, Json> };
      properties[key] = sub;
      addProperties(sub.properties, member, `${path}${key}.`);
      continue;
    }
    properties[key] ??= mappingOf(kindOf(`${path}${key}`));
  }
}

function mappingOf(kind: FieldKind): Json {
  if (kind === 'text') return { type: 'text', fields: { keyword: { type: 'keyword', ignore_above: 256 } } };
  return { type: kind === 'number' ? 'float' : kind };
}

function forbidden(): Reply {
  const body =
    '<!DOCTYPE HTML>\n<html><head>\n<title>403 Forbidden</title>\n</head><body>\n<h1>Forbidden</h1>\n</body></html>\n';
  return { status: 403, contentType: 'text/html; charset=iso-8859-1', body };
}
