import { readFileSync } from 'node:fs';
import { type ClassAd, ClassAdSyntaxError } from 'classad-parser';
import { loadPolicies, loadPolicy } from '../breaker/policy.ts';
import type { PastJob, ReplayResult } from '../breaker/replay.ts';
import { jobAds } from '../collector/path-use.ts';
import { loadConfig } from '../config.ts';
import { messageOf, UserError } from '../errors.ts';
import { storePlace } from '../service.ts';
import { replayPolicies } from '../steps/replay.ts';
import { openStore, type Store } from '../store/store.ts';
import { needsOf } from '../why/breaker-cause.ts';
import { spanText } from '../why/text.ts';
import { figure, table } from './table.ts';
import { durationSeconds, timeOf } from './times.ts';

export interface ReplayOptions {
  policy?: string[];
  from: string;
  to?: string;
  step: string;
  jobs?: string;
  json?: boolean;
}

const MOST_MOMENTS = 100_000;

/**
 * `lark breaker replay`. It takes a processor for a while, so it opens the store itself rather than have a running
 * service do it: with the embedded store, the service must be stopped first (the store says so).
 */
export async function breakerReplay(configFile: string | undefined, options: ReplayOptions): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const policies = options.policy?.map(loadPolicy) ?? loadPolicies(config.breaker.policies);
  const range = {
    from: timeOf('--from', options.from),
    to: options.to === undefined ? new Date() : timeOf('--to', options.to),
    stepSeconds: durationSeconds(options.step, '--step'),
  };
  const moments = (range.to.getTime() - range.from.getTime()) / 1000 / range.stepSeconds;
  if (!(moments > 0)) throw new UserError('--from must be before --to');
  if (moments > MOST_MOMENTS)
    throw new UserError(
      `that would be ${Math.round(moments)} decisions: choose a larger --step, or a shorter time`,
    );
  const store = await openStore(storePlace(config));
  try {
    const { jobs, lost } =
      options.jobs === undefined ? { jobs: [], lost: 0 } : await pastJobs(options.jobs, store);
    const results = await replayPolicies(store, config, policies, range, jobs);
    if (options.json) return print(JSON.stringify({ ...range, jobsWithoutPath: lost, results }, null, 2));
    print(replayText(results));
    if (lost > 0) print(`\n${lost} jobs of ${options.jobs} have no path: nothing tells from where to where.`);
  } finally {
    await store.close();
  }
}

/** @throws UserError for a file that cannot be read or holds no jobs */
async function pastJobs(file: string, store: Store): Promise<{ jobs: PastJob[]; lost: number }> {
  let ads: ClassAd[];
  try {
    ads = jobAds(readFileSync(file, 'utf8'));
  } catch (error) {
    const what = error instanceof ClassAdSyntaxError ? 'is no list of jobs' : 'cannot be read';
    throw new UserError(`${file} ${what}, as condor_history -json writes it: ${messageOf(error)}`);
  }
  const siteOf = new Map(
    (await store.machines()).flatMap(({ names, site }) => names.map((name) => [name, site])),
  );
  const jobs = ads.flatMap((ad) => pastJobOf(ad, (machine) => siteOf.get(machine)) ?? []);
  return { jobs, lost: ads.length - jobs.length };
}

/** Undefined where nothing tells when it started, and from where to where it went. */
export function pastJobOf(
  job: ClassAd,
  siteOf: (machine: string) => string | undefined,
): PastJob | undefined {
  const { submitSite, inputMB = 0, outputMB, ticket } = needsOf(job);
  const start = job.getNumber('JobCurrentStartDate') ?? job.getNumber('JobStartDate');
  const submitHost = job.getString('GlobalJobId')?.split('#')[0];
  const runHost = job.getString('LastRemoteHost') ?? job.getString('RemoteHost');
  const srcSite = submitSite ?? siteOf(hostOf(submitHost));
  const dstSite = job.getString('MachineAttrLarkSite0') ?? siteOf(hostOf(runHost));
  if (start === undefined || srcSite === undefined || dstSite === undefined) return undefined;
  return {
    srcSite,
    dstSite,
    startedAt: new Date(start * 1000),
    inputMB,
    ...(outputMB !== undefined && { outputMB }),
    ...(ticket !== undefined && { ticket }),
  };
}

/** Of SLOT@HOST, or of a schedd's NAME@HOST. */
const hostOf = (name = ''): string => name.slice(name.lastIndexOf('@') + 1);

const PATHS_SHOWN = 20;

/** The policies side by side, then the paths that each had open longest. */
export function replayText(results: readonly ReplayResult[]): string {
  const rows: [what: string, value: (one: ReplayResult) => string][] = [
    ['decisions', (one) => String(one.moments)],
    ['paths covered', (one) => String(one.paths)],
    ['openings', (one) => String(one.openings)],
    ['of these within an hour again', (one) => String(one.flaps)],
    ['openings of whole sites', (one) => String(one.siteOpenings)],
    ['time open, all paths', (one) => spanText(one.openSeconds)],
    ['longest opening', (one) => spanText(one.longestSeconds)],
    ['share of time open', (one) => `${figure(one.openShare * 100)} %`],
    ['decisions that the guard held back', (one) => String(one.guardedMoments)],
  ];
  if (results.some(({ jobs }) => jobs > 0)) {
    rows.push(
      ['jobs that started', (one) => String(one.jobs)],
      ['of these withheld', (one) => String(one.jobsWithheld)],
      ['their input, GB', (one) => figure(one.withheldMB / 1000)],
    );
  }
  const summary = table(rows, [
    { heading: '', cell: ([what]) => what },
    ...results.map((one) => ({
      heading: one.policy,
      cell: ([, value]: (typeof rows)[number]) => value(one),
      right: true,
    })),
  ]);
  return [summary, ...results.flatMap(pathsText)].join('\n\n');
}

function pathsText({ policy, byPath }: ReplayResult): string[] {
  const open = byPath.filter(({ openings }) => openings > 0);
  if (open.length === 0) return [];
  const more = open.length > PATHS_SHOWN ? `\nand ${open.length - PATHS_SHOWN} more (--json has all)` : '';
  return [
    `${policy}, by path:\n${table(open.slice(0, PATHS_SHOWN), [
      { heading: 'PATH', cell: ({ path }) => path },
      { heading: 'OPENINGS', cell: ({ openings }) => String(openings), right: true },
      { heading: 'FLAPS', cell: ({ flaps }) => String(flaps), right: true },
      { heading: 'OPEN', cell: ({ openSeconds }) => spanText(openSeconds), right: true },
      { heading: 'LONGEST', cell: ({ longestSeconds }) => spanText(longestSeconds), right: true },
      { heading: 'HALF-OPEN', cell: ({ halfOpenSeconds }) => spanText(halfOpenSeconds), right: true },
      { heading: 'UNKNOWN', cell: ({ unknownSeconds }) => spanText(unknownSeconds), right: true },
      { heading: 'JOBS', cell: ({ jobsWithheld }) => String(jobsWithheld), right: true },
    ])}${more}`,
  ];
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
