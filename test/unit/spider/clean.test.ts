import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Metric } from '../../../src/domain.ts';
import { clean, REASONS } from '../../../src/spider/clean.ts';

const NOW = new Date('2026-03-01T12:00:00Z');

function read(metric: Metric, values: (number | null)[], endsAt = NOW) {
  return {
    series: {
      archiveKey: 'a',
      metadataKey: 'm',
      metric,
      source: '192.0.2.1',
      destination: '192.0.2.2',
      tool: 't',
      eventType: 'e',
    },
    samples: values.map((value, index) => ({
      at: new Date(endsAt.getTime() - 60_000 * (values.length - 1 - index)),
      value,
    })),
    checkpoint: NOW,
  };
}

/** The verdict and reason of each value. */
const verdicts = (metric: Metric, values: (number | null)[]) =>
  clean(read(metric, values), NOW).samples.map(({ verdict, reason }) =>
    reason ? `${verdict} ${reason}` : verdict,
  );

describe('clean', () => {
  it.each<[Metric, number | null, string]>([
    ['throughputMbps', null, 'bad not-a-number'],
    ['lossRate', Number.NaN, 'bad not-a-number'],
    ['rttMs', Number.POSITIVE_INFINITY, 'bad not-a-number'],
    ['throughputMbps', 940, 'good'],
    ['throughputMbps', 0, 'bad zero-throughput'],
    ['throughputMbps', -1, 'bad negative'],
    ['throughputMbps', 1.1e7, 'bad impossible'],
    ['lossRate', 0, 'good'],
    ['lossRate', 1, 'good'],
    ['lossRate', 1.01, 'bad impossible'],
    ['lossRate', -0.1, 'bad negative'],
    ['oneWayDelayMs', 0.01, 'good'],
    ['oneWayDelayMs', 0, 'bad negative-delay'],
    ['oneWayDelayMs', -13.1, 'bad negative-delay'],
    ['oneWayDelayMs', -1000, 'bad clock-error'],
    ['oneWayDelayMs', 50_000, 'bad clock-error'],
    ['rttMs', 0, 'bad impossible'],
    ['rttMs', -1, 'bad negative'],
    ['rttMs', 60_001, 'bad impossible'],
    ['retransmits', 0, 'good'],
    ['retransmits', 1e10, 'bad impossible'],
  ])('%s %s: %s', (metric, value, expected) => {
    expect(verdicts(metric, [value])).toEqual([expected]);
  });

  it('in the future: beyond five minutes of clock difference', () => {
    const ahead = (minutes: number) =>
      clean(read('rttMs', [5], new Date(NOW.getTime() + minutes * 60_000)), NOW).samples[0];
    expect(ahead(4)).toMatchObject({ verdict: 'good' });
    expect(ahead(6)).toMatchObject({ verdict: 'bad', reason: 'in-the-future' });
  });

  it('a value that stands alone far above its neighbours is suspect', () => {
    const delays = [20, 20.1, 20, 19.9, 20, 900, 20.1, 20, 20.2, 20];
    expect(verdicts('oneWayDelayMs', delays)).toEqual(
      delays.map((delay) => (delay === 900 ? 'suspect outlier' : 'good')),
    );
    expect(verdicts('throughputMbps', [900, 910, 905, 0, 920, 90_000, 915, 900])[5]).toBe('suspect outlier');
  });

  it('a lasting change of level, a low value, noise and a short read are good', () => {
    const allGood = (values: number[]) => new Set(verdicts('rttMs', values)).size === 1;
    expect(allGood([...Array(20).fill(10), ...Array(20).fill(100)])).toBe(true);
    expect(allGood([100, 100, 101, 99, 100, 1, 100, 100, 101, 99, 100])).toBe(true);
    expect(allGood([10, 25, 13, 40, 11, 31, 60, 12, 18, 22, 45, 10])).toBe(true);
    expect(allGood([10, 10, 900, 10, 10])).toBe(true);
  });

  it('peaks of loss and retransmits are results', () => {
    expect(verdicts('lossRate', [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0])[5]).toBe('good');
    expect(verdicts('retransmits', [0, 0, 0, 0, 0, 9e5, 0, 0, 0, 0, 0])[5]).toBe('good');
  });

  it('keeps every sample in its place, and gives a reason exactly where one is not good', () => {
    const value = fc.oneof(fc.constant(null), fc.double(), fc.double({ min: 0, max: 100, noNaN: true }));
    const metric = fc.constantFrom<Metric>(
      'throughputMbps',
      'lossRate',
      'oneWayDelayMs',
      'rttMs',
      'retransmits',
    );
    fc.assert(
      fc.property(metric, fc.array(value, { maxLength: 40 }), (name, values) => {
        const raw = read(name, values);
        const cleaned = clean(raw, NOW);
        expect(cleaned.samples.map(({ at, value }) => ({ at, value }))).toEqual(raw.samples);
        for (const sample of cleaned.samples) {
          expect(sample.reason === undefined).toBe(sample.verdict === 'good');
          if (sample.reason !== undefined) expect(REASONS).toContain(sample.reason);
        }
      }),
    );
  });
});
