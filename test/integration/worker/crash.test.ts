import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { limiter } from '../../../src/worker/limiter.ts';
import { finished } from '../../support/worker-host.ts';
import {
  BYTES,
  CrashWorld,
  DRIVER,
  MODES,
  ONCE,
  SOON,
  sentBytes,
  twice,
  upTo,
  whyNot,
} from './crash-world.ts';

const suffix = whyNot ? ` (${whyNot})` : '';

/**
 * kill -9 at every step of set-up and tear-down, and then a sweep: nothing may be left, and no byte of accounting be missing.
 * Which steps there are, a job tells that nobody disturbs.
 */
describe.skipIf(whyNot).each(MODES)(`in mode %s${suffix}, kill -9`, (mode) => {
  const bytes = mode === 'none' ? undefined : BYTES;
  let world: CrashWorld;
  beforeAll(async () => {
    world = await CrashWorld.start();
  });
  afterAll(() => world?.stop());

  const drive = async (what: string, step = 0) => {
    const [program, ...args] = world.drive(DRIVER, what, `${step}`, mode);
    const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const { code, out, err } = await finished(child);
    const word = (name: string) => new RegExp(`^${name} (.*)$`, 'm').exec(out)?.[1];
    const steps = word('steps')?.split(' ') ?? [];
    return { job: Number(word('job')), name: word('name'), steps, end: code ?? child.signalCode, err };
  };
  const endJob = (pid: number) => {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  };

  it.each(['up', 'down'] as const)(
    'of the agent at every step of %s',
    async (what) => {
      const { steps, end, err } = await drive(what);
      expect([end, err, world.host.leaks()]).toEqual([0, '', []]);
      expect(steps.length).toBeGreaterThanOrEqual(mode === 'none' ? 3 : 8);
      // What all of them left is one agent's to take away; every second job lives on meanwhile.
      const some = limiter(4);
      const runs = await Promise.all(
        steps.map(async (step, i) => {
          const run = await some.run(() => drive(what, i + 1));
          expect([step, run.end]).toEqual([step, expect.toBeOneOf(['SIGKILL', 137])]);
          // A network that stands is its living job's.
          if (i % 2 === 0 || step === 'up') endJob(run.job);
          return { ...run, step };
        }),
      );
      const agent = await drive('agent');
      expect([agent.end, agent.err, world.host.leaks()]).toEqual([0, '', []]);
      for (const { job } of runs) endJob(job);
      expect(await world.store.live()).toEqual([]);
      if (what === 'up' || bytes === undefined) return;
      const records = Map.groupBy(await world.ended(), ({ name }) => name);
      for (const { step, name } of runs) {
        const found = records.get(name!)?.map((record) => [step, sentBytes(record), record.hasGap]);
        expect.soft(found).toEqual([[step, bytes, false]]);
      }
    },
    300_000,
  );

  it.each(['wrapper', 'starter'])(
    'of the %s at every step of set-up and tear-down',
    async (victim) =>
      world.withAgents(async (start) => {
        const agent = await start(victim);
        // The last tear-down is that of a job that ended.
        const steps = upTo(await agent.steps(mode, twice(mode)), 'up#2');
        const firstDown = steps.findIndex(({ step }) => step.startsWith('down:'));
        expect(firstDown).toBe(upTo(steps, 'up#1').length);
        const some = limiter(6);
        const since = new Date();
        await Promise.all(steps.map(({ number }) => some.run(() => world.runJob(mode, number, twice(mode)))));
        const killed = steps.map(({ number, step }) => `${number} ${step}`);
        await expect.poll(agent.killed, SOON).toEqual(killed);
        await world.gone();
        expect(agent.namespaces()).toEqual([]);
        expect(await world.store.live()).toEqual([]);
        const all = (await world.ended()).filter(({ startedAt }) => startedAt >= since);
        const records = Map.groupBy(all, ({ jobId }) => jobId);
        if (bytes === undefined) expect(records.size).toBe(0);
        else {
          for (const { number, step } of steps.slice(firstDown)) {
            const [first, ...more] = records.get(`7.${number}`) ?? [];
            expect.soft(first && [step, sentBytes(first), first.hasGap]).toEqual([step, bytes, false]);
            expect.soft(more.filter(({ hasGap }) => hasGap)).toEqual([]);
          }
        }
      }),
    300_000,
  );

  it(
    'of wrapper, starter and agent together at every step of a set-up',
    async () =>
      world.withAgents(async (start) => {
        const steps = upTo(await (await start('starter')).steps(mode, ONCE), 'up#1');
        for (const { number, step } of steps) {
          const agent = await start('pool', step);
          await world.gone();
          await world.runJob(mode, number, ONCE);
          await expect.poll(agent.killed, SOON).toEqual([`${number} ${step}`]);
        }
        await start('starter');
        await world.gone();
        expect(await world.store.live()).toEqual([]);
      }),
    300_000,
  );
});
