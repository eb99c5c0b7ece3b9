import type { ArchiveKind, Readable, SeriesRead, TraceRead } from '../../domain.ts';
import type { Log } from '../../log.ts';
import type { Body } from '../http.ts';

/**
 * Reads one kind of archive. A driver knows the archive's language and nothing else: which URL works, time limits,
 * order among archives and the hand-over to the store are the harvest's. See docs/archive-drivers.md.
 */
export interface ArchiveDriver {
  readonly kind: ArchiveKind;
  /**
   * Reads everything that is new and hands it out series by series.
   * @throws HttpFailure when nothing can be read any more; a series that fails alone goes to `context.seriesFailed`
   */
  read(context: ReadContext): Promise<void>;
}

/** A driver of archives that answer esmond's metadata call. */
export interface MetadataDriver extends ArchiveDriver {
  /**
   * Whether the answer to the probe (the first page of the metadata call, parsed) is this kind's. An empty list
   * says nothing, so no driver recognises it.
   */
  recognises(answer: readonly unknown[]): boolean;
}

export interface ReadContext {
  archiveKey: string;
  /** The base URL that answered the probe; ends in `/`. */
  url: string;
  /** What the probe got, once: later calls get undefined, so that nobody keeps it in memory. */
  takeAnswer(): unknown;
  now: Date;
  /** By seriesKey(): up to where each series was read before. */
  checkpoints: ReadonlyMap<string, Date>;
  /** Up to where the archive was read before, by the time at which it took its data in. */
  ingestedTo: Date | undefined;
  metrics: readonly Readable[];
  lookbackMs: number;
  overlapMs: number;
  /** Longest window of time asked for in one request. */
  windowMs: number;
  /** Requests at once that this archive takes. */
  concurrency: number;
  log: Log;
  /** GETs a URL of this archive. @throws HttpFailure, or the signal's reason when time is up */
  getBody(url: string, signal?: AbortSignal): Promise<Body>;
  /** POSTs JSON to a URL of this archive, with its credentials. @throws as getBody */
  postForBody(url: string, body: unknown, signal?: AbortSignal): Promise<Body>;
  /**
   * Hands reads over, all before it returns; waits while the consumer is behind. Samples are many times as large as what is
   * kept of them: who waits should hold none, so also no function that waits and had them in a variable.
   */
  emit(reads: Iterable<SeriesRead>): Promise<void>;
  /**
   * The same where the archive gives all of its series at once, a slice of time after the other: the slices of a series, which is
   * the same object each time, are put together.
   */
  emitSlices(reads: Iterable<SeriesRead>): Promise<void>;
  /** The same for the traces of a test. */
  emitTraces(read: TraceRead): Promise<void>;
  /** Takes down how a series ended that could be read, and that one could not. */
  seriesDone(how: 'read' | 'nothing-new'): void;
  seriesFailed(failure: Error): void;
  /** Takes down up to where the archive has been read by its own clock, once all up to there was handed over. */
  readTo(ingestedTo: Date): void;
  /** Takes down runs that failed, each once. */
  runsFailed(count: number): void;
}
