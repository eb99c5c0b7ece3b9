import type { ArchiveKind, Metric, SeriesRead } from '../../domain.ts';
import type { Log } from '../../log.ts';

/**
 * Reads one kind of archive. A driver knows the archive's language and nothing else: which URL works, time limits,
 * order among archives and the hand-over to the store are the harvest's. See docs/archive-drivers.md.
 */
export interface ArchiveDriver {
  readonly kind: ArchiveKind;
  /**
   * Whether the answer to the probe (the first page of the metadata call, parsed) is this kind's. An empty list
   * says nothing, so no driver recognises it.
   */
  recognises(answer: readonly unknown[]): boolean;
  /**
   * Reads everything that is new and hands it out series by series.
   * @throws HttpFailure when nothing can be read any more; a series that fails alone goes to `context.seriesFailed`
   */
  read(context: ReadContext): Promise<void>;
}

export interface ReadContext {
  archiveKey: string;
  /** The base URL that answered the probe; ends in `/`. */
  url: string;
  /** What the probe got. The first call gets it, later ones an empty list, so that nobody keeps it in memory. */
  takeAnswer(): readonly unknown[];
  now: Date;
  /** By seriesKey(): up to where each series was read before. */
  checkpoints: ReadonlyMap<string, Date>;
  metrics: readonly Metric[];
  lookbackMs: number;
  overlapMs: number;
  /** Longest window of time asked for in one request. */
  windowMs: number;
  /** Requests at once that this archive takes. */
  concurrency: number;
  log: Log;
  /** GETs a URL of this archive. @throws HttpFailure, or the signal's reason when time is up */
  getJson(url: string): Promise<unknown>;
  /** Hands a read over; waits while the consumer is behind. */
  emit(read: SeriesRead): Promise<void>;
  /** Takes down how a series ended that could be read, and that one could not. */
  seriesDone(how: 'read' | 'nothing-new'): void;
  seriesFailed(failure: Error): void;
}
