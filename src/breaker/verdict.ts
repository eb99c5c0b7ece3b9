import type { Breaker, PathVerdict, Withholding } from '../domain.ts';

const SEVERITY = ['CLOSED', 'FORCED_CLOSED', 'UNKNOWN', 'HALF_OPEN', 'OPEN', 'FORCED_OPEN'] as const;

const LIMITS = ['maxInputMB', 'maxOutputMB', 'maxTransferSeconds', 'maxJobs'] as const;

/**
 * What the breakers of one path come to. The worst state decides, among equals the one that lets least input pass;
 * each limit is the strictest of all that withhold. Tickets let jobs through only where nothing but half-open
 * breakers withhold: a policy that is open has no turn for anyone.
 * @returns undefined for no breaker
 */
export function verdictOf(breakers: readonly Breaker[]): PathVerdict | undefined {
  const [first, ...rest] = breakers;
  if (!first) return undefined;
  const worst = rest.reduce((worst, breaker) => (isStricter(breaker, worst) ? breaker : worst), first);
  const withholding = breakers.filter(({ withholds }) => withholds);
  const limits: Withholding = {};
  for (const { withholds } of withholding) {
    for (const limit of LIMITS) {
      const value = withholds?.[limit];
      if (value !== undefined) limits[limit] = Math.min(value, limits[limit] ?? Infinity);
    }
  }
  const tickets = withholding.every(({ state }) => state === 'HALF_OPEN')
    ? withholding[0]?.tickets
    : undefined;
  const retries = breakers.flatMap(({ state, retryAt }) => (state === 'OPEN' && retryAt ? [retryAt] : []));
  return {
    state: worst.state,
    policy: worst.policy,
    reason: worst.reason,
    since: worst.since,
    ...(withholding.length > 0 && { withholds: limits }),
    ...(tickets && { tickets }),
    ...(retries.length > 0 && { retryAt: retries.reduce((a, b) => (a > b ? a : b)) }),
    all: breakers.map(({ policy, state }) => ({ policy, state })),
  };
}

function isStricter(a: Breaker, b: Breaker): boolean {
  const difference = SEVERITY.indexOf(a.state) - SEVERITY.indexOf(b.state);
  if (difference !== 0) return difference > 0;
  return (a.withholds?.maxInputMB ?? Infinity) < (b.withholds?.maxInputMB ?? Infinity);
}
