import { expect, test } from 'vitest';
import { explainedPath } from '../../../src/cli/explain.ts';

const NOW = new Date('2026-07-20T12:00:00Z');

test('what a figure was fused of is told, with what each counts', () => {
  const time = '2026-07-20T11:00:00.000Z';
  const none = { lossRate: null, oneWayDelayMs: null, rttMs: null, retransmits: null };
  const others = { delayVariationMs: null, reorderRate: null, duplicateRate: null };
  const text = explainedPath(
    {
      ...{ path: 'UNL>UCSD', srcSite: 'UNL', dstSite: 'UCSD', ...none, ...others },
      throughputMbps: {
        ...{ centre: 900, p10: 700, p90: 1100, sampleCount: 42, seriesCount: 1, lastMeasured: time },
        ...{ method: 'restart+transfers', factors: null },
        sources: [
          { kind: 'tests', centre: 940, sampleCount: 30, share: 0.876 },
          { kind: 'transfers', centre: 650, sampleCount: 12, share: 0.124 },
        ],
      },
      ...{
        quality: 0.7,
        sampleCount: 42,
        lastMeasured: time,
        measured: true,
        estimatedAt: time,
        breakers: [],
      },
    },
    NOW,
  );
  expect(text).toMatch(
    /\nthroughputMbps is fused of tests \(940 of 30, counting 88 %\), transfers \(650 of 12, counting 12 %\)$/,
  );
});
