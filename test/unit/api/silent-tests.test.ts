import { expect, test } from 'vitest';
import { readableTests, silentTests } from '../../../src/api/silent-tests.ts';
import type { Metric } from '../../../src/domain.ts';
import type { StoredExpectedTest, StoredSeries } from '../../../src/store/store.ts';

const NOW = new Date('2026-03-10T12:00:00Z');
const yesterday = new Date(NOW.getTime() - 24 * 3_600_000);

const asked = (testType: string, more: Partial<StoredExpectedTest> = {}): StoredExpectedTest => ({
  template: 'https://mesh.example/',
  origin: 'https://mesh.example/',
  task: testType,
  source: 'a',
  destination: 'b',
  testType,
  firstSeen: yesterday,
  lastSeen: NOW,
  ...more,
});
const measured = (metric: Metric, lastSampleAt: Date, source = '192.0.2.1'): StoredSeries => ({
  id: 1,
  archiveKey: 'archive',
  metadataKey: 'key',
  metric,
  source,
  destination: '192.0.2.2',
  tool: 'tool',
  eventType: 'event',
  checkpoint: NOW,
  lastSampleAt,
});
const keyOf = (end: string): string => ({ '192.0.2.1': 'a', '192.0.2.2': 'b' })[end] ?? end;

test('tests whose results are not read say nothing by their silence: UDP, and what measures no metric', () => {
  const throughput = asked('throughput');
  expect(readableTests([throughput, asked('throughput', { isRateSet: true }), asked('http')])).toEqual([
    throughput,
  ]);
});

test('silent is what no series of the hosts brought of late, by whatever address', () => {
  const silent = (...series: StoredSeries[]) =>
    silentTests([asked('latencybg'), asked('throughput')], series, yesterday, keyOf).map((t) => t.testType);
  expect(silent()).toEqual(['latencybg', 'throughput']);
  expect(silent(measured('lossRate', NOW))).toEqual(['throughput']);
  expect(silent(measured('throughputMbps', NOW), measured('lossRate', NOW))).toEqual([]);
  const old = new Date(yesterday.getTime() - 1);
  expect(silent(measured('lossRate', old), measured('throughputMbps', NOW, '192.0.2.9'))).toEqual([
    'latencybg',
    'throughput',
  ]);
});
