import { ClassAd, type Expr, evaluate, references, type Value } from 'classad-parser';
import {
  type Breaker,
  type BreakerState,
  type BreakerTransition,
  type PathEstimate,
  pathName,
} from '../domain.ts';
import type { Policy } from './policy.ts';

/** A path as a breaker may judge it: `metrics` holds only what is fresh. */
export type JudgedPath = Pick<PathEstimate, 'srcSite' | 'dstSite' | 'metrics' | 'quality'>;

export interface Decision {
  /** One for each path and policy that covers it. */
  breakers: Breaker[];
  transitions: BreakerTransition[];
  /** Paths that should have opened, but the guard held them: the monitor is suspect. One sentence each. */
  guarded: string[];
}

/**
 * Judges every path under every policy. Pure: the same history gives the same states.
 *
 * Stale, thin or poor data never blocks: it makes the state UNKNOWN, also of an open breaker. A state changes only
 * when its condition has held for the policy's `holdSeconds`, and an open breaker stays open `minOpenSeconds`.
 * The guard: of the paths that touch one site, no more than `guardShare` may be open at once (one always may, or a
 * site with a single path could never be protected).
 */
export function decide(
  paths: readonly JudgedPath[],
  policies: readonly Policy[],
  previous: readonly Breaker[],
  guardShare: number,
  now: Date,
): Decision {
  const earlier = new Map(previous.map((breaker) => [breakerKey(breaker), breaker]));
  const judged = paths.flatMap((path) => {
    const facts = pathFacts(path);
    return policies
      .filter((policy) => evaluate(policy.covers, { my: facts, now }) === true)
      .map((policy) =>
        judge(path, facts, policy, earlier.get(breakerKey({ ...path, policy: policy.name })), now),
      );
  });
  const { breakers, guarded } = holdBack(judged, paths, earlier, guardShare, now);
  const transitions = breakers.flatMap((breaker) => {
    const from = earlier.get(breakerKey(breaker))?.state ?? 'UNKNOWN';
    if (from === breaker.state) return [];
    const { srcSite, dstSite, policy, state: to, reason } = breaker;
    return [{ srcSite, dstSite, policy, at: now, from, to, reason }];
  });
  return { breakers, transitions, guarded };
}

const breakerKey = (b: { srcSite: string; dstSite: string; policy: string }): string =>
  `${b.srcSite}>${b.dstSite} ${b.policy}`;

/** The path's figures under the names they have in its ad. */
function pathFacts(path: JudgedPath): ClassAd {
  const { throughputMbps, lossRate, oneWayDelayMs, rttMs, retransmits } = path.metrics;
  const ad = new ClassAd()
    .setString('SrcSite', path.srcSite)
    .setString('DstSite', path.dstSite)
    .setReal('Quality', path.quality)
    .setInteger('SampleCount', sampleCount(path));
  const figures = {
    ThroughputMbps: throughputMbps?.centre,
    ThroughputMbpsP10: throughputMbps?.p10,
    ThroughputMbpsP90: throughputMbps?.p90,
    LossRate: lossRate?.centre,
    OneWayDelayMs: oneWayDelayMs?.centre,
    RttMs: rttMs?.centre,
    Retransmits: retransmits?.centre,
  };
  for (const [name, value] of Object.entries(figures)) if (value !== undefined) ad.setReal(name, value);
  return ad;
}

const sampleCount = (path: JudgedPath): number =>
  Object.values(path.metrics).reduce((sum, figures) => sum + figures.sampleCount, 0);

