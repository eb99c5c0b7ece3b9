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

  it('in the future: after the archive took it in, whenever that is read', () => {
    const at = new Date(NOW.getTime() - 86_400_000);
    const takenIn = (minutesBefore: number) =>
      clean(
        {
          ...read('rttMs', []),
          samples: [{ at, value: 5, ingestedAt: new Date(at.getTime() - 60_000 * minutesBefore) }],
        },
        NOW,
      ).samples[0];
    expect(takenIn(4)).toMatchObject({ verdict: 'good' });
    expect(takenIn(6)).toMatchObject({ verdict: 'bad', reason: 'in-the-future' });
  });

  it.each<[Metric, number, number | undefined, string]>([
    ['oneWayDelayMs', 20, 10, 'good'],
    ['oneWayDelayMs', 20, 10.1, 'suspect clock-unsure'],
    ['oneWayDelayMs', 20, undefined, 'good'],
    // The sample of 2026: both clocks said 27 ms, and the delay is negative; that says more.
    ['oneWayDelayMs', -13.145, 27.47, 'bad negative-delay'],
    ['rttMs', 20, 27, 'good'],
  ])('%s %d with a clock error of %s: %s', (metric, value, clockErrorMs, expected) => {
    const samples = [{ at: NOW, value, ...(clockErrorMs !== undefined && { clockErrorMs }) }];
    const [sample] = clean({ ...read(metric, []), samples }, NOW).samples;
    expect([sample?.verdict, sample?.reason].filter(Boolean).join(' ')).toBe(expected);
  });

  it('the verdicts are the same in whatever order and pieces a series is read', () => {
    const sample = fc.record(
      {
        value: fc.oneof(
          fc.constant(null),
          fc.constantFrom(0, -1, 900, 90_000),
          fc.double({ min: 0.1, max: 100, noNaN: true }),
        ),
        clockErrorMs: fc.constantFrom(0.1, 50),
        lateMinutes: fc.integer({ min: -10, max: 600 }),
      },
      { requiredKeys: ['value', 'lateMinutes'] },
    );
    const metric = fc.constantFrom<Metric>('throughputMbps', 'lossRate', 'oneWayDelayMs', 'rttMs');
    const pieces = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 40, maxLength: 40 });
    fc.assert(
      fc.property(
        metric,
        fc.array(sample, { maxLength: 40 }),
        pieces,
        fc.nat(),
        (name, drawn, sizes, seed) => {
          const { series, checkpoint } = read(name, []);
          const all = drawn.map(({ lateMinutes, ...rest }, index) => {
            const at = new Date(NOW.getTime() - 86_400_000 + index * 60_000);
            return { ...rest, at, ingestedAt: new Date(at.getTime() + lateMinutes * 60_000) };
          });
          const verdictsOf = (samples: typeof all, now: Date) =>
            clean({ series, samples, checkpoint }, now).samples.map(
              ({ at, verdict, reason }) => [at.getTime(), `${verdict} ${reason ?? ''}`] as const,
            );
          const inPieces = new Map<number, string>();
          // In the order in which they were taken in, cut anywhere, each piece read twice and later.
          const ingested = all.toSorted((a, b) => a.ingestedAt.getTime() - b.ingestedAt.getTime());
          for (let begin = 0, piece = 0; begin < ingested.length; begin += sizes[piece++]!) {
            const samples = ingested.slice(Math.max(0, begin - (seed % 5)), begin + sizes[piece]!);
            const later = new Date(NOW.getTime() + piece * 300_000);
            for (const [at, verdict] of verdictsOf(samples, later)) inPieces.set(at, verdict);
          }
          expect(inPieces).toEqual(new Map(verdictsOf(ingested, NOW)));
        },
      ),
    );
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
