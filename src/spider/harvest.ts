import { hostOf } from '../address.ts';
import {
  type ArchiveReport,
  READABLE,
  type Readable,
  type Series,
  type SeriesRead,
  type TraceRead,
} from '../domain.ts';
import { type HostRule, permittedUrls } from '../host-rules.ts';
import type { Log } from '../log.ts';
import { type Aggregate, aggregateKey } from './aggregates.ts';
import { Channel } from './channel.ts';
import { ClosedSearches } from './closed-searches.ts';
import { Deadline, OutOfTime } from './deadline.ts';
import { type Http, HttpFailure } from './http.ts';
import { forEachLimited } from './limit.ts';
import { isKnownToLive, type KnownArchive, openArchive } from './probe.ts';

export interface HarvestOptions {
  /** What the first read of a series covers, and how long a silent series is looked at again. */
  lookbackHours: number;
  /** How far before its checkpoint a series is read again, since results arrive late. */
  overlapMinutes: number;
  /** Longest window of one data request. Default: 48. */
  windowHours?: number;
  /** Archives at once. The limit of requests at once is the Http's. */
  concurrency: number;
  perHostConcurrency: number;
  /** Hosts whose scheme is ruled. Default: none. */
  hosts?: readonly HostRule[];
  /** Time for one archive, without the time in which the consumer let it wait. */
  archiveTimeoutSeconds: number;
  /** Default: all. */
  metrics?: readonly Readable[];
  /** For the credentials of the archives that aggregateArchives() made of them. */
  aggregates?: readonly Aggregate[];
}

/** `Kept`: what is made of a read as soon as it is there, and handed out in its stead. */
export interface HarvestDeps<Kept> {
  http: Http;
  /** What waits for the consumer is to be small: it is there for each archive that is read. */
  keep(read: SeriesRead): Kept;
  /** Makes one of two of the same series. */
  join(earlier: Kept, later: Kept): Kept;
  now: Date;
  /** By seriesKey(): up to where the archive's series were read before. */
  checkpoints(archiveKey: string): Promise<ReadonlyMap<string, Date>>;
  /** Where no OpenSearch is open. Kept by the caller from one harvest to the next; without, all are asked anew. */
  closedSearches?: ClosedSearches;
  log: Log;
  signal?: AbortSignal;
}

export type HarvestEvent<Kept> =
  | { type: 'reads'; archiveKey: string; reads: Kept[] }
  | { type: 'traces'; archiveKey: string; reads: TraceRead[] }
  | { type: 'report'; report: ArchiveReport };

/** Events that wait for the consumer, and samples in one: together they bound an archive's part of the memory. */
const WAITING_EVENTS = 1;
const SAMPLES_PER_EVENT = 1000;
/** Where it is slices of all series: each event has the store write a block of each of them anew. */
const SLICED_SAMPLES_PER_EVENT = 8000;
/** Runs of traces, which take more. */
const RUNS_PER_EVENT = 200;
const READS_PER_EVENT = 100;

/**
 * Reads what is new in all archives, several at once. Reads are handed out while the harvest goes on; the consumer's
 * pace sets the harvest's. Each archive ends with one report; none can stop the others. When `signal` aborts, what
 * was read is handed out, and archives that are not done are reported with the fault `timeout`.
 * @throws what `checkpoints` throws
 */
export async function* harvest<Kept>(
  archives: readonly KnownArchive[],
  options: HarvestOptions,
  deps: HarvestDeps<Kept>,
): AsyncGenerator<HarvestEvent<Kept>> {
  const closedSearches = deps.closedSearches ?? new ClosedSearches();
  const channel = new Channel<HarvestEvent<Kept>>(WAITING_EVENTS);
  const stop = new AbortController();
  const onAbort = () => stop.abort(new OutOfTime('the harvest was stopped'));
  if (deps.signal?.aborted) onAbort();
  deps.signal?.addEventListener('abort', onAbort, { once: true });
  const work = forEachLimited(archives, options.concurrency, (archive) =>
    harvestArchive(archive, options, { ...deps, closedSearches, signal: stop.signal }, channel),
  ).then(
    () => channel.end(),
    (error: unknown) => channel.end({ error }),
  );
  try {
    yield* channel;
  } finally {
    // The consumer may have left early.
    stop.abort(new OutOfTime('the harvest was stopped'));
    channel.end();
    await work;
    deps.signal?.removeEventListener('abort', onAbort);
  }
}

