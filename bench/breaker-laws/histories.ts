import { type Evidence, step } from '../../src/breaker/machine.ts';
import type { Policy } from '../../src/breaker/policy.ts';
import { parsePolicy } from '../../src/breaker/policy.ts';
import type { Breaker, BreakerState, Forcing } from '../../src/domain.ts';
import { uniformNumbers } from '../../testbed/random.ts';

/** What a path is like at one time, by what the machine asks. */
interface Weather {
  lacking: boolean;
  trip: boolean;
  /** Undefined: cannot be told. Never true together with `trip`: checked policies have a gap. */
  reset: boolean | undefined;
}

const KEY = { srcSite: 'A', dstSite: 'B', policy: 'p' };
const START_MS = Date.UTC(2026, 0, 1);
const NO_POLICY = parsePolicy(
  'Name = "p"\nCovers = true\nTrip = false\nReset = false\nMaxInputMB = 1',
  'laws',
);

const ALLOWED: Record<BreakerState, ReadonlySet<BreakerState>> = {
  UNKNOWN: new Set(['CLOSED', 'OPEN']),
  CLOSED: new Set(['UNKNOWN', 'OPEN']),
  OPEN: new Set(['UNKNOWN', 'HALF_OPEN']),
  HALF_OPEN: new Set(['UNKNOWN', 'OPEN', 'CLOSED']),
  FORCED_OPEN: new Set(['UNKNOWN', 'CLOSED', 'OPEN']),
  FORCED_CLOSED: new Set(['UNKNOWN', 'CLOSED', 'OPEN']),
};

export interface Walked {
  steps: number;
  /** How often each transition was met, by `FROM TO`. */
  transitions: Map<string, number>;
}

/**
 * Walks one breaker through random histories under random policies and checks at every step what must hold:
 * every transition is a known one; nothing is open or withheld on data that is stale, thin or unmeasured; an opening by
 * measurement comes only after the condition held; it lasts its time, with back-off and cap; after good weather of some
 * length everything is closed; a state that does not change keeps its time.
 * @throws Error naming the law, the history's number and the step
 */
