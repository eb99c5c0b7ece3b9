import { keyOf } from '../patience.ts';
import { isAlive } from '../proc.ts';
import type { JobNetworkRequest, Lease, ProcessId } from '../types.ts';
import { type ClassCounts, type Reading, readCounters, readJobCounters } from './counters.ts';
import { afterReading, closed, newRecord, sum, totals, type UsageRecord } from './record.ts';
import type { UsageStore } from './store.ts';

/** Where counters are read; of the kernel, unless a test says otherwise. */
export interface CounterSource {
  all(): Promise<Reading | undefined>;
  job(name: string): Promise<Reading | undefined>;
}

export function kernelCounters(classNames: readonly string[]): CounterSource {
  return { all: readCounters, job: (name) => readJobCounters(name, classNames) };
}

/**
 * Keeps the records of the jobs that run. Its steps are done one after another, so that no earlier reading overwrites a
 * later one. After a start, call `recover` before anything else.
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
   * @returns those closed
   */
  recover(isLive: (name: string) => boolean): Promise<UsageRecord[]> {
    return this.#inTurn(async () => {
      const records = await this.#store.live();
      const ended = new Map((await this.#store.history(new Date(0))).map((record) => [record.name, record]));
      const read = records.length === 0 ? undefined : await this.#read(() => this.#source.all());
      const gone: UsageRecord[] = [];
      for (const record of records) {
        const before = ended.get(record.name);
        if (!before && isLive(record.name)) {
          this.#records.set(record.name, record);
          continue;
        }
        const last = before ?? closed(read?.(record) ?? record, this.#now(), false);
        await this.#store.finish(last);
        if (!before) gone.push(last);
      }
      return gone;
    });
  }

  /**
   * Before the job's first packet.
   * @param epoch of the table that holds its counters
   */
  start(
    lease: Pick<Lease, 'name' | 'jobId' | 'createdAt'>,
    epoch: number,
    { owner, slot, starter }: Pick<JobNetworkRequest, 'owner' | 'slot'> & { starter?: ProcessId },
  ): Promise<void> {
    return this.#inTurn(() => {
      const earlier = starter && this.#earlier.get(keyOf(starter))?.moved;
      const job = { owner, ...(slot && { slot }), ...(starter && { starter }), ...(earlier && { earlier }) };
      return this.#keep(newRecord(lease, epoch, job));
    });
  }

  /** Reads all counters, and writes the records that changed. */
  checkpoint(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#records.size === 0) return;
      const read = await this.#read(() => this.#source.all());
      for (const record of this.#records.values()) {
        const next = read(record);
        if (hasNews(record, next)) await this.#keep(next);
      }
    });
  }

  /**
   * After the job's veth went down, or away, and before its elements are deleted. Undefined for a job that is not accounted, or was
   * finished before.
   */
  finish(name: string): Promise<UsageRecord | undefined> {
    return this.#inTurn(async () => {
      const record = this.#records.get(name);
      if (!record) return undefined;
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

  /** As of the last checkpoint. */
  records(): UsageRecord[] {
    return [...this.#records.values()];
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

function hasNews(before: UsageRecord, after: UsageRecord): boolean {
  const what = ({ epoch, hasGap, carried, counted }: UsageRecord) =>
    JSON.stringify([epoch, hasGap, carried, counted]);
  return what(before) !== what(after);
}
