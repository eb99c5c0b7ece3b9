import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Columns,
  cut,
  decode,
  emptyColumns,
  encode,
  encodedBytes,
  merge,
} from '../../../src/store/blocks.ts';

const START_MS = Date.UTC(2026, 10, 21);
const SPAN_MS = 7 * 86_400_000;

type Row = [atMs: number, value: number, verdictId: number];

const row = fc.tuple(
  fc.integer({ min: 0, max: 40 }).map((i) => START_MS + i * 997),
  fc.constantFrom(0, -0, 1, 2, Number.NaN),
  fc.constantFrom(1, 1, 2, 32_767),
);
const batch = fc.uniqueArray(row, { selector: ([atMs]) => atMs, maxLength: 30 });

function columns(rows: readonly Row[]): Columns {
  const ascending = rows.toSorted((a, b) => a[0] - b[0]);
  return {
    atMs: Float64Array.from(ascending, ([atMs]) => atMs),
    values: Float64Array.from(ascending, ([, value]) => value),
    verdictIds: Uint16Array.from(ascending, ([, , verdictId]) => verdictId),
  };
}

/** Of two samples that say the same, either may stand: -0 is 0. */
function rows({ atMs, values, verdictIds }: Columns): Row[] {
  return [...atMs].map((ms, i) => [ms, values[i]! + 0, verdictIds[i]!]);
}

describe('merge', () => {
  it('does what a map by time does, and counts what it did', () => {
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 6 }), (batches) => {
        const model = new Map<number, Row>();
        let stored = emptyColumns(0);
        for (const added of batches) {
          let inserted = 0;
          let updated = 0;
          for (const each of added) {
            const old = model.get(each[0]);
            if (!old) inserted += 1;
            else if (!Object.is(old[1] + 0, each[1] + 0) || old[2] !== each[2]) updated += 1;
            model.set(each[0], each);
          }
          const merged = merge(stored, columns(added));
          expect([merged.inserted, merged.updated]).toEqual([inserted, updated]);
          stored = merged.columns;
        }
        expect(rows(stored)).toEqual(rows(columns([...model.values()])));
      }),
    );
  });

  it('gives back what is stored where nothing is new', () => {
    const stored = columns([
      [START_MS, Number.NaN, 2],
      [START_MS + 1, 0, 1],
    ]);
    expect(merge(stored, columns([[START_MS + 1, -0, 1]])).columns).toBe(stored);
  });
});

describe('a block', () => {
  it('comes back from its bytes as it was', () => {
    const any = fc.tuple(
      fc.integer({ min: START_MS, max: START_MS + SPAN_MS - 1 }),
      fc.double(),
      fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 32_767 })),
    );
    fc.assert(
      fc.property(fc.uniqueArray(any, { selector: ([atMs]) => atMs }), fc.nat({ max: 9 }), (all, offset) => {
        const block = { startMs: START_MS, columns: columns(all) };
        const bytes = encodedBytes(block.columns);
        const view = new DataView(new ArrayBuffer(offset + bytes + 3));
        encode(block, view, offset, bytes);
        const isAllGood = all.every(([, , verdictId]) => verdictId === 1);
        expect(bytes).toBe(all.length * (isAllGood ? 12 : 14));
        expect(decode(view, { startMs: START_MS, count: all.length, offset, isAllGood })).toEqual(
          block.columns,
        );
        expect([...new Uint8Array(view.buffer, offset + bytes)]).toEqual([0, 0, 0]);
      }),
    );
  });

  it('is cut where its span begins', () => {
    const all = columns([-1, 0, 1, 59, 60, 180].map((at) => [START_MS + at, at, 1]));
    expect(cut(all, 60).map(({ startMs, columns }) => [startMs - START_MS, [...columns.values]])).toEqual([
      [-60, [-1]],
      [0, [0, 1, 59]],
      [60, [60]],
      [180, [180]],
    ]);
  });
});
