import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Metric, Sample } from '../../../src/domain.ts';
import { outliers } from '../../../src/spider/outliers.ts';

const START = Date.UTC(2026, 2, 1);
const good = (values: number[]): Sample[] =>
  values.map((value, index) => ({ at: new Date(START + index * 60_000), value, verdict: 'good' }));
const found = (metric: Metric, values: number[]) => outliers(metric, good(values)).map(({ value }) => value);

describe('outliers', () => {
  it('a value that stands alone far above its neighbours', () => {
    expect(found('oneWayDelayMs', [20, 20.1, 20, 19.9, 20, 900, 20.1, 20, 20.2, 20])).toEqual([900]);
    expect(found('throughputMbps', [900, 910, 905, 920, 90_000, 915, 900])).toEqual([90_000]);
  });

  it('not: a lasting change of level, a low value, noise, a short series', () => {
    for (const values of [
      [...Array(20).fill(10), ...Array(20).fill(100)],
      [100, 100, 101, 99, 100, 1, 100, 100, 101, 99, 100],
      [10, 25, 13, 40, 11, 31, 60, 12, 18, 22, 45, 10],
      [10, 10, 900, 10, 10],
    ])
      expect(found('rttMs', values)).toEqual([]);
  });

  it('not: peaks of loss and retransmits, which are results', () => {
    expect(found('lossRate', [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0])).toEqual([]);
    expect(found('retransmits', [0, 0, 0, 0, 0, 9e5, 0, 0, 0, 0, 0])).toEqual([]);
  });

  it('are the same in whatever order the samples come; what is not good is no neighbour', () => {
    const value = fc.oneof(fc.constant(900), fc.double({ min: 19, max: 21, noNaN: true }));
    fc.assert(
      fc.property(fc.array(value, { minLength: 8, maxLength: 40 }), fc.nat(), (values, seed) => {
        const samples = good(values);
        const turned = samples.toSorted(
          (a, b) =>
            (((a.at.getTime() / 60_000) * (seed + 7)) % 41) - (((b.at.getTime() / 60_000) * (seed + 7)) % 41),
        );
        const bad = values.map(
          (_, index): Sample => ({
            at: new Date(START + index * 60_000 + 30_000),
            value: 900,
            verdict: 'bad',
            reason: 'impossible',
          }),
        );
        expect(outliers('rttMs', [...turned, ...bad])).toEqual(outliers('rttMs', samples));
      }),
    );
  });
});
