/**
 * The few types that every stage speaks. A quantity's name carries its unit: throughput in Mb/s (10^6 bits),
 * loss as a fraction 0..1, delays in ms. Times are `Date` (UTC) in code, timestamptz in SQL, epoch seconds in ads.
 */

/**
 * What is measured. Name and unit in one: a sample's `value` is in the unit that its metric names. Rates are fractions
 * of the packets sent; docs/archive-drivers.md says what each is made of.
 */
export const METRICS = [
  'throughputMbps',
  'lossRate',
  'oneWayDelayMs',
  'rttMs',
  'retransmits',
  'delayVariationMs',
  'reorderRate',
  'duplicateRate',
] as const;
export type Metric = (typeof METRICS)[number];

/**
 * The tool of series that the pool's own jobs wrote by moving their files. Their ends are sites, not hosts, and each
 * transfer is two samples; see paths/fusion-windows.ts.
 */
export const TRANSFER_TOOL = 'htcondor-file-transfer';

/** What the samples of a series are: values of a metric; or a 1 for each run of the test that failed, all bad. */
export type SeriesMetric = Metric | 'failedRuns';

/** A perfSONAR host as merged from every record that speaks of it. Lists are sorted and hold no duplicate. */
export interface MeasurementHost {
  /** Stable over cycles: a host that shares an address, name or client-uuid with a known one keeps its key. */
  key: string;
  /** DNS names, lower case. */
  names: string[];
  /** IPv4 and IPv6 addresses in canonical text form. */
  addresses: string[];
  clientUuids: string[];
  /** Client-uuids that others have too, being made from one image: they tell nothing. Once here, they stay here. */
  clonedUuids: string[];
  /** Free text of the lookup record: a hint, never a site name. */
  siteNameHint?: string;
  city?: string;
  countryCode?: string;
  /** Degrees; absent where the record held none, or the known default of an unconfigured host. */
  latitude?: number;
  longitude?: number;
  communities: string[];
  domains: string[];
  /** `pshost-role` and `pshost-access-policy` as registered. */
  roles: string[];
  accessPolicy?: string;
  toolkitVersion?: string;
  /** Largest interface capacity registered. */
  capacityMbps?: number;
  /** Where its pScheduler is registered, `https://HOST[:PORT]/pscheduler`: names first, then IPv4, then IPv6. */
  pschedulerUrls: string[];
  /** The lookup servers and seeds that told of it. */
  sources: string[];
}

/** What is spoken to. An `opensearch` archive is an elmond one whose OpenSearch is open; `wlcg` is an aggregated index. */
export const ARCHIVE_KINDS = ['esmond', 'elmond', 'opensearch', 'wlcg'] as const;
export type ArchiveKind = (typeof ARCHIVE_KINDS)[number];

/** One measurement archive, whatever the number of URLs under which it is registered. */
export interface Archive {
  /** Stable over cycles in the same way as a host's key. */
  key: string;
  /** Base URLs that end in `/`, the preferred one (https) first. */
  urls: string[];
  /** Key of the measurement host it runs on, where that is known. */
  hostKey?: string;
  /** What an earlier probe found; absent until one has. */
  kind?: ArchiveKind;
  /** See ArchiveReport; absent until a harvest reported one. */
  ingestedTo?: Date;
  sources: string[];
}

/** One test of one pair in one archive. (archiveKey, metadataKey) identifies it. */
export interface ArchivedTest {
  archiveKey: string;
  metadataKey: string;
  /** Test endpoints as the archive reports them: an address, or a name where it gave no address. */
  source: string;
  destination: string;
  /** Names given for the endpoints when the test was configured, lower case. */
  sourceName?: string;
  destinationName?: string;
  tool: string;
  ipVersion?: 4 | 6;
}

/** One metric of one test in one archive. (archiveKey, metadataKey, metric) identifies it. */
export interface Series extends ArchivedTest {
  metric: SeriesMetric;
  /** The archive's event type and summary that the values come from, e.g. `throughput`, `histogram-owdelay/statistics/0`. */
  eventType: string;
}

/** All that is read of a test, each on its own: what fills its series, and its traces. */
export const READABLE = [...METRICS, 'failedRuns', 'trace'] as const;
export type Readable = (typeof READABLE)[number];

/** Names a series within its archive, or the traces of a test. */
export function seriesKey(series: { metadataKey: string; metric: Readable }): string {
  return `${series.metadataKey}/${series.metric}`;
}

