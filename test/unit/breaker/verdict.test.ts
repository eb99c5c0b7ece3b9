import { describe, expect, test } from 'vitest';
import { verdictOf } from '../../../src/breaker/verdict.ts';
import type { Breaker } from '../../../src/domain.ts';

const breaker = (state: Breaker['state'], policy: string, more: Partial<Breaker> = {}): Breaker => ({
  srcSite: 'A',
  dstSite: 'B',
  policy,
  state,
  reason: `why ${policy}`,
  since: new Date(0),
  ...more,
});

describe('what several policies come to', () => {
  test('the strictest decides, all are told', () => {
    const verdict = verdictOf([
      breaker('CLOSED', 'a'),
      breaker('OPEN', 'b', { withholds: { maxInputMB: 500, maxJobs: 3 } }),
      breaker('OPEN', 'c', { withholds: { maxInputMB: 100 } }),
      breaker('UNKNOWN', 'd'),
    ])!;
    expect(verdict).toMatchObject({ state: 'OPEN', policy: 'c', reason: 'why c' });
    expect(verdict.withholds).toEqual({ maxInputMB: 100, maxJobs: 3 });
    expect(verdict.all.map(({ policy, state }) => `${policy}=${state}`)).toEqual([
      'a=CLOSED',
      'b=OPEN',
      'c=OPEN',
      'd=UNKNOWN',
    ]);
  });

  test('nothing open: nothing withheld', () => {
    const verdict = verdictOf([breaker('CLOSED', 'a'), breaker('UNKNOWN', 'd')])!;
    expect(verdict).toMatchObject({ state: 'UNKNOWN', policy: 'd' });
    expect(verdict).not.toHaveProperty('withholds');
    expect(verdictOf([])).toBeUndefined();
  });

  test('a ticket counts only where no policy is open', () => {
    const half = breaker('HALF_OPEN', 'h', { withholds: { maxInputMB: 9 }, tickets: { from: 10, to: 20 } });
    expect(verdictOf([half, breaker('CLOSED', 'a')])!.tickets).toEqual({ from: 10, to: 20 });
    const both = verdictOf([half, breaker('OPEN', 'o', { withholds: { maxInputMB: 50 } })])!;
    expect(both).not.toHaveProperty('tickets');
    expect(both.withholds).toEqual({ maxInputMB: 9 });
  });
});
