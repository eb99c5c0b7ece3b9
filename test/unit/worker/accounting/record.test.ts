import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClassCounts, Reading } from '../../../../src/worker/accounting/counters.ts';
import { afterReading, closed, newRecord, totals } from '../../../../src/worker/accounting/record.ts';

const NAME = 'lk00000001';
const T0 = new Date('2026-01-01T00:00:00Z');
const T1 = new Date('2026-01-01T00:01:00Z');
const fresh = () => newRecord({ name: NAME, jobId: '1.0', createdAt: T0 }, 7, { owner: 'alice' });

function counts(bytes: number): ClassCounts {
  return { External: { in: { bytes, packets: bytes }, out: { bytes: 2 * bytes, packets: bytes } } };
}
const reading = (epoch: number, bytes?: number): Reading => ({
  epoch,
  jobs: new Map(bytes === undefined ? [] : [[NAME, counts(bytes)]]),
});

test('a reading replaces the one before, however often it is taken', () => {
  let record = fresh();
  for (const bytes of [5, 5, 9, 9]) record = afterReading(record, reading(7, bytes), T1);
  expect(totals(record)).toEqual(counts(9));
  expect(record).toMatchObject({ hasGap: false, seq: 4, updatedAt: T1 });
});

describe('marks a gap, and keeps what was counted,', () => {
  test.each([
    ['when the counters are of another epoch', [reading(7, 5), reading(8, 3)], 8],
    ['when they went backwards', [reading(7, 5), reading(7, 3)], 8],
    ['when the table was gone in between', [reading(7, 5), undefined, reading(9, 3)], 8],
    ['when the job has no counters any more', [reading(7, 5), reading(7)], 5],
    ['when they were lost before the first reading', [reading(8, 3)], 3],
  ])('%s', (_, readings, bytes) => {
    const record = readings.reduce((before, next) => afterReading(before, next, T1), fresh());
    expect(record.hasGap).toBe(true);
    expect(totals(record)).toEqual(counts(bytes));
  });
});

test('a record that is closed changes no more', () => {
  const end = closed(afterReading(fresh(), reading(7, 5), T1), T1, true);
  expect(end).toMatchObject({ endedAt: T1, hasGap: false });
  expect(afterReading(end, reading(7, 50), T1)).toBe(end);
  expect(closed(end, T0, false)).toBe(end);
});

test('whatever is lost or read twice, totals are the sum of the highest of each epoch', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('more' as const), bytes: fc.nat(1000) }),
    fc.record({ kind: fc.constant('read' as const) }),
    fc.record({ kind: fc.constant('flush' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let record = fresh();
      let epoch = 7;
      let kernel = 0;
      let seen = 0;
      let before = 0;
      for (const action of steps) {
        if (action.kind === 'more') kernel += action.bytes;
        if (action.kind === 'flush') {
          before += seen;
          [epoch, kernel, seen] = [epoch + 1, 0, 0];
        }
        if (action.kind === 'read') {
          record = afterReading(record, reading(epoch, kernel), T1);
          seen = kernel;
        }
      }
      record = afterReading(record, reading(epoch, kernel), T1);
      expect(totals(record)).toEqual(counts(before + kernel));
      expect(record.hasGap).toBe(epoch !== 7);
    }),
  );
});