/** Whether the series holds values of a metric. */
export function isMeasured<S extends { metric: SeriesMetric }>(series: S): series is S & { metric: Metric } {
  return series.metric !== 'failedRuns';
}

/** One reading as the archive gave it, converted to the metric's unit. `null`: the archive's value was no number. */
export interface RawSample {
  at: Date;
  value: number | null;
  /** When the archive took it in, by the archive's clock; absent where the archive does not say. Not stored. */
  ingestedAt?: Date;
  /** By how much the two ends' clocks may have been apart, in ms, as they said themselves. Not stored. */
  clockErrorMs?: number;
  /** Of a run that failed: why, in a few fixed words. Its verdict's reason. */
  failure?: string;
}

export const VERDICTS = ['good', 'suspect', 'bad'] as const;
/** good: counts. suspect: kept and counted, but estimates leave it out. bad: cannot be true, or is no measurement. */
export type Verdict = (typeof VERDICTS)[number];

export interface Sample extends RawSample {
  verdict: Verdict;
  /** Why it is not good, in a few fixed words (used as a metric label); absent for good ones. */
  reason?: string;
}

/** What one read of one series brought. Stored together or not at all. */
export interface SeriesRead<S extends RawSample = RawSample> {
  series: Series;
  samples: S[];
  /** Everything up to this time has been read; the next read starts a little before it. */
  checkpoint: Date;
}

/** A verdict, with its reason. */
export type Judgement = Pick<Sample, 'verdict' | 'reason'>;

/**
 * Judged samples as columns: sample i was measured at time i (ms since 1970), its value is NaN where the archive's was no
 * number, and judgement i is the place of its verdict in `judgements`. A sample is 18 bytes so, where an object with its
 * Date takes ten times as many; a first harvest has hundreds of thousands under way.
 */
export interface JudgedSamples {
  atMs: Float64Array;
  values: Float64Array;
  judged: Uint16Array;
  judgements: Judgement[];
}

/** A SeriesRead on its way to the store. */
export interface JudgedRead {
  series: Series;
  samples: JudgedSamples;
  checkpoint: Date;
}

/** A router, or the destination. One that kept silent has neither address nor name. */
export interface Hop {
  address?: string;
  /** As the measuring host resolved it. */
  name?: string;
  /** Number of its autonomous system. */
  asn?: number;
}

/** The way of a test's packets, hop by hop from the source. */
export interface Route {
  hops: Hop[];
  /** Whether the last hop was the destination. */
  isReached: boolean;
}

export interface TraceRun {
  at: Date;
  route: Route;
}

/** What one read of one test's traces brought. Stored together or not at all. */
export interface TraceRead {
  test: ArchivedTest;
  /** In order of time, one for each time. */
  runs: TraceRun[];
  /** As of SeriesRead. */
  checkpoint: Date;
}

/** The ways in which an archive or a lookup server can fail. Used by name in tables and metric labels. */
export const FAULTS = [
  'dns',
  'refused',
  'unreachable',
  'timeout',
  'certificate',
  'forbidden',
  'http-error',
  'not-json',
  'truncated',
  'too-large',
  'bad-data',
  'unknown-archive',
] as const;
export type Fault = (typeof FAULTS)[number];

/** How the harvest of one archive ended. */
export interface ArchiveReport {
  archiveKey: string;
  /** The URL that answered; absent where none did. */
  url?: string;
  kind?: ArchiveKind;
  /** ok: all that was asked for was read. partial: some series failed. failed: nothing could be read. */
  outcome: 'ok' | 'partial' | 'failed';
  fault?: Fault;
  /** One sentence: what was wrong, at which URL. */
  message?: string;
  requests: number;
  seriesRead: number;
  samplesRead: number;
  /** Runs met for the first time that failed, which gives no sample; absent where the archive does not tell of them. */
  failedRuns?: number;
  /**
   * Everything that the archive took in up to this time has been read, by the archive's own clock. Only archives that
   * can be asked by that time have one; where a report has none, the one before stays true.
   */
  ingestedTo?: Date;
  seconds: number;
}

/** How one source of discovery (bootstrap document, lookup server, template, seed list) answered. */
export interface SourceReport {
  source: string;
  ok: boolean;
  records: number;
  fault?: Fault;
  message?: string;
}

