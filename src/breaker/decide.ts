import { type Breaker, type BreakerTransition, EVERY_SITE, type Forcing, pathName } from '../domain.ts';
import { EarlierBreakers } from './earlier.ts';
import { type CompiledPolicy, compilePolicy, type JudgedPath, PathEvidence, pathFacts } from './evidence.ts';
import { type GuardShares, guard, type Proposal } from './guard.ts';
import { type Evidence, step } from './machine.ts';
import type { Policy } from './policy.ts';

export interface Decision {
  /** One for each path and policy that covers it, and the site breakers that are open. */
  breakers: Breaker[];
  transitions: BreakerTransition[];
  /** Those of `breakers` that are new or not as they were, and those of `previous` that are no more. */
  changed: Breaker[];
  gone: Breaker[];
  /** What the guard held back: the monitor is suspect. One sentence each. */
  guarded: string[];
  /** Half-open breakers whose policy asks for a test of the path, so that a result comes soon. */
  probes: Breaker[];
}

/** What is forced open where no policy covers the path. */
const BY_HAND: Pick<Policy, 'name' | 'withholds'> = { name: 'by-hand', withholds: { maxInputMB: 0 } };

/**
 * Judges every path under every policy. Pure: the same history gives the same states.
 * A breaker that did not change is the very object that was given as `previous`.
 * @param forcings persons' words; those whose time is over are ignored, and of two for one breaker the later counts
 */
export function decide(
  paths: readonly JudgedPath[],
  policies: readonly Policy[],
  previous: readonly Breaker[],
  shares: GuardShares,
  now: Date,
  forcings: readonly Forcing[] = [],
): Decision {
  const compiled = policies.map((policy) => compilePolicy(policy, now));
  const earlier = new EarlierBreakers(previous);
  const inForce = forcings
    .filter(({ until }) => until.getTime() > now.getTime())
    .sort((a, b) => b.at.getTime() - a.at.getTime());

  const proposals: Proposal[] = [];
  for (const path of paths) judge(path, compiled, earlier, inForce, now, proposals);
  const guarded = guard(proposals, previous.filter(isSiteBreaker), shares, now);
  const changes: Change[] = [];
  for (const [i, { before }] of proposals.entries()) {
    const breaker = guarded.breakers[i]!;
    if (breaker !== before) changes.push({ breaker, before });
  }
  const passing = [...guarded.sites, ...forcedByHand(proposals, inForce, previous, now)];
  for (const breaker of passing) {
    const before = earlier.take(earlier.ofPath(breaker), breaker.policy);
    if (breaker !== before) changes.push({ breaker, before });
  }
  const breakers = [...guarded.breakers, ...passing];
  const gone = earlier.left();
  return {
    breakers,
    changed: changes.map(({ breaker }) => breaker),
    gone,
    transitions: [...transitionsOf(changes, now), ...endings(gone, now)],
    guarded: guarded.warnings,
    probes: breakers.filter(
      ({ state, policy }) =>
        state === 'HALF_OPEN' && policies.some(({ name, halfOpenProbe }) => name === policy && halfOpenProbe),
    ),
  };
}

interface Change {
  breaker: Breaker;
  before: Breaker | undefined;
}

function judge(
  path: JudgedPath,
  compiled: readonly CompiledPolicy[],
  earlier: EarlierBreakers,
  forcings: readonly Forcing[],
  now: Date,
  proposals: Proposal[],
): void {
  const facts = pathFacts(path);
  const ofPath = earlier.ofPath(path);
  for (const one of compiled) {
    if (one.covers(facts) !== true) continue;
    const { policy } = one;
    const before = earlier.take(ofPath, policy.name);
    const evidence = new PathEvidence(path, facts, one);
    const forcing =
      forcings.length === 0 ? undefined : forcings.find((word) => isAbout(word, path, policy.name));
    const key = before ?? { srcSite: path.srcSite, dstSite: path.dstSite, policy: policy.name };
    const breaker = step(key, before, evidence, policy, forcing, now);
    proposals.push({ breaker, before, isBad: isBad(breaker, evidence) });
  }
}

function isBad(breaker: Breaker, evidence: Evidence): boolean | undefined {
  return evidence.lacking === undefined ? breaker.state === 'OPEN' || evidence.trip === true : undefined;
}

/** Whether what a person said is about this breaker: of this path, of a whole site, of one policy or of all. */
const isAbout = (word: Forcing, path: { srcSite: string; dstSite: string }, policy: string): boolean =>
  (word.srcSite === path.srcSite || word.srcSite === EVERY_SITE) &&
  (word.dstSite === path.dstSite || word.dstSite === EVERY_SITE) &&
  (word.policy === undefined || word.policy === policy);

/** Breakers for what was forced where nothing is measured or covered: a person may know more than the monitor. */
function forcedByHand(
  proposals: readonly Proposal[],
  forcings: readonly Forcing[],
  previous: readonly Breaker[],
  now: Date,
): Breaker[] {
  if (forcings.length === 0) return [];
  const covered = new Set(proposals.map(({ breaker }) => pathName(breaker)));
  const made = new Map<string, Breaker>();
  for (const { srcSite, dstSite, policy, state, owner, reason, until } of forcings) {
    const name = pathName({ srcSite, dstSite });
    if (policy !== undefined || covered.has(name) || made.has(name)) continue;
    const told = `${owner}, until ${until.toISOString()}: ${reason}`;
    const before = previous.find(
      (breaker) => breaker.policy === BY_HAND.name && pathName(breaker) === name && breaker.state === state,
    );
    const isSame = before?.reason === told;
    made.set(
      name,
      isSame
        ? before
        : {
            srcSite,
            dstSite,
            policy: BY_HAND.name,
            state,
            reason: told,
            since: before?.since ?? now,
            ...(state === 'FORCED_OPEN' && { withholds: BY_HAND.withholds }),
          },
    );
  }
  return [...made.values()];
}

function transitionsOf(changes: readonly Change[], at: Date): BreakerTransition[] {
  return changes.flatMap(({ breaker, before }) => {
    const { srcSite, dstSite, policy, state: to, reason, partOf } = breaker;
    const from = before?.state ?? (isPassing(breaker) ? 'CLOSED' : 'UNKNOWN');
    if (from === to) return [];
    return [{ srcSite, dstSite, policy, at, from, to, reason, ...(partOf && { partOf }) }];
  });
}

/** Site breakers and those made by hand exist only while they are open: where one is gone, it has closed. */
function endings(gone: readonly Breaker[], at: Date): BreakerTransition[] {
  return gone.filter(isPassing).map(({ srcSite, dstSite, policy, state: from }) => {
    const reason =
      policy === BY_HAND.name
        ? 'no word is in force any more'
        : 'its paths are not bad all together any more';
    return { srcSite, dstSite, policy, at, from, to: 'CLOSED', reason };
  });
}

const isPassing = (breaker: Breaker): boolean => isSiteBreaker(breaker) || breaker.policy === BY_HAND.name;

const isSiteBreaker = ({ srcSite, dstSite }: Pick<Breaker, 'srcSite' | 'dstSite'>): boolean =>
  srcSite === EVERY_SITE || dstSite === EVERY_SITE;
