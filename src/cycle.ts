import { decide } from './breaker/decide.ts';
import type { Policy } from './breaker/policy.ts';
import { releaseMemory } from './collect.ts';
import type { Htcondor } from './collector/htcondor.ts';
import { isPathName } from './collector/path-ad.ts';
import type { AdSink } from './collector/sink.ts';
import type { Config } from './config.ts';
import type { ArchiveReport, BreakerTransition, SourceReport } from './domain.ts';
import type { Log } from './log.ts';
import { freshMetrics } from './paths/estimate.ts';
import { type Phase, PhaseTimer } from './phases.ts';
import type { HarvestQueue } from './queue.ts';
import type { SiteMap } from './sites/sites-file.ts';
import { aggregateArchives } from './spider/aggregates.ts';
import { partitionDue } from './spider/backoff.ts';
import { discover } from './spider/discover.ts';
import type { Http } from './spider/http.ts';
import { answerSeconds } from './spider/pace.ts';
import { discoveryIsDue, knownBefore, LISTED_MS } from './steps/discover.ts';
import { estimatePaths } from './steps/estimate.ts';
import { knownArchive, longestFirst, newReports } from './steps/harvest.ts';
import { locateEverything } from './steps/locate.ts';
import { type Prober, probeHosts, saveProbes } from './steps/probe.ts';
import { publishAds, wantedAds } from './steps/publish.ts';
import type { SiteFactsCache } from './steps/refresh-sites.ts';
import { hasUrl, readPoolTransfers } from './steps/transfer.ts';
import type { Store } from './store/store.ts';

/** The world a cycle works in. All that is not here is pure. */
export interface CycleDeps {
  config: Config;
  store: Store;
  http: Http;
  queue: HarvestQueue;
  /** Seconds that this process's own spider has spent judging samples, so far. */
  cleanSeconds: () => number;
  /** Undefined: nothing is published. */
  sink: AdSink | undefined;
  /** Undefined: there is no pool to read or to tell. */
  htcondor: Htcondor | undefined;
  sites: SiteMap;
  siteFacts: SiteFactsCache;
  policies: readonly Policy[];
  /** Undefined: a single cycle, after which nobody would wait for a test. */
  prober: Prober | undefined;
  clock: () => Date;
  log: Log;
  /** Shutdown: the cycle ends at the next stage or request. What was stored stays. */
  signal: AbortSignal;
}

export interface CycleResult {
  startedAt: Date;
  finishedAt: Date;
  phases: Record<Phase, number>;
  counts: Record<'hosts' | 'archives' | 'series' | 'samples' | 'sites' | 'paths' | 'adsPublished', number>;
  sources: SourceReport[];
  archives: ArchiveReport[];
  unmapped: number;
  transitions: BreakerTransition[];
  /** Whatever was not as it should be, one sentence each. */
  warnings: string[];
}

/**
 * One turn of the road: discover → harvest → clean → locate → estimate → decide → publish. What one stage took of
 * memory is given back before the next takes its own.
 * A source, archive or collector that fails costs a warning, not the cycle.
 * @throws when the store fails or `signal` is aborted
 */