/** A test that a template says is run. (template, task, source, destination) identifies it. */
export interface ExpectedTest {
  /** URL of the pSConfig template or mesh configuration. */
  template: string;
  /** The task's name in the template. */
  task: string;
  /** Address in canonical form, or name in lower case. */
  source: string;
  destination: string;
  /** pScheduler's name of the test: `throughput`, `latencybg`, `rtt`, `trace`, … */
  testType: string;
  ipVersion?: 4 | 6;
  /** How often it is run; absent for tests that never end, and where the template does not say. */
  intervalSeconds?: number;
  /** It is told at which rate to send, as UDP tests are: its throughput says nothing of the path, and is not read. */
  isRateSet?: true;
  /** The configured URL from which the template was reached. */
  origin: string;
}

export interface Discovery {
  hosts: MeasurementHost[];
  archives: Archive[];
  expected: ExpectedTest[];
  sources: SourceReport[];
}

export const LOCATE_METHODS = [
  'override',
  'machine',
  'host-name',
  'prefix',
  'domain',
  'name-pattern',
  'hints',
] as const;
export type LocateMethod = (typeof LOCATE_METHODS)[number];

/**
 * Where something is. `subject` is a host key, or the endpoint text of a series that no known host claims.
 * Without `site` it is unmapped: never guessed, listed for pinning.
 */
export interface SiteAssignment {
  subject: string;
  site?: string;
  method?: LocateMethod;
  /** What decided: the name, prefix or suffix that matched; or, where nothing did, why not. */
  evidence: string;
  /** 0..1 */
  confidence: number;
}

/** A machine of the pool: it offers slots, jobs are submitted from it, or both. */
export interface PoolMachine {
  /** Its host name and addresses. */
  key: string;
  /** As its ads spell them, the host's name first: what expressions have to look it up by. */
  names: string[];
  /** In canonical form; those behind a wall too. */
  addresses: string[];
  /** What its ads say of where it stands, by attribute; slots of one machine may say different things. */
  words: Record<string, string[]>;
  /** Slots that are not cut from others. */
  slots: number;
  isAccessPoint: boolean;
}

/** A site's name in ads and map keys: see `siteName` in sites/name.ts. */
export interface Site {
  name: string;
  latitude?: number;
  longitude?: number;
  hosts: string[];
  prefixes: string[];
  domains: string[];
}

/** What a metric's quality is the product of, each 0..1; see docs/estimates.md. */
export interface QualityFactors {
  /** By the age of the newest sample. */
  freshness: number;
  /** By the number of samples. */
  evidence: number;
  /** How far host pairs, tools and IP versions tell the same. */
  agreement: number;
  /** Share of the window's samples that were fit to be used. */
  verdicts: number;
  /** By the width of the interval: how well the path's past would have told its next value. */
  predictability: number;
}

/**
 * One metric of one path, in the metric's unit: what the next transfer will see, and the interval that its value falls
 * into in four cases of five.
 */
export interface MetricEstimate {
  centre: number;
  p10: number;
  p90: number;
  /** 0 where the values were predicted. */
  sampleCount: number;
  seriesCount: number;
  /** Absent where the values were predicted. */
  lastMeasured?: Date;
  /** The forecast method that weighed most, or what a prediction was made of. */
  method?: string;
  /** Absent where the values were predicted. */
  factors?: QualityFactors;
  /** What it was fused of; absent where tests alone told. */
  sources?: EstimateSource[];
}

/** What one kind of evidence says by itself, and how much it counts (0..1). */
export interface EstimateSource {
  /** `tests`, `transfers` */
  kind: string;
  centre: number;
  sampleCount: number;
  share: number;
}

/** A path: a directed pair of sites. */
export interface PathEstimate {
  srcSite: string;
  dstSite: string;
  metrics: Partial<Record<Metric, MetricEstimate>>;
  /** 0..1 */
  quality: number;
  sampleCount: number;
  /** Absent where nothing was measured. */
  lastMeasured?: Date;
  /** False where the values were predicted, not measured. */
  measured: boolean;
  estimatedAt: Date;
}

export const BREAKER_STATES = [
  'CLOSED',
  'OPEN',
  'HALF_OPEN',
  'UNKNOWN',
  'FORCED_OPEN',
  'FORCED_CLOSED',
] as const;
export type BreakerState = (typeof BREAKER_STATES)[number];

/** Stands for "every site" in the path of a site breaker: `*>X` is about all that goes into X, `X>*` about all that leaves it. */
export const EVERY_SITE = '*';

