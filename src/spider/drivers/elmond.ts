import type { MetadataDriver } from './driver.ts';
import { type Dialect, readEsmondInterface } from './esmond-interface.ts';
import { advertisesBase } from './esmond-metadata.ts';

/**
 * elmond (perfSONAR 5.0 and later): esmond's interface in front of OpenSearch.
 *
 * `limit` may be 10,000 at most and counts runs, not points: a run without a value makes the answer shorter than its
 * limit although it was cut. A series gives 1,440 points a day at most as tests are set up by default, so an answer
 * with more than 2,000 is taken for one that may have been cut.
 *
 * `time-updated` is when the latest run was put on the schedule, up to 24 h before its data: a series is only left
 * out when it is older than that. It proves nothing about the data, and event types are advertised that never have
 * any, so only samples move the checkpoint. `failures` is advertised for every test, and few archives are told to keep
 * them.
 */
const dialect: Dialect = {
  pageLimit: 10_000,
  maybeCutFrom: 2000,
  hasNothingNew: (timeUpdated, checkpoint) =>
    timeUpdated instanceof Date && timeUpdated.getTime() + DAY_MS < checkpoint.getTime(),
  checkpointFrom: () => undefined,
  failuresOnceAnHour: true,
};

const DAY_MS = 86_400_000;

export const elmond: MetadataDriver = {
  kind: 'elmond',
  recognises: (answer) => advertisesBase(answer, /\/base\/0$/),
  read: (context) => readEsmondInterface(context, dialect),
};