export async function runCycle(deps: CycleDeps): Promise<CycleResult> {
  const { config, store, http, log, clock, signal } = deps;
  const timer = new PhaseTimer();
  const startedAt = clock();
  const warnings: string[] = [];

  // discover: who measures, and where it is archived
  const sources = await timer.run('discover', async () => {
    if (!(await discoveryIsDue(store, config.discover.everyMinutes, startedAt))) return [];
    const known = await knownBefore(store, startedAt);
    const discovery = await discover(config.discover, known, { http, now: startedAt, log, signal });
    discovery.archives.push(...aggregateArchives(config.harvest.aggregates));
    await store.saveDiscovery(discovery, startedAt);
    return discovery.sources;
  });
  for (const source of sources) if (!source.ok) warnings.push(source.message ?? source.source);
  releaseMemory();
  const listedSince = new Date(startedAt.getTime() - LISTED_MS);
  const archives = (await store.archives({ seenSince: listedSince })).filter(hasUrl);

  // harvest → clean: one job for each archive; any spider takes it, judges each piece and commits it as it arrives
  const { due } = partitionDue(archives, startedAt);
  const mark = await store.mark();
  const cleanedBefore = deps.cleanSeconds();
  await timer.run('harvest', async () => {
    const deadline = AbortSignal.timeout(config.service.cycleTimeoutSeconds * 1000);
    if (deps.prober) await saveProbes(store, deps.prober.results(), startedAt);
    const unread = due.filter(({ kind, lastReport }) => kind !== 'wlcg' && !lastReport);
    const paces = await answerSeconds(unread, { ...config.http, http, signal });
    await deps.queue.put(longestFirst(due, paces).map(knownArchive));
    await deps.queue.drained(AbortSignal.any([signal, deadline]));
  });
  timer.move('harvest', 'clean', deps.cleanSeconds() - cleanedBefore);
  releaseMemory();
  const reports = newReports(due, await store.archives({ seenSince: listedSince }));
  const moved = await timer.run('harvest', () => readPoolTransfers({ ...deps, now: startedAt }));
  warnings.push(...moved.warnings);
  const touched = await store.touchedSince(mark);
  signal.throwIfAborted();
  for (const report of reports)
    if (report.outcome !== 'ok') warnings.push(report.message ?? report.archiveKey);

  // A function of its own: of all that is known of hosts and series, which is much, only this is kept after its end.
  const locateAndEstimate = async () => {
    // locate: which site each host, test endpoint and machine of the pool belongs to
    const hosts = await store.hosts({ seenSince: listedSince });
    const located = await timer.run('locate', () => locateEverything(deps, hosts, startedAt));
    const { assignments, paths, sites, siteMap, seriesCount } = located;
    warnings.push(...located.warnings);
    signal.throwIfAborted();
    releaseMemory();

    // estimate: what each directed pair of sites is like
    log.info({ paths: paths.length, series: seriesCount }, 'harvested and located; estimating paths');
    const estimates = await timer.run('estimate', () =>
      estimatePaths(store, config.estimate, { ...located, hosts }, touched, startedAt),
    );
    const unmapped = assignments.filter(({ site }) => site === undefined).length;
    const counts = { hosts: hosts.length, series: seriesCount, sites: sites.length };
    return { estimates, siteMap, unmapped, counts };
  };
  const { estimates, siteMap, unmapped, counts } = await locateAndEstimate();
  signal.throwIfAborted();
  releaseMemory();

  // decide: which paths withhold which jobs
  const decision = await timer.run('decide', async () => {
    // What nobody measured is not judged, nor counted among the paths of which the guard lets so many be open.
    const judged = estimates
      .filter(({ measured }) => measured)
      .map((path) => ({ ...path, metrics: freshMetrics(path, config.estimate, startedAt) }));
    const before = await store.breakers();
    const { guardShare: ofSite, guardPoolShare: ofPool } = config.breaker;
    const forcings = await store.forcings(startedAt);
    const made = decide(judged, deps.policies, before, { ofSite, ofPool }, startedAt, forcings);
    await store.saveDecisions(made);
    return made;
  });
  warnings.push(...decision.guarded);
  if (deps.prober && decision.probes.length > 0) {
    const hosts = probeHosts(await store.hosts({ seenSince: listedSince }), await store.assignments());
    deps.prober.start(decision.probes, hosts, http, config.breaker.probes);
  }
  signal.throwIfAborted();
  releaseMemory();

  // publish: the collector holds exactly one ad for each path, and one for each site that has machines
  const adsPublished = await timer.run('publish', async () => {
    if (!deps.sink) return 0;
    const { lifetimeSeconds } = config.publish;
    const wanted = wantedAds(estimates, decision.breakers, siteMap.entries, lifetimeSeconds);
    const failure = await publishAds(store, deps.sink, wanted, lifetimeSeconds, clock());
    if (failure) warnings.push(`publish: ${failure}`);
    return [...(await store.publications())].filter(([name, at]) => isPathName(name) && at.advertisedAt)
      .length;
  });

  const finishedAt = clock();
  const result: CycleResult = {
    startedAt,
    finishedAt,
    phases: timer.seconds,
    counts: {
      hosts: counts.hosts,
      archives: archives.length,
      series: counts.series,
      samples: (await store.sampleCounts()).total,
      sites: counts.sites,
      paths: estimates.length,
      adsPublished,
    },
    sources,
    archives: reports,
    unmapped,
    transitions: decision.transitions,
    warnings,
  };
  await store.saveCycle({
    startedAt,
    finishedAt,
    ok: true,
    phasesSeconds: result.phases,
    counts: result.counts,
    message: warnings.join('\n'),
  });
  await store.applyRetention(config.store, finishedAt);
  // Until the next one, minutes from now.
  releaseMemory();
  return result;
}
