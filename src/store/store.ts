/** The store: what cycle.ts and the API know of the database. */
import type {
  Archive,
  ArchivedTest,
  ArchiveReport,
  Breaker,
  Discovery,
  Forcing,
  HostFinding,
  JudgedRead,
  Judgement,
  PathEstimate,
  PathReview,
  PoolMachine,
  Sample,
  Site,
  SiteAssignment,
  TraceRead,
  TraceRun,
} from '../domain.ts';
import * as cycles from './cycles.ts';
import { dataClock } from './data-clock.ts';
import type { Database } from './database.ts';
import * as decisions from './decisions.ts';
import * as discovery from './discovery.ts';
import * as estimates from './estimates.ts';
import * as locate from './locate.ts';
import { migrate, readMigrations } from './migrate.ts';
import { openPglite } from './pglite.ts';
import * as poolMachines from './pool-machines.ts';
import { openPostgres } from './postgres.ts';
import * as publications from './publications.ts';
import * as retention from './retention.ts';
import * as reviews from './reviews.ts';
import * as sampleReads from './sample-reads.ts';
import * as samples from './samples.ts';
import * as series from './series.ts';
import * as siteSources from './site-sources.ts';
import * as traces from './traces.ts';
import { judgements } from './verdicts.ts';

export type { CycleRecord } from './cycles.ts';
export type { StoredForcing, StoredTransition, TransitionFilter } from './decisions.ts';
export { type LockHolder, lockHolder } from './directory-lock.ts';
export type { SeenFilter, StoredArchive, StoredExpectedTest, StoredHost } from './discovery.ts';
export { StoreError } from './error.ts';
export type { PathFilter } from './estimates.ts';
export type { StoredMachine } from './pool-machines.ts';
export type { Publication } from './publications.ts';
export type { RetentionPolicy, RetentionResult } from './retention.ts';
export type { StoredFinding } from './reviews.ts';
export type { JudgedColumns, SampleColumns, SampleCounts, SampleFilter } from './sample-reads.ts';
export type { SavedReads } from './samples.ts';
export type { StoredSeries } from './series.ts';
export type {
  SourceDocument,
  SourceOutcome,
  SourceValidators,
  StoredSource,
} from './site-sources.ts';
export type { SavedTraces, StoredRoute, StoredTraceTest, TraceRunColumns } from './traces.ts';

export type StoreLocation = { directory: string } | { databaseUrl: string };

export interface StoreOptions {
  /** For what is worth a line in the log but no error. */
  log?: (line: string) => void;
  /** Older samples are rejected, so that a wrong clock makes no partition; default 90, then what retention was given. */
  samplesDays?: number;
}

const DEFAULT_SAMPLES_DAYS = 90;

/** Every method throws StoreError, whose message is fit for people. */
export interface Store {
  readonly kind: 'pglite' | 'postgres';
  /** Where it is, for people; a password is masked. */
  describe(): string;
  close(): Promise<void>;
  /**
   * PGlite: writes into the directory's lock where this process answers, so that others can ask it instead
   * (`lockHolder`). PostgreSQL: nothing, others open the database themselves.
   */
  announceApi(url: string, token: string): Promise<void>;

  saveDiscovery(found: Discovery, at: Date): Promise<void>;
  /** Adds archives that discovery does not find, or replaces what is known of them. */
  saveArchives(archives: readonly Archive[], at: Date): Promise<void>;
  hosts(filter?: discovery.SeenFilter): Promise<discovery.StoredHost[]>;
  archives(filter?: discovery.SeenFilter): Promise<discovery.StoredArchive[]>;
  /** What templates say is tested; a reader that wants only what is still named gives `seenSince`. */
  expectedTests(filter?: discovery.SeenFilter): Promise<discovery.StoredExpectedTest[]>;
  sources(): Promise<discovery.StoredSource[]>;

