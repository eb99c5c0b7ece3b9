import type { RecordClaims } from '../claims.ts';
import { ConnectTimeout } from '../http.ts';
import { SERVICE_TYPES } from '../records.ts';
import { listElements } from './elements.ts';
import { type Fetched, lookupAnswer, RecordReader, type SourceAnswer, type SourceDeps } from './source.ts';

/** Persons are never asked for. Servers ignore parts of a query at times, so the answer is filtered again. */
const QUERIES = ['type=host', `type=service&service-type=${SERVICE_TYPES.join(',')}`, 'type=interface'];

/**
 * A simple lookup service (sLS, 2013 to about 2025): three queries by GET, without paging. Each server holds a set
 * of its own. An answer is megabytes, so they are read one after the other.
 */
export async function readLookupServer(
  url: string,
  deps: SourceDeps,
): Promise<SourceAnswer<RecordClaims> & { takesNoGet: boolean }> {
  const reader = new RecordReader(url, deps.now);
  const fetched: Fetched[] = [];
  for (const query of QUERIES) {
    const queryUrl = `${url}?${query}`;
    const answer = await reader.query(deps, async (take) => {
      for (const element of listElements((await deps.http.getBody(queryUrl, deps.signal)).take(), queryUrl))
        take(element);
    });
    fetched.push(answer);
    if (answer.failure instanceof ConnectTimeout) break;
  }
  const takesNoGet = fetched.every(({ failure }) => failure?.status === 405 || failure?.status === 501);
  return { ...lookupAnswer(url, reader, fetched, deps), takesNoGet };
}
