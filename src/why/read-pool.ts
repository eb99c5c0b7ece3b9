/** Reads from HTCondor what it takes to say why a job does not run. Asks the pool alone, not the store. */
import { type ClassAd, ClassAdSyntaxError, parseAds, parseJsonAds } from 'classad-parser';
import type { Policy } from '../breaker/policy.ts';
import {
  HEARD_ATTRIBUTES,
  hear,
  heardConstraint,
  NOTHING_HEARD,
  siteMapEntries,
} from '../collector/heard.ts';
import { type Htcondor, HtcondorError } from '../collector/htcondor.ts';
import { pathUse } from '../collector/path-use.ts';
import { messageOf, UserError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { attributesAsked, SLOT_ATTRIBUTES } from './attributes.ts';
import { type KnownPath, knownPaths, PATH_AD_ATTRIBUTES } from './breaker-cause.ts';
import { explainJob, type JobWhy, waitsForSlot } from './job.ts';
import { expressionsIn, groupSlots, type SlotGroup, type SlotLines, slotLines } from './slots.ts';

export type PoolReader = Pick<
  Htcondor,
  'setting' | 'ads' | 'jobs' | 'job' | 'pastJob' | 'slots' | 'valuesOf'
>;

export interface JobQuestion {
  /** CLUSTER or CLUSTER.PROC; without a process, the first of the cluster. */
  id: string;
  /** The name of the access point's schedd; by default the only one, or the one of this machine. */
  schedd?: string | undefined;
}

/**
 * Why a job does not run, by the pool's own ads.
 * @param policies where they are known: they tell when a half-open path has its turn
 * @throws UserError for a job or schedd that is not there, or a pool that does not answer
 */
export async function whyOfJob(
  question: JobQuestion,
  htcondor: PoolReader,
  policies: readonly Policy[],
  now: Date,
): Promise<JobWhy> {
  const id = jobId(question.id);
  try {
    const schedd = await scheddOf(question.schedd, htcondor);
    const job = await readJob(id, schedd, htcondor);
    const { paths, siteOf } = await readPaths(htcondor);
    const slots = waitsForSlot(job) ? await readSlots(job, siteOf, htcondor) : [];
    return explainJob(job, { schedd, slots, paths, siteOf, policies, now });
  } catch (error) {
    if (error instanceof HtcondorError || error instanceof ClassAdSyntaxError) {
      throw new UserError(`the pool cannot be asked: ${error.message}`);
    }
    throw error;
  }
}

/** @throws UserError */
export function jobId(text: string): string {
  const [, cluster, proc = '0'] = /^(\d{1,10})(?:\.(\d{1,10}))?$/.exec(text) ?? [];
  if (cluster === undefined) {
    throw new UserError(`"${text}" is no job: write CLUSTER.PROC, as condor_q shows it, e.g. 1234.0`);
  }
  return `${cluster}.${proc}`;
}

/** @throws UserError */
async function scheddOf(named: string | undefined, htcondor: PoolReader): Promise<string> {
  const known = await htcondor.valuesOf('Scheduler', 'Name');
  if (named !== undefined) {
    const found = known.find((name) => name === named) ?? known.find((name) => isShort(named, name));
    if (found !== undefined) return found;
    throw new UserError(
      `no schedd is named "${named}"${nearest(named, known)}; the pool has ${known.join(', ') || 'none'}`,
    );
  }
  const [only, ...others] = known;
  if (only === undefined) throw new UserError('the collector knows no schedd: no access point is up');
  if (others.length === 0) return only;
  const here = await htcondor.setting('FULL_HOSTNAME');
  const local = known.find((name) => name === here || name.endsWith(`@${here}`));
  if (local !== undefined) return local;
  throw new UserError(`say at which access point: --schedd, one of ${known.join(', ')}`);
}

/** `ap1` for `ap1.example.org` */
const isShort = (short: string, name: string): boolean => name.startsWith(`${short}.`);

async function readJob(id: string, schedd: string, htcondor: PoolReader): Promise<ClassAd> {
  const [job] = parseAds(await htcondor.job(id, schedd));
  if (job) return job;
  const [past] = parseAds(await pastJob(id, schedd, htcondor));
  if (past) return past;
  throw new UserError(
    `${schedd} has no job ${id}, nor does its history; condor_q -allusers lists those it has`,
  );
}

/** A history that cannot be read is no reason to say less than that the job is not in the queue. */
async function pastJob(id: string, schedd: string, htcondor: PoolReader): Promise<string> {
  try {
    return await htcondor.pastJob(id, schedd);
  } catch (error) {
    throw new UserError(`${schedd} has no job ${id}; its history cannot be read: ${messageOf(error)}`);
  }
}

interface PoolPaths {
  paths: ReadonlyMap<string, KnownPath>;
  /** The map LARK_SITE. */
  siteOf: ReadonlyMap<string, string>;
}

async function readPaths(htcondor: PoolReader): Promise<PoolPaths> {
  const attributes = [...new Set([...HEARD_ATTRIBUTES, ...PATH_AD_ATTRIBUTES])];
  const ads = parseJsonAds(await htcondor.ads(heardConstraint(undefined), attributes));
  const paths = knownPaths(ads);
  const siteOf = siteMapEntries(hear(NOTHING_HEARD, ads));
  const isCounting = [...paths.values()].some(
    ({ withholds }) => withholds?.maxJobs !== undefined || withholds?.maxTransferSeconds !== undefined,
  );
  // Only such limits ask what uses a path already; counting takes a look at every queue.
  if (isCounting) {
    for (const [name, use] of await pathUse(htcondor, true, siteOf)) {
      const path = paths.get(name);
      if (path) paths.set(name, { ...path, ...use });
    }
  }
  return { paths, siteOf };
}

/** What slots say may ask about more of them: so many rounds are made at most, and one is the rule. */
const MOST_ROUNDS = 4;

async function readSlots(
  job: ClassAd,
  siteOf: ReadonlyMap<string, string>,
  htcondor: PoolReader,
): Promise<SlotGroup[]> {
  let wanted = new Map(SLOT_ATTRIBUTES.map((name) => [name.toLowerCase(), name]));
  let asked = attributesAsked(job, new Map());
  let slots: SlotLines = { slots: [], lines: [] };
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const missing = [...asked].filter((name) => !wanted.has(name));
    if (round > 0 && missing.length === 0) break;
    wanted = new Map([...wanted, ...missing.map((name) => [name, name] as const)]);
    slots = slotLines(await htcondor.slots([...wanted.values()]));
    asked = attributesAsked(job, expressionsIn(slots));
  }
  return groupSlots(slots, asked, (machine) => siteOf.get(machine));
}
