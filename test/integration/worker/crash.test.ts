import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing, WorkerHost } from '../../support/worker-host.ts';

const DRIVER = new URL('crash-driver.ts', import.meta.url).pathname;
const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter');

/**
 * kill -9 at every step of set-up and tear-down, one after the other, and after each an agent's start: nothing may be left,
 * and no byte of accounting be missing.
 */
describe.skipIf(why)(`an agent killed at every step${why ? ` (${why})` : ''}`, () => {
  let host: WorkerHost;
  let configFile: string;
  beforeAll(async () => {
    host = await WorkerHost.start();
    configFile = join(host.folder, 'worker.yaml');
    writeFileSync(configFile, `shaping: {uplinkMbps: 100}\nstate: {dataDirectory: ${host.folder}/data}\n`);
  });
  afterAll(() => host?.stop());

  const drive = (mode: string, step: number) => {
    const [program, ...args] = [...host.prefix, process.execPath, DRIVER, configFile, mode, String(step)];
    const { stdout, stderr, signal, status } = spawnSync(program!, args, {
      encoding: 'utf8',
      timeout: 60_000,
    });
    const word = (name: string) => new RegExp(`^${name} (.*)$`, 'm').exec(stdout)?.[1];
    return {
      job: Number(word('job')),
      name: word('name'),
      steps: word('steps')?.split(' ') ?? [],
      signal,
      status,
      stderr,
    };
  };
  const endJob = (pid: number) => {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  };
  const ended = (): { name: string; bytes: number; hasGap: boolean }[] => {
    const folder = join(host.folder, 'data', 'accounting');
    if (!existsSync(folder)) return [];
    return readdirSync(folder)
      .filter((file) => file.startsWith('ended-'))
      .flatMap((file) => readFileSync(join(folder, file), 'utf8').trim().split('\n'))
      .map((line) => {
        const { name, carried, counted, hasGap } = JSON.parse(line);
        return { name, bytes: { ...carried, ...counted }.External?.out.bytes ?? 0, hasGap };
      });
  };

  it('leaves nothing when nobody kills it', () => {
    const { status, stderr } = drive('up', 0);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(host.leaks()).toEqual([]);
  });

  it.each(['up', 'down'] as const)(
    'at each step of %s',
    (mode) => {
      const { steps } = drive(mode, 0);
      expect(steps.length).toBeGreaterThanOrEqual(8);
      for (const [i, step] of steps.entries()) {
        const run = drive(mode, i + 1);
        expect([step, run.signal ?? run.status]).toEqual([step, expect.toBeOneOf(['SIGKILL', 137])]);
        // While its job lives, and after it is gone.
        if (i % 2 === 0) endJob(run.job);
        const agent = drive('agent', 0);
        expect([step, agent.status, agent.stderr]).toEqual([step, 0, '']);
        expect([step, host.leaks()]).toEqual([step, []]);
        if (mode === 'down') {
          expect([step, ended().filter(({ name }) => name === run.name)]).toEqual([
            step,
            [{ name: run.name, bytes: 20 * 1028, hasGap: false }],
          ]);
        }
        endJob(run.job);
      }
    },
    300_000,
  );

  it('survives a power cut: the run directory and the kernel state gone at once', () => {
    const { job } = drive('down', 1);
    host.run(
      'sh',
      '-c',
      'rm -rf /run/lark; nft flush ruleset; for l in $(ls /sys/class/net); do case $l in lk*) ip link del $l;; esac; done',
    );
    endJob(job);
    expect(drive('agent', 0).status).toBe(0);
    expect(host.leaks()).toEqual([]);
  });
});
