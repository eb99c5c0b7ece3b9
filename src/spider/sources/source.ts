import type { SourceReport } from '../../domain.ts';
import type { Log } from '../../log.ts';
import { type Http, HttpFailure } from '../http.ts';
import type { LookupRecord, ReadRecords } from '../records.ts';

export interface SourceDeps {
  http: Http;
  now: Date;
  log: Log;
  signal?: AbortSignal;
}

/** What a source told of, and how it answered. */
export interface SourceAnswer<T> {
  found: T;
  report: SourceReport;
}

/** What one query brought; where it failed on the way, what came before. */
export interface Fetched extends ReadRecords {
  failure?: HttpFailure;
}

/** The answer of a lookup server to several queries. They stand alone: what one brings is used if another fails. */
export function lookupAnswer(
  source: string,
  fetched: readonly Fetched[],
  deps: SourceDeps,
): SourceAnswer<LookupRecord[]> {
  const { records, ...leftOut } = joined(fetched);
  deps.log.debug({ source, records: records.length, ...leftOut }, 'lookup server read');
  const failure = fetched.find((each) => each.failure !== undefined)?.failure;
  return { found: records, report: sourceReport(source, records.length, failure) };
}

export function joined(parts: readonly ReadRecords[]): ReadRecords {
  const sum = (field: 'malformed' | 'expired' | 'unwanted') =>
    parts.reduce((total, part) => total + part[field], 0);
  return {
    records: parts.flatMap(({ records }) => records),
    malformed: sum('malformed'),
    expired: sum('expired'),
    unwanted: sum('unwanted'),
  };
}

export function sourceReport(source: string, records: number, failure?: HttpFailure): SourceReport {
  return {
    source,
    ok: failure === undefined,
    records,
    ...(failure && { fault: failure.fault, message: failure.message }),
  };
}

/**
 * Passes failures of requests on as values.
 * @throws the signal's reason when it aborted; what is no failure of a request
 */
export function requestFailure(error: unknown, deps: SourceDeps): HttpFailure {
  if (deps.signal?.aborted) throw deps.signal.reason;
  if (!(error instanceof HttpFailure)) throw error;
  deps.log.debug({ fault: error.fault }, error.message);
  return error;
}
