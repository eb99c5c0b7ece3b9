import { z } from 'zod';
import type { RecordClaims } from '../claims.ts';
import { ConnectTimeout, HttpFailure } from '../http.ts';
import { RECORD_KEYS, SERVICE_TYPES } from '../records.ts';
import { type Fetched, lookupAnswer, RecordReader, type SourceAnswer, type SourceDeps } from './source.ts';
import { V2_FIELDS } from './v2-record.ts';

/**
 * The Elasticsearch form of the lookup service (2026): the same records by POST to `…/lookup/_search`, and beside
 * them records of the second version. Field names and types after perfsonar/pslookup-service's query guide.
 * `source` is what its claims are said to come from.
 */
export async function readSearchServer(
  url: string,
  source: string,
  deps: SourceDeps,
): Promise<SourceAnswer<RecordClaims>> {
  const reader = new RecordReader(source, deps.now);
  const fetched: Fetched[] = [];
  for (const query of QUERIES) {
    const answer = await reader.query(deps, (take) => fetchPages(url, query, take, deps));
    fetched.push(answer);
    if (answer.failure instanceof ConnectTimeout) break;
  }
  return lookupAnswer(source, reader, fetched, deps);
}

/**
 * Where a lookup server that takes no GET may have its `_search`: at the path of its locator with `records` replaced,
 * `http://HOST:PORT/lookup/records` → `http://HOST:PORT/lookup/_search`; then the same on the scheme's own port.
 */
export function searchUrlsOf(locator: string): string[] {
  const url = new URL(locator);
  url.pathname = url.pathname.replace(/(\/records)?\/*$/, '/_search');
  url.search = '';
  const here = url.href;
  url.port = '';
  return [...new Set([here, url.href])];
}

/** Elasticsearch answers up to 10,000 at once (`index.max_result_window`); fewer take less memory. */
const PAGE_SIZE = 2000;
/** More records than perfSONAR will ever have: a server that sends so many does not come to an end. */
const MAX_PAGES = 1000;

const byUri = [{ uri: { order: 'asc', unmapped_type: 'keyword' } }];
const live = { range: { expires: { gt: 'now' } } };
const v1 = (...filter: object[]) => ({
  query: { bool: { filter: [...filter, live] } },
  sort: byUri,
  _source: RECORD_KEYS,
});

/** Persons are never asked for. */
const QUERIES = [
  v1({ term: { type: 'host' } }),
  // Texts have a `.keyword` beside them on some servers and are keywords themselves on others, where a field that
  // is not there matches nothing, without a word. The answer is filtered again.
  v1(
    { term: { type: 'service' } },
    {
      bool: {
        should: ['service-type.keyword', 'service-type'].map((field) => ({
          terms: { [field]: SERVICE_TYPES },
        })),
        minimum_should_match: 1,
      },
    },
  ),
  v1({ term: { type: 'interface' } }),
  {
    query: { bool: { filter: [{ exists: { field: 'host.client_uuid' } }, live] } },
    // They have no URI, and fields of text cannot be sorted by. Interfaces of one host may be written at one moment.
    sort: [
      { '@timestamp': { order: 'asc', unmapped_type: 'date' } },
      { 'host.client_uuid.keyword': { order: 'asc', unmapped_type: 'keyword' } },
      { 'name.keyword': { order: 'asc', unmapped_type: 'keyword' } },
    ],
    _source: V2_FIELDS,
  },
];

const pageSchema = z.object({
  timed_out: z.boolean().optional(),
  _shards: z.object({ total: z.number(), failed: z.number() }).optional().catch(undefined),
  hits: z.object({
    total: z
      .union([z.number(), z.object({ value: z.number() }).transform(({ value }) => value)])
      .optional()
      .catch(undefined),
    hits: z.array(z.object({ _source: z.unknown(), sort: z.array(z.unknown()).optional() })),
  }),
});

/** @throws HttpFailure, after the pages before were taken */
async function fetchPages(
  url: string,
  query: object,
  take: (element: unknown) => void,
  deps: SourceDeps,
): Promise<void> {
  let count = 0;
  let after: unknown[] | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const body = { ...query, size: PAGE_SIZE, ...(after && { search_after: after }) };
    const answer = pageSchema.safeParse(await deps.http.postJson(url, body, deps.signal));
    if (!answer.success) throw new HttpFailure('bad-data', url, 'answered no list `hits.hits`');
    const { timed_out, _shards, hits } = answer.data;
    for (const { _source } of hits.hits) take(_source);
    count += hits.hits.length;
    if (timed_out || (_shards && _shards.failed > 0))
      throw new HttpFailure('truncated', url, 'answered for a part of its index only');
    // A page may be short because the server allows fewer at once, so that its length alone does not tell the end.
    if (hits.hits.length === 0 || (hits.hits.length < PAGE_SIZE && count >= (hits.total ?? 0))) return;
    const last = hits.hits.at(-1)!.sort;
    if (last === undefined || JSON.stringify(last) === JSON.stringify(after))
      throw new HttpFailure('bad-data', url, 'does not go on where a page ended (`search_after`)');
    after = last;
  }
  throw new HttpFailure('too-large', url, `has more than ${MAX_PAGES * PAGE_SIZE} records`);
}
