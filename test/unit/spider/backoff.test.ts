import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDue, nextAttemptAt, partitionDue, steadyJitter } from '../../../src/spider/backoff.ts';

const MINUTE = 60_000;
const AT = new Date('2026-03-01T12:00:00Z');
const history = (consecutiveFailures: number, key = 'a') => ({
  key,
  consecutiveFailures,
  lastReport: { at: AT },
});
const minutesLater = (minutes: number) => new Date(AT.getTime() + minutes * MINUTE);
const waitMinutes = (failures: number, jitter = 0.5) =>
  (nextAttemptAt(history(failures), jitter)!.getTime() - AT.getTime()) / MINUTE;

describe('back-off', () => {
  it('doubles from 3 minutes to 6 hours, and is none without a failure', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 5000].map((failures) => waitMinutes(failures))).toEqual([
      3, 6, 12, 24, 48, 96, 192, 360, 360, 360,
    ]);
    expect(nextAttemptAt(history(0), 0.5)).toBeUndefined();
    expect(nextAttemptAt({ consecutiveFailures: 3 }, 0.5)).toBeUndefined();
  });

  it('a first failure costs no cycle of 5 minutes, whatever the jitter', () => {
    fc.assert(
      fc.property(fc.string(), (key) => {
        expect(isDue(history(1, key), minutesLater(5))).toBe(true);
      }),
    );
  });

  it('never grows shorter with more failures at the same jitter; the jitter is a quarter each way', () => {
    const jitter = fc.double({ min: 0, max: 0.999, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), jitter, (failures, share) => {
        expect(waitMinutes(failures + 1, share)).toBeGreaterThanOrEqual(waitMinutes(failures, share));
        const ratio = waitMinutes(failures, share) / waitMinutes(failures, 0.5);
        expect(ratio).toBeGreaterThanOrEqual(0.75);
        expect(ratio).toBeLessThanOrEqual(1.25);
      }),
    );
  });

  it('is due from the moment on that nextAttemptAt names, not before', () => {
    const next = nextAttemptAt(history(6), steadyJitter(history(6)))!;
    expect(isDue(history(6), new Date(next.getTime() - 1))).toBe(false);
    expect(isDue(history(6), next)).toBe(true);
  });

  it('looks at every second give the same moment: the jitter is not drawn anew', () => {
    const due = Array.from({ length: 3600 }, (_, second) =>
      isDue(history(5), minutesLater(20 + second / 60)),
    );
    expect(due.indexOf(true)).toBeGreaterThan(0);
    expect(due.slice(due.indexOf(true))).not.toContain(false);
  });

  it('archives that died together come back spread', () => {
    const nexts = Array.from({ length: 400 }, (_, index) => {
      const each = history(8, `archive-${index}`);
      return (nextAttemptAt(each, steadyJitter(each))!.getTime() - AT.getTime()) / MINUTE;
    });
    // 360 minutes, a quarter each way: four windows of 45 minutes, about a hundred in each.
    for (const begin of [270, 315, 360, 405]) {
      const inside = nexts.filter((minutes) => minutes >= begin && minutes < begin + 45).length;
      expect(inside).toBeGreaterThan(60);
      expect(inside).toBeLessThan(140);
    }
  });

  it('an attempt in the future holds up nothing: the clock was wrong', () => {
    expect(isDue(history(8), new Date(AT.getTime() - MINUTE))).toBe(true);
  });

  it('new and healthy archives are due; the order stays', () => {
    const archive = (key: string, more: object) => ({
      key,
      urls: [],
      sources: [],
      consecutiveFailures: 0,
      ...more,
    });
    const archives = [
      archive('new', {}),
      archive('dead', history(8, 'dead')),
      archive('healthy', { lastReport: { at: AT } }),
      archive('shaky', history(1, 'shaky')),
    ];
    const { due, waiting } = partitionDue(archives, minutesLater(5));
    expect(due.map(({ key }) => key)).toEqual(['new', 'healthy', 'shaky']);
    expect(waiting.map(({ key }) => key)).toEqual(['dead']);
  });
});
