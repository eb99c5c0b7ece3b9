/**
 * The guard: Lark must never be the reason that a healthy pool stands still. Measurement alone may shut only so much;
 * beyond that it is likelier that the monitor is wrong, and that is told instead.
 */
import { type Breaker, EVERY_SITE, pathName } from '../domain.ts';

/** A breaker as the machine proposes it. */
export interface Proposal {
  breaker: Breaker;
  before: Breaker | undefined;
  /** Whether the path looks bad now: it is open, or its trip condition holds. Undefined: it cannot be judged. */
  isBad: boolean | undefined;
}

export interface GuardShares {
  /** Largest share (0..1) of one site's paths that may be open at once; one always may. */
  ofSite: number;
  /** Largest share (0..1) of all paths, and likewise of all sites, that may be open at once; one always may. */
  ofPool: number;
}

export interface Guarded {
  /** In the order of the proposals. */
  breakers: Breaker[];
  /** The site breakers that are open. */
  sites: Breaker[];
  /** What the guard held back, one sentence for each site and policy. */
  warnings: string[];
}

/** All that goes into a site, or all that leaves it, is told as one only when there are so many paths. */
const FEWEST_PATHS = 3;

type Direction = 'in' | 'out';

/** One side of one site under one policy. */
interface Side {
  site: string;
  direction: Direction;
  policy: string;
  /** Filled for sides that may be bad altogether. */
  members: Proposal[];
  total: number;
  bad: number;
}

/**
 * Takes back openings that measurement alone must not make.
 *
 * A site all of whose judged paths of one direction are bad, while at least half of the other ends see other sites
 * well, is itself what is bad: that is one site breaker, and its paths do not count against the other ends. Once
 * open it stands until fewer than half of its paths are bad.
 *
 * Half-open breakers count, but are not held back: they let jobs through. Forced ones do neither: a person's word.
 */
export function guard(
  proposals: readonly Proposal[],
  earlierSites: readonly Breaker[],
  shares: GuardShares,
  now: Date,
): Guarded {
  if (!proposals.some(({ breaker }) => breaker.state === 'OPEN')) {
    return { breakers: proposals.map(({ breaker }) => breaker), sites: [], warnings: [] };
  }
  const sides = badSides(proposals, earlierSites, shares);
  const sideOf = new Map<Proposal, Side>();
  for (const side of sides) for (const member of side.members) sideOf.set(member, side);

  const counts = new PathCounts(proposals, shares);
  const open: Proposal[] = [];
  for (const proposal of proposals) {
    const { state } = proposal.breaker;
    if (sideOf.has(proposal)) continue;
    if (state === 'OPEN') open.push(proposal);
    else if (state === 'HALF_OPEN') counts.count(proposal.breaker);
  }
  // Those that stand come first, the oldest before the others: what is taken back is what came last.
  const order = (p: Proposal): number => (p.before?.state === 'OPEN' ? p.before.since.getTime() : Infinity);
  const held = new Map<Proposal, string>();
  for (const proposal of open.sort((a, b) => order(a) - order(b) || 0)) {
    const why = counts.admit(proposal.breaker);
    if (why) held.set(proposal, why);
  }

  const breakers = proposals.map((proposal) => {
    const why = held.get(proposal);
    if (why) return closedByGuard(proposal, why, now);
    const side = sideOf.get(proposal);
    if (!side || proposal.breaker.state !== 'OPEN') return proposal.breaker;
    const partOf = sideName(side);
    return proposal.breaker.partOf === partOf ? proposal.breaker : { ...proposal.breaker, partOf };
  });
  return {
    breakers,
    sites: sides.map((side) => siteBreaker(side, earlierSites, now)),
    warnings: warningsOf(held),
  };
}

/** How many paths are open, of all and of each site, against what may be. */
class PathCounts {
  readonly #shares: GuardShares;
  readonly #pathsOf = new Map<string, number>();
  readonly #openOf = new Map<string, Set<string>>();
  readonly #open = new Set<string>();
  #paths = 0;

