import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TICKETS, turnAt, turnOf } from '../../../src/breaker/turns.ts';
import { at, T0 } from './support.ts';

const turns = fc.record({
  halfOpenShare: fc.double({ min: 0.01, max: 1, noNaN: true }),
  halfOpenTurnSeconds: fc.integer({ min: 1, max: 7200 }),
});

test('the turn that is told ahead is the one that comes, and the first that does', () => {
  fc.assert(
    fc.property(
      turns,
      fc.integer({ min: 0, max: TICKETS - 1 }),
      fc.integer({ min: 0, max: 200_000 }),
      (policy, ticket, after) => {
        const has = (seconds: number): boolean => {
          const { from, to } = turnAt(policy, T0, at(seconds));
          return ticket >= from && ticket < to;
        };
        const turn = turnOf(ticket, policy, T0, at(after))!;
        const from = (turn.from.getTime() - T0.getTime()) / 1000;
        const to = (turn.to.getTime() - T0.getTime()) / 1000;
        expect(has(from) && has(to - 0.5)).toBe(true);
        expect(to).toBeGreaterThan(after);
        for (let s = after; s < from; s += policy.halfOpenTurnSeconds) expect(has(s)).toBe(false);
      },
    ),
  );
});

test('no share, no turn', () => {
  expect(turnOf(5, { halfOpenShare: 0, halfOpenTurnSeconds: 60 }, T0, at(10))).toBeUndefined();
});
