/** What a job tells of itself, and what its user can do: one sentence each. */
import type { ClassAd } from 'classad-parser';
import type { Policy } from '../breaker/policy.ts';
import { turnOf } from '../breaker/turns.ts';
import { EVERY_SITE } from '../domain.ts';
import { type BreakerCause, mb } from './breaker-cause.ts';
import type { Cause } from './causes.ts';
import type { JobWhy, SiteWhy } from './job.ts';
import { amountText } from './text.ts';

const clock = (at: Date | string): string =>
  `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

export function sayingsOf(job: ClassAd): string[] {
  const says: string[] = [];
  const text = (name: string): string | undefined => job.getString(name)?.trim() || undefined;
  switch (job.getNumber('JobStatus')) {
    case 1: {
      const last = text('LastRejMatchReason');
      const at = job.getNumber('LastRejMatchTime');
      if (last)
        says.push(`the negotiator's last word${at ? `, ${clock(new Date(at * 1000))}` : ''}: ${last}`);
      else if (!job.has('LastMatchTime')) says.push('the negotiator has not come to it yet');
      break;
    }
    case 2:
    case 6:
    case 7: {
      says.push(`it runs at ${text('RemoteHost') ?? 'a slot'}${siteOfRun(job)}`);
      if (job.getBoolean('TransferringInput'))
        says.push(
          job.getBoolean('TransferQueued')
            ? "its input waits in the access point's transfer queue"
            : 'its input is being transferred',
        );
      break;
    }
    case 5:
      says.push(`it is held: ${text('HoldReason') ?? 'no reason is given'}`);
      break;
    case 3:
      says.push(`it was removed: ${text('RemoveReason') ?? 'no reason is given'}`);
      break;
    case 4:
      says.push('it has completed');
      break;
  }
  const universe = job.getNumber('JobUniverse');
  if (universe === 7 || universe === 12)
    says.push('it runs at the access point itself and waits for no slot');
  if (universe === 9) says.push('it is handed to another system (grid universe) and waits for no slot');
  if (!job.has('LarkSubmitSite'))
    says.push(
      'it does not say from which site it was submitted (LarkSubmitSite), so no breaker withholds it',
    );
  return says;
}

function siteOfRun(job: ClassAd): string {
  const site = job.getString('MachineAttrLarkSite0');
  return site ? ` (${site})` : '';
}

export function adviceFor(
  why: Pick<JobWhy, 'job' | 'status' | 'sites' | 'slots' | 'inputMB'>,
  job: ClassAd,
  policies: readonly Policy[],
  now: Date,
): string[] {
  const { sites, status } = why;
  const advice: string[] = [];
  if (status === 'held') advice.push(`once what it is held for is mended: condor_release ${why.job}`);
  if (sites.length === 0) {
    const isWaiting = status === 'idle' || status === 'held';
    if (isWaiting && (job.getNumber('JobUniverse') ?? 5) === 5) advice.push('the pool has no slots now');
    return advice;
  }
  const flat = sites.flatMap(({ site, outcomes }) => outcomes.map((outcome) => ({ site, ...outcome })));
  const free = flat.filter(({ causes }) => causes.length === 0);
  const freeSlots = free.reduce((sum, { slots }) => sum + slots, 0);
  if (freeSlots > 0) advice.push(...whileFree(freeSlots, free.map(siteText), status, job, why.job));
  advice.push(...aboutBreakers(flat, why.job, policies, now));
  const waiting = flat.filter(({ causes }) => causes.length > 0 && causes.every(isBusy));
  if (freeSlots === 0 && waiting.length > 0) {
    const slots = waiting.reduce((sum, one) => sum + one.slots, 0);
    advice.push(
      `it fits ${slotsText(slots)} of ${listed(waiting.map(siteText))}, all in use now: wait until one is free`,
    );
  }
  if (freeSlots === 0) advice.push(...aboutOwnClauses(flat));
  return advice;
}

type Flat = SiteWhy['outcomes'][number] & { site: string | null };

const isBusy = ({ kind }: Cause): boolean => kind === 'busy' || kind === 'claimed';
const siteText = ({ site }: Flat): string => site ?? 'slots without a site';
const slotsText = (count: number): string => (count === 1 ? '1 slot' : `${count} slots`);
const listed = (texts: readonly string[]): string => [...new Set(texts)].join(', ');

