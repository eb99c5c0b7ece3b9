import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, PgBoss } from 'pg-boss';
import { messageOf } from './errors.ts';
import type { Log } from './log.ts';
import type { KnownArchive } from './spider/probe.ts';
import { HarvestProgress, progressLine } from './spider/progress.ts';
import type { Store } from './store/store.ts';

/**
 * Harvest jobs, one for each archive, in the database that all processes share: whoever is free takes the next.
 *
 * A job that is under way is kept by a sign of life every few seconds. When its spider dies, the signs end, and within
 * half a minute another one takes the job; what the first had stored by then stays, and is not stored again.
 */
export interface HarvestQueue {
  /** How far the harvest is; told in the log every few seconds. */
  readonly progress: HarvestProgress;
  /** Puts one job for each archive, to be taken in this order. One whose job is still queued or under way gets no second. */
  put(archives: readonly KnownArchive[]): Promise<void>;
  /** Resolves when no job is queued or under way. When `signal` aborts, drops what is queued, and resolves. */
  drained(signal: AbortSignal): Promise<void>;
  /** Takes jobs, `limit` at once, until the queue is closed. A handler that throws has its job tried again, twice. */
  work(limit: number, handle: (archive: KnownArchive, signal: AbortSignal) => Promise<void>): void;
  /** Aborts the handlers under way, gives their jobs back, and stops. */
  close(): Promise<void>;
}

const QUEUE = 'harvest';
/** pg-boss's own minimum is 10. */
const HEARTBEAT_SECONDS = 10;
const TOUCH_MS = 3000;
/** How often an idle spider looks for jobs, and the leader whether all are done. */
const POLL_MS = 500;
const PROGRESS_MS = 5000;

/** An archive as it crosses the database, as JSON. */
interface JobData {
  archive: Omit<KnownArchive, 'ingestedTo'> & { ingestedTo?: string };
}

/**
 * @param alone nobody else uses this database (PGlite): jobs that an earlier process left are dropped at once
 * @param jobSeconds longest time for one job
 */