  /** Up to where each series of the archive has been read, by `seriesKey`. */
  checkpoints(archiveKey: string, now: Date): Promise<Map<string, Date>>;
  /** In one transaction. */
  saveReads(reads: readonly JudgedRead[], at: Date): Promise<samples.SavedReads>;
  /** By `seriesKey`: up to where the traces of each test of the archive have been read. */
  traceCheckpoints(archiveKey: string, now: Date): Promise<Map<string, Date>>;
  /** In one transaction; as `saveReads`, of which it is apart. */
  saveTraces(reads: readonly TraceRead[], at: Date): Promise<traces.SavedTraces>;
  saveArchiveReport(report: ArchiveReport, at: Date): Promise<void>;
  /** The database's own clock, for `touchedSince`. */
  mark(): Promise<Date>;
  /** Ids of the series of which samples were added or changed since the mark, by whichever process. */
  touchedSince(mark: Date): Promise<Set<number>>;
  series(): Promise<series.StoredSeries[]>;
  /** Good ones only, ascending; a series without any is absent. */
  samples(seriesIds: readonly number[], since: Date): Promise<Map<number, sampleReads.SampleColumns>>;
  /** The same, of some of the series at a time; the columns of one map share their memory. */
  samplesInParts(
    seriesIds: readonly number[],
    since: Date,
  ): AsyncIterable<Map<number, sampleReads.SampleColumns>>;
  /** The same of all samples; `judgements` tells what the ids of their verdicts mean. */
  judgedSamplesInParts(
    seriesIds: readonly number[],
    since: Date,
  ): AsyncIterable<Map<number, sampleReads.JudgedColumns>>;
  judgements(): Promise<Map<number, Judgement>>;
  /** With their verdicts, ascending. */
  sampleRows(filter: sampleReads.SampleFilter): Promise<Sample[]>;
  sampleCounts(): Promise<sampleReads.SampleCounts>;
  traceTests(): Promise<traces.StoredTraceTest[]>;
  /** The route that each test met last, of the tests that ran since. */
  currentRoutes(since: Date): Promise<(TraceRun & { test: ArchivedTest })[]>;
  /** A text that is another once `currentRoutes` tells something else of the ends or the way. */
  currentRoutesMark(since: Date): Promise<string>;
  /** All that the tests ever met, each with when it was first and last seen. */
  routes(testIds: readonly number[]): Promise<traces.StoredRoute[]>;
  /** Which route each run met; a test without runs since is absent. */
  traceRuns(testIds: readonly number[], since: Date): Promise<Map<number, traces.TraceRunColumns>>;

  /** The full current sets. */
  saveAssignments(assignments: readonly SiteAssignment[], sites: readonly Site[], at: Date): Promise<void>;
  assignments(): Promise<SiteAssignment[]>;
  sites(): Promise<Site[]>;

  /** Where sites are described, and what of it is in force. */
  siteSources(): Promise<siteSources.StoredSource[]>;
  /** What a source says by the version in force. */
  siteSourceFacts(name: string): Promise<object | undefined>;
  saveSourceOutcome(
    source: Pick<siteSources.StoredSource, 'name' | 'definition'>,
    outcome: siteSources.SourceOutcome,
    at: Date,
    keepVersions: number,
  ): Promise<void>;
  /** Puts into force what was refused; false where there is nothing to put. */
  acceptRefusedSource(name: string, at: Date, keepVersions: number): Promise<boolean>;

  /** Those that the pool shows now; the others are forgotten when they were last seen before `forget`. */
  saveMachines(machines: readonly PoolMachine[], at: Date, forget: Date): Promise<void>;
  /** By the key of a machine. */
  saveMachineSites(assignments: readonly SiteAssignment[]): Promise<void>;
  machines(): Promise<poolMachines.StoredMachine[]>;

  saveEstimates(
    estimates: readonly PathEstimate[],
    gone: readonly { srcSite: string; dstSite: string }[],
  ): Promise<void>;
  estimates(filter?: estimates.PathFilter): Promise<PathEstimate[]>;

