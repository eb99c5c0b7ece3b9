import type { MetadataDriver } from './driver.ts';
import { type Dialect, readEsmondInterface } from './esmond-interface.ts';
import { advertisesBase } from './esmond-metadata.ts';

/**
 * esmond (perfSONAR 3.4–4.4). It takes any limit. Its `time-updated` is when data last came in, so a series whose
 * `time-updated` was seen before has nothing new and costs no request; null means that no data ever came.
 */
const dialect: Dialect = {
  pageLimit: 5000,
  maybeCutFrom: 5000,
  hasNothingNew: (timeUpdated, checkpoint) =>
    timeUpdated === null || (timeUpdated !== undefined && timeUpdated <= checkpoint),
  checkpointFrom: (timeUpdated) => timeUpdated ?? undefined,
};

export const esmond: MetadataDriver = {
  kind: 'esmond',
  recognises: (answer) => advertisesBase(answer, /\/base\/?$/),
  read: (context) => readEsmondInterface(context, dialect),
};
