import type { Archive, Fault } from '../domain.ts';
import type { ClosedSearches } from './closed-searches.ts';
import type { ArchiveDriver, ReadContext } from './drivers/driver.ts';
import { METADATA_DRIVERS } from './drivers/drivers.ts';
import { metadataRangeSeconds, metadataUrl } from './drivers/esmond-metadata.ts';
import { opensearch, searchRuns, searchUrl } from './drivers/opensearch.ts';
import { wlcg } from './drivers/wlcg.ts';
import { ConnectTimeout, HttpFailure, parseJson, SilentServer } from './http.ts';

export interface OpenedArchive {
  url: string;
  takeAnswer: ReadContext['takeAnswer'];
  /** Absent where the archive answered with an empty list: there is nothing to read, whatever its kind. */
  driver?: ArchiveDriver;
}

/** An archive, and what the store knows of its last harvests. */
export type KnownArchive = Archive & { consecutiveFailures?: number };

/** It answered the last time. */
export const isKnownToLive = ({ kind, consecutiveFailures }: KnownArchive): boolean =>
  kind !== undefined && !consecutiveFailures;

export type ProbeContext = Pick<
  ReadContext,
  | 'getBody'
  | 'postForBody'
  | 'now'
  | 'checkpoints'
  | 'ingestedTo'
  | 'lookbackMs'
  | 'overlapMs'
  | 'metrics'
  | 'concurrency'
> & { connectFailure(url: string, signal: AbortSignal): Promise<HttpFailure | undefined> };

/**
 * Finds the URL that answers and the driver that fits: at each server its OpenSearch first, unless it is known to be
 * closed, then the metadata call. The probe is the first page of what the driver would ask for, which then need not
 * be asked for again.
 *
 * Servers (https before http) are tried one after the other where the archive answered the last time. Where it is not
 * known to live, all are asked at once, so that a dead one costs one connect limit and not one for each URL; one that
 * has just died costs two. An answer by http does not count once a certificate was refused: that would make
 * verification worth nothing.
 * @throws HttpFailure: of the failures of all URLs, that which says most
 */
export async function openArchive(
  archive: KnownArchive,
  context: ProbeContext,
  closed: ClosedSearches,
): Promise<OpenedArchive> {
  const [firstUrl] = archive.urls;
  if (firstUrl === undefined)
    throw new HttpFailure('unknown-archive', archive.key, 'has no URL that may be asked');
  if (archive.kind === 'wlcg') return { url: firstUrl, driver: wlcg, takeAnswer: () => undefined };

  const servers = [...Map.groupBy(archive.urls, (url) => new URL(url).origin).values()];
  const isAlive = isKnownToLive(archive);
  const decided = new AbortController();
  // They are one machine's, and only so many are asked at once: those that do not even connect must not take turns.
  const mustConnectFirst = !isAlive && servers.length > context.concurrency;
  const open = async (urls: readonly string[]): Promise<ServerResult> => {
    if (!mustConnectFirst) return openServer(urls, archive, context, closed, decided.signal);
    try {
      const failure = await context.connectFailure(urls[0]!, decided.signal);
      if (failure) return { failures: [failure] };
      return await openServer(urls, archive, context, closed, decided.signal);
    } catch (error) {
      return { error };
    }
  };
  let begun = isAlive ? [] : servers.map(open);
  const failures: HttpFailure[] = [];
  try {
    for (const [index, urls] of servers.entries()) {
      if (urls[0]!.startsWith('http:') && failures.some(({ fault }) => fault === 'certificate')) continue;
      const result = await (begun[index] ?? open(urls));
      if ('error' in result) throw result.error;
      if ('opened' in result) return result.opened;
      failures.push(...result.failures);
      // Not alive after all: no further connect limit is waited for but one for all the rest.
      if (begun.length === 0 && result.failures.some((failure) => failure instanceof ConnectTimeout))
        begun = servers.map((rest, place) => (place > index ? open(rest) : Promise.resolve(result)));
    }
  } finally {
    decided.abort();
  }
  throw failures.toSorted((a, b) => eloquence(b.fault) - eloquence(a.fault))[0]!;
}

