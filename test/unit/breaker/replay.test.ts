import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide } from '../../../src/breaker/decide.ts';
import type { JudgedPath } from '../../../src/breaker/evidence.ts';
import { type Policy, parsePolicy } from '../../../src/breaker/policy.ts';
import { type PastJob, Replay } from '../../../src/breaker/replay.ts';
import { type Breaker, type BreakerTransition, pathName } from '../../../src/domain.ts';
import { at, path } from './support.ts';

const POLICY: Policy = parsePolicy(
  `Covers = true
Trip = ThroughputMbps < 100
Reset = ThroughputMbps > 200
MinOpenSeconds = 3600
MaxOpenSeconds = 7200
GoodResults = 1
HalfOpenShare = 0.1
MaxInputMB = 50`,
  'slow.ad',
);
const EVERYTHING = { ofSite: 1, ofPool: 1 };
const HOUR = 3600;

/** One path, a throughput each hour. */
function replayed(mbps: (number | undefined)[], jobs: PastJob[] = []) {
  const replay = new Replay(POLICY, EVERYTHING, jobs);
  for (const [hour, value] of mbps.entries()) {
    const now = at(hour * HOUR);
    replay.step(now, value === undefined ? [] : [path('A', 'B', { mbps: value, measuredAt: now })]);
  }
  return replay.result(at(mbps.length * HOUR));
}

describe('a history by hand', () => {
  test('one opening: how long, and what share of the time', () => {
    // Open from hour 1; it measures well from hour 4 on: half-open at 4, closed at 5.
    const told = replayed([900, 40, 40, 40, 900, 900, 900, 900]);
    expect(told).toMatchObject({
      policy: 'slow',
      moments: 8,
      paths: 1,
      openings: 1,
      flaps: 0,
      openSeconds: 3 * HOUR,
      longestSeconds: 3 * HOUR,
      openShare: 3 / 8,
    });
    expect(told.byPath).toMatchObject([{ path: 'A>B', openings: 1, halfOpenSeconds: HOUR }]);
  });

  test('an opening within an hour after the last one ended is a flap; later it is not', () => {
    // Open 0, half-open 1, open again 2.
    expect(replayed([40, 900, 40, 40])).toMatchObject({ openings: 2, flaps: 1 });
    // Open 0, half-open 1, closed 2, open again 4.
    expect(replayed([40, 900, 900, 900, 40])).toMatchObject({ openings: 2, flaps: 0 });
  });

  test('what is still open at the end counts up to the end', () => {
    expect(replayed([900, 40, 40])).toMatchObject({ openSeconds: 2 * HOUR, longestSeconds: 2 * HOUR });
  });

  test('a path that is not measured any more is open no longer', () => {
    const told = replayed([40, 40, undefined, undefined]);
    expect(told).toMatchObject({ openings: 1, openSeconds: 2 * HOUR, openShare: 1 });
  });

  test('jobs: by path, size and start', () => {
    const job = (hour: number, inputMB: number, more: Partial<PastJob> = {}): PastJob => ({
      srcSite: 'A',
      dstSite: 'B',
      startedAt: at(hour * HOUR),
      inputMB,
      ...more,
    });
    const told = replayed(
      [900, 40, 40, 900, 900],
      [
        job(0.5, 500),
        job(1.5, 500),
        job(1.6, 20),
        job(1.7, 500, { dstSite: 'C' }),
        job(2, 60),
        // Half-open in hour 3: the first turn is of tickets 0 to 9.
        job(3.1, 500, { ticket: 5 }),
        job(3.1, 500, { ticket: 50 }),
        job(3.1, 500),
        job(4.5, 500),
        job(9, 500),
      ],
    );
    expect(told).toMatchObject({ jobs: 9, jobsWithheld: 4, withheldMB: 500 + 60 + 500 + 500 });
    expect(told.byPath).toMatchObject([{ path: 'A>B', jobsWithheld: 4 }]);
  });
});

/** What the service does: each cycle's breakers are the next one's earlier ones, as they come back from the store. */
function live(history: { at: Date; paths: JudgedPath[] }[]): BreakerTransition[] {
  const transitions: BreakerTransition[] = [];
  let breakers: Breaker[] = [];
  for (const moment of history) {
    const made = decide(moment.paths, [POLICY], structuredClone(breakers), EVERYTHING, moment.at);
    breakers = made.breakers;
    transitions.push(...made.transitions);
  }
  return transitions;
}

test('over the same history, a replay decides what was decided live', () => {
  const moment = fc.array(
    fc.record({
      dst: fc.constantFrom('B', 'C', 'D', 'E'),
      mbps: fc.constantFrom(40, 150, 900),
      quality: fc.constantFrom(0.1, 0.9),
    }),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(fc.array(moment, { minLength: 1, maxLength: 40 }), (moments) => {
      const history = moments.map((readings, i) => {
        const now = at(i * 1800);
        const byDst = new Map(readings.map((one) => [one.dst, one]));
        const paths = [...byDst.values()].map(({ dst, mbps, quality }) =>
          path('A', dst, { mbps, quality, measuredAt: now }),
        );
        return { at: now, paths };
      });
      const replay = new Replay(POLICY, EVERYTHING);
      const replayedTransitions = history.flatMap((one) => replay.step(one.at, one.paths).transitions);
      const wanted = live(history);
      expect(replayedTransitions).toEqual(wanted);
      const result = replay.result(at(moments.length * 1800));
      const openings = wanted.filter(
        ({ to, srcSite, dstSite }) => to === 'OPEN' && !`${srcSite}${dstSite}`.includes('*'),
      );
      expect(result.openings).toBe(openings.length);
      for (const one of result.byPath)
        expect(one.openings).toBe(openings.filter((opening) => pathName(opening) === one.path).length);
      expect(result.openSeconds).toBeLessThanOrEqual(result.paths * moments.length * 1800);
      expect(result.openShare).toBeGreaterThanOrEqual(0);
      expect(result.openShare).toBeLessThanOrEqual(1);
    }),
    { numRuns: 300 },
  );
});
