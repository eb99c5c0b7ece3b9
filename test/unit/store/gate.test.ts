import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Gate } from '../../../src/store/gate.ts';

it('lets so many through at once, in their order, whether they fail or not', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.boolean(), { maxLength: 12 }),
      async (limit, fails) => {
        const gate = new Gate('It', limit);
        const started: number[] = [];
        let under = 0;
        let most = 0;
        const calls = fails.map((fail, i) =>
          gate.through(async () => {
            started.push(i);
            under += 1;
            most = Math.max(most, under);
            await turn();
            under -= 1;
            if (fail) {
              throw new Error(`call ${i}`);
            }
            return i;
          }),
        );
        const results = await Promise.allSettled(calls);
        expect(results.map((r) => r.status)).toEqual(fails.map((f) => (f ? 'rejected' : 'fulfilled')));
        expect(started).toEqual(fails.map((_, i) => i));
        expect(most).toBe(Math.min(limit, fails.length));
      },
    ),
    { numRuns: 50 },
  );
});

it('ends after those who came before it was closed, also those who still waited, and once', async () => {
  const gate = new Gate('It', 1);
  const events: string[] = [];
  const call = (name: string) =>
    gate.through(async () => {
      await turn();
      events.push(name);
    });
  const calls = [call('first'), call('second')];
  const end = async () => {
    events.push('end');
  };
  const closed = Promise.all([gate.close(end), gate.close(end)]);
  await expect(call('late')).rejects.toThrow('It is closed.');
  await Promise.all([...calls, closed]);
  expect(events).toEqual(['first', 'second', 'end']);
});
