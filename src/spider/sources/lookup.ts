import { HttpFailure } from '../http.ts';
import { type LookupRecord, readRecords, SERVICE_TYPES } from '../records.ts';
import {
  type Fetched,
  joined,
  lookupAnswer,
  requestFailure,
  type SourceAnswer,
  type SourceDeps,
} from './source.ts';

/** Persons are never asked for. Servers ignore parts of a query at times, so the answer is filtered again. */
const QUERIES = ['type=host', `type=service&service-type=${SERVICE_TYPES.join(',')}`, 'type=interface'];

/**
 * A simple lookup service (sLS, 2013 to about 2025): three queries by GET, without paging. Each server holds a set
 * of its own.
 */
export async function readLookupServer(
  url: string,
  deps: SourceDeps,
): Promise<SourceAnswer<LookupRecord[]> & { takesNoGet: boolean }> {
  const fetched = await Promise.all(QUERIES.map((query) => fetchRecords(`${url}?${query}`, deps)));
  const takesNoGet = fetched.every(({ failure }) => failure?.status === 405 || failure?.status === 501);
  return { ...lookupAnswer(url, fetched, deps), takesNoGet };
}

async function fetchRecords(url: string, deps: SourceDeps): Promise<Fetched> {
  try {
    const answer = await deps.http.getJson(url, deps.signal);
    if (!Array.isArray(answer)) throw new HttpFailure('bad-data', url, 'answered no list of records');
    return readRecords(answer, deps.now);
  } catch (error) {
    return { ...joined([]), failure: requestFailure(error, deps) };
  }
}
