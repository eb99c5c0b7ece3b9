/** What a policy would have done: decisions over a history of estimates, one after the other. Pure. */
import { type Breaker, EVERY_SITE, pathName } from '../domain.ts';
import { type Decision, decide } from './decide.ts';
import type { JudgedPath } from './evidence.ts';
import type { GuardShares } from './guard.ts';
import type { Policy } from './policy.ts';
import { verdictOf } from './verdict.ts';

/** A job as history knows it. */
export interface PastJob {
  srcSite: string;
  dstSite: string;
  startedAt: Date;
  inputMB: number;
  outputMB?: number;
  ticket?: number;
}

export interface PathReplay {
  path: string;
  openings: number;
  /** Openings within an hour after the last one ended: a breaker that flutters. */
  flaps: number;
  openSeconds: number;
  longestSeconds: number;
  halfOpenSeconds: number;
  unknownSeconds: number;
  /** Jobs of the history on this path that were to start while it withheld them, and their input. */
  jobsWithheld: number;
  withheldMB: number;
}

export interface ReplayResult {
  policy: string;
  moments: number;
  /** Paths that the policy covers, at any time. */
  paths: number;
  openings: number;
  flaps: number;
  siteOpenings: number;
  openSeconds: number;
  longestSeconds: number;
  /** Of the time that the covered paths were there, the share (0..1) in which they were open. */
  openShare: number;
  /** Moments at which the guard held something back. */
  guardedMoments: number;
  jobs: number;
  jobsWithheld: number;
  withheldMB: number;
  /** Those that ever opened, or were half-open or unknown; the longest open first. */
  byPath: PathReplay[];
}

const FLAP_SECONDS = 3600;

type Standing = PathReplay & { breakerSeconds: number; openSinceMs?: number; leftOpenMs?: number };

/** Takes the moments of a history in their order; `result()` sums up what was decided. */
export class Replay {
  readonly #policy: Policy;
  readonly #shares: GuardShares;
  readonly #jobs: readonly PastJob[];
  readonly #standing = new Map<string, Standing>();
  #breakers: Breaker[] = [];
  #judged: ReadonlyMap<string, JudgedPath> = new Map();
  #at: Date | undefined;
  #moments = 0;
  #siteOpenings = 0;
  #guardedMoments = 0;
  #nextJob = 0;
  #jobsSeen = 0;

  constructor(policy: Policy, shares: GuardShares, jobs: readonly PastJob[] = []) {
    this.#policy = policy;
    this.#shares = shares;
    this.#jobs = jobs.toSorted((a, b) => a.startedAt.getTime() - b.startedAt.getTime());
  }

  /** @param paths what was known at that time; later than the moment before */
  step(at: Date, paths: readonly JudgedPath[]): Decision {
    this.#passTime(at);
    const decision = decide(paths, [this.#policy], this.#breakers, this.#shares, at);
    this.#moments += 1;
    if (decision.guarded.length > 0) this.#guardedMoments += 1;
    for (const { srcSite, dstSite, from, to } of decision.transitions) {
      const isSite = srcSite === EVERY_SITE || dstSite === EVERY_SITE;
      if (isSite && to === 'OPEN') this.#siteOpenings += 1;
      else if (!isSite) this.#change(pathName({ srcSite, dstSite }), from, to, at);
    }
    for (const gone of decision.gone)
      if (gone.state === 'OPEN') this.#change(pathName(gone), 'OPEN', 'UNKNOWN', at);
    this.#breakers = decision.breakers;
    this.#judged = new Map(paths.map((path) => [pathName(path), path]));
    this.#at = at;
    return decision;
  }

  #standingOf(path: string): Standing {
    const known = this.#standing.get(path) ?? {
      path,
      openings: 0,
      flaps: 0,
      openSeconds: 0,
      longestSeconds: 0,
      halfOpenSeconds: 0,
      unknownSeconds: 0,
      jobsWithheld: 0,
      withheldMB: 0,
      breakerSeconds: 0,
    };
    this.#standing.set(path, known);
    return known;
  }

