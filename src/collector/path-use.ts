/** What uses paths now, counted from the queues: for limits on the number of jobs and on predicted transfer times. */
import { type ClassAd, parseJsonAds } from 'classad-parser';
import { pathName } from '../domain.ts';
import type { Htcondor } from './htcondor.ts';

export interface PathUse {
  /** Jobs with input that run. */
  jobs: number;
  /** The input of those of them whose input waits or moves. */
  backlogMB: number;
}

/** TransferInputSizeMB counts MiB. */
const MB_PER_MIB = 1.048576;

const CONSTRAINT = 'JobStatus == 2 && TransferInputSizeMB > 0';
const ATTRIBUTES = [
  'GlobalJobId',
  'LarkSubmitSite',
  'RemoteHost',
  'MachineAttrLarkSite0',
  'TransferInputSizeMB',
  'TransferInFinished',
  'JobCurrentStartDate',
];

/**
 * Counts the jobs of this machine's queue, or of the queues of all access points.
 * @param siteOf the map LARK_SITE: for machines and access points that do not say themselves
 * @throws HtcondorError, ClassAdSyntaxError
 */
export async function pathUse(
  htcondor: Pick<Htcondor, 'jobs'>,
  isGlobal: boolean,
  siteOf: ReadonlyMap<string, string>,
): Promise<Map<string, PathUse>> {
  const text = await htcondor.jobs(CONSTRAINT, ATTRIBUTES, isGlobal);
  return usedPaths(jobAds(text), siteOf);
}

/** Where there is no job, condor_q writes no list, and with -global some words. */
export const jobAds = (text: string): ClassAd[] => (text.startsWith('[') ? parseJsonAds(text) : []);

/** The part of `pathUse` that asks nobody. */
export function usedPaths(
  jobs: readonly ClassAd[],
  siteOf: ReadonlyMap<string, string>,
): Map<string, PathUse> {
  const used = new Map<string, PathUse>();
  for (const job of jobs) {
    // SCHEDD#CLUSTER.PROC#TIME, and a schedd may go by a name of its own at its host; SLOT@HOST.
    const submitHost = hostOf(job.getString('GlobalJobId')?.split('#')[0]);
    const srcSite = job.getString('LarkSubmitSite') ?? siteOf.get(submitHost);
    const dstSite = job.getString('MachineAttrLarkSite0') ?? siteOf.get(hostOf(job.getString('RemoteHost')));
    if (srcSite === undefined || dstSite === undefined) continue;
    const name = pathName({ srcSite, dstSite });
    const use = used.get(name) ?? { jobs: 0, backlogMB: 0 };
    used.set(name, use);
    use.jobs += 1;
    const finished = job.getNumber('TransferInFinished') ?? Number.NEGATIVE_INFINITY;
    if (finished < (job.getNumber('JobCurrentStartDate') ?? 0))
      use.backlogMB += (job.getNumber('TransferInputSizeMB') ?? 0) * MB_PER_MIB;
  }
  return used;
}

const hostOf = (name = ''): string => name.slice(name.lastIndexOf('@') + 1);
