import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Sample, SeriesRead } from '../../../src/domain.ts';
import { savingTogether } from '../../../src/steps/save-together.ts';

const AT = new Date('2026-08-01T00:00:00Z');
const size = ({ samples }: SeriesRead<Sample>): number => samples.length;
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

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
  let counted = 0;
  const open = savingTogether(
    async (reads) => {
      batches.push(reads.map(({ series }) => series.archiveKey));
      await nextTurn();
    },
    size,
    (items) => {
      counted += items;
    },
  );
  const lines = Array.from({ length: 6 }, open);
  const pieces = [
    [read('a')],
    [read('b')],
    [read('c'), read('d')],
    [read('e', 60_000)],
    [read('f')],
    [read('g')],
  ];
  await Promise.all(pieces.map((reads, i) => lines[i]!.add(reads, AT)));
  await Promise.all(lines.map((line) => line.stored()));
  expect(batches).toEqual([['a', 'b', 'c', 'd'], ['e'], ['f', 'g']]);
  expect(counted).toBe(60_006);
});

test('a piece that cannot be stored fails with what its line brings after it; the others go on', async () => {
  const stored: string[] = [];
  const open = savingTogether(async (reads) => {
    await nextTurn();
    if (reads.some(({ series }) => series.archiveKey === 'bad')) throw new Error('unknown archive');
    stored.push(...reads.map(({ series }) => series.archiveKey));
  }, size);
  const [good, bad] = [open(), open()];
  await good.add([read('a')], AT);
  for (const key of ['b', 'bad', 'after']) await bad.add([read(key)], AT);
  await good.add([read('c')], AT);
  await good.stored();
  await expect(bad.stored()).rejects.toThrow('unknown archive');
  await expect(bad.add([read('later')], AT)).rejects.toThrow('unknown archive');
  await good.add([read('d')], AT);
  await good.stored();
  expect(stored).toEqual(['a', 'b', 'c', 'd']);
});

test('who brings much waits until some of it is stored', async () => {
  const gate = Promise.withResolvers<void>();
  const sizes: number[] = [];
  const open = savingTogether(async (reads) => {
    sizes.push(reads.reduce((sum, each) => sum + size(each), 0));
    await gate.promise;
  }, size);
  const line = open();
  let added = 0;
  const bring = async () => {
    for (; added < 400; added += 1) await line.add([read('a', 1000)], AT);
  };
  const brought = bring();
  await expect.poll(() => sizes.length).toBe(1);
  await nextTurn();
  const waiting = added;
  expect(waiting).toBeLessThan(150);
  gate.resolve();
  await brought;
  await line.stored();
  expect(sizes.reduce((a, b) => a + b)).toBe(400_000);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(45_000);
});

const pieces = fc.array(
  fc.record({
    line: fc.integer({ min: 0, max: 3 }),
    samples: fc.integer({ min: 0, max: 20_000 }),
    turns: fc.integer({ min: 0, max: 2 }),
  }),
  { maxLength: 30 },
);

test('each line is stored in its order and whole, whatever the others bring', async () => {
  await fc.assert(
    fc.asyncProperty(pieces, async (brought) => {
      const stored: number[][] = [[], [], [], []];
      const open = savingTogether(async (reads) => {
        await nextTurn();
        for (const { series } of reads) stored[Number(series.archiveKey)]!.push(Number(series.metadataKey));
      }, size);
      const lines = stored.map(open);
      await Promise.all(
        lines.map(async (line, own) => {
          for (const [i, piece] of brought.entries()) {
            if (piece.line !== own) continue;
            for (let turn = 0; turn < piece.turns; turn += 1) await nextTurn();
            const { series, samples, checkpoint } = read(`${own}`, piece.samples);
            await line.add([{ series: { ...series, metadataKey: `${i}` }, samples, checkpoint }], AT);
          }
          await line.stored();
        }),
      );
      const expected = stored.map((_, own) => [...brought.keys()].filter((i) => brought[i]!.line === own));
      expect(stored).toEqual(expected);
    }),
    { numRuns: 10 },
  );
});
