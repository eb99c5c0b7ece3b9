import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseWorkerConfig } from '../../../src/worker/config.ts';
import { Judge } from '../../../src/worker/judge.ts';
import { Patience } from '../../../src/worker/patience.ts';
import { parsePolicy } from '../../../src/worker/policy.ts';

const config = parseWorkerConfig('', 'worker.yaml');
const facts = {
  job: 'Owner = "alice"',
  machine: 'Cpus = 1',
  isStarters: true,
  uid: 1000,
  starter: { pid: 1, startTicks: 1 },
};

describe('the thread that decides', () => {
  let folder: string;
  let judge: Judge;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lark-judge-'));
    writeFileSync(join(folder, 'starts'), '');
  });
  afterEach(async () => {
    await judge.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const starts = () => readFileSync(join(folder, 'starts'), 'utf8').length;
  /** A stand-in for the thread, that does this first; `count` is how many were started, with this one. */
  const threadThat = (script: string, startMs?: number) => {
    const file = join(folder, 'thread.mjs');
    writeFileSync(
      file,
      `import { appendFileSync, readFileSync } from 'node:fs';
      import { parentPort } from 'node:worker_threads';
      const starts = ${JSON.stringify(join(folder, 'starts'))};
      appendFileSync(starts, '.');
      const count = readFileSync(starts).length;
      ${script}
      parentPort.on('message', () => parentPort.postMessage({ decision: { kind: 'untouched' } }));
      parentPort.postMessage('ready');`,
    );
    judge = new Judge(parsePolicy('Mode = "nat"', 'policy.ad'), config, new Patience(), {
      file: pathToFileURL(file),
      ...(startMs !== undefined && { startMs }),
    });
  };
  const ANSWER = { kind: 'untouched' };

  it.each([
    ['throws', 'if (count === 1) throw new Error("no memory");'],
    ['ends without a word', 'if (count === 1) process.exit(0);'],
  ])('is started again for the same job where it %s as it begins', async (_, script) => {
    threadThat(script);
    expect(await judge.decide(facts)).toMatchObject(ANSWER);
    expect(starts()).toBe(2);
  });

  it('is started again where it never begins', async () => {
    threadThat('if (count === 1) await new Promise((resolve) => setTimeout(resolve, 1e9));', 5000);
    expect(await judge.decide(facts)).toMatchObject(ANSWER);
  });

  it('is tried a few times for a job, not for ever, and again for the next', async () => {
    threadThat('if (count <= 4) throw new Error("no memory");');
    await expect(judge.decide(facts)).rejects.toThrow('no memory');
    expect(starts()).toBe(3);
    // Who asks at the same time waits for his turn.
    const both = await Promise.all([judge.decide(facts), judge.decide(facts)]);
    expect(both).toMatchObject([ANSWER, ANSWER]);
    expect(starts()).toBe(5);
  });

  it('is started again where it ended between two jobs', async () => {
    threadThat(
      'if (count === 1) parentPort.on("message", () => setImmediate(() => setImmediate(() => process.exit(1))));',
    );
    expect(await judge.decide(facts)).toMatchObject(ANSWER);
    // It may end in the middle of an answer, of which that job hears.
    await expect
      .poll(() => judge.decide(facts).then(starts, () => 0), { timeout: 20_000 })
      .toBeGreaterThan(1);
    expect(await judge.decide(facts)).toMatchObject(ANSWER);
  });

  it('is not waited for when the agent ends', async () => {
    threadThat('throw new Error("no memory");');
    await judge.close();
  });
});