export async function openHarvestQueue(
  store: Pick<Store, 'sql' | 'kind'>,
  options: { alone: boolean; jobSeconds: number; log: Log },
): Promise<HarvestQueue> {
  const boss = new PgBoss({
    db: { executeSql: (text, values) => store.sql(text, values) as Promise<{ rows: unknown[] }> },
    ...(store.kind === 'pglite' && { backend: 'pglite' as const }),
    schedule: false,
    superviseIntervalSeconds: 5,
    monitorIntervalSeconds: 5,
  });
  boss.on('error', (error) => options.log.warn({}, `the harvest queue: ${messageOf(error)}`));
  await boss.start();
  await boss.createQueue(QUEUE, {
    policy: 'exclusive',
    retryLimit: 2,
    heartbeatSeconds: HEARTBEAT_SECONDS,
    expireInSeconds: Math.ceil(options.jobSeconds),
    // A job that nobody took within an hour is of a cycle that is long over.
    retentionSeconds: 3600,
    deleteAfterSeconds: 3600,
  });
  if (options.alone) await boss.deleteAllJobs(QUEUE);

  const stopping = new AbortController();
  const progress = new HarvestProgress();
  const underWay = new Map<string, Job<JobData>>();
  /** Done, and yet to be told: many ends are told in one statement. */
  let ended: Job<JobData>[] = [];
  const workers: Promise<void>[] = [];
  // Wakes this process's own spider: on one machine nobody has to wait for a poll.
  const news = new EventTarget();

  const unfinished = async (): Promise<number> => {
    const { rows } = await store.sql(
      `select count(*)::integer as jobs from pgboss.job where name = $1 and state < 'completed'`,
      [QUEUE],
    );
    return (rows[0] as { jobs: number }).jobs;
  };
  const pause = async (): Promise<void> => {
    const nap = new AbortController();
    const until = AbortSignal.any([stopping.signal, nap.signal]);
    await Promise.race([
      sleep(POLL_MS, undefined, { signal: until }).catch(() => {}),
      once(news, 'news', { signal: until }).catch(() => {}),
    ]);
    nap.abort();
  };

  const work = async (
    limit: number,
    handle: (archive: KnownArchive, signal: AbortSignal) => Promise<void>,
  ): Promise<void> => {
    const running = new Set<Promise<void>>();
    while (!stopping.signal.aborted) {
      try {
        await tellEnds();
        const free = limit - running.size;
        const jobs = free > 0 ? await boss.fetch<JobData>(QUEUE, { batchSize: free }) : [];
        for (const job of jobs) {
          underWay.set(job.id, job);
          const done = finish(job, handle).finally(() => {
            running.delete(done);
            news.dispatchEvent(new Event('news'));
          });
          running.add(done);
        }
        if (jobs.length === 0 && ended.length === 0) await pause();
      } catch (error) {
        // A database that restarts is no reason to stop for good.
        options.log.warn({}, `the harvest queue cannot be used: ${messageOf(error)}`);
        await sleep(2000, undefined, { signal: stopping.signal }).catch(() => {});
      }
    }
    await Promise.all(running);
    await tellEnds();
  };

  const tellEnds = async (): Promise<void> => {
    if (ended.length === 0) return;
    const told = ended;
    ended = [];
    try {
      // The attempts, not the jobs: one that was given to another spider meanwhile is that one's to end.
      await boss.complete(QUEUE, told.map(attempt));
    } catch (error) {
      ended.push(...told);
      throw error;
    }
    for (const { id } of told) underWay.delete(id);
  };

  const finish = async (
    job: Job<JobData>,
    handle: (archive: KnownArchive, signal: AbortSignal) => Promise<void>,
  ): Promise<void> => {
    const { key } = job.data.archive;
    progress.began(key);
    try {
      const { ingestedTo, ...archive } = job.data.archive;
      await handle(
        { ...archive, ...(ingestedTo !== undefined && { ingestedTo: new Date(ingestedTo) }) },
        stopping.signal,
      );
      ended.push(job);
    } catch (error) {
      if (!stopping.signal.aborted) {
        options.log.warn({ archive: job.data.archive.key }, `harvest job failed: ${messageOf(error)}`);
      }
      // Where not even that can be told, the signs of life end, and the job is given to another all the same.
      await boss.fail(QUEUE, attempt(job), { message: messageOf(error) }).catch(() => {});
      underWay.delete(job.id);
    } finally {
      progress.ended(key);
    }
  };

  const teller = setInterval(() => {
    const snapshot = progress.snapshot();
    if (snapshot) options.log.info({ harvest: snapshot }, progressLine(snapshot));
  }, PROGRESS_MS);

  const heart = setInterval(() => {
    if (underWay.size === 0) return;
    boss
      .touch(QUEUE, [...underWay.values()].map(attempt))
      .catch((error: unknown) => options.log.warn({}, `no sign of life could be given: ${messageOf(error)}`));
  }, TOUCH_MS);

  return {
    progress,
    async put(archives) {
      if (archives.length === 0) return;
      await boss.insert(
        QUEUE,
        archives.map((archive, index) => ({
          data: { archive },
          singletonKey: archive.key,
          priority: archives.length - index,
        })),
      );
      progress.expect(await unfinished());
      news.dispatchEvent(new Event('news'));
    },
    async drained(signal) {
      while (!signal.aborted && !stopping.signal.aborted) {
        const left = await unfinished();
        progress.left(left);
        if (left === 0) break;
        // Own jobs end with news; others' are seen by polling.
        await pause();
      }
      progress.left(0);
      if (signal.aborted && !stopping.signal.aborted) await boss.deleteQueuedJobs(QUEUE);
    },
    work(limit, handle) {
      workers.push(
        work(limit, handle).catch((error: unknown) => {
          if (!stopping.signal.aborted) options.log.error({}, `this spider stopped: ${messageOf(error)}`);
        }),
      );
    },
    async close() {
      stopping.abort();
      await Promise.all(workers);
      clearInterval(heart);
      clearInterval(teller);
      await boss.stop({ graceful: false });
    },
  };
}

const attempt = ({ id, retryCount }: Job<JobData>) => ({ id, retryCount });