  saveReviews(
    reviews: readonly PathReview[],
    gone: readonly { srcSite: string; dstSite: string }[],
  ): Promise<void>;
  reviews(filter?: estimates.PathFilter): Promise<PathReview[]>;
  /** Samples that the last reviews left out, by reason. */
  excludedCounts(): Promise<{ reason: string; count: number }[]>;
  /** The full current set. */
  saveHostFindings(findings: readonly HostFinding[], at: Date): Promise<void>;
  hostFindings(): Promise<reviews.StoredFinding[]>;

  saveDecisions(changes: decisions.DecisionChanges): Promise<void>;
  breakers(): Promise<Breaker[]>;
  /** Newest first; with `afterId`, oldest first. */
  transitions(filter?: decisions.TransitionFilter): Promise<decisions.StoredTransition[]>;
  saveForcing(forcing: Forcing): Promise<number>;
  endForcings(of: Pick<Forcing, 'srcSite' | 'dstSite' | 'policy'>, at: Date): Promise<number>;
  /** Those in force at a time or later; all, the newest first, without one. */
  forcings(since?: Date): Promise<decisions.StoredForcing[]>;

  /** What stands in the collector, by the ad's name. */
  publications(): Promise<Map<string, publications.Publication>>;
  /** Takes down which ads are about to be sent. */
  beginPublications(names: readonly string[]): Promise<void>;
  /** Takes down what stands now. */
  savePublications(standing: ReadonlyMap<string, publications.Publication>): Promise<void>;

  /** Also does what PGlite needs done once per cycle: vacuum and a checkpoint. */
  saveCycle(cycle: cycles.CycleRecord): Promise<void>;
  /** Newest first. */
  cycles(limit: number): Promise<cycles.CycleRecord[]>;
  applyRetention(policy: retention.RetentionPolicy, now: Date): Promise<retention.RetentionResult>;
  /** For the queue, which keeps its jobs beside the samples, in a schema of its own. */
  sql(text: string, values?: readonly unknown[]): Promise<{ rows: unknown[] }>;
  /** One leader at a time, over all processes that share the database. */
  withLeadership<T>(work: () => Promise<T>): Promise<T | 'not-leader'>;
}

/** Opens the store, and brings its schema up to date. @throws StoreError */
export async function openStore(where: StoreLocation, options: StoreOptions = {}): Promise<Store> {
  const log = options.log ?? (() => {});
  const { database, announceApi } = await openDatabase(where, log);
  try {
    for (const name of await migrate(database, await readMigrations())) {
      log(`${database.describe()}: applied migration ${name}`);
    }
  } catch (error) {
    await database.close();
    throw error;
  }
  return storeOn(database, announceApi, options.samplesDays ?? DEFAULT_SAMPLES_DAYS);
}

async function openDatabase(
  where: StoreLocation,
  log: (line: string) => void,
): Promise<{ database: Database; announceApi: Store['announceApi'] }> {
  if ('databaseUrl' in where) {
    return { database: await openPostgres(where.databaseUrl, log), announceApi: async () => {} };
  }
  const database = await openPglite(where.directory);
  return { database, announceApi: (url, token) => database.announceApi(url, token) };
}

const DAY_MS = 86_400_000;

