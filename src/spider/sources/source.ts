import type { SourceReport } from '../../domain.ts';
import type { Log } from '../../log.ts';
import { type RecordClaims, recordClaims } from '../claims.ts';
import { type Http, HttpFailure } from '../http.ts';
import { type ReadRecords, readRecords } from '../records.ts';
import { isV2Document } from './v2-record.ts';

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
export interface Fetched extends Omit<ReadRecords, 'records'> {
  records: number;
  failure?: HttpFailure;
}

/**
 * Takes the elements that a server answers, turns them into claims and forgets them: records of the whole world, kept
 * to the end, are some 100 MB. Those of the second version wait until all are there: one may supersede another.
 */
export class RecordReader {
  readonly claims: RecordClaims = { hosts: [], registrations: [] };
  readonly #source: string;
  readonly #now: Date;

  /** `source` is what the claims are said to come from. */
  constructor(source: string, now: Date) {
    this.#source = source;
    this.#now = now;
  }

  /** Hands `elements` the function that takes them; what it throws is passed on as `failure` if it may be. */
  async query(
    deps: SourceDeps,
    elements: (take: (element: unknown) => void) => Promise<void>,
  ): Promise<Fetched> {
    const fetched: Fetched = { records: 0, malformed: 0, expired: 0, unwanted: 0 };
    const documents: object[] = [];
    const read = (some: readonly unknown[]) => {
      const { records, malformed, expired, unwanted } = readRecords(some, this.#now);
      const { hosts, registrations } = recordClaims(records, this.#source);
      for (const host of hosts) this.claims.hosts.push(host);
      for (const registration of registrations) this.claims.registrations.push(registration);
      fetched.records += records.length;
      fetched.malformed += malformed;
      fetched.expired += expired;
      fetched.unwanted += unwanted;
    };
    try {
      await elements((element) => {
        if (isV2Document(element)) documents.push(element);
        else read([element]);
      });
    } catch (error) {
      fetched.failure = requestFailure(error, deps);
    }
    read(documents);
    return fetched;
  }
}

/** The answer of a lookup server to several queries. They stand alone: what one brings is used if another fails. */
export function lookupAnswer(
  source: string,
  { claims }: RecordReader,
  fetched: readonly Fetched[],
  deps: SourceDeps,
): SourceAnswer<RecordClaims> {
  const sum = (field: 'records' | 'malformed' | 'expired' | 'unwanted') =>
    fetched.reduce((total, each) => total + each[field], 0);
  const leftOut = { malformed: sum('malformed'), expired: sum('expired'), unwanted: sum('unwanted') };
  const records = sum('records');
  deps.log.debug({ source, records, ...leftOut }, 'lookup server read');
  const failure = fetched.find((each) => each.failure !== undefined)?.failure;
  return { found: claims, report: sourceReport(source, records, failure) };
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
