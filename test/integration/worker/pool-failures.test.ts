import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conditions } from '../../../testbed/pool/root-tree.ts';
import { startWorkerPool, type WorkerPool } from './worker-pool.ts';

const able = conditions();

describe.skipIf(!able.ok)(`no network for a job${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let world: WorkerPool;
  beforeAll(async () => {
    world = await startWorkerPool({ ep1: {}, ep2: { isWithoutLark: true } });
  });
  afterAll(() => world?.stop());

  const on = (host: string) => `requirements = Machine == "${host}.lark.test"`;
  const logOf = (name: string) => world.asUser(`cat ${name}.log`);
  const says = (name: string, text: RegExp) =>
    expect.poll(() => logOf(name), { timeout: 80_000, interval: 1000 }).toMatch(text);
  const neverRan = async (name: string) =>
    expect((await world.pool.exec('ap', ['sh', '-c', `cat /home/lark/${name}.out`])).stdout).toBe('');
  const hostNetwork = async (host: string) =>
    (await world.pool.run(host, ['readlink', '/proc/self/ns/net'])).trim();
  const statusOf = async (name: string) => {
    const constraint = ['-constraint', `RegExp("${name}.log$", UserLog)`];
    return (
      await world.pool.run('ap', ['condor_q', '-all', ...constraint, '-af', 'JobStatus', 'HoldReason'])
    ).trim();
  };

  it('because no agent ever answered: it is held, with the reason', async () => {
    await world.submit('never', 'echo it ran', on('ep1'));
    await says('never', /Job was held\.\n.*Lark: Lark's agent does not answer/);
    expect(await statusOf('never')).toMatch(/^5 .*Lark: Lark's agent does not answer at \/run\/lark/);
    await neverRan('never');
  });

  it('because the site refuses it, or it asks for what there is not: held, with the reason', async () => {
    await world.pool.writeFile(
      'ep1',
      '/etc/lark-policy.ad',
      'Mode = Wants.Mode ?: "nat"\nRefuse = Wants.BandwidthMbps > 50 ? "50 Mb/s at most" : undefined\n',
    );
    await world.startAgent('ep1', { policy: '/etc/lark-policy.ad' });
    await world.submit('refused', 'echo it ran', on('ep1'), 'request_bandwidth = 60');
    await world.submit('bridged', 'echo it ran', on('ep1'), '+LarkNetwork = "bridge"');
    await says('refused', /Job was held\.\n.*Lark: 50 Mb\/s at most/);
    await says('bridged', /Job was held\.\n.*Lark: mode bridge is not set up on this machine/);
    await neverRan('refused');
    await neverRan('bridged');
    await world.asUser('condor_rm -all');
  });

  it('because it could not be made: back to the queue with the reason, and held when it comes again', async () => {
    await world.killAgent('ep1');
    // Asked in advance the agent says yes; when it makes the network, the site's program fails.
    await world.startAgent('ep1', { hooks: '{create: /bin/false}' });
    await world.submit('broken', 'echo it ran', on('ep1'));
    await says('broken', /Error from starter .*\n.*Lark: the site's create hook failed/);
    await says('broken', /Job was held\.\n.*Lark: the site's create hook failed/);
    await neverRan('broken');
    await world.killAgent('ep1');
    await world.startAgent('ep1');
    await world.asUser('condor_release -all');
    await world.ended('broken');
    expect(await world.asUser('cat broken.out')).toBe('it ran\n');
  });

  it('and the policy says idle: it waits in the queue, and runs when the agent is back', async () => {
    await world.killAgent('ep1');
    await world.startAgent('ep1', { onFailure: 'idle' });
    await world.killAgent('ep1');
    await world.submit('patient', 'ip -brief -4 address show dev eth0', on('ep1'));
    await says('patient', /Lark: Lark's agent does not answer/);
    expect(await logOf('patient')).not.toMatch(/Job was held/);
    await world.startAgent('ep1', { onFailure: 'idle' });
    await world.ended('patient');
    expect(await world.asUser('cat patient.out')).toMatch(/eth0@\S+ +UP +10\.144\./);
  });

  it('and the policy says run-without: it runs in the network of the host, as the site chose', async () => {
    await world.killAgent('ep1');
    await world.startAgent('ep1', { onFailure: 'run-without' });
    await world.killAgent('ep1');
    await world.submit('without', 'readlink /proc/self/ns/net', on('ep1'));
    await world.ended('without');
    expect((await world.asUser('cat without.out')).trim()).toBe(await hostNetwork('ep1'));
  });

  it('on a machine that was not switched on: nothing is different there', async () => {
    await world.submit('plain', 'readlink /proc/self/ns/net; id -un', on('ep2'));
    await world.ended('plain');
    expect((await world.asUser('cat plain.out')).split('\n')).toEqual([await hostNetwork('ep2'), 'lark', '']);
  });
});
