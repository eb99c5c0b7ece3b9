/**
 * The state machine of one breaker. Pure: what it was, what is known now, and the time give what it is.
 *
 *     CLOSED ──trip holds──▶ OPEN ──its time is over and reset holds──▶ HALF_OPEN ──good results──▶ CLOSED
 *                             ▲                                            │
 *                             └──────────────── trip ──────────────────────┘
 *     any ──not enough is known──▶ UNKNOWN ──enough is known──▶ as if CLOSED
 *     any ──a person says so──▶ FORCED_OPEN, FORCED_CLOSED ──expiry──▶ as if CLOSED
 */
import type { Breaker, BreakerState, Forcing } from '../domain.ts';
import type { Policy } from './policy.ts';
import { turnAt } from './turns.ts';

/** What is known of a path, as one policy sees it. */
export interface Evidence {
  /** Why the path cannot be judged; undefined where it can. */
  readonly lacking: string | undefined;
  readonly trip: boolean | undefined;
  /** Undefined where it cannot be told. */
  readonly reset: boolean | undefined;
  /** Everything that the policy looks at was measured at this time or later, in ms since 1970. */
  readonly measuredToMs: number;
  /** What the policy looks at, with its values; asked for only when a reason is written. */
  figures(): string;
}

/** Which breaker it is. */
export type BreakerKey = Pick<Breaker, 'srcSite' | 'dstSite' | 'policy'>;

/**
 * What the breaker is now. Returns `before` itself when nothing changed, so that who stores it can tell by identity.
 * An opening is only proposed here: the guard may still hold it back.
 */
export function step(
  key: BreakerKey,
  before: Breaker | undefined,
  evidence: Evidence,
  policy: Policy,
  forcing: Forcing | undefined,
  now: Date,
): Breaker {
  if (forcing) return forced(key, before, policy, forcing, now);
  if (evidence.lacking !== undefined) return unknown(key, before, evidence.lacking, now);
  switch (before?.state) {
    case 'OPEN':
      return whileOpen(key, before, evidence, policy, now);
    case 'HALF_OPEN':
      return whileHalfOpen(key, before, evidence, policy, now);
    default:
      return whileClosed(key, before, evidence, policy, now);
  }
}

function whileClosed(
  key: BreakerKey,
  before: Breaker | undefined,
  evidence: Evidence,
  policy: Policy,
  now: Date,
): Breaker {
  if (!evidence.trip) {
    return before?.state === 'CLOSED' && before.conditionSince === undefined
      ? before
      : enter(key, before, 'CLOSED', '', now);
  }
  // Data that was too poor to judge by, or a person's word, cannot have held the condition.
  const conditionSince = (before?.state === 'CLOSED' && before.conditionSince) || now;
  if (secondsFrom(conditionSince, now) >= policy.holdSeconds) {
    return open(key, before, evidence.figures(), policy, now);
  }
  if (before?.state === 'CLOSED' && before.conditionSince) return before;
  const reason = `${evidence.figures()}; trips when this has held ${policy.holdSeconds} s`;
  return { ...enter(key, before, 'CLOSED', reason, now), conditionSince };
}

function whileOpen(key: BreakerKey, before: Breaker, evidence: Evidence, policy: Policy, now: Date): Breaker {
  if (evidence.reset === undefined) {
    return unknown(key, before, `Reset cannot be told from what was measured (${evidence.figures()})`, now);
  }
  const { conditionSince, notTrippedSince, ...rest } = before;
  if (evidence.trip) return conditionSince || notTrippedSince ? rest : before;
  const resetSince = evidence.reset ? (conditionSince ?? now) : undefined;
  const clearSince = notTrippedSince ?? now;
  // Between the thresholds nothing is proven. But a path must not stay shut for ever because it stays there.
  const isDue =
    (resetSince && secondsFrom(resetSince, now) >= policy.holdSeconds) ||
    secondsFrom(clearSince, now) >= policy.maxOpenSeconds;
  if (isDue && now.getTime() >= (before.retryAt ?? before.since).getTime()) {
    const reason = `${evidence.figures()}; closes after ${policy.goodResults} good results`;
    return {
      ...enter(key, before, 'HALF_OPEN', reason, now),
      goodResults: 0,
      countedTo: new Date(evidence.measuredToMs),
      withholds: policy.withholds,
      tickets: turnAt(policy, now, now),
    };
  }
  if (resetSince?.getTime() === conditionSince?.getTime() && notTrippedSince) return before;
  return { ...rest, ...(resetSince && { conditionSince: resetSince }), notTrippedSince: clearSince };
}

