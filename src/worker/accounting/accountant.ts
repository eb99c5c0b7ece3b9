import { keyOf } from '../patience.ts';
import { isAlive } from '../proc.ts';
import type { JobNetwork, JobNetworkRequest, Lease, ProcessId } from '../types.ts';
import { type ClassCounts, type Reading, readCounters, readJobCounters } from './counters.ts';
import { afterReading, closed, type JobOf, newRecord, sum, totals, type UsageRecord } from './record.ts';
import type { UsageStore } from './store.ts';

/** That of no table. */
const NO_EPOCH = 0;

/** Where counters are read; of the kernel, unless a test says otherwise. */
export interface CounterSource {
  all(): Promise<Reading | undefined>;
  job(name: string): Promise<Reading | undefined>;
}

export function kernelCounters(classNames: readonly string[]): CounterSource {
  return { all: readCounters, job: (name) => readJobCounters(name, classNames) };
}

export interface Recovered {
  /** Records of jobs that nobody saw end. */
  closed: UsageRecord[];
  /** Files that hold nothing that can be understood. */
  unreadable: string[];
}

/**
 * Keeps the records of the jobs that run. Its steps are done one after another, so that no earlier reading overwrites a
 * later one. After a start, call `recover` before anything else. Another process may begin and finish jobs beside it: what
 * is on disk decides.
 */
export class Accountant {
  readonly #store: UsageStore;
  readonly #source: CounterSource;
  readonly #now: () => Date;
  readonly #records = new Map<string, UsageRecord>();
  /** What jobs that may come again moved in their networks so far, by starter. */
  readonly #earlier = new Map<string, { starter: ProcessId; moved: ClassCounts }>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(store: UsageStore, source: CounterSource, now: () => Date = () => new Date()) {
    this.#store = store;
    this.#source = source;
    this.#now = now;
  }

  /**
   * Takes up the records of an agent that died. Jobs that still run go on counting; the others are closed with what the
   * kernel still knows, and with a gap, as nobody saw their end.
   * @param standing jobs that have to have a record: where it is lost, one begins with what the kernel counted, and a gap
   */
  recover(
    isLive: (name: string) => boolean,
    standing: readonly Pick<JobNetwork, 'lease' | 'request'>[] = [],
  ): Promise<Recovered> {
    return this.#inTurn(async () => {
      const unreadable = await this.#store.mend(isLive);
      const records = await this.#store.live();
      if (records.length + standing.length === 0) return { closed: [], unreadable };
      const begun = [
        ...records.map(({ startedAt }) => startedAt),
        ...standing.map((job) => job.lease.createdAt),
      ];
      const since = new Date(Math.min(...begun.map(Number)));
      const ended = new Map((await this.#store.history(since)).map((record) => [record.name, record]));
      const read = await this.#read(() => this.#source.all());
      const gone: UsageRecord[] = [];
      for (const record of records) {
        const before = ended.get(record.name);
        if (!before && isLive(record.name)) {
          this.#records.set(record.name, record);
          continue;
        }
        const last = before ?? closed(read(record), this.#now(), false);
        await this.#store.finish(last);
        if (!before) gone.push(last);
      }
      for (const { lease, request } of standing) {
        if (this.#records.has(lease.name) || ended.has(lease.name)) continue;
        const lost = newRecord(lease, NO_EPOCH, jobOf(request));
        await this.#keep(read(lost));
      }
      return { closed: gone, unreadable };
    });
  }

  /**
   * Before the job's first packet.
   * @param epoch of the table that holds its counters
   */
  start(lease: Pick<Lease, 'name' | 'jobId' | 'createdAt'>, epoch: number, job: Wanted): Promise<void> {
    return this.#inTurn(() => {
      const earlier = job.starter && this.#earlier.get(keyOf(job.starter))?.moved;
      return this.#keep(newRecord(lease, epoch, { ...jobOf(job), ...(earlier && { earlier }) }));
    });
  }

  /** Reads all counters, and writes the records that changed. */
  checkpoint(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#records.size === 0) return;
      const read = await this.#read(() => this.#source.all());
      const onDisk = await this.#store.names();
      for (const record of this.#records.values()) {
        if (!onDisk.has(record.name) && (await this.#store.hasEnded(record))) {
          this.#records.delete(record.name);
          continue;
        }
        const next = read(record);
        // It was begun, and its counters are still to come: nothing was counted, so nothing is lost.
        const isToCome = record.seq === 0 && next.epoch === undefined;
        if (!isToCome && hasNews(record, next)) await this.#keep(next);
      }
    });
  }

  /**
   * After the job's veth went down, or away, and before its elements are deleted. Undefined for a job that is not
   * accounted, or was finished before.
   */
  finish(name: string): Promise<UsageRecord | undefined> {
    return this.#inTurn(async () => {
      const record = await this.#present(name);
      if (!record) {
        this.#records.delete(name);
        return undefined;
      }
      const read = await this.#read(() => this.#source.job(name));
      const end = closed(read(record), this.#now(), true);
      await this.#store.finish(end);
      this.#records.delete(name);
      this.#rememberEnd(end);
      return end;
    });
  }

  /** For the next network of the same job; until its starter has ended. */
  #rememberEnd(record: UsageRecord): void {
    for (const [key, { starter }] of this.#earlier) if (!isAlive(starter)) this.#earlier.delete(key);
    const { starter, earlier = {} } = record;
    if (!starter || !isAlive(starter)) return;
    this.#earlier.set(keyOf(starter), { starter, moved: sum(earlier, totals(record)) });
  }

  /** For a job that never had its network: there is nothing to tell of it. */
  discard(name: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#store.discard(name);
      this.#records.delete(name);
    });
  }

  /** As of the last checkpoint. */
  records(): UsageRecord[] {
    return [...this.#records.values()];
  }

  /** The newer of what is here and what is on disk; undefined where another process finished it. */
  async #present(name: string): Promise<UsageRecord | undefined> {
    const known = this.#records.get(name);
    const onDisk = await this.#store.find(name);
    if (onDisk) return known && known.seq >= onDisk.seq ? known : onDisk;
    return known && (await this.#store.hasEnded(known)) ? undefined : known;
  }

  async #keep(record: UsageRecord): Promise<void> {
    await this.#store.save(record);
    this.#records.set(record.name, record);
  }

  /** What a reading makes of a record. */
  async #read(source: () => Promise<Reading | undefined>): Promise<(record: UsageRecord) => UsageRecord> {
    const askedAt = this.#now();
    const reading = await source();
    const readMs = Math.max(0, this.#now().getTime() - askedAt.getTime());
    return (record) => afterReading(record, reading, askedAt, readMs);
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#last.then(step, step);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

type Wanted = Pick<JobNetworkRequest, 'owner' | 'slot'> & { starter?: ProcessId };

const jobOf = ({ owner, slot, starter }: Wanted): JobOf => ({
  owner,
  ...(slot && { slot }),
  ...(starter && { starter }),
});

function hasNews(before: UsageRecord, after: UsageRecord): boolean {
  const what = ({ epoch, hasGap, carried, counted }: UsageRecord) =>
    JSON.stringify([epoch, hasGap, carried, counted]);
  return what(before) !== what(after);
}
