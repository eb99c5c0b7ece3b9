import type { ClassAd } from 'classad-parser';
import { BREAKER_STATES, type BreakerState, pathName, type Withholding } from '../domain.ts';

/** The map that matches look paths up in: `<src>><dst>` → the fields below. */
export const PATH_MAP = 'LARK_PATH';

/** What a match needs to know of a path. */
export interface PathMapEntry {
  srcSite: string;
  dstSite: string;
  state: BreakerState;
  throughputMbps?: number;
  withholds?: Withholding;
  /** Jobs whose ticket is in it may cross all the same. */
  tickets?: { from: number; to: number };
  /** What uses the path already: jobs with input that run or are about to, and the MB of it that wait or move. */
  jobs?: number;
  backlogMB?: number;
  /** Until when what it withholds is to be believed; absent: until it says otherwise. */
  until?: Date;
}

/** Stands for a limit that is not there. A field is never empty: HTCondor's split() would leave it out. */
const NO_LIMIT = 999_999_999;
const NO_END = 9_999_999_999;

/**
 * The fields of a value, separated by commas, as config/htcondor/*.conf count them:
 * state, maxInputMB, throughputMbps, maxTransferSeconds, backlogMB, ticketFrom, ticketTo, maxOutputMB, maxJobs, jobs,
 * until (epoch seconds; 0 where nothing is withheld, so that a match need look no further).
 * Throughput has two significant digits, the backlog one: the map is read anew whenever it changes, and matches need no
 * more.
 */
export function pathMapValue(entry: PathMapEntry): string {
  const { state, throughputMbps, withholds = {}, tickets, jobs = 0, backlogMB = 0, until } = entry;
  const untilSeconds = until ? Math.floor(until.getTime() / 1000) : NO_END;
  return [
    state,
    withholds.maxInputMB ?? NO_LIMIT,
    throughputMbps === undefined ? 0 : Number(throughputMbps.toPrecision(2)),
    withholds.maxTransferSeconds ?? NO_LIMIT,
    Math.round(Number(backlogMB.toPrecision(1))),
    tickets?.from ?? 0,
    tickets?.to ?? 0,
    withholds.maxOutputMB ?? NO_LIMIT,
    withholds.maxJobs ?? NO_LIMIT,
    jobs,
    Object.keys(withholds).length > 0 ? untilSeconds : 0,
  ].join(',');
}

export function pathMapEntries(entries: Iterable<PathMapEntry>): Map<string, string> {
  const map = new Map<string, string>();
  for (const entry of entries) map.set(pathName(entry), pathMapValue(entry));
  return map;
}

/** The attributes of a path ad that `entryOfAd` reads. */
export const PATH_MAP_ATTRIBUTES = [
  'SrcSite',
  'DstSite',
  'BreakerState',
  'ThroughputMbps',
  'MaxInputMB',
  'MaxOutputMB',
  'MaxTransferSeconds',
  'MaxJobs',
  'BreakerTicketFrom',
  'BreakerTicketTo',
] as const;

/** A path ad as the collector has it; undefined where it is none. */
export function entryOfAd(ad: ClassAd): PathMapEntry | undefined {
  const srcSite = ad.getString('SrcSite');
  const dstSite = ad.getString('DstSite');
  if (!srcSite || !dstSite) return undefined;
  // Without one, no policy covers the path: nothing is withheld, and its throughput is still worth knowing.
  const state = BREAKER_STATES.find((known) => known === ad.getString('BreakerState')) ?? 'CLOSED';
  const limits = {
    maxInputMB: ad.getNumber('MaxInputMB'),
    maxOutputMB: ad.getNumber('MaxOutputMB'),
    maxTransferSeconds: ad.getNumber('MaxTransferSeconds'),
    maxJobs: ad.getNumber('MaxJobs'),
  };
  const withholds = Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
  const throughputMbps = ad.getNumber('ThroughputMbps');
  const from = ad.getNumber('BreakerTicketFrom');
  const to = ad.getNumber('BreakerTicketTo');
  return {
    srcSite,
    dstSite,
    state,
    ...(throughputMbps !== undefined && { throughputMbps }),
    ...(Object.keys(withholds).length > 0 && { withholds }),
    ...(from !== undefined && to !== undefined && { tickets: { from, to } }),
  };
}
