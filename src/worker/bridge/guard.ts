import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { z } from 'zod';
import { linkExists } from '../proc.ts';
import { removeFile } from '../records.ts';

/**
 * Stands by while the uplink moves: a process of its own that outlives the one that moves it. Reads an order from stdin
 * and says `ready`; if stdin ends, or the time does, before `done` comes, it runs the lines.
 */
const order = z.strictObject({
  lines: z.array(z.string()),
  timeoutMs: z.number().positive(),
  /** What is forgotten once the bridge is gone. */
  bridge: z.string(),
  stateFile: z.string(),
});

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { lines, timeoutMs, bridge, stateFile } = order.parse(JSON.parse((await input.next()).value ?? ''));
console.log('ready');

const word = await Promise.race([
  input.next().then(({ value }) => value),
  new Promise<undefined>((late) => setTimeout(() => late(undefined), timeoutMs)),
]);
if (word !== 'done') {
  await execa('ip', ['-force', '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
    timeout: 30_000,
    reject: false,
  });
  // A bridge of this name that comes later is the site's own.
  if (!linkExists(bridge)) removeFile(stateFile);
}
process.exit();
