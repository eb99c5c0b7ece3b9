import { expect, test } from 'vitest';
import { walk } from '../../../bench/breaker-laws/histories.ts';

// "lark bench breaker-laws" walks millions.
test('the laws of a breaker over random histories', () => {
  const { transitions } = walk(10_000, 24, 20_261_121);
  for (const step of [
    'UNKNOWN CLOSED',
    'UNKNOWN OPEN',
    'CLOSED OPEN',
    'CLOSED UNKNOWN',
    'OPEN HALF_OPEN',
    'OPEN UNKNOWN',
    'HALF_OPEN CLOSED',
    'HALF_OPEN OPEN',
    'HALF_OPEN UNKNOWN',
    'OPEN FORCED_CLOSED',
    'CLOSED FORCED_OPEN',
    'FORCED_OPEN CLOSED',
    'FORCED_CLOSED OPEN',
  ]) {
    expect(transitions.get(step) ?? 0, step).toBeGreaterThan(0);
  }
});