function storeOn(db: Database, announceApi: Store['announceApi'], initialSamplesDays: number): Store {
  let samplesDays = initialSamplesDays;
  const clockOfData = dataClock(db);
  const oldestKept = async (now: Date): Promise<Date> =>
    new Date((await clockOfData(now)).getTime() - samplesDays * DAY_MS);
  return {
    kind: db.kind,
    describe: () => db.describe(),
    close: () => db.close(),
    announceApi,

    saveDiscovery: (found, at) => discovery.saveDiscovery(db, found, at),
    saveArchives: (archives, at) => discovery.saveArchives(db, archives, at),
    hosts: (filter) => discovery.hosts(db, filter),
    archives: (filter) => discovery.archives(db, filter),
    expectedTests: (filter) => discovery.expectedTests(db, filter),
    sources: () => discovery.sources(db),

    checkpoints: (archiveKey, now) => series.checkpoints(db, archiveKey, now),
    saveReads: async (reads, at) => samples.saveReads(db, reads, at, await oldestKept(at)),
    traceCheckpoints: (archiveKey, now) => traces.traceCheckpoints(db, archiveKey, now),
    saveTraces: async (reads, at) => traces.saveTraces(db, reads, at, await oldestKept(at)),
    saveArchiveReport: (report, at) => discovery.saveArchiveReport(db, report, at),
    mark: () => series.mark(db),
    touchedSince: (mark) => series.touchedSince(db, mark),
    series: () => series.series(db),
    samples: (seriesIds, since) => sampleReads.samples(db, seriesIds, since),
    samplesInParts: (seriesIds, since) => sampleReads.samplesInParts(db, seriesIds, since),
    judgedSamplesInParts: (seriesIds, since) => sampleReads.judgedSamplesInParts(db, seriesIds, since),
    judgements: () => judgements(db),
    sampleRows: (filter) => sampleReads.sampleRows(db, filter),
    sampleCounts: () => sampleReads.sampleCounts(db),
    traceTests: () => traces.traceTests(db),
    currentRoutes: (since) => traces.currentRoutes(db, since),
    currentRoutesMark: (since) => traces.currentRoutesMark(db, since),
    routes: (testIds) => traces.routes(db, testIds),
    traceRuns: (testIds, since) => traces.traceRuns(db, testIds, since),

    saveAssignments: (assigned, known, at) => locate.saveAssignments(db, assigned, known, at),
    assignments: () => locate.assignments(db),
    sites: () => locate.sites(db),

    siteSources: () => siteSources.siteSources(db),
    siteSourceFacts: (name) => siteSources.siteSourceFacts(db, name),
    saveSourceOutcome: (source, outcome, at, keep) =>
      siteSources.saveSourceOutcome(db, source, outcome, at, keep),
    acceptRefusedSource: (name, at, keep) => siteSources.acceptRefused(db, name, at, keep),

    saveMachines: (seen, at, forget) => poolMachines.saveMachines(db, seen, at, forget),
    saveMachineSites: (found) => poolMachines.saveMachineSites(db, found),
    machines: () => poolMachines.machines(db),

    saveEstimates: (current, gone) => estimates.saveEstimates(db, current, gone),
    estimates: (filter) => estimates.estimates(db, filter),

    saveReviews: (current, gone) => reviews.saveReviews(db, current, gone),
    reviews: (filter) => reviews.reviews(db, filter),
    excludedCounts: () => reviews.excludedCounts(db),
    saveHostFindings: (found, at) => reviews.saveHostFindings(db, found, at),
    hostFindings: () => reviews.hostFindings(db),

    saveDecisions: (changes) => decisions.saveDecisions(db, changes),
    breakers: () => decisions.breakers(db),
    transitions: (filter) => decisions.transitions(db, filter),
    saveForcing: (forcing) => decisions.saveForcing(db, forcing),
    endForcings: (of, at) => decisions.endForcings(db, of, at),
    forcings: (since) => decisions.forcings(db, since),

    publications: () => publications.publications(db),
    beginPublications: (names) => publications.beginPublications(db, names),
    savePublications: (standing) => publications.savePublications(db, standing),

    async saveCycle(cycle) {
      await cycles.saveCycle(db, cycle);
      await db.maintain();
    },
    cycles: (limit) => cycles.cycles(db, limit),
    async applyRetention(policy, now) {
      samplesDays = policy.samplesDays;
      return retention.applyRetention(db, policy, await clockOfData(now));
    },
    sql: (text, values) => db.raw(text, values),
    withLeadership: (work) => db.asLeader(work),
  };
}