function judge(
  path: JudgedPath,
  facts: ClassAd,
  policy: Policy,
  before: Breaker | undefined,
  now: Date,
): Breaker {
  const enter = (state: BreakerState, reason: string, conditionSince?: Date): Breaker => ({
    srcSite: path.srcSite,
    dstSite: path.dstSite,
    policy: policy.name,
    state,
    reason,
    since: before?.state === state ? before.since : now,
    ...(conditionSince && { conditionSince }),
    ...(state === 'OPEN' && { maxInputMB: policy.maxInputMB }),
  });

  const samples = sampleCount(path);
  if (samples < policy.minSamples) {
    return enter('UNKNOWN', `${samples} fresh samples, ${policy.minSamples} are needed`);
  }
  if (path.quality < policy.minQuality) {
    return enter('UNKNOWN', `quality ${path.quality}, ${policy.minQuality} is needed`);
  }
  const isOpen = before?.state === 'OPEN';
  const condition: Expr = isOpen ? policy.reset : policy.trip;
  const holds: Value = evaluate(condition, { my: facts, now });
  if (typeof holds !== 'boolean') {
    return enter(
      'UNKNOWN',
      `${isOpen ? 'Reset' : 'Trip'} cannot be told from what was measured (${figures(facts, policy)})`,
    );
  }
  // The reason of an open breaker stays that of its opening: it is what people ask for.
  if (!holds) return isOpen ? enter('OPEN', before.reason) : enter('CLOSED', figures(facts, policy));

  const since = before && before.state !== 'UNKNOWN' ? (before.conditionSince ?? now) : now;
  const heldSeconds = (now.getTime() - since.getTime()) / 1000;
  if (isOpen) {
    const openSeconds = (now.getTime() - before.since.getTime()) / 1000;
    return heldSeconds >= policy.holdSeconds && openSeconds >= policy.minOpenSeconds
      ? enter('CLOSED', figures(facts, policy))
      : enter('OPEN', before.reason, since);
  }
  return heldSeconds >= policy.holdSeconds
    ? enter('OPEN', figures(facts, policy))
    : enter('CLOSED', `${figures(facts, policy)}; trips when this has held ${policy.holdSeconds} s`, since);
}

/** What the policy looks at, with its values: `ThroughputMbps 36.1, LossRate unknown`. */
function figures(facts: ClassAd, policy: Policy): string {
  const own = [policy.trip, policy.reset].map((expr) => references(expr, facts));
  const known = new Set(own.flatMap(({ my }) => my));
  const unknown = new Set(own.flatMap(({ unresolved }) => unresolved));
  return [
    ...[...known].map((name) => `${name} ${Number(facts.getNumber(name)?.toPrecision(4))}`),
    ...[...unknown].map((name) => `${name} unknown`),
  ].join(', ');
}

/** Takes back openings that would open more of a site's paths than the guard allows. */
function holdBack(
  judged: Breaker[],
  paths: readonly JudgedPath[],
  earlier: ReadonlyMap<string, Breaker>,
  guardShare: number,
  now: Date,
): { breakers: Breaker[]; guarded: string[] } {
  const pathsOfSite = new Map<string, number>();
  for (const { srcSite, dstSite } of paths) {
    for (const site of [srcSite, dstSite]) pathsOfSite.set(site, (pathsOfSite.get(site) ?? 0) + 1);
  }
  const limit = (site: string): number => Math.max(1, Math.floor(guardShare * (pathsOfSite.get(site) ?? 0)));

  const openPaths = new Map<string, Set<string>>();
  const openOf = (site: string): Set<string> => {
    const set = openPaths.get(site) ?? new Set();
    openPaths.set(site, set);
    return set;
  };
  const wasOpen = (breaker: Breaker): boolean => earlier.get(breakerKey(breaker))?.state === 'OPEN';
  for (const breaker of judged) {
    if (breaker.state !== 'OPEN' || !wasOpen(breaker)) continue;
    for (const site of [breaker.srcSite, breaker.dstSite]) openOf(site).add(pathName(breaker));
  }

  const guarded: string[] = [];
  const breakers = judged.map((breaker) => {
    if (breaker.state !== 'OPEN' || wasOpen(breaker)) return breaker;
    const name = pathName(breaker);
    const full = [breaker.srcSite, breaker.dstSite].find(
      (site) => !openOf(site).has(name) && openOf(site).size >= limit(site),
    );
    if (!full) {
      for (const site of [breaker.srcSite, breaker.dstSite]) openOf(site).add(name);
      return breaker;
    }
    const why = `${openOf(full).size} of ${pathsOfSite.get(full)} paths of ${full} are open already, the guard allows ${limit(full)}`;
    guarded.push(`${name} stays closed under ${breaker.policy}: ${why}`);
    const before = earlier.get(breakerKey(breaker));
    const { maxInputMB: _, ...rest } = breaker;
    return {
      ...rest,
      state: 'CLOSED' as const,
      since: before?.state === 'CLOSED' ? before.since : now,
      ...(before?.conditionSince && { conditionSince: before.conditionSince }),
      reason: `${breaker.reason}; held closed by the guard: ${why}`,
    };
  });
  return { breakers, guarded };
}
