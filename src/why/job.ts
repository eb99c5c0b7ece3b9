/** Why a job does not run: at every site, and what can be done about it. Pure. */
import type { ClassAd, UserMap } from 'classad-parser';
import { z } from 'zod';
import type { Policy } from '../breaker/policy.ts';
import { PATH_MAP, pathMapEntries } from '../collector/path-map.ts';
import { adviceFor, sayingsOf } from './advice.ts';
import { type KnownPath, needsOf } from './breaker-cause.ts';
import { type Cause, cause, Matcher } from './causes.ts';
import type { SlotGroup } from './slots.ts';

const time = z.iso.datetime();

export const siteWhy = z.object({
  site: z.string().nullable().meta({ description: 'null: nothing tells where these slots stand' }),
  slots: z.int(),
  enforced: z.boolean().meta({ description: "false: neither START nor the job asks for Lark's word there" }),
  outcomes: z.array(
    z.object({
      slots: z.int(),
      causes: z.array(cause).meta({ description: 'all that keeps the job away; none where it matches' }),
    }),
  ),
});
export type SiteWhy = z.infer<typeof siteWhy>;

export const jobWhy = z.object({
  job: z.string(),
  schedd: z.string(),
  owner: z.string().nullable(),
  status: z.string(),
  since: time.nullable(),
  submitSite: z.string().nullable(),
  inputMB: z.number().nullable(),
  says: z.array(z.string()).meta({ description: 'what the job itself tells, one sentence each' }),
  slots: z.int(),
  sites: z.array(siteWhy).meta({ description: 'absent of jobs that wait for no slot' }),
  advice: z.array(z.string()),
});
export type JobWhy = z.infer<typeof jobWhy>;

/** What is known besides the job itself. */
export interface Surroundings {
  schedd: string;
  slots: readonly SlotGroup[];
  paths: ReadonlyMap<string, KnownPath>;
  /** The map LARK_SITE. */
  siteOf: ReadonlyMap<string, string>;
  /** Where known: they tell when a ticket has its turn. */
  policies?: readonly Policy[];
  now: Date;
}

const STATUS: Readonly<Record<number, string>> = {
  1: 'idle',
  2: 'running',
  3: 'removed',
  4: 'completed',
  5: 'held',
  6: 'running',
  7: 'suspended',
};

/** Universes whose jobs are matched with slots. */
const MATCHED: ReadonlySet<number> = new Set([1, 4, 5, 8, 10, 11, 13]);

/** Whether the job waits for a slot, or would if it were released: then its slots are worth reading. */
export function waitsForSlot(job: ClassAd): boolean {
  const status = job.getNumber('JobStatus');
  return (status === 1 || status === 5) && MATCHED.has(job.getNumber('JobUniverse') ?? 5);
}

export function explainJob(job: ClassAd, around: Surroundings): JobWhy {
  const { now, paths } = around;
  const needs = needsOf(job);
  const entered = job.getNumber('EnteredCurrentStatus');
  const userMaps: ReadonlyMap<string, UserMap> = new Map([
    [PATH_MAP.toLowerCase(), lookup(pathMapEntries(paths.values()))],
    ['lark_site', lookup(around.siteOf)],
  ]);
  const matcher = new Matcher(job, { context: { now, userMaps }, paths, needs });
  const sites = waitsForSlot(job) ? sitesOf(matcher, around.slots) : [];
  const why = {
    job: `${job.getNumber('ClusterId')}.${job.getNumber('ProcId')}`,
    schedd: around.schedd,
    owner: job.getString('Owner') ?? null,
    status: STATUS[job.getNumber('JobStatus') ?? 0] ?? 'unknown',
    since: entered ? new Date(entered * 1000).toISOString() : null,
    submitSite: needs.submitSite ?? null,
    inputMB: needs.inputMB ?? null,
    says: sayingsOf(job),
    slots: sites.reduce((sum, { slots }) => sum + slots, 0),
    sites,
  };
  return { ...why, advice: adviceFor(why, job, around.policies ?? [], now) };
}

const lookup =
  (entries: ReadonlyMap<string, string>): UserMap =>
  (key) =>
    entries.get(key);

function sitesOf(matcher: Matcher, groups: readonly SlotGroup[]): SiteWhy[] {
  const sites = new Map<string | undefined, SiteWhy & { byKey: Map<string, SiteWhy['outcomes'][number]> }>();
  for (const group of groups) {
    const site = sites.get(group.site) ?? {
      site: group.site ?? null,
      slots: 0,
      enforced: false,
      outcomes: [],
      byKey: new Map(),
    };
    sites.set(group.site, site);
    site.slots += group.slots;
    site.enforced ||= matcher.asksLark(group);
    const causes = matcher.causes(group);
    const key = causes.map(sameness).join('\n');
    const known = site.byKey.get(key);
    if (known) {
      known.slots += group.slots;
      keepLargest(known.causes, causes);
    } else site.byKey.set(key, { slots: group.slots, causes });
  }
  return [...sites.values()]
    .map(({ byKey, ...site }) => ({
      ...site,
      outcomes: [...byKey.values()].sort((a, b) => a.causes.length - b.causes.length || b.slots - a.slots),
    }))
    .sort((a, b) => ((a.site ?? '~') < (b.site ?? '~') ? -1 : 1));
}

/** Causes that are told as one: not the values that each slot met. */
function sameness(one: Cause): string {
  switch (one.kind) {
    case 'requirements':
    case 'start':
      return `${one.kind} ${one.clause}`;
    case 'too-small':
    case 'busy':
      return `${one.kind} ${one.resource}`;
    case 'breaker':
      return `${one.kind} ${one.direction}`;
    default:
      return one.kind;
  }
}

function keepLargest(known: readonly Cause[], more: readonly Cause[]): void {
  for (const [i, one] of known.entries()) {
    const other = more[i];
    if ('most' in one && other && 'most' in other && (other.most ?? 0) > (one.most ?? 0))
      one.most = other.most;
  }
}