function whileHalfOpen(
  key: BreakerKey,
  before: Breaker,
  evidence: Evidence,
  policy: Policy,
  now: Date,
): Breaker {
  if (evidence.reset === undefined) {
    return unknown(key, before, `Reset cannot be told from what was measured (${evidence.figures()})`, now);
  }
  if (evidence.trip) return open(key, before, evidence.figures(), policy, now);
  const isNew = evidence.measuredToMs > (before.countedTo?.getTime() ?? 0);
  const goodResults = (before.goodResults ?? 0) + (isNew && evidence.reset ? 1 : 0);
  if (evidence.reset && goodResults >= policy.goodResults) {
    return enter(key, before, 'CLOSED', `${goodResults} good results: ${evidence.figures()}`, now);
  }
  if (secondsFrom(before.since, now) >= policy.maxOpenSeconds) {
    const reason = `has not tripped for ${policy.maxOpenSeconds} s: ${evidence.figures()}`;
    return enter(key, before, 'CLOSED', reason, now);
  }
  const tickets = turnAt(policy, before.since, now);
  const hasNewTurn = tickets.from !== before.tickets?.from || tickets.to !== before.tickets?.to;
  if (!isNew && !hasNewTurn) return before;
  return {
    ...before,
    goodResults,
    ...(isNew && { countedTo: new Date(evidence.measuredToMs) }),
    tickets,
  };
}

function open(
  key: BreakerKey,
  before: Breaker | undefined,
  reason: string,
  policy: Policy,
  now: Date,
): Breaker {
  const openings = countedOpenings(before, policy, now) + 1;
  const openSeconds = Math.min(
    policy.maxOpenSeconds,
    policy.minOpenSeconds * policy.backoffFactor ** (openings - 1),
  );
  return {
    srcSite: key.srcSite,
    dstSite: key.dstSite,
    policy: key.policy,
    state: 'OPEN',
    reason,
    since: now,
    openings,
    retryAt: new Date(now.getTime() + openSeconds * 1000),
    withholds: policy.withholds,
  };
}

/** How many earlier openings are not forgotten yet. */
function countedOpenings(before: Breaker | undefined, policy: Policy, now: Date): number {
  if (!before?.openings) return 0;
  if (!before.leftOpenAt) return before.openings;
  const faded = Math.floor(secondsFrom(before.leftOpenAt, now) / policy.decaySeconds);
  return Math.max(0, before.openings - faded);
}

function unknown(key: BreakerKey, before: Breaker | undefined, reason: string, now: Date): Breaker {
  return before?.state === 'UNKNOWN' && before.reason === reason
    ? before
    : enter(key, before, 'UNKNOWN', reason, now);
}

function forced(
  key: BreakerKey,
  before: Breaker | undefined,
  policy: Policy,
  forcing: Forcing,
  now: Date,
): Breaker {
  const reason = `${forcing.owner}, until ${forcing.until.toISOString()}: ${forcing.reason}`;
  if (before?.state === forcing.state && before.reason === reason) return before;
  return {
    ...enter(key, before, forcing.state, reason, now),
    ...(forcing.state === 'FORCED_OPEN' && { withholds: policy.withholds }),
  };
}

/** The breaker in this state: the past openings are remembered, all else begins anew. */
function enter(
  { srcSite, dstSite, policy }: BreakerKey,
  before: Breaker | undefined,
  state: BreakerState,
  reason: string,
  now: Date,
): Breaker {
  const leaves = before?.state === 'OPEN' || before?.state === 'HALF_OPEN';
  const leftOpenAt = leaves && state !== 'HALF_OPEN' ? now : before?.leftOpenAt;
  return {
    srcSite,
    dstSite,
    policy,
    state,
    reason,
    since: before?.state === state ? before.since : now,
    ...(before?.openings && { openings: before.openings }),
    ...(leftOpenAt && { leftOpenAt }),
  };
}

const secondsFrom = (from: Date, to: Date): number => (to.getTime() - from.getTime()) / 1000;
