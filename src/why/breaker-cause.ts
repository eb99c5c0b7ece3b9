/** What a path's breaker has against a job: which limit the job exceeds, and when its turn comes. */
import type { ClassAd } from 'classad-parser';
import { z } from 'zod';
import { entryOfAd, PATH_MAP_ATTRIBUTES, type PathMapEntry } from '../collector/path-map.ts';
import { EVERY_SITE, pathName } from '../domain.ts';

/** A path as its ad in the collector tells of it. */
export interface KnownPath extends PathMapEntry {
  policy?: string;
  reason?: string;
  since?: Date;
  retryAt?: Date;
  quality?: number;
}

/** What of path ads is read. */
export const PATH_AD_ATTRIBUTES: readonly string[] = [
  ...PATH_MAP_ATTRIBUTES,
  'BreakerPolicy',
  'BreakerReason',
  'BreakerSince',
  'BreakerRetryAt',
  'Quality',
];

/** By name; ads that are none of paths are left out. */
export function knownPaths(ads: readonly ClassAd[]): Map<string, KnownPath> {
  return new Map(
    ads.flatMap((ad) => {
      const entry = entryOfAd(ad);
      if (!entry) return [];
      const policy = ad.getString('BreakerPolicy');
      const reason = ad.getString('BreakerReason');
      const since = ad.getNumber('BreakerSince');
      const retryAt = ad.getNumber('BreakerRetryAt');
      const quality = ad.getNumber('Quality');
      const path: KnownPath = {
        ...entry,
        ...(policy !== undefined && { policy }),
        ...(reason !== undefined && { reason }),
        ...(since !== undefined && { since: new Date(since * 1000) }),
        ...(retryAt !== undefined && { retryAt: new Date(retryAt * 1000) }),
        ...(quality !== undefined && { quality }),
      };
      return [[pathName(path), path] as const];
    }),
  );
}

export const breakerCause = z.object({
  kind: z.literal('breaker'),
  path: z.string(),
  direction: z.enum(['in', 'out']).meta({ description: 'input to the slot, or output back' }),
  state: z.string().nullable().meta({ description: 'null: the collector has no ad of this path' }),
  policy: z.string().nullable(),
  reason: z.string().nullable(),
  since: z.iso.datetime().nullable(),
  retryAt: z.iso.datetime().nullable(),
  exceeds: z.array(z.string()).meta({ description: 'the limits that the job exceeds, with its own figures' }),
  maxInputMB: z.number().nullable(),
  ticket: z.int().nullable().meta({ description: "the job's; while half-open, tickets have turns" }),
  tickets: z.object({ from: z.int(), to: z.int() }).nullable(),
});
export type BreakerCause = z.infer<typeof breakerCause>;

/** What of a job makes a difference to breakers. */
export interface JobNeeds {
  submitSite: string | undefined;
  inputMB: number | undefined;
  outputMB: number | undefined;
  ticket: number | undefined;
}

/** HTCondor counts input in MiB. */
const MB_PER_MIB = 1.048576;

export function needsOf(job: ClassAd): JobNeeds {
  const mib = job.getNumber('TransferInputSizeMB');
  return {
    submitSite: job.getString('LarkSubmitSite'),
    inputMB: mib === undefined ? undefined : mib * MB_PER_MIB,
    outputMB: job.getNumber('LarkOutputMB'),
    ticket: job.getNumber('LarkTicket'),
  };
}

export function breakerCauseOf(
  needs: JobNeeds,
  site: string | undefined,
  direction: 'in' | 'out',
  paths: ReadonlyMap<string, KnownPath>,
): BreakerCause {
  const here = needs.submitSite ?? '?';
  const there = site ?? '?';
  const [srcSite, dstSite] = direction === 'in' ? [here, there] : [there, here];
  const path = pathOf(paths, srcSite, dstSite);
  return {
    kind: 'breaker',
    path: path ? pathName(path) : pathName({ srcSite, dstSite }),
    direction,
    state: path?.state ?? null,
    policy: path?.policy ?? null,
    reason: path?.reason ?? null,
    since: path?.since?.toISOString() ?? null,
    retryAt: path?.retryAt?.toISOString() ?? null,
    exceeds: path ? exceeded(needs, direction, path) : [],
    maxInputMB: path?.withholds?.maxInputMB ?? null,
    ticket: needs.ticket ?? null,
    tickets: path?.tickets ?? null,
  };
}

/** The path's own entry, or the one that it stands under: of all that goes into a site, or leaves one. */
export function pathOf(
  paths: ReadonlyMap<string, KnownPath>,
  srcSite: string,
  dstSite: string,
): KnownPath | undefined {
  return (
    paths.get(pathName({ srcSite, dstSite })) ??
    paths.get(pathName({ srcSite: EVERY_SITE, dstSite })) ??
    paths.get(pathName({ srcSite, dstSite: EVERY_SITE }))
  );
}

function exceeded({ inputMB, outputMB }: JobNeeds, direction: 'in' | 'out', path: KnownPath): string[] {
  const { withholds = {}, throughputMbps, backlogMB = 0, jobs = 0 } = path;
  const { maxInputMB, maxOutputMB, maxTransferSeconds, maxJobs } = withholds;
  const found: string[] = [];
  if (direction === 'out') {
    if (maxOutputMB !== undefined && outputMB !== undefined && outputMB > maxOutputMB)
      found.push(`its output of ${mb(outputMB)} exceeds ${mb(maxOutputMB)}`);
    return found;
  }
  if (inputMB === undefined) return found;
  if (maxInputMB !== undefined && inputMB > maxInputMB)
    found.push(`its input of ${mb(inputMB)} exceeds ${mb(maxInputMB)}`);
  if (maxTransferSeconds !== undefined && throughputMbps) {
    const seconds = ((inputMB + backlogMB) * 8) / throughputMbps;
    const waiting = backlogMB > 0 ? ` after ${mb(backlogMB)} that already wait or move` : '';
    if (seconds > maxTransferSeconds)
      found.push(
        `its input of ${mb(inputMB)}${waiting} takes ${Math.round(seconds)} s at ${rounded(throughputMbps)} Mb/s, and ${maxTransferSeconds} s are allowed`,
      );
  }
  if (maxJobs !== undefined && inputMB > 0 && jobs >= maxJobs)
    found.push(`${jobs} jobs with input use the path, and ${maxJobs} may`);
  return found;
}

const rounded = (value: number): number => Number(value.toPrecision(3));

/** `10 MB`, `2.1 GB` */
export const mb = (value: number): string =>
  value >= 1000 ? `${rounded(value / 1000)} GB` : `${rounded(value)} MB`;
