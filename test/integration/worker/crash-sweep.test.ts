import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SEND } from './crash-traffic.ts';
import { BYTES, CrashWorld, sentBytes, whyNot } from './crash-world.ts';

const DRIVER = new URL('crash-sweep-driver.ts', import.meta.url).pathname;
const suffix = whyNot ? ` (${whyNot})` : '';

interface Job {
  id: string;
  name: string;
  pid: number;
}
interface Run {
  jobs: Job[];
  /** Steps of a sweep that nobody disturbed. */
  steps: string[];
  end: string | number | null;
  /** What it wrote to standard error: nothing, unless it failed. */
  err: string;
}

describe.skipIf(whyNot)(`kill -9 of the agent inside a sweep${suffix}`, () => {
  let world: CrashWorld;
  beforeEach(async () => {
    world = await CrashWorld.start();
  });
  afterEach(() => world?.stop());

  /**
   * An agent that sweeps up what the one before left, and then one that dies: see crash-sweep-driver.ts.
   * @param swept when its first sweep is done
   * @param gone after its second
   */
  const drive = async (args: string[], swept: () => void, gone: () => Promise<void>): Promise<Run> => {
    const [program, ...words] = world.drive(DRIVER, ...args);
    const child: ChildProcess = spawn(program!, words, { stdio: ['pipe', 'pipe', 'pipe'] });
    let err = '';
    child.stderr!.on('data', (chunk) => {
      err += chunk;
    });
    const ended = new Promise<Run['end']>((resolve) =>
      child.once('close', (code, signal) => resolve(signal ?? code)),
    );
    const run: Omit<Run, 'end' | 'err'> = { jobs: [], steps: [] };
    try {
      for await (const line of createInterface({ input: child.stdout! })) {
        const [word, ...rest] = line.split(' ');
        if (word === 'swept') swept();
        if (word === 'gone') await gone();
        if (word === 'swept' || word === 'gone') child.stdin!.write('\n');
        if (word === 'job') run.jobs.push({ id: rest[0]!, name: rest[1]!, pid: Number(rest[2]) });
        if (word === 'steps') run.steps = rest.join(' ').split(',');
      }
    } finally {
      child.kill('SIGKILL');
    }
    return { ...run, end: await ended, err };
  };

  /** All of a scenario's steps, one after the other: the next agent's start is the look at what the one before left. */
  const enumerate = async (
    scenario: string,
    swept: (jobs: Job[]) => void,
    gone: (jobs: Job[], step: string) => Promise<void>,
  ) => {
    const first = await drive(
      [scenario],
      () => {},
      async () => {},
    );
    expect(first).toMatchObject({ end: 0, err: '' });
    expect(first.jobs.length).toBeGreaterThan(0);
    let last: { jobs: Job[]; step: string } = { jobs: first.jobs, step: 'none' };
    const lookAt = (what: typeof last) => [() => swept(what.jobs), () => gone(what.jobs, what.step)] as const;
    for (const step of first.steps) {
      const run = await drive([scenario, step], ...lookAt(last));
      expect([step, run.end, run.err]).toEqual([step, expect.toBeOneOf(['SIGKILL', 137]), '']);
      last = { jobs: run.jobs, step };
    }
    expect(await drive(['end'], ...lookAt(last))).toMatchObject({ end: 0, err: '' });
    return first.steps;
  };

  /** What the job moved: bytes that it sent, and whether some may be missing. */
  const usage = async (jobs: Job[]) => {
    const records = Map.groupBy(await world.ended(), ({ name }) => name);
    return jobs.map(({ id, name }) => [
      id,
      ...(records.get(name) ?? []).map((record) => [sentBytes(record), record.hasGap]),
    ]);
  };
  const accountingFiles = () => readdirSync(`${world.host.folder}/data/accounting`);

  it('that removes what jobs left and what is nobody’s: the next one removes all of it', async () => {
    const swept = () => {
      expect(world.host.leaks()).toEqual([]);
      expect(accountingFiles().filter((file) => !/^ended-|\.unreadable$/.test(file))).toEqual([]);
    };
    const steps = await enumerate('dead', swept, async (jobs, step) => {
      expect([step, await usage(jobs)]).toEqual([
        step,
        [['dead-nat', [BYTES, false]], ['dead-bridge', [BYTES, false]], ['dead-none']],
      ]);
    });
    for (const id of ['dead-nat', 'dead-bridge', 'dead-none', 'lk0000odev', 'lk0000olea']) {
      expect(steps).toContain(`${id} down:release#1`);
    }
    for (const step of ['recover', 'nft', 'tc']) expect(steps).toContain(`- start:${step}#1`);
    for (const step of ['leftovers', 'nft', 'tc', 'debris']) expect(steps).toContain(`- sweep:${step}#1`);
  }, 300_000);

  const endJobs = (jobs: Job[]) => {
    for (const { pid } of jobs) process.kill(pid, 'SIGKILL');
  };
  const sendAgain = (jobs: Job[]) => {
    const ruleset = world.host.run('nft', 'list', 'ruleset');
    for (const { name, pid } of jobs) {
      expect(ruleset).toContain(`from_${name}`);
      world.host.run('nsenter', `--net=/proc/${pid}/ns/net`, '--', 'bash', '-c', SEND);
    }
    const empty = world.host.run('find', '/run/lark/leases', '/run/lark/journal', '-size', '0');
    expect(empty).toBe('');
    endJobs(jobs);
  };

  it.each([
    { scenario: 'flushed', when: 'at its start', expected: ['- start:nft#1', '- start:renew-nft#1'] },
    {
      scenario: 'living',
      when: 'while it runs',
      expected: ['- sweep:mend-nft#1', 'living-nat sweep:mend-nft#1', 'living-bridge sweep:mend-nft#1'],
    },
  ])(
    'that makes rules and leases of living jobs again $when: the next one makes them',
    async ({ scenario, expected }) => {
      const leases = () => world.host.run('ls', '/run/lark/leases').split('\n');
      const steps = await enumerate(
        scenario,
        (jobs) => {
          expect(leases().filter((file) => /^address-/.test(file))).toHaveLength(2);
          sendAgain(jobs);
        },
        async (jobs, step) => {
          expect(world.host.leaks()).toEqual([]);
          expect([step, await usage(jobs)]).toEqual([
            step,
            [
              [`${scenario}-nat`, [2 * BYTES, true]],
              [`${scenario}-bridge`, [2 * BYTES, true]],
            ],
          ]);
        },
      );
      for (const mode of ['nat', 'bridge']) expect(steps).toContain(`${scenario}-${mode} sweep:lease#1`);
      for (const step of expected) expect(steps).toContain(step);
    },
    300_000,
  );

  it('where one table of the two is gone, nothing is lost and nothing is a gap', async () => {
    const { jobs } = await drive(
      ['half'],
      () => {},
      async () => {},
    );
    await drive(
      ['end'],
      () => sendAgain(jobs),
      async () => {
        expect(await usage(jobs)).toEqual([
          ['half-nat', [2 * BYTES, false]],
          ['half-bridge', [2 * BYTES, false]],
        ]);
      },
    );
    expect(world.host.leaks()).toEqual([]);
  }, 60_000);
});
