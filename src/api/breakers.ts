/** Breakers over the API: as they stand, what happened to them, and what people say of them. */
import { z } from 'zod';
import { type Breaker, EVERY_SITE, type Forcing, pathName } from '../domain.ts';
import { UserError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import type { Store, StoredTransition } from '../store/store.ts';

const time = z.iso.datetime();

/** A breaker, where its path is known. */
export const standingView = z.object({
  policy: z.string(),
  state: z.string(),
  reason: z.string(),
  since: time,
  retryAt: time.nullable().meta({ description: 'while open: not half-open before this' }),
  openings: z.int().meta({ description: 'openings that count for the back-off' }),
  partOf: z.string().nullable().meta({ description: 'the site breaker it is a part of' }),
  tickets: z.object({ from: z.int(), to: z.int() }).nullable(),
  withholds: z
    .object({
      maxInputMB: z.number().optional(),
      maxOutputMB: z.number().optional(),
      maxTransferSeconds: z.number().optional(),
      maxJobs: z.number().optional(),
    })
    .nullable()
    .meta({ description: 'jobs that exceed any of these wait' }),
});
type StandingView = z.infer<typeof standingView>;

export const breakerView = z.object({
  path: z.string(),
  srcSite: z.string().meta({ description: '* in a breaker of a whole site' }),
  dstSite: z.string(),
  ...standingView.shape,
});
export type BreakerView = z.infer<typeof breakerView>;

export const eventView = z.object({
  id: z.int(),
  path: z.string(),
  srcSite: z.string(),
  dstSite: z.string(),
  policy: z.string(),
  at: time,
  from: z.string(),
  to: z.string(),
  reason: z.string(),
  partOf: z.string().nullable(),
});
export type EventView = z.infer<typeof eventView>;

export const forcingView = z.object({
  path: z.string(),
  srcSite: z.string(),
  dstSite: z.string(),
  policy: z.string().nullable().meta({ description: 'null: every policy' }),
  state: z.string(),
  owner: z.string(),
  reason: z.string(),
  at: time,
  until: time,
});
export type ForcingView = z.infer<typeof forcingView>;

/** No word holds longer: who wants a path shut for good writes a policy. */
const LONGEST_SECONDS = 30 * 86_400;

const ends = {
  srcSite: z.string().min(1).max(200),
  dstSite: z.string().min(1).max(200),
  policy: z.string().min(1).max(200).optional(),
};

/** What is asked of `POST /api/v1/forcings`. */
export const forceRequest = z.strictObject({
  ...ends,
  state: z.enum(['open', 'closed']),
  seconds: z.number().min(1).max(LONGEST_SECONDS),
  reason: z.string().trim().min(1).max(500),
  owner: z.string().trim().min(1).max(200),
});
export type ForceRequest = z.infer<typeof forceRequest>;

/** What is asked of `DELETE /api/v1/forcings`. */
export const releaseRequest = z.strictObject(ends);
export type ReleaseRequest = z.infer<typeof releaseRequest>;

export interface BreakerFilter {
  srcSite?: string | undefined;
  dstSite?: string | undefined;
  /** Only those that are not CLOSED. */
  notable?: boolean;
}

export async function breakersView(store: Store, filter: BreakerFilter): Promise<BreakerView[]> {
  const { srcSite, dstSite, notable } = filter;
  return (await store.breakers())
    .filter(
      (breaker) =>
        (srcSite === undefined || breaker.srcSite === srcSite) &&
        (dstSite === undefined || breaker.dstSite === dstSite) &&
        (!notable || breaker.state !== 'CLOSED'),
    )
    .map((breaker) => ({
      path: pathName(breaker),
      srcSite: breaker.srcSite,
      dstSite: breaker.dstSite,
      ...standingOf(breaker),
    }));
}

export function standingOf(breaker: Breaker): StandingView {
  return {
    policy: breaker.policy,
    state: breaker.state,
    reason: breaker.reason,
    since: breaker.since.toISOString(),
    retryAt: breaker.retryAt?.toISOString() ?? null,
    openings: breaker.openings ?? 0,
    partOf: breaker.partOf ?? null,
    tickets: breaker.tickets ?? null,
    withholds: breaker.withholds ?? null,
  };
}

export function eventOf(transition: StoredTransition): EventView {
  const { id, srcSite, dstSite, policy, at, from, to, reason, partOf } = transition;
  return {
    id,
    path: pathName(transition),
    srcSite,
    dstSite,
    policy,
    at: at.toISOString(),
    from,
    to,
    reason,
    partOf: partOf ?? null,
  };
}

export async function forcingsView(store: Store, now: Date): Promise<ForcingView[]> {
  return (await store.forcings(now)).map(forcingOf);
}

export function forcingOf(forcing: Forcing): ForcingView {
  const { srcSite, dstSite, policy, state, owner, reason, at, until } = forcing;
  return {
    path: pathName(forcing),
    srcSite,
    dstSite,
    policy: policy ?? null,
    state,
    owner,
    reason,
    at: at.toISOString(),
    until: until.toISOString(),
  };
}

/**
 * Takes down a person's word; it counts from the next cycle on.
 * @throws UserError for a site or policy that nobody knows
 */
export async function force(store: Store, asked: ForceRequest, now: Date): Promise<ForcingView> {
  const { srcSite, dstSite, policy, state, seconds, reason, owner } = asked;
  await checkEnds(store, asked);
  const forcing: Forcing = {
    srcSite,
    dstSite,
    ...(policy !== undefined && { policy }),
    state: state === 'open' ? 'FORCED_OPEN' : 'FORCED_CLOSED',
    owner,
    reason,
    at: now,
    until: new Date(now.getTime() + seconds * 1000),
  };
  await store.saveForcing(forcing);
  return forcingOf(forcing);
}

/**
 * Takes words back; returns how many.
 * @throws UserError where none is in force
 */
export async function release(store: Store, asked: ReleaseRequest, now: Date): Promise<number> {
  const { srcSite, dstSite, policy } = asked;
  const count = await store.endForcings({ srcSite, dstSite, ...(policy !== undefined && { policy }) }, now);
  if (count > 0) return count;
  const others = (await forcingsView(store, now)).map(({ path }) => path);
  const known = others.length === 0 ? 'none is in force' : `in force: ${others.join(', ')}`;
  throw new UserError(`nothing is forced on ${pathName(asked)}; ${known}`);
}

async function checkEnds(store: Store, { srcSite, dstSite, policy }: ReleaseRequest): Promise<void> {
  if (srcSite === EVERY_SITE && dstSite === EVERY_SITE) {
    throw new UserError(`${EVERY_SITE}>${EVERY_SITE} would be every path; name one site at least`);
  }
  const [sites, estimates, breakers] = [await store.sites(), await store.estimates(), await store.breakers()];
  const known = new Set([
    EVERY_SITE,
    ...sites.map(({ name }) => name),
    ...estimates.flatMap((path) => [path.srcSite, path.dstSite]),
  ]);
  for (const site of [srcSite, dstSite]) {
    if (!known.has(site)) {
      throw new UserError(`no site is named "${site}"${nearest(site, [...known])}; "lark sites" lists them`);
    }
  }
  const policies = [...new Set(breakers.map((breaker) => breaker.policy))];
  if (policy !== undefined && !policies.includes(policy)) {
    throw new UserError(`no policy "${policy}" has a breaker${nearest(policy, policies)}`);
  }
}
