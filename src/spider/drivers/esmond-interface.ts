import { HttpFailure } from '../http.ts';
import { forEachLimited } from '../limit.ts';
import type { ReadContext } from './driver.ts';
import { readData } from './esmond-data.ts';
import { type DataPlan, keyOf, listData } from './esmond-metadata.ts';

/**
 * esmond's reading interface, which elmond took over: a list of tests (metadata), each of which advertises event
 * types with the URIs of their data. A `Dialect` holds what differs.
 */
export interface Dialect {
  /** `limit` of a data request. */
  pageLimit: number;
  /** An answer with at least this many points may have been cut, so the rest is asked for. */
  maybeCutFrom: number;
  /**
   * Whether a series can have nothing that was not read up to the checkpoint. `timeUpdated` is the advertised
   * `time-updated`: null where the archive says it never got data, undefined where it says nothing.
   */
  hasNothingNew(timeUpdated: Date | null | undefined, checkpoint: Date): boolean;
  /** Failures of a test are asked for in no more than one harvest of each hour. */
  failuresOnceAnHour?: boolean;
  /** Up to where a series is known when all was read that the archive held at `timeUpdated`. */
  checkpointFrom(timeUpdated: Date | null | undefined): Date | undefined;
}

/**
 * Reads an archive of the dialect: all metadata first, then the data of each series that may have news. The series
 * that were read least far come first, so that an archive that is never done in time does not starve any.
 */
export async function readEsmondInterface(context: ReadContext, dialect: Dialect): Promise<void> {
  const readUpTo = (plan: DataPlan) => context.checkpoints.get(keyOf(plan))?.getTime() ?? 0;
  const plans = (await listData(context)).sort((a, b) => readUpTo(a) - readUpTo(b));
  let transportFailures = 0;
  await forEachLimited(plans, context.concurrency, async (plan) => {
    try {
      context.seriesDone(await readData(plan, context, dialect));
      transportFailures = 0;
    } catch (error) {
      if (!(error instanceof HttpFailure)) throw error;
      transportFailures = TRANSPORT_FAULTS.has(error.fault) ? transportFailures + 1 : 0;
      if (transportFailures >= TRANSPORT_FAILURES_TO_GIVE_UP) throw error;
      context.seriesFailed(error);
    }
  });
}

/** A host that cannot be reached three times in succession is left alone until the next cycle. */
const TRANSPORT_FAILURES_TO_GIVE_UP = 3;
const TRANSPORT_FAULTS = new Set(['dns', 'refused', 'unreachable', 'timeout', 'certificate']);