  #change(path: string, from: Breaker['state'], to: Breaker['state'], at: Date): void {
    const one = this.#standingOf(path);
    if (to === 'OPEN') {
      one.openings += 1;
      const ms = one.leftOpenMs === undefined ? Infinity : at.getTime() - one.leftOpenMs;
      if (ms <= FLAP_SECONDS * 1000) one.flaps += 1;
      one.openSinceMs ??= at.getTime();
    } else if (from === 'OPEN') {
      one.leftOpenMs = at.getTime();
      delete one.openSinceMs;
    }
  }

  /** What stood since the last moment stood until now. */
  #passTime(to: Date): void {
    if (!this.#at) return;
    const seconds = (to.getTime() - this.#at.getTime()) / 1000;
    for (const { srcSite, dstSite, state } of this.#breakers) {
      if (srcSite === EVERY_SITE || dstSite === EVERY_SITE) continue;
      const one = this.#standingOf(pathName({ srcSite, dstSite }));
      one.breakerSeconds += seconds;
      if (state === 'HALF_OPEN') one.halfOpenSeconds += seconds;
      else if (state === 'UNKNOWN') one.unknownSeconds += seconds;
      else if (state === 'OPEN') {
        one.openSeconds += seconds;
        const openMs = to.getTime() - (one.openSinceMs ?? to.getTime());
        one.longestSeconds = Math.max(one.longestSeconds, openMs / 1000);
      }
    }
    this.#passJobs(this.#at, to);
  }

  #passJobs(from: Date, to: Date): void {
    let byPath: Map<string, Breaker[]> | undefined;
    for (; this.#nextJob < this.#jobs.length; this.#nextJob++) {
      const job = this.#jobs[this.#nextJob]!;
      if (job.startedAt >= to) return;
      if (job.startedAt < from) continue;
      this.#jobsSeen += 1;
      byPath ??= Map.groupBy(this.#breakers, pathName);
      const way = (srcSite: string, dstSite: string, isInput: boolean): string | undefined => {
        const name = pathName({ srcSite, dstSite });
        const mbps = this.#judged.get(name)?.metrics.throughputMbps?.centre;
        return isWithheld(job, isInput, byPath!.get(name) ?? [], mbps) ? name : undefined;
      };
      const held = way(job.srcSite, job.dstSite, true) ?? way(job.dstSite, job.srcSite, false);
      if (held === undefined) continue;
      const one = this.#standingOf(held);
      one.jobsWithheld += 1;
      one.withheldMB += job.inputMB;
    }
  }

  /** @param end until when what was decided last is taken to stand */
  result(end: Date): ReplayResult {
    this.#passTime(end);
    this.#at = end;
    const all = [...this.#standing.values()];
    const sum = (value: (one: Standing) => number): number =>
      all.reduce((total, one) => total + value(one), 0);
    const breakerSeconds = sum((one) => one.breakerSeconds);
    return {
      policy: this.#policy.name,
      moments: this.#moments,
      paths: all.length,
      openings: sum((one) => one.openings),
      flaps: sum((one) => one.flaps),
      siteOpenings: this.#siteOpenings,
      openSeconds: sum((one) => one.openSeconds),
      longestSeconds: Math.max(0, ...all.map((one) => one.longestSeconds)),
      openShare: breakerSeconds === 0 ? 0 : sum((one) => one.openSeconds) / breakerSeconds,
      guardedMoments: this.#guardedMoments,
      jobs: this.#jobsSeen,
      jobsWithheld: sum((one) => one.jobsWithheld),
      withheldMB: sum((one) => one.withheldMB),
      byPath: all
        .filter((one) => one.openings > 0 || one.halfOpenSeconds > 0 || one.unknownSeconds > 0)
        .sort((a, b) => b.openSeconds - a.openSeconds || (a.path < b.path ? -1 : 1))
        .map(({ breakerSeconds: _, openSinceMs: _since, leftOpenMs: _left, ...one }) => one),
    };
  }
}

/** As config/htcondor/execution-point.conf has it, but for what waits in queues: history does not tell that. */
function isWithheld(
  job: PastJob,
  isInput: boolean,
  breakers: readonly Breaker[],
  mbps: number | undefined,
): boolean {
  const { withholds, tickets } = verdictOf(breakers) ?? {};
  if (!withholds) return false;
  if (tickets && job.ticket !== undefined && job.ticket >= tickets.from && job.ticket < tickets.to)
    return false;
  if (!isInput) return (job.outputMB ?? 0) > (withholds.maxOutputMB ?? Infinity);
  if (job.inputMB <= 0) return false;
  return (
    job.inputMB > (withholds.maxInputMB ?? Infinity) ||
    (mbps !== undefined && job.inputMB * 8 > (withholds.maxTransferSeconds ?? Infinity) * mbps)
  );
}