/** What a breaker keeps from crossing its path while it is open: a job that exceeds any of these waits. */
export interface Withholding {
  /** Largest input that may still cross, in MB. */
  maxInputMB?: number;
  /** Largest output that may still cross; for policies that watch the way back. */
  maxOutputMB?: number;
  /** Longest predicted transfer: the input and what already waits or moves, over the path's throughput. */
  maxTransferSeconds?: number;
  /** How many jobs with input may use the path at once. */
  maxJobs?: number;
}

/** A person's word over a breaker, for a time. */
export interface Forcing {
  srcSite: string;
  dstSite: string;
  /** Undefined: all policies of the path. */
  policy?: string;
  state: 'FORCED_OPEN' | 'FORCED_CLOSED';
  owner: string;
  reason: string;
  at: Date;
  until: Date;
}

/** The breaker of one path, or of one site (see EVERY_SITE), under one policy. */
export interface Breaker {
  srcSite: string;
  dstSite: string;
  policy: string;
  state: BreakerState;
  /** One sentence with the numbers behind the state. */
  reason: string;
  since: Date;
  /** Since when the trip (or, while open, the reset) condition has held without a break. */
  conditionSince?: Date;
  /** Openings that count for the back-off, and when the last of them ended: from then on they fade. */
  openings?: number;
  leftOpenAt?: Date;
  /** While open: not half-open before this; and since when the trip condition was not seen again. */
  retryAt?: Date;
  notTrippedSince?: Date;
  /** While half-open: measurements in a row that were good, and the time of the newest that was counted. */
  goodResults?: number;
  countedTo?: Date;
  /** While half-open: the share of the jobs whose turn it is, as tickets from..to (0..100, to excluded). */
  tickets?: { from: number; to: number };
  /** Absent when nothing is withheld. */
  withholds?: Withholding;
  /** While open: the site breaker (`*>X`, `X>*`) that this one is a part of. */
  partOf?: string;
}

/** What all breakers of one path come to: the strictest decides, and all are told. */
export interface PathVerdict {
  state: BreakerState;
  /** The policy that decides. */
  policy: string;
  reason: string;
  since: Date;
  /** Of every policy that withholds something now, the strictest limit. Absent when nothing is withheld. */
  withholds?: Withholding;
  /** See Breaker.tickets; absent where no job is let through by its ticket. */
  tickets?: { from: number; to: number };
  /** While breakers are open: when the last of them is tried again at the earliest. */
  retryAt?: Date;
  /** Every policy's state. */
  all: { policy: string; state: BreakerState }[];
}

/** A change of a breaker's state, with what caused it. */
export interface BreakerTransition {
  srcSite: string;
  dstSite: string;
  policy: string;
  at: Date;
  from: BreakerState;
  to: BreakerState;
  reason: string;
  /** See Breaker.partOf. */
  partOf?: string;
}

/** `<src>><dst>`: the Name of a path's ad and its key in user maps. */
export function pathName(path: { srcSite: string; dstSite: string }): string {
  return `${path.srcSite}>${path.dstSite}`;
}

/** What is remembered of a directed pair of hosts, to judge hosts by all their pairs. Times in ms since 1970. */
export interface PairSummary {
  /** `<source host>><destination host>` */
  pair: string;
  newestMs: number;
  /** How often its busiest test brings a sample; absent where too few did. */
  intervalMs?: number;
  /** For each family (0: not told), the lowest one-way delay of late, as the two clocks say it: it may be below zero. */
  delays?: { family: 0 | 4 | 6; floorMs: number; newestMs: number }[];
  rttFloorMs?: number;
  /** Loss samples of late, and those of them that lost every packet. */
  loss?: { samples: number; allLost: number; newestMs: number };
}

/** What was left out of a path's last estimate, though each sample by itself was good. */
export interface PathReview {
  srcSite: string;
  dstSite: string;
  /** Samples by reason, in a few fixed words (used as a metric label). */
  excluded: Record<string, number>;
  pairs: PairSummary[];
  reviewedAt: Date;
}

export const FINDING_KINDS = ['clock-off', 'firewall', 'stopped'] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

/** What all paths of a host say together of the host itself. */
export interface HostFinding {
  /** A host's key, or the text of a test's end that no known host claims. */
  host: string;
  kind: FindingKind;
  /** One sentence with the numbers behind it. */
  evidence: string;
  /** What its operator can do. */
  advice: string;
  /** `clock-off`: how far its clock is ahead, in ms. */
  offsetMs?: number;
  /** `firewall`: which packets are lost, those to the host or those from it. */
  direction?: 'in' | 'out';
}
