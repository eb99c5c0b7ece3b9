import type { PairSummary } from '../../domain.ts';
import type { PathInput, SeriesSamples } from '../estimate.ts';

/**
 * Why a good sample does not count after all. What a sample is by itself is judged once, when it is read, and stored
 * (spider/clean.ts). What it is among the others changes with the others: late samples come, a partner's clock is
 * found out. So that is looked at anew whenever a path is estimated, and never stored with the sample.
 *
 * All of these are of the verdict `suspect`.
 *
 * | reason         | holds when                                                                                       |
 * | -------------- | ------------------------------------------------------------------------------------------------ |
 * | `duplicate`    | the same run is there from another archive                                                       |
 * | `stale`        | its series has fallen silent, and another one still measures the same metric of the path         |
 * | `clock-offset` | a one-way delay between hosts whose clocks are apart, by an amount that cannot be taken off it   |
 * | `blocked`      | all packets lost, while other tests of the pair pass, or all that is sent to this host is lost   |
 * | `host-down`    | all packets lost, while a host of the pair was down, or other hosts' packets passed on this path |
 * | `outlier`      | it stands alone among its neighbours                                                             |
 */
export const REVIEW_REASONS = [
  'duplicate',
  'stale',
  'clock-offset',
  'blocked',
  'host-down',
  'outlier',
] as const;
export type ReviewReason = (typeof REVIEW_REASONS)[number];
export type ReasonCounts = Partial<Record<ReviewReason, number>>;

export interface Columns {
  atMs: Float64Array;
  values: Float64Array;
}

/** A series as it is stored. */
export interface ReviewSeries extends SeriesSamples {
  /** One-way delays that cannot be true (`negative-delay`, `clock-error`), ascending: they show how far clocks are apart. */
  impossible?: Columns;
}

export interface ReviewInput {
  srcSite: string;
  dstSite: string;
  series: ReviewSeries[];
}

/** A series of which the review had something to say. */
export interface SeriesNote {
  id: number;
  excluded: ReasonCounts;
  /** The series that has the same runs. */
  duplicateOf?: number;
  /** What was taken off each of its delays, ms. */
  correctedMs?: number;
  /** Delays that count, thanks to the correction, though the clocks had made them impossible. */
  regained?: number;
  /** How often it brought a sample before it fell silent. */
  staleIntervalMs?: number;
}

export interface ReviewedPath {
  input: PathInput;
  /** Samples that do not count, by reason. */
  excluded: ReasonCounts;
  notes: SeriesNote[];
  pairs: PairSummary[];
}

/** What was found of hosts, by all their pairs: see host-findings.ts. */
export interface HostContext {
  /** By how many ms the clock of a host is ahead, of those whose clock is known to be off. */
  clocks: ReadonlyMap<string, number>;
  /** Hosts to which no packet of a loss test gets, from wherever. */
  blockedIn: ReadonlySet<string>;
  /** Hosts of which no packet of a loss test gets anywhere. */
  blockedOut: ReadonlySet<string>;
  stopped: ReadonlySet<string>;
}

export const NOTHING_KNOWN: HostContext = {
  clocks: new Map(),
  blockedIn: new Set(),
  blockedOut: new Set(),
  stopped: new Set(),
};

export interface ReviewOptions {
  /** Age at which a series is stale, whatever its usual interval. */
  staleHours: number;
}

/** The two hosts of a pair. */
export function hostsOf(pair: string): [source: string, destination: string] {
  const cut = pair.indexOf('>');
  return [pair.slice(0, cut), pair.slice(cut + 1)];
}

export function reversed(pair: string): string {
  const [source, destination] = hostsOf(pair);
  return `${destination}>${source}`;
}
