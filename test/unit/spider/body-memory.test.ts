import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BodyMemory, type BodyParts, expectedBytes } from '../../../src/spider/body-memory.ts';

it('bodies begin in turn, as many as there is memory for; each is what came, whatever came with others', () => {
  const texts = fc.array(
    fc.record({
      expected: fc.integer({ min: 0, max: 500_000 }),
      parts: fc.array(fc.string({ unit: 'grapheme', maxLength: 30 }), { maxLength: 4 }),
      // Some come longer than anybody thought.
      times: fc.constantFrom(1, 1, 2000),
    }),
    { minLength: 1, maxLength: 12 },
  );
  fc.assert(
    fc.property(texts, fc.integer({ min: 0, max: 2 ** 31 - 1 }), (bodies, seed) => {
      const most = 1_000_000;
      const memory = new BodyMemory({ mostBytes: most, patienceMs: 3_600_000 });
      const begun = new Map<number, BodyParts>();
      const order: number[] = [];
      const leave = bodies.map(({ expected }, i) =>
        memory.enter(expected, (body) => {
          begun.set(i, body);
          order.push(i);
        }),
      );
      let turn = seed;
      while (begun.size > 0) {
        const open = [...begun.keys()].reduce((sum, i) => sum + bodies[i]!.expected, 0);
        expect(open).toBeLessThanOrEqual(most);
        turn = (turn * 48_271) % 2_147_483_647;
        const chosen = [...begun.keys()][turn % begun.size]!;
        const { parts, times } = bodies[chosen]!;
        const whole = parts.map((part) => part.repeat(times));
        for (const part of whole) begun.get(chosen)!.add(Buffer.from(part));
        expect(begun.get(chosen)!.text()).toBe(Buffer.from(whole.join('')).toString());
        begun.delete(chosen);
        leave[chosen]!();
        leave[chosen]!();
      }
      expect(order).toEqual(bodies.map((_, i) => i));
    }),
  );
});

it('who leaves while it waits is never begun, and stands in nobody’s way', () => {
  const memory = new BodyMemory({ mostBytes: 100 });
  const order: string[] = [];
  const enter = (name: string) => memory.enter(80, () => order.push(name));
  const [first, second, third] = ['first', 'second', 'third'].map(enter);
  second!();
  first!();
  third!();
  enter('last');
  expect(order).toEqual(['first', 'third', 'last']);
});

it('bodies that come slowly, and say that they are long, do not keep the others waiting', async () => {
  const memory = new BodyMemory({ mostBytes: 100, patienceMs: 20 });
  memory.enter(Number.POSITIVE_INFINITY, () => {});
  await new Promise<void>((begun) => memory.enter(1, () => begun()));
});

it.each([
  [{}, 262_144],
  [{ 'content-length': '1000' }, 1000],
  [{ 'content-length': '1000', 'content-encoding': 'gzip' }, 5000],
  [{ 'content-length': 'much' }, 262_144],
])('of %j, %d bytes are expected', (headers, bytes) => {
  expect(expectedBytes(headers)).toBe(bytes);
});
