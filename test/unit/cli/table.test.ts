import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PathView } from '../../../src/api/view-types.ts';
import { ago, figure, table } from '../../../src/cli/table.ts';
import { breakerText, pathsTable, sitesTable } from '../../../src/cli/tables.ts';

const NOW = new Date('2026-01-10T00:00:00Z');

test('a table is aligned, figures right, without trailing white space', () => {
  const rows = [
    { name: 'a', count: 5 },
    { name: 'longer', count: 12_345 },
  ];
  const columns = [
    { heading: 'NAME', cell: (row: (typeof rows)[number]) => row.name },
    { heading: 'N', cell: (row: (typeof rows)[number]) => String(row.count), right: true },
  ];
  expect(table(rows, columns)).toBe('NAME        N\na           5\nlonger  12345');
});

test('figures: four digits, and what is not known is not 0', () => {
  expect([0, 36.0949, 12_345.6, 0.000042, null, undefined].map(figure)).toEqual([
    '0',
    '36.09',
    '12350',
    '4.2e-5',
    '-',
    '-',
  ]);
});

test('law: a figure never says more than 0.05 % beside the value', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-4, max: 1e9, noNaN: true }), (value) => {
      expect(Math.abs(Number(figure(value)) - value)).toBeLessThanOrEqual(value * 5.1e-4);
    }),
  );
});

test('ages in the unit that fits', () => {
  const before = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();
  expect([5, 300, 10_000, 300_000].map((seconds) => ago(before(seconds), NOW))).toEqual([
    '5 s',
    '5 min',
    '3 h',
    '3 d',
  ]);
  expect(ago(null, NOW)).toBe('never');
  expect(ago(before(-5), NOW)).toBe('0 s');
});

const PATH: PathView = {
  path: 'A>B',
  srcSite: 'A',
  dstSite: 'B',
  throughputMbps: null,
  lossRate: null,
  oneWayDelayMs: null,
  rttMs: null,
  retransmits: null,
  delayVariationMs: null,
  reorderRate: null,
  duplicateRate: null,
  quality: 0,
  sampleCount: 1,
  lastMeasured: NOW.toISOString(),
  estimatedAt: NOW.toISOString(),
  measured: true,
  breakers: [],
};
const breaker = (policy: string, state: string) => ({
  policy,
  state,
  reason: '',
  since: '',
  retryAt: null,
  openings: 1,
  partOf: null,
  tickets: null,
  withholds: null,
});

test('breakers: what is not closed is named', () => {
  expect(breakerText(PATH)).toBe('-');
  expect(breakerText({ ...PATH, breakers: [breaker('a', 'CLOSED')] })).toBe('CLOSED');
  const mixed = [breaker('a', 'CLOSED'), breaker('b', 'OPEN'), breaker('c', 'UNKNOWN')];
  expect(breakerText({ ...PATH, breakers: mixed })).toBe('OPEN (b), UNKNOWN (c)');
});

test('empty answers say what to do', () => {
  expect(pathsTable([], NOW)).toMatch(/No path/);
  expect(sitesTable({ sites: [], unmapped: [] })).toMatch(/sites\.yaml/);
});
