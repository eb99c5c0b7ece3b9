import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import cron, { type ScheduledTask } from 'node-cron';
import { createMetrics } from './api/metrics.ts';
import { createApi, type Health } from './api/server.ts';
import { loadPolicies, type Policy } from './breaker/policy.ts';
import { readUserFile } from './checked-yaml.ts';
import { watchGarbage } from './collect.ts';
import { createHtcondor, type Htcondor } from './collector/htcondor.ts';
import { type AdSink, collectorSink, directorySink } from './collector/sink.ts';
import type { Config } from './config.ts';
import { type CycleResult, runCycle } from './cycle.ts';
import { messageOf, UserError } from './errors.ts';
import type { Log } from './log.ts';
import { type HarvestQueue, openHarvestQueue } from './queue.ts';
import { parseSites, type SiteMap } from './sites/sites-file.ts';
import { ClosedSearches } from './spider/closed-searches.ts';
import { createHttp, type Http } from './spider/http.ts';
import { harvestArchive, type SpiderDeps } from './steps/harvest.ts';
import { createProber } from './steps/probe.ts';
import { SiteFactsCache } from './steps/refresh-sites.ts';
import { savingTogether } from './steps/save-together.ts';
import { openStore, type Store } from './store/store.ts';

/** All that is read from the configuration and its files; made anew at a reload. */
interface Setting {
  config: Config;
  sites: SiteMap;
  policies: Policy[];
  sink: AdSink | undefined;
  htcondor: Htcondor | undefined;
  http: Http;
}

export interface Service {
  readonly store: Store;
  /** Runs one cycle now; waits for one that is under way and then runs its own. @throws what the cycle throws */
  cycle(): Promise<CycleResult>;
  /** Names of the path ads that really stand where they were sent. @throws when that cannot be asked */
  standing(): Promise<string[]>;
  /** Starts the HTTP API; returns its URL. */
  listen(): Promise<string>;
  /** Runs cycles on the configured schedule; the first one at once. */
  schedule(): void;
  /** Takes a new configuration for the next cycle. @throws UserError, and then goes on with the old one */
  reload(config: Config): void;
  /** Ends within seconds: a cycle under way stops at its next step; what was stored stays. */
  close(): Promise<void>;
}

/** In a large harvest 70 MB are in use, with buffers. Each 10 MB less would cost a twentieth of its time. */
const MOST_GARBAGE_BYTES = 40e6;
/** How often a service that does not lead looks whether it should. */
const WATCH_MS = 5000;
/** How far the clocks of machines that share a database may lie apart. */
const SKEW_MS = 10_000;

/** Another process is running a cycle. */
class NotLeader extends UserError {}

