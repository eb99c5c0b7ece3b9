import { z } from 'zod';
import type { Archive, Discovery, MeasurementHost, SourceReport } from '../domain.ts';
import type { Log } from '../log.ts';
import { hostOf } from './address.ts';
import {
  type ArchiveClaim,
  archiveUrl,
  claimsOf,
  type HostClaim,
  identifiersOf,
  type SourcedRecord,
} from './claims.ts';
import { type Http, HttpFailure } from './http.ts';
import { mergeArchives, mergeHosts } from './merge.ts';
import { type ReadRecords, readRecords } from './records.ts';

export interface DiscoverOptions {
  /** Documents that list the lookup servers (`activehosts.json`). */
  bootstrapUrls: string[];
  /** Lookup servers asked besides those of the bootstrap documents: `http://HOST:8090/lookup/records`. */
  lookupUrls: string[];
  /** Archives known by other means: base URL, and name or address of the measurement host it runs on. */
  seeds: { archive: string; host?: string }[];
}

export interface DiscoverDeps {
  http: Http;
  now: Date;
  log: Log;
  signal?: AbortSignal;
}

/**
 * Asks every source and merges what they say. A source that fails is reported, never thrown. What is returned is
 * what was met now: whether hosts that were known before and are not met are kept is the caller's decision.
 * @throws only the signal's reason when it aborts
 */
export async function discover(
  options: DiscoverOptions,
  known: { hosts: MeasurementHost[]; archives: Archive[] },
  deps: DiscoverDeps,
): Promise<Discovery> {
  const bootstraps = await Promise.all(options.bootstrapUrls.map((url) => readBootstrap(url, deps)));
  const lookupUrls = new Set(
    [...options.lookupUrls, ...bootstraps.flatMap(({ found }) => found)].map(lookupUrl),
  );
  const lookups = await Promise.all([...lookupUrls].map((url) => readLookupServer(url, deps)));
  const fromRecords = claimsOf(lookups.flatMap(({ found }) => found));
  const seeds = readSeeds(options.seeds);

  const hosts = mergeHosts([...fromRecords.hosts, ...seeds.found.hosts], known.hosts);
  const archives = mergeArchives([...fromRecords.archives, ...seeds.found.archives], hosts, known.archives);
  const sources = [...bootstraps, ...lookups, ...(options.seeds.length > 0 ? [seeds] : [])].map(
    ({ report }) => report,
  );
  deps.log.info({ hosts: hosts.length, archives: archives.length, sources: sources.length }, 'discovered');
  return { hosts, archives, expected: [], sources };
}

/** What a source told of, and how it answered. */
interface SourceAnswer<T> {
  found: T;
  report: SourceReport;
}

const bootstrapSchema = z.object({
  hosts: z.array(z.object({ locator: z.string(), status: z.string().optional() }).catch({ locator: '' })),
});

/** The locators of the lookup servers that the document says are alive. */
async function readBootstrap(url: string, deps: DiscoverDeps): Promise<SourceAnswer<string[]>> {
  try {
    const document = bootstrapSchema.safeParse(await deps.http.getJson(url, deps.signal));
    if (!document.success)
      throw new HttpFailure('bad-data', url, 'is no bootstrap document: it has no list `hosts`');
    const alive = document.data.hosts.filter(
      ({ locator, status }) =>
        status?.toLowerCase() === 'alive' && /^https?:/.test(locator) && URL.canParse(locator),
    );
    return {
      found: alive.map(({ locator }) => locator),
      report: { source: url, ok: true, records: document.data.hosts.length },
    };
  } catch (error) {
    return { found: [], report: { source: url, ok: false, records: 0, ...failureReport(error, deps) } };
  }
}

/** Locators are written with and without a final slash. */
const lookupUrl = (locator: string) => locator.trim().replace(/\/+$/, '');

/** Persons are never asked for. Servers ignore parts of a query at times, so the answer is filtered again. */
const QUERIES = ['type=host', 'type=service&service-type=ma,pscheduler', 'type=interface'];

/** Each server holds a set of its own. The three queries stand alone: what one brings is used if another fails. */
async function readLookupServer(url: string, deps: DiscoverDeps): Promise<SourceAnswer<SourcedRecord[]>> {
  const answers = await Promise.allSettled(
    QUERIES.map((query) => queryLookupServer(`${url}?${query}`, deps)),
  );
  const read = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const failed = answers.find((answer) => answer.status === 'rejected');
  const found = read.flatMap(({ records }) => records.map((record) => ({ source: url, record })));
  const total = (field: 'malformed' | 'expired' | 'unwanted') =>
    read.reduce((sum, answer) => sum + answer[field], 0);
  deps.log.debug(
    {
      source: url,
      records: found.length,
      malformed: total('malformed'),
      expired: total('expired'),
      unwanted: total('unwanted'),
    },
    'lookup server read',
  );
  const report: SourceReport = {
    source: url,
    ok: failed === undefined,
    records: found.length,
    ...(failed && failureReport(failed.reason, deps)),
  };
  return { found, report };
}

async function queryLookupServer(url: string, deps: DiscoverDeps): Promise<ReadRecords> {
  const answer = await deps.http.getJson(url, deps.signal);
  if (!Array.isArray(answer)) throw new HttpFailure('bad-data', url, 'answered no list of records');
  return readRecords(answer, deps.now);
}

function readSeeds(
  seeds: DiscoverOptions['seeds'],
): SourceAnswer<{ hosts: HostClaim[]; archives: ArchiveClaim[] }> {
  const sources = ['seeds'];
  const hosts: HostClaim[] = [];
  const archives: ArchiveClaim[] = [];
  const wrong: string[] = [];
  for (const seed of seeds) {
    const url = archiveUrl(seed.archive);
    if (url === undefined) {
      wrong.push(seed.archive);
      continue;
    }
    archives.push({ urls: [url], sources });
    hosts.push({ ...identifiersOf([hostOf(url), ...(seed.host ? [seed.host] : [])]), sources });
  }
  const report: SourceReport = { source: 'seeds', ok: wrong.length === 0, records: archives.length };
  if (wrong.length > 0)
    Object.assign(report, {
      fault: 'bad-data',
      message: `the seeds hold ${wrong.map((text) => `"${text}"`).join(', ')}: an archive is given by its http(s) base URL`,
    });
  return { found: { hosts, archives }, report };
}

function failureReport(error: unknown, deps: DiscoverDeps): Pick<SourceReport, 'fault' | 'message'> {
  if (deps.signal?.aborted) throw deps.signal.reason;
  if (!(error instanceof HttpFailure)) throw error;
  deps.log.warn({ fault: error.fault }, error.message);
  return { fault: error.fault, message: error.message };
}
