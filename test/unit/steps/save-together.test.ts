import { expect, test } from 'vitest';
import type { Sample, SeriesRead } from '../../../src/domain.ts';
import { savingTogether } from '../../../src/steps/save-together.ts';

const AT = new Date('2026-08-01T00:00:00Z');
const size = ({ samples }: SeriesRead<Sample>): number => samples.length;
const SAVED = { inserted: 0, updated: 0, rejected: 0, touchedSeriesIds: [] };

function read(archiveKey: string, samples = 1): SeriesRead<Sample> {
  return {
    series: {
      archiveKey,
      metadataKey: 'm',
      metric: 'rttMs',
      source: '192.0.2.1',
      destination: '192.0.2.2',
      tool: 'ping',
      eventType: 'histogram-rtt',
    },
    samples: Array.from({ length: samples }, (_, i) => ({
      at: new Date(AT.getTime() + i),
      value: 1,
      verdict: 'good' as const,
    })),
    checkpoint: AT,
  };
}

test('what comes within a moment, or during a transaction, is stored together, at most so much', async () => {
  const batches: string[][] = [];
  const save = savingTogether(async (reads) => {
    batches.push(reads.map(({ series }) => series.archiveKey));
    await new Promise((resolve) => setImmediate(resolve));
    return SAVED;
  }, size);
  await Promise.all([
    save([read('a')], AT),
    save([read('b')], AT),
    save([read('c'), read('d')], AT),
    save([read('e', 60_000)], AT),
    save([read('f')], AT),
    save([read('g')], AT),
  ]);
  expect(batches).toEqual([['a', 'b', 'c', 'd'], ['e'], ['f', 'g']]);
});

test('a piece that cannot be stored fails alone, and what comes later goes on', async () => {
  const stored: string[] = [];
  const save = savingTogether(async (reads) => {
    await new Promise((resolve) => setImmediate(resolve));
    if (reads.some(({ series }) => series.archiveKey === 'bad')) throw new Error('unknown archive');
    stored.push(...reads.map(({ series }) => series.archiveKey));
    return SAVED;
  }, size);
  const results = await Promise.allSettled(['a', 'b', 'bad', 'c'].map((key) => save([read(key)], AT)));
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  await save([read('d')], AT);
  expect(stored).toEqual(['a', 'b', 'c', 'd']);
});
