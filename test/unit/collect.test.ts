import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const COLLECT = new URL('../../src/collect.ts', import.meta.url).href;

/** What a program of its own prints, in megabytes. */
async function megabytes(program: string): Promise<number> {
  const imports = `import { collectYoung, garbageBound, watchGarbage } from '${COLLECT}';
    import { setImmediate } from 'node:timers/promises';`;
  const flags = ['--max-semi-space-size=4', '--input-type=module', '--eval', imports + program];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { timeout: 60_000 });
  return Number(stdout) / 1e6;
}

test('the garbage of a thread stays within the bound that is watched', async () => {
  // Answers are parsed, of which the last eight are in use: 12 MB.
  const highestHeap = (mostBytes: number) =>
    megabytes(`
      watchGarbage(${mostBytes});
      const text = JSON.stringify(Array.from({ length: 20_000 }, (_, i) => ({ ts: i, val: i / 3 })));
      const kept = [];
      let highest = 0;
      for (let i = 0; i < 200; i += 1) {
        kept[i % 8] = JSON.parse(text);
        await setImmediate();
        highest = Math.max(highest, process.memoryUsage().heapUsed);
      }
      console.log(highest);`);
  const narrow = await highestHeap(20e6);
  expect(narrow).toBeLessThan(60);
  expect(await highestHeap(100e6)).toBeGreaterThan(narrow + 20);
});

test('buffers outside of the heap are counted too, and what is below the bound is left', async () => {
  // As much as V8 by itself leaves alone, and too old for what collects the young. It gives buffers back on a thread beside,
  // of which the next collection awaits the end.
  const left = (mostBytes: number) =>
    megabytes(`
      const collect = garbageBound(${mostBytes});
      let buffers = Array.from({ length: 40 }, () => new ArrayBuffer(1e6));
      collectYoung();
      collectYoung();
      buffers = undefined;
      collect();
      collectYoung();
      console.log(process.memoryUsage().arrayBuffers);`);
  expect(await left(20e6)).toBeLessThan(5);
  expect(await left(60e6)).toBeGreaterThan(35);
});