type ServerResult = { opened: OpenedArchive } | { failures: HttpFailure[] } | { error: unknown };

/** Never rejects: nobody waits for the servers behind the one that is taken. */
async function openServer(
  urls: readonly string[],
  archive: KnownArchive,
  context: ProbeContext,
  closed: ClosedSearches,
  signal: AbortSignal,
): Promise<ServerResult> {
  const failures: HttpFailure[] = [];
  const { origin } = new URL(urls[0]!);
  try {
    if (origin.startsWith('https:') && !closed.has(origin, context.now)) {
      const url = searchUrl(origin);
      try {
        const answer = await searchRuns(url, context, undefined, signal);
        return { opened: { url, takeAnswer: once(answer), driver: opensearch } };
      } catch (error) {
        const failure = asHttpFailure(error);
        if (isOfTheServer(failure)) return { failures: [failure] };
        // No failure of the archive, as long as it is read by its other face.
        closed.add(origin, failure, context.now);
      }
    }
    for (const url of urls) {
      try {
        return { opened: await openByMetadata(url, archive, context, signal) };
      } catch (error) {
        const failure = asHttpFailure(error);
        failures.push(failure);
        if (isOfTheServer(failure)) return { failures };
      }
    }
    return { failures };
  } catch (error) {
    return { error };
  }
}

function asHttpFailure(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error;
  throw error;
}

const FAULTS_OF_THE_SERVER: ReadonlySet<Fault> = new Set<Fault>([
  'dns',
  'refused',
  'unreachable',
  'certificate',
]);

/** Whether anything else that is asked of the same scheme, host and port will meet the same. */
function isOfTheServer(failure: HttpFailure): boolean {
  return (
    failure instanceof ConnectTimeout ||
    failure instanceof SilentServer ||
    FAULTS_OF_THE_SERVER.has(failure.fault)
  );
}

/** @throws HttpFailure */
async function openByMetadata(
  url: string,
  archive: Archive,
  context: ProbeContext,
  signal: AbortSignal,
): Promise<OpenedArchive> {
  const probeUrl = metadataUrl(url, metadataRangeSeconds(context));
  const answer = parseJson((await context.getBody(probeUrl, signal)).take(), probeUrl);
  if (!Array.isArray(answer))
    throw new HttpFailure('unknown-archive', probeUrl, 'answered JSON that is no list of metadata');
  if (answer.length === 0) return { url, takeAnswer: once(answer) };
  const driver = METADATA_DRIVERS.toSorted(
    (a, b) => Number(b.kind === archive.kind) - Number(a.kind === archive.kind),
  ).find((candidate) => candidate.recognises(answer));
  if (driver) return { url, takeAnswer: once(answer), driver };
  if (isMetadata(answer))
    throw new HttpFailure(
      'bad-data',
      probeUrl,
      'answered metadata with fields that are missing or of wrong types',
    );
  throw new HttpFailure('unknown-archive', probeUrl, 'answered a list that no archive driver recognises');
}

/** A time limit says more than a closed port, and any answer more than none. */
const SILENT_FAULTS: readonly Fault[] = ['dns', 'unreachable', 'refused', 'timeout'];

function eloquence(fault: Fault): number {
  const rank = SILENT_FAULTS.indexOf(fault);
  return rank === -1 ? SILENT_FAULTS.length : rank;
}

/** Elements that mean to be metadata. */
function isMetadata(answer: readonly unknown[]): boolean {
  return answer.some(
    (element) => typeof element === 'object' && element !== null && 'metadata-key' in element,
  );
}

function once(answer: unknown): () => unknown {
  let held: unknown = answer;
  return () => {
    const taken = held;
    held = undefined;
    return taken;
  };
}