async function harvestArchive<Kept>(
  archive: KnownArchive,
  options: HarvestOptions,
  deps: HarvestDeps<Kept> & { closedSearches: ClosedSearches; signal: AbortSignal },
  channel: Channel<HarvestEvent<Kept>>,
): Promise<void> {
  const checkpoints = await deps.checkpoints(archive.key);
  const startedAt = performance.now();
  const deadline = new Deadline(options.archiveTimeoutSeconds, deps.signal);
  const report: ArchiveReport = {
    archiveKey: archive.key,
    ...(archive.kind && { kind: archive.kind }),
    outcome: 'ok',
    requests: 0,
    seriesRead: 0,
    samplesRead: 0,
    seconds: 0,
  };
  const outbox = new Outbox(archive.key, deps, channel, deadline);
  const failures: Error[] = [];
  const done = { read: 0, 'nothing-new': 0 };
  const hour = 3_600_000;
  const aggregate = options.aggregates?.find((each) => aggregateKey(each) === archive.key);
  const credentials = aggregate && aggregate.user !== '' ? aggregate : undefined;
  const until = (signal: AbortSignal | undefined) => {
    deadline.signal.throwIfAborted();
    report.requests += 1;
    return signal ? AbortSignal.any([deadline.signal, signal]) : deadline.signal;
  };
  const asking = (how: { isHurried: boolean }) => ({
    async getBody(url: string, signal?: AbortSignal) {
      return deps.http.getBody(url, until(signal), how);
    },
    async postForBody(url: string, body: unknown, signal?: AbortSignal) {
      return deps.http.postForBody(url, body, until(signal), { ...how, credentials });
    },
  });
  const base = {
    archiveKey: archive.key,
    now: deps.now,
    checkpoints,
    ingestedTo: archive.ingestedTo,
    metrics: options.metrics ?? READABLE,
    lookbackMs: options.lookbackHours * hour,
    overlapMs: options.overlapMinutes * 60_000,
    windowMs: (options.windowHours ?? 48) * hour,
    concurrency: options.perHostConcurrency,
    log: deps.log,
    async connectFailure(url: string, signal: AbortSignal) {
      return deps.http.connectFailure(url, AbortSignal.any([deadline.signal, signal]));
    },
    ...asking({ isHurried: false }),
    emit: (reads: Iterable<SeriesRead>) => outbox.add(reads),
    emitSlices: (reads: Iterable<SeriesRead>) => outbox.addSlices(reads),
    emitTraces: (read: TraceRead) => outbox.addTraces(read),
    seriesDone(how: keyof typeof done) {
      done[how] += 1;
    },
    seriesFailed(failure: Error) {
      failures.push(failure);
    },
    readTo(ingestedTo: Date) {
      report.ingestedTo = ingestedTo;
    },
    runsFailed(count: number) {
      report.failedRuns = (report.failedRuns ?? 0) + count;
    },
  };
  try {
    deps.http.oneMachine(archive.urls.map(hostOf));
    const urls = permittedUrls(archive.urls, options.hosts ?? []);
    const probing = { ...base, ...asking({ isHurried: !isKnownToLive(archive) }) };
    const opened = await openArchive({ ...archive, urls }, probing, deps.closedSearches);
    report.url = opened.url;
    if (opened.driver) {
      report.kind = opened.driver.kind;
      await opened.driver.read({ ...base, url: opened.url, takeAnswer: opened.takeAnswer });
    }
  } catch (error) {
    if (!(error instanceof HttpFailure) && !(error instanceof OutOfTime))
      deps.log.warn({ archive: archive.key, err: error }, 'archive could not be read');
    failures.unshift(error instanceof Error ? error : new Error(String(error)));
  }
  deadline.clear();
  await outbox.flush();
  const isPartly = done.read + done['nothing-new'] + outbox.samplesRead > 0;
  Object.assign(report, {
    seriesRead: done.read,
    samplesRead: outbox.samplesRead,
    seconds: (performance.now() - startedAt) / 1000,
    ...verdict(failures, isPartly, report.url ?? archive.urls[0] ?? archive.key),
  });
  if (report.outcome !== 'ok')
    deps.log.warn({ archive: archive.key, fault: report.fault }, report.message ?? '');
  await channel.push({ type: 'report', report });
}