function whileFree(
  slots: number,
  sites: readonly string[],
  status: string,
  job: ClassAd,
  id: string,
): string[] {
  const would = slots === 1 ? 'matches' : 'match';
  if (status === 'held') return [`once released, ${slotsText(slots)} of ${listed(sites)} ${would} it`];
  const said = job.getString('LastRejMatchReason') ?? '';
  if (/concurrency limit/i.test(said)) {
    return [
      `${slotsText(slots)} of ${listed(sites)} ${would} it, but a concurrency limit that it asks for (ConcurrencyLimits) is used up: wait until other jobs under it end`,
    ];
  }
  return [
    `${slotsText(slots)} of ${listed(sites)} ${would} it: nothing but its turn is missing; condor_userprio tells its user's priority, which Lark does not know, and condor_q -better-analyze ${id} what HTCondor says`,
  ];
}

/** What lets the job through where breakers alone (or they, and a slot in use) keep it away. */
function aboutBreakers(flat: readonly Flat[], id: string, policies: readonly Policy[], now: Date): string[] {
  const advice: string[] = [];
  const told = new Set<string>();
  for (const { site, slots, causes } of flat) {
    const breakers = causes.filter((one): one is BreakerCause => one.kind === 'breaker');
    if (breakers.length === 0 || !causes.every((one) => one.kind === 'breaker' || isBusy(one))) continue;
    for (const one of breakers) {
      if (told.has(`${site} ${one.path}`)) continue;
      told.add(`${site} ${one.path}`);
      if (told.size > MOST_PATHS) continue;
      const at = `${site ?? 'slots without a site'} (${slotsText(slots)})`;
      if (one.direction === 'in' && one.maxInputMB) {
        advice.push(`with input of ${mb(one.maxInputMB)} or less it may run at ${at} now`);
      }
      advice.push(waitText(one, at, policies, now));
      if (one.state === 'FORCED_OPEN') continue;
      const [src, dst] = one.path.split('>') as [string, string];
      const quoted = [src, dst].map((end) => (end === EVERY_SITE ? `"${EVERY_SITE}"` : end)).join(' ');
      advice.push(
        `if you know that ${one.path} is well, ask who runs Lark: lark breaker force ${quoted} closed --for 1h --reason "job ${id}: …"`,
      );
    }
  }
  if (told.size > MOST_PATHS) advice.push(`likewise for ${told.size - MOST_PATHS} more paths`);
  return advice;
}

/** Of so many the user is told what to do; the others stand in the list of sites. */
const MOST_PATHS = 4;

function waitText(one: BreakerCause, at: string, policies: readonly Policy[], now: Date): string {
  if (one.state === 'HALF_OPEN') {
    const policy = policies.find(({ name }) => name === one.policy);
    const turn =
      policy && one.since !== null && one.ticket !== null
        ? turnOf(one.ticket, policy, new Date(one.since), now)
        : undefined;
    if (!turn) return `wait for ${at}: ${one.path} is half-open and lets jobs through in turn`;
    return `wait for ${at}: ${one.path} is half-open, and the turn of this job's ticket ${one.ticket} is from ${clock(turn.from)} to ${clock(turn.to)}`;
  }
  if (one.state === 'FORCED_OPEN') return `wait for ${at}: a person keeps ${one.path} shut (${one.reason})`;
  if (one.retryAt === null) return `wait for ${at}: ${one.path} is tried again when it measures well`;
  const isPast = Date.parse(one.retryAt) <= now.getTime();
  return isPast
    ? `wait for ${at}: ${one.path} is tried again as soon as it measures well`
    : `wait for ${at}: ${one.path} is tried again from ${clock(one.retryAt)} on, if it measures well then`;
}

/** Where the job itself is what keeps it away: what it would have to ask for less of, or not ask for. */
function aboutOwnClauses(flat: readonly Flat[]): string[] {
  const alone = new Map<string, number>();
  const small = new Map<string, { most: number; asked: number | null }>();
  for (const { slots, causes } of flat) {
    const lasting = causes.filter((one) => !isBusy(one));
    const [only, ...others] = lasting;
    if (!only || others.length > 0) continue;
    if (only.kind === 'requirements') alone.set(only.clause, (alone.get(only.clause) ?? 0) + slots);
    if (only.kind === 'too-small' && only.most !== null) {
      const known = small.get(only.resource);
      small.set(only.resource, { most: Math.max(only.most, known?.most ?? 0), asked: only.asked });
    }
  }
  const clauses = [...alone].sort((a, b) => b[1] - a[1]).slice(0, 3);
  return [
    ...clauses.map(([clause, slots]) => `without its requirement ${clause} it would fit ${slotsText(slots)}`),
    ...[...small].map(
      ([resource, { most, asked }]) =>
        `it asks for ${amountText(resource, asked)} of ${resource}, and the largest slot that it would fit otherwise has ${amountText(resource, most)}`,
    ),
  ];
}
