import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { z } from 'zod';
import { linkExists } from '../proc.ts';
import { removeFile } from '../records.ts';

/**
 * Moves the uplink, in a process of its own that outlives the one that wants it moved. Reads an order from stdin and says
 * `ready`; at `go` it runs the lines of `act` and says how that went; if stdin ends then, or the time does, before `done`
 * comes, it runs those of `back`. That one process does both keeps the one from running into the other.
 */
const order = z.strictObject({
  act: z.array(z.string()),
  /** Go on after a line that fails. */
  isForced: z.boolean(),
  back: z.array(z.string()),
  timeoutMs: z.number().positive(),
  /** What is forgotten once the bridge is gone. */
  bridge: z.string(),
  recordFile: z.string(),
});

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async (): Promise<string | undefined> => (await input.next()).value;
/** Its standard output is this one's, which so ends with the last of them. */
const run = (lines: readonly string[], isForced: boolean) =>
  execa('ip', [...(isForced ? ['-force'] : []), '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
    stdout: 'inherit',
    timeout: 30_000,
    reject: false,
  });

const { act, isForced, back, timeoutMs, bridge, recordFile } = order.parse(JSON.parse((await next()) ?? ''));
console.log('ready');
if ((await next()) === 'go') {
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), timeoutMs));
  const { failed, stderr } = await run(act, isForced);
  console.log(JSON.stringify(failed && !isForced ? { error: stderr.split('\n')[0] || 'ip failed' } : {}));
  if ((await Promise.race([next(), late])) !== 'done') await run(back, true);
}
// A bridge of this name that comes later is the site's own.
if (!linkExists(bridge)) removeFile(recordFile);
process.exit();