/** @throws UserError for a configuration, sites or policy file that is wrong, or a store that cannot be opened */
export async function startService(
  config: Config,
  deps: { log: Log; clock: () => Date; version: string; onCycle?: (result: CycleResult) => void },
): Promise<Service> {
  const { log, clock } = deps;
  watchGarbage(MOST_GARBAGE_BYTES);
  let setting = prepare(config);
  const store = await openStore(storePlace(config), {
    log: (line) => log.info({}, line),
    samplesDays: config.store.samplesDays,
  });
  const queue = await openQueue(store, config, log);
  const closedSearches = new ClosedSearches();
  const siteFacts = new SiteFactsCache();
  let cleanSeconds = 0;
  const cleaned = (seconds: number): void => {
    cleanSeconds += seconds;
  };
  const openLines = savingInto(store, queue);
  queue.work(archivesAtOnce(config), (archive, signal) =>
    harvestArchive({ ...setting, store, closedSearches, clock, log, cleaned, openLines }, archive, signal),
  );
  const metrics = createMetrics(() => queue.progress.snapshot());
  const shutdown = new AbortController();
  const prober = createProber({ clock, log, signal: shutdown.signal });
  const startedAt = clock();
  let lastGood = (await store.cycles(100)).find(({ ok }) => ok)?.finishedAt;
  let running: Promise<unknown> = Promise.resolve();
  let task: ScheduledTask | undefined;
  let watch: NodeJS.Timeout | undefined;
  let busy = false;

  /** A failed cycle leaves a record too, where the store still can. */
  const recordFailure = async (cycleStartedAt: Date, error: unknown): Promise<void> => {
    try {
      await store.saveCycle({
        startedAt: cycleStartedAt,
        finishedAt: clock(),
        ok: false,
        phasesSeconds: {},
        counts: {},
        message: messageOf(error),
      });
    } catch (second) {
      log.warn({}, `the failed cycle could not be recorded: ${messageOf(second)}`);
    }
  };

  const runOne = async (): Promise<CycleResult> => {
    busy = true;
    const cycleStartedAt = clock();
    try {
      const result = await store.withLeadership(() =>
        runCycle({
          ...setting,
          store,
          queue,
          siteFacts,
          // Who runs a single cycle does not stay for the end of a test.
          prober: task && prober,
          clock,
          log,
          signal: shutdown.signal,
          cleanSeconds: () => cleanSeconds,
        }),
      );
      if (result === 'not-leader') {
        throw new NotLeader('another Lark service on the same database is running a cycle');
      }
      lastGood = result.finishedAt;
      metrics.cycleDone(result);
      for (const warning of result.warnings) log.warn({}, warning);
      log.info({ counts: result.counts, phases: result.phases }, 'cycle done');
      deps.onCycle?.(result);
      return result;
    } catch (error) {
      if (!shutdown.signal.aborted && !(error instanceof NotLeader)) {
        metrics.cycleFailed();
        await recordFailure(cycleStartedAt, error);
      }
      throw error;
    } finally {
      busy = false;
    }
  };
  const cycle = (): Promise<CycleResult> => {
    const mine = running.then(runOne);
    running = mine.catch(() => {});
    return mine;
  };
  /** When the last turn of the schedule came; undefined once a cycle of any process has begun since. */
  let due: Date | undefined;
  const tick = async (): Promise<void> => {
    // Turns do not pile up: of those that come while a cycle runs, at most one is taken afterwards.
    if (!due || busy || shutdown.signal.aborted) return;
    try {
      const latest = store.kind === 'postgres' ? await store.cycles(1) : [];
      if (latest[0] && latest[0].startedAt.getTime() >= due.getTime() - SKEW_MS) {
        if (latest[0].ok) lastGood = latest[0].finishedAt;
      } else {
        await cycle();
      }
      due = undefined;
    } catch (error) {
      if (error instanceof NotLeader) return log.debug({}, error.message);
      due = undefined;
      if (!shutdown.signal.aborted) log.error({}, `cycle failed: ${messageOf(error)}`);
    }
  };
  const turn = (): Promise<void> => {
    due = clock();
    return tick();
  };

  const health = (): Health => {
    const limitMinutes = setting.config.api.healthyMinutes;
    const since = lastGood ?? startedAt;
    const ageMinutes = (clock().getTime() - since.getTime()) / 60_000;
    const healthy = ageMinutes <= limitMinutes;
    const what = lastGood ? 'the last good cycle ended' : 'no cycle has ended well since the start';
    return {
      healthy,
      message: `${what} ${ageMinutes.toFixed(1)} minutes ago; ${limitMinutes} are allowed`,
      lastGoodCycle: lastGood?.toISOString() ?? null,
    };
  };

  const token = randomBytes(24).toString('hex');
  const api = await createApi({
    store,
    token,
    signal: shutdown.signal,
    // On a schedule, the next turn comes at once; a cycle under way has read what was said before.
    onForced: () => {
      if (task) void running.then(turn);
    },
    metrics,
    clock,
    health,
    version: deps.version,
    lifetimeSeconds: () => setting.config.publish.lifetimeSeconds,
    estimate: () => setting.config.estimate,
    breaker: () => setting.config.breaker,
    htcondor: () => setting.htcondor,
    policies: () => setting.policies,
    sites: () => ({ config: setting.config.sites, map: setting.sites }),
  });

  return {
    store,
    cycle,
    standing: async () => (await setting.sink?.standing()) ?? [],
    async listen() {
      const { host, port } = setting.config.api;
      try {
        await api.listen({ host, port });
      } catch (error) {
        throw new UserError(
          `the API cannot listen on ${host}:${port} (api.host, api.port): ${messageOf(error)}`,
        );
      }
      const { address, port: taken, family } = api.server.address() as AddressInfo;
      const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`;
      await store.announceApi(url, token);
      return url;
    },
    schedule() {
      task = cron.schedule(setting.config.service.schedule, turn);
      void turn();
      // Where several services share a database, one leads. The others look whether the turn was taken: should the
      // leader die in the middle of a cycle, its lock is free at once, and the turn is still due.
      if (store.kind === 'postgres') watch = setInterval(tick, WATCH_MS);
    },
    reload(next) {
      const prepared = prepare(next);
      if (JSON.stringify(storePlace(next)) !== JSON.stringify(storePlace(setting.config))) {
        log.warn({}, 'the store cannot be changed by a reload; restart for that');
      }
      const old = setting;
      setting = prepared;
      // A cycle under way still uses the old connections.
      void running.finally(() => old.http.close());
      if (task && next.service.schedule !== old.config.service.schedule) {
        void task.destroy();
        task = cron.schedule(next.service.schedule, turn);
      }
    },
    async close() {
      shutdown.abort();
      clearInterval(watch);
      await task?.destroy();
      await api.close();
      await queue.close();
      await running;
      await prober.close();
      setting.http.close();
      await store.close();
    },
  };
}

export interface Spider {
  /** Gives the jobs under way back to the others and ends. */
  close(): Promise<void>;
}

/**
 * A process that only harvests: it takes jobs that the leader put into the database, and knows nothing of sites,
 * breakers or HTCondor.
 * @throws UserError on an embedded database, which other processes cannot share
 */
export async function startSpider(config: Config, deps: { log: Log; clock: () => Date }): Promise<Spider> {
  const { log, clock } = deps;
  watchGarbage(MOST_GARBAGE_BYTES);
  const place = storePlace(config);
  if (!('databaseUrl' in place)) {
    throw new UserError(
      'lark spider shares the harvest of a service through PostgreSQL: set store.databaseUrl (or DATABASE_URL). On the embedded database "lark serve" harvests by itself.',
    );
  }
  const store = await openStore(place, {
    log: (line) => log.info({}, line),
    samplesDays: config.store.samplesDays,
  });
  const http = createHttp(config.http);
  const closedSearches = new ClosedSearches();
  const queue = await openQueue(store, config, log);
  const spiderDeps = {
    store,
    http,
    config,
    closedSearches,
    clock,
    log,
    cleaned: () => {},
    openLines: savingInto(store, queue),
  };
  queue.work(archivesAtOnce(config), (archive, signal) => harvestArchive(spiderDeps, archive, signal));
  return {
    async close() {
      await queue.close();
      http.close();
      await store.close();
    },
  };
}

/**
 * Half as many more archives as it takes for all requests allowed at once to be in use: some wait for one answer or for the
 * store. Each holds a part of what it read in memory.
 */
function archivesAtOnce({ http: { concurrency, perHostConcurrency } }: Config): number {
  return Math.ceil((1.5 * concurrency) / Math.min(perHostConcurrency, concurrency));
}

/** Pieces of all archives that are read at once are stored together. */
function savingInto(store: Store, { progress }: HarvestQueue): SpiderDeps['openLines'] {
  const openReads = savingTogether(
    store.saveReads,
    ({ samples }) => samples.atMs.length,
    (samples) => progress.read(samples),
  );
  const openTraces = savingTogether(store.saveTraces, ({ runs }) => runs.length);
  return () => ({ reads: openReads(), traces: openTraces() });
}

/** Harvest jobs of all processes on the same database; an embedded one has only this process. */
function openQueue(store: Store, config: Config, log: Log): Promise<HarvestQueue> {
  return openHarvestQueue(store, {
    alone: store.kind === 'pglite',
    jobSeconds: config.harvest.archiveTimeoutSeconds + 30,
    log,
  });
}

export function storePlace(config: Config): { directory: string } | { databaseUrl: string } {
  const { databaseUrl, directory } = config.store;
  return databaseUrl ? { databaseUrl } : { directory };
}

/** Reads and checks every file that the configuration names. */
function prepare(config: Config): Setting {
  if (!cron.validate(config.service.schedule)) {
    throw new UserError(
      `service.schedule: "${config.service.schedule}" is not in cron form, such as "*/5 * * * *"`,
    );
  }
  return {
    config,
    sites: parseSites(readUserFile(config.sites.file, 'the sites file'), config.sites.file),
    policies: loadPolicies(config.breaker.policies),
    ...poolOf(config),
    http: createHttp(config.http),
  };
}

/** Where ads go; and the pool, where they go to one. */
function poolOf({ publish, htcondor }: Config): Pick<Setting, 'sink' | 'htcondor'> {
  if (!publish.enabled) return { sink: undefined, htcondor: undefined };
  if (publish.directory) return { sink: directorySink(publish.directory), htcondor: undefined };
  const commands = createHtcondor(htcondor);
  return { sink: collectorSink(commands), htcondor: commands };
}