export function walk(histories: number, stepsEach: number, seed: number): Walked {
  const random = uniformNumbers(seed);
  const transitions = new Map<string, number>();
  let steps = 0;
  for (let history = 0; history < histories; history++) {
    const policy = anyPolicy(random);
    let now = START_MS;
    let before: Breaker | undefined;
    let weather: Weather = { lacking: false, trip: false, reset: true };
    let tripSince: number | undefined;
    let measuredToMs = now;
    const forcing = random() < 0.1 ? anyForcing(random, now) : undefined;
    const broken = (law: string, at: number): Error =>
      new Error(
        `${law} (seed ${seed}, history ${history}, step ${at}): ${JSON.stringify({ before, policy })}`,
      );
    for (let i = 0; i < stepsEach; i++, steps++) {
      now += Math.ceil(random() * 400) * 1000;
      if (random() < 0.35) weather = anyWeather(random);
      if (random() < 0.6) measuredToMs = now;
      const evidence = evidenceOf(weather, measuredToMs);
      const word =
        forcing && now >= forcing.at.getTime() && now < forcing.until.getTime() ? forcing : undefined;
      const after: Breaker = step(KEY, before, evidence, policy, word, new Date(now));
      // Since when the condition has been seen by a machine that was allowed to look at it.
      const looks = !word && !weather.lacking && before?.state !== 'OPEN' && before?.state !== 'HALF_OPEN';
      tripSince = looks && weather.trip ? (tripSince ?? now) : undefined;

      const from = before?.state ?? 'UNKNOWN';
      if (from !== after.state) {
        const name = `${from} ${after.state}`;
        transitions.set(name, (transitions.get(name) ?? 0) + 1);
        const isForced = after.state.startsWith('FORCED');
        if (!isForced && !ALLOWED[from].has(after.state))
          throw broken(`no way from ${from} to ${after.state}`, i);
        if (after.since.getTime() !== now) throw broken('a new state begins now', i);
      } else if (before && after.since.getTime() !== before.since.getTime()) {
        throw broken('a state that stays keeps its beginning', i);
      }
      if (word ? after.state !== word.state : after.state.startsWith('FORCED'))
        throw broken("a person's word counts as long as it lasts", i);
      if (!word && weather.lacking && after.state !== 'UNKNOWN') throw broken('poor data is UNKNOWN', i);
      const mayWithhold =
        after.state === 'OPEN' || after.state === 'HALF_OPEN' || after.state === 'FORCED_OPEN';
      if ((after.withholds !== undefined) !== mayWithhold)
        throw broken('open states withhold, no other does', i);
      if (after.state === 'OPEN' && from !== 'OPEN') {
        if (!weather.trip) throw broken('nothing opens that is not bad', i);
        if (from !== 'HALF_OPEN' && now - tripSince! < policy.holdSeconds * 1000)
          throw broken('nothing opens before its condition held', i);
        const lasts = (after.retryAt!.getTime() - now) / 1000;
        if (lasts < Math.min(policy.minOpenSeconds, policy.maxOpenSeconds) || lasts > policy.maxOpenSeconds)
          throw broken('an opening lasts from the least time to the cap', i);
      }
      if (from === 'OPEN' && after.state === 'HALF_OPEN' && now < before!.retryAt!.getTime())
        throw broken('no opening ends before its time', i);
      if (from === 'HALF_OPEN' && after.state === 'CLOSED') {
        const isOver = now - before!.since.getTime() >= policy.maxOpenSeconds * 1000;
        if (!isOver && weather.reset !== true) throw broken('half-open closes by good results', i);
      }
      if (
        after.state === 'HALF_OPEN' &&
        !(after.tickets && after.tickets.to <= 100 && after.tickets.from <= after.tickets.to)
      )
        throw broken('half-open has a turn', i);
      before = after;
    }
    // Good weather: each step brings a new good measurement, and time enough.
    for (let i = 0; i < policy.goodResults + 3; i++, steps++) {
      now += policy.maxOpenSeconds * 1000 + 1000;
      const after: Breaker = step(
        KEY,
        before,
        evidenceOf({ lacking: false, trip: false, reset: true }, now),
        policy,
        undefined,
        new Date(now),
      );
      before = after;
    }
    if (before?.state !== 'CLOSED') throw broken('good weather closes everything', stepsEach);
  }
  return { steps, transitions };
}

function evidenceOf({ lacking, trip, reset }: Weather, measuredToMs: number): Evidence {
  return {
    lacking: lacking ? 'nothing fresh' : undefined,
    trip: lacking ? undefined : trip,
    reset: lacking ? undefined : reset,
    measuredToMs,
    figures: () => 'figures',
  };
}

function anyWeather(random: () => number): Weather {
  const trip = random() < 0.45;
  const reset = random() < 0.05 ? undefined : !trip && random() < 0.7;
  return { lacking: random() < 0.12, trip, reset };
}

function anyPolicy(random: () => number): Policy {
  const pick = (values: readonly number[]): number => values[Math.floor(random() * values.length)]!;
  const minOpenSeconds = pick([0, 300, 1800]);
  return {
    ...NO_POLICY,
    holdSeconds: pick([0, 300, 900]),
    minOpenSeconds,
    maxOpenSeconds: Math.max(minOpenSeconds, pick([300, 3600, 21_600])),
    backoffFactor: pick([1, 2, 10]),
    decaySeconds: pick([1, 3600, 86_400]),
    halfOpenShare: pick([0, 0.1, 0.33, 1]),
    halfOpenTurnSeconds: pick([60, 600]),
    goodResults: pick([1, 2, 4]),
  };
}

function anyForcing(random: () => number, startMs: number): Forcing {
  const at = startMs + random() * 4_000_000;
  return {
    srcSite: 'A',
    dstSite: 'B',
    state: random() < 0.5 ? 'FORCED_OPEN' : 'FORCED_CLOSED',
    owner: 'ann',
    reason: 'because',
    at: new Date(at),
    until: new Date(at + random() * 3_000_000),
  };
}
