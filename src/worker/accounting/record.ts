import type { Lease, ProcessId } from '../types.ts';
import type { ClassCount, ClassCounts, Count, Reading } from './counters.ts';

/**
 * What is kept of one job: totals of counters that are gone, and the last reading of those that stand. A reading
 * replaces the one before it, so that reading twice adds nothing.
 */
export interface UsageRecord {
  name: string;
  jobId: string;
  owner: string;
  /** As the startd names it, e.g. `slot1_3`; absent where the job is none of HTCondor's. */
  slot?: string;
  /** Who stood for the job; absent in records of before there was this. */
  starter?: ProcessId;
  /**
   * What the job moved in earlier networks below the same starter, as one that checkpoints itself has: they have records
   * of their own, and are in no total of this one.
   */
  earlier?: ClassCounts;
  /** Grows with every change of the record; of two versions the higher one counts. */
  seq: number;
  /** Of `counted`; absent while the counters are lost. */
  epoch?: number;
  /** Of earlier epochs. */
  carried: ClassCounts;
  /** Of the present one. */
  counted: ClassCounts;
  /**
   * Whether bytes may be missing: counters were lost between two readings, e.g. by `nft flush ruleset`, or the machine
   * stopped before the last one.
   */
  hasGap: boolean;
  startedAt: Date;
  /** When the newest reading was asked for. */
  updatedAt: Date;
  /** What it took: each counter is as of some time from `updatedAt` to so much later. Absent before the first one. */
  readMs?: number;
  /** Absent while the job runs. */
  endedAt?: Date;
}

/** What a record holds of the job itself. */
export type JobOf = Pick<UsageRecord, 'owner' | 'slot' | 'starter' | 'earlier'>;

/**
 * @param epoch of the table to which the job's counters were added
 */
export function newRecord(
  lease: Pick<Lease, 'name' | 'jobId' | 'createdAt'>,
  epoch: number,
  job: JobOf,
): UsageRecord {
  return {
    name: lease.name,
    jobId: lease.jobId,
    ...job,
    seq: 0,
    epoch,
    carried: {},
    counted: {},
    hasGap: false,
    startedAt: lease.createdAt,
    updatedAt: lease.createdAt,
  };
}

/**
 * The record after a reading. Where the counters are others than before, or went backwards, what was counted is carried
 * and a gap is marked: nobody knows what passed in between.
 * @param reading undefined where the table is gone
 * @param askedAt when the reading began
 * @param readMs what it took
 */
export function afterReading(
  record: UsageRecord,
  reading: Reading | undefined,
  askedAt: Date,
  readMs = 0,
): UsageRecord {
  if (record.endedAt !== undefined) return record;
  const next = { ...record, seq: record.seq + 1, updatedAt: askedAt, readMs };
  const counts = reading?.jobs.get(record.name);
  if (!reading || !counts) {
    return { ...withoutEpoch(next), carried: totals(record), counted: {}, hasGap: true };
  }
  if (record.epoch === reading.epoch && !wentBack(record.counted, counts))
    return { ...next, counted: counts };
  return {
    ...next,
    epoch: reading.epoch,
    carried: totals(record),
    counted: counts,
    hasGap: true,
  };
}

/**
 * The last version of a record.
 * @param isComplete whether nothing can have come after the last reading
 */
export function closed(record: UsageRecord, now: Date, isComplete: boolean): UsageRecord {
  if (record.endedAt !== undefined) return record;
  return {
    ...record,
    seq: record.seq + 1,
    updatedAt: now,
    endedAt: now,
    hasGap: record.hasGap || !isComplete,
  };
}

/** By class, of all epochs. */
export function totals(record: UsageRecord): ClassCounts {
  return sum(record.carried, record.counted);
}

export function sum(a: ClassCounts, b: ClassCounts): ClassCounts {
  const result: ClassCounts = {};
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    result[name] = addClasses(a[name], b[name]);
  }
  return result;
}

export function addClasses(a: ClassCount | undefined, b: ClassCount | undefined): ClassCount {
  return { in: add(a?.in, b?.in), out: add(a?.out, b?.out) };
}

function add(a: Count | undefined, b: Count | undefined): Count {
  return {
    bytes: (a?.bytes ?? 0) + (b?.bytes ?? 0),
    packets: (a?.packets ?? 0) + (b?.packets ?? 0),
  };
}

/** A class that is gone went back too. */
function wentBack(before: ClassCounts, after: ClassCounts): boolean {
  return Object.entries(before).some(([name, old]) => {
    const now = after[name];
    const isLess = (direction: 'in' | 'out') =>
      (now?.[direction].packets ?? 0) < old[direction].packets ||
      (now?.[direction].bytes ?? 0) < old[direction].bytes;
    return isLess('in') || isLess('out');
  });
}

function withoutEpoch({ epoch: _, ...rest }: UsageRecord): UsageRecord {
  return rest;
}