  constructor(proposals: readonly Proposal[], shares: GuardShares) {
    this.#shares = shares;
    let last: Breaker | undefined;
    for (const { breaker } of proposals) {
      // A path's proposals follow each other.
      if (last?.srcSite === breaker.srcSite && last.dstSite === breaker.dstSite) continue;
      last = breaker;
      this.#paths += 1;
      for (const site of [breaker.srcSite, breaker.dstSite]) {
        this.#pathsOf.set(site, (this.#pathsOf.get(site) ?? 0) + 1);
      }
    }
  }

  /** Counts the path as open, whatever the limits are. */
  count(breaker: Breaker): void {
    const name = pathName(breaker);
    this.#open.add(name);
    for (const site of [breaker.srcSite, breaker.dstSite]) {
      const open = this.#openOf.get(site) ?? new Set();
      this.#openOf.set(site, open.add(name));
    }
  }

  /** Counts the path as open; or says why it may not be. */
  admit(breaker: Breaker): string | undefined {
    const name = pathName(breaker);
    if (this.#open.has(name)) return undefined;
    const poolLimit = limitOf(this.#shares.ofPool, this.#paths);
    if (this.#open.size >= poolLimit) {
      return `${this.#open.size} of the pool's ${this.#paths} paths are open already, the guard allows ${poolLimit}`;
    }
    for (const site of [breaker.srcSite, breaker.dstSite]) {
      const paths = this.#pathsOf.get(site) ?? 0;
      const open = this.#openOf.get(site)?.size ?? 0;
      const limit = limitOf(this.#shares.ofSite, paths);
      if (open >= limit)
        return `${open} of ${paths} paths of ${site} are open already, the guard allows ${limit}`;
    }
    this.count(breaker);
    return undefined;
  }
}

const limitOf = (share: number, count: number): number => Math.max(1, Math.floor(share * count));

/** The sides all of whose paths are bad, those that stand first, no more than the pool's share of sites. */
function badSides(
  proposals: readonly Proposal[],
  earlierSites: readonly Breaker[],
  shares: GuardShares,
): Side[] {
  const counts = new SideCounts();
  for (const proposal of proposals) if (isJudged(proposal)) counts.add(proposal);
  const standing = new Set(earlierSites.map((site) => `${site.policy} ${pathName(site)}`));
  const isStanding = (side: Side): boolean => standing.has(`${side.policy} ${sideName(side)}`);
  const suspects = counts
    .sides()
    .filter((side) =>
      isStanding(side) ? side.bad * 2 >= side.total : side.total >= FEWEST_PATHS && side.bad === side.total,
    );
  if (suspects.length === 0) return [];

  const others = new Map<Side, Set<string>>(suspects.map((side) => [side, new Set()]));
  for (const proposal of proposals) {
    if (!isJudged(proposal)) continue;
    for (const side of counts.sidesOf(proposal.breaker)) {
      if (!others.has(side)) continue;
      side.members.push(proposal);
      others.get(side)!.add(side.direction === 'in' ? proposal.breaker.srcSite : proposal.breaker.dstSite);
    }
  }
  /** The suspect sides of which an end sees some other site well, each with those ends. */
  const seeingWell = new Map<Side, Set<string>>(suspects.map((side) => [side, new Set()]));
  for (const proposal of proposals) {
    if (!isJudged(proposal) || proposal.isBad) continue;
    const { srcSite, dstSite, policy } = proposal.breaker;
    for (const side of suspects) {
      if (side.policy !== policy || side.site === srcSite || side.site === dstSite) continue;
      for (const site of [srcSite, dstSite]) if (others.get(side)!.has(site)) seeingWell.get(side)!.add(site);
    }
  }
  const bad = suspects.filter(
    (side) =>
      side.members.some(({ breaker }) => breaker.state === 'OPEN') &&
      (isStanding(side) || seeingWell.get(side)!.size * 2 >= side.total),
  );
  bad.sort((a, b) => Number(isStanding(b)) - Number(isStanding(a)) || (sideName(a) < sideName(b) ? -1 : 1));
  const allowed = new Set<string>();
  const limit = limitOf(shares.ofPool, counts.siteCount());
  return bad.filter(({ site }) => {
    if (!allowed.has(site) && allowed.size >= limit) return false;
    allowed.add(site);
    return true;
  });
}

const isJudged = ({ breaker, isBad }: Proposal): boolean =>
  isBad !== undefined && breaker.state !== 'FORCED_OPEN' && breaker.state !== 'FORCED_CLOSED';

/** Per policy, site and direction: how many paths are judged, and how many of them are bad. */
class SideCounts {
  readonly #byPolicy = new Map<string, Record<Direction, Map<string, Side>>>();
  readonly #sites = new Set<string>();

  add({ breaker, isBad }: Proposal): void {
    for (const side of this.sidesOf(breaker)) {
      side.total += 1;
      if (isBad) side.bad += 1;
    }
  }

  sidesOf({ srcSite, dstSite, policy }: Breaker): [into: Side, outOf: Side] {
    const maps = this.#byPolicy.get(policy) ?? { in: new Map(), out: new Map() };
    this.#byPolicy.set(policy, maps);
    return [this.#side(maps.in, dstSite, 'in', policy), this.#side(maps.out, srcSite, 'out', policy)];
  }

  #side(map: Map<string, Side>, site: string, direction: Direction, policy: string): Side {
    let side = map.get(site);
    if (!side) {
      side = { site, direction, policy, members: [], total: 0, bad: 0 };
      map.set(site, side);
      this.#sites.add(site);
    }
    return side;
  }

  sides(): Side[] {
    return [...this.#byPolicy.values()].flatMap((maps) => [...maps.in.values(), ...maps.out.values()]);
  }

  siteCount(): number {
    return this.#sites.size;
  }
}

const sideName = ({ site, direction }: Side): string =>
  direction === 'in' ? `${EVERY_SITE}>${site}` : `${site}>${EVERY_SITE}`;

function siteBreaker(side: Side, earlier: readonly Breaker[], now: Date): Breaker {
  const name = sideName(side);
  const before = earlier.find((site) => site.policy === side.policy && pathName(site) === name);
  const what = side.direction === 'in' ? `into ${side.site}` : `out of ${side.site}`;
  if (before) return before;
  const worst = side.members.find(({ breaker }) => breaker.state === 'OPEN')!.breaker;
  const reason = `all ${side.total} paths ${what} are bad while their other ends see other sites well; for example ${pathName(worst)}: ${worst.reason}`;
  return {
    srcSite: side.direction === 'in' ? EVERY_SITE : side.site,
    dstSite: side.direction === 'in' ? side.site : EVERY_SITE,
    policy: side.policy,
    state: 'OPEN',
    reason,
    since: now,
    ...(worst.withholds && { withholds: worst.withholds }),
  };
}

function closedByGuard({ breaker, before }: Proposal, why: string, now: Date): Breaker {
  const reason = `${breaker.reason}; held closed by the guard: ${why}`;
  const conditionSince = before?.conditionSince ?? now;
  if (before?.state === 'CLOSED' && before.reason === reason && before.conditionSince) return before;
  const { srcSite, dstSite, policy } = breaker;
  return {
    srcSite,
    dstSite,
    policy,
    state: 'CLOSED',
    reason,
    since: before?.state === 'CLOSED' ? before.since : now,
    conditionSince,
    ...(before?.openings && { openings: before.openings }),
    ...(before?.leftOpenAt && { leftOpenAt: before.leftOpenAt }),
  };
}

function warningsOf(held: ReadonlyMap<Proposal, string>): string[] {
  const byWhy = Map.groupBy(held, ([{ breaker }, why]) => `${breaker.policy}\n${why}`);
  return [...byWhy].map(([key, group]) => {
    const [policy, why] = key.split('\n');
    const names = group.map(([{ breaker }]) => pathName(breaker));
    const some = names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '');
    const verb = names.length === 1 ? 'stays' : 'stay';
    return `${some} ${verb} closed under ${policy}: ${why}; so many at once speak against the monitor`;
  });
}
