import { describe, expect, it } from 'vitest';
import { allDone } from '../../../src/worker/apply.ts';
import type { WorkerHost } from '../../support/worker-host.ts';
import { CrashWorld, MODES, type Mode, ONCE, SOON, whyNot } from './crash-world.ts';

const suffix = whyNot ? ` (${whyNot})` : '';
/** Before it is asked for a program, and while a program of it runs. */
const VICTIMS = ['launcher', 'program'];

/**
 * The process that starts the agent's programs, killed alone: the network of the job is made, or fails and leaves nothing;
 * what a program does that was running already comes before it is undone. Each case has a machine of its own.
 */
describe.skipIf(whyNot)(`kill -9 of the launcher${suffix}`, () => {
  it('at every step of a network, before it is asked for a program and while one runs', async () => {
    await allDone(
      VICTIMS.flatMap((victim) =>
        MODES.map(async (mode) => {
          const world = await CrashWorld.start();
          try {
            if (victim === 'program') shimPrograms(world.host);
            await killAtEach(world, mode, victim);
          } finally {
            await world.stop();
          }
        }),
      ),
    );
  }, 300_000);
});

const killAtEach = (world: CrashWorld, mode: Mode, victim: string): Promise<void> =>
  world.withAgents(async (start) => {
    const agent = await start(victim);
    for (const { number, step } of await agent.steps(mode, ONCE)) {
      const { code, err } = await world.runJob(mode, number, ONCE);
      const why = code === 0 ? '' : expect.stringMatching(/^Lark: .*the launcher ended/);
      expect.soft([mode, victim, step, err]).toEqual([mode, victim, step, why]);
      await expect.poll(agent.killed, SOON).toContain(`${number} ${step}`);
      // Before any sweep.
      await world.gone();
      // After the last program of a tear-down there is none to be killed with.
      const isUnused = () => world.host.run('sh', '-c', 'rm /run/kill-launcher 2>&1 || :') === '';
      if (victim === 'program' && isUnused()) continue;
      // Without a launcher; and the next step's job with the next one.
      expect(await world.runJob(mode, -1, ONCE)).toMatchObject({ code: 0, err: '' });
      await agent.renewLauncher();
    }
    await world.gone();
    expect((await world.ended()).filter(({ hasGap }) => hasGap)).toEqual([]);
    expect(await world.store.live()).toEqual([]);
  });

/**
 * When /run/kill-launcher is there, a program kills the launcher that started it before it does its work: long enough before
 * for that to be undone.
 */
function shimPrograms(host: WorkerHost): void {
  const shim = `#!/bin/sh
if grep -q launcher.pl /proc/$PPID/cmdline && rm /run/kill-launcher 2>/dev/null; then kill -9 $PPID; sleep 0.3; fi
exec /run/programs/$(basename $0) "$@"`;
  const script = `mkdir -p /run/programs; printf '%s' '${shim}' >/run/shim; chmod 755 /run/shim
for program in ip nft tc; do
  path=$(realpath $(PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v $program))
  cp $path /run/programs/$program && mount --bind /run/shim $path
done`;
  host.run('sh', '-ec', script);
}
