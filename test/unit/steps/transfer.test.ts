import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Transfer } from '../../../src/collector/transfers.ts';
import { pairedTransfers } from '../../../src/paths/fusion-windows.ts';
import { transferReads } from '../../../src/steps/transfer.ts';

const NOW = new Date('2026-07-20T12:00:00Z');
const SITES = new Map([
  ['ep1.ex.example', 'UCSD'],
  ['near.ex.example', 'UNL'],
]);
const transfer = (more: Partial<Transfer> = {}): Transfer => ({
  ...{ id: 'ap#1.0#7 1 in', executionPoint: 'EP1.ex.example', direction: 'in', bytes: 60e6 },
  ...{ startedSeconds: 1_000_000, finishedSeconds: 1_000_008 },
  ...more,
});
const reads = (transfers: readonly Transfer[]) => transferReads(transfers, 'htcondor:ap', 'UNL', SITES, NOW);

describe('what is stored of transfers', () => {
  test('input goes from the access point to the execution point, output back', () => {
    const found = reads([transfer(), transfer({ id: 'ap#1.0#7 1 out', direction: 'out' })]).reads;
    expect(found.map(({ series }) => `${series.source} ${series.destination} ${series.eventType}`)).toEqual([
      'UNL UCSD transfer-started',
      'UNL UCSD transfer-finished',
      'UCSD UNL transfer-started',
      'UCSD UNL transfer-finished',
    ]);
    expect(found[0]!.samples[0]!.value).toBe(60);
  });

  test('what stayed within the site crosses no path; a machine without site is counted', () => {
    const found = reads([
      transfer({ executionPoint: 'near.ex.example' }),
      transfer({ executionPoint: 'unknown.ex.example' }),
    ]);
    expect(found).toEqual({ reads: [], unmapped: 1 });
  });

  test('all of it comes back from the samples, in whatever order and however often it is read', () => {
    const some = fc.uniqueArray(
      fc.record({
        job: fc.nat(500),
        start: fc.integer({ min: 1, max: 4000 }),
        length: fc.integer({ min: 1, max: 600 }),
        bytes: fc.integer({ min: 1, max: 1e9 }),
      }),
      { selector: ({ job }) => job, maxLength: 30 },
    );
    fc.assert(
      fc.property(some, (jobs) => {
        const transfers = jobs.map(({ job, start, length, bytes }) =>
          transfer({
            id: `ap#1.${job}#7 1 in`,
            bytes,
            startedSeconds: start,
            finishedSeconds: start + length,
          }),
        );
        // As the store does: one sample for each time, whichever came last.
        const stored = (event: string) => {
          const samples = [transfers, transfers.toReversed()].flatMap((each) =>
            reads(each).reads.flatMap((read) => (read.series.eventType === event ? read.samples : [])),
          );
          const byTime = [...new Map(samples.map(({ at, value }) => [at.getTime(), value!]))].sort(
            ([a], [b]) => a - b,
          );
          return {
            atMs: Float64Array.from(byTime, ([at]) => at),
            values: Float64Array.from(byTime, ([, v]) => v),
          };
        };
        const back = pairedTransfers(stored('transfer-started'), stored('transfer-finished'));
        // Two of the same second and phase, one in a thousand, cannot both be kept.
        const times = (of: 'startedSeconds' | 'finishedSeconds') =>
          stored(of === 'startedSeconds' ? 'transfer-started' : 'transfer-finished').atMs.length;
        if (Math.min(times('startedSeconds'), times('finishedSeconds')) < transfers.length) return;
        expect(back).toHaveLength(transfers.length);
        const megabits = back.reduce(
          (sum, { startMs, endMs, mbps }) => sum + (mbps * (endMs - startMs)) / 1000,
          0,
        );
        const sent = transfers.reduce((sum, { bytes }) => sum + (bytes * 8) / 1e6, 0);
        expect(megabits).toBeCloseTo(sent, 3);
      }),
    );
  });
});