function verdict(
  failures: readonly Error[],
  isPartly: boolean,
  where: string,
): Pick<ArchiveReport, 'outcome' | 'fault' | 'message'> {
  const [first] = failures;
  if (!first) return { outcome: 'ok' };
  const outcome = isPartly ? 'partial' : 'failed';
  const more = failures.length > 1 ? ` (the first of ${failures.length} failures)` : '';
  if (first instanceof HttpFailure) return { outcome, fault: first.fault, message: first.message + more };
  const fault = first instanceof OutOfTime ? 'timeout' : 'bad-data';
  return { outcome, fault, message: `${where}: ${first.message}${more}` };
}

/** Gathers reads into events of moderate size. The archive's time stands still while the consumer is behind. */
class Outbox<Kept> {
  samplesRead = 0;
  readonly #archiveKey: string;
  readonly #how: Pick<HarvestDeps<Kept>, 'keep' | 'join'>;
  readonly #channel: Channel<HarvestEvent<Kept>>;
  readonly #deadline: Deadline;
  #reads: Kept[] = [];
  #samples = 0;
  /** Of the reads that came as slices: which of #reads. */
  readonly #places = new Map<Series, number>();
  #traces: TraceRead[] = [];
  #runs = 0;

  constructor(
    archiveKey: string,
    how: Pick<HarvestDeps<Kept>, 'keep' | 'join'>,
    channel: Channel<HarvestEvent<Kept>>,
    deadline: Deadline,
  ) {
    this.#archiveKey = archiveKey;
    this.#how = how;
    this.#channel = channel;
    this.#deadline = deadline;
  }

  /** Not async: it would hold what it got while it waits. */
  add(reads: Iterable<SeriesRead>): Promise<void> {
    for (const read of reads) {
      this.#count(read);
      this.#reads.push(this.#how.keep(read));
    }
    const isFull = this.#samples >= SAMPLES_PER_EVENT || this.#reads.length >= READS_PER_EVENT;
    return isFull ? this.flush() : Promise.resolve();
  }

  /** Not async, as `add`. */
  addSlices(reads: Iterable<SeriesRead>): Promise<void> {
    const { keep, join } = this.#how;
    for (const read of reads) {
      this.#count(read);
      const place = this.#places.get(read.series);
      if (place === undefined) this.#places.set(read.series, this.#reads.push(keep(read)) - 1);
      else this.#reads[place] = join(this.#reads[place]!, keep(read));
    }
    return this.#samples >= SLICED_SAMPLES_PER_EVENT ? this.flush() : Promise.resolve();
  }

  #count({ samples }: SeriesRead): void {
    this.#samples += samples.length;
    this.samplesRead += samples.length;
  }

  addTraces(read: TraceRead): Promise<void> {
    this.#traces.push(read);
    this.#runs += read.runs.length;
    const isFull = this.#runs >= RUNS_PER_EVENT || this.#traces.length >= READS_PER_EVENT;
    return isFull ? this.flush() : Promise.resolve();
  }

  async flush(): Promise<void> {
    const archiveKey = this.#archiveKey;
    const reads = this.#reads;
    const traces = this.#traces;
    this.#reads = [];
    this.#places.clear();
    this.#samples = 0;
    this.#traces = [];
    this.#runs = 0;
    if (reads.length > 0) await this.#push({ type: 'reads', archiveKey, reads });
    if (traces.length > 0) await this.#push({ type: 'traces', archiveKey, reads: traces });
  }

  async #push(event: HarvestEvent<Kept>): Promise<void> {
    this.#deadline.pause();
    await this.#channel.push(event);
    this.#deadline.resume();
  }
}
