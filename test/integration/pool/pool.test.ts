import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attachPool, type Pool, runningPools, startPool } from '../../../testbed/pool/pool.ts';
import { conditions } from '../../../testbed/pool/root-tree.ts';
import { readStates } from '../../../testbed/pool/state.ts';

const able = conditions();

describe.skipIf(!able.ok)(`a pool in namespaces${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let pool: Pool;
  beforeAll(async () => {
    pool = await startPool();
  });
  afterAll(() => pool.stop());

  const asUser = (script: string, input?: string) =>
    pool.run('ap', ['runuser', '-u', 'lark', '--', 'sh', '-ec', `cd; ${script}`], {
      timeoutMs: 90_000,
      ...(input !== undefined && { input }),
    });
  const status = async (...args: string[]) =>
    (await pool.run('cm', ['condor_status', ...args])).trim().split('\n').filter(Boolean).sort();

  it('shows the schedd and both startds with their sites', async () => {
    expect(await status('-schedd', '-af', 'Machine', 'LarkSite')).toEqual(['ap.lark.test UNL']);
    expect(await status('-af', 'Machine', 'LarkSite')).toEqual(['ep1.lark.test UCSD', 'ep2.lark.test FNAL']);
    expect(await pool.condorVersion()).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('gives each host a network, a host name and a process table of its own', async () => {
    for (const host of pool.hosts) {
      expect((await pool.run(host.name, ['hostname', '--fqdn'])).trim()).toBe(`${host.name}.lark.test`);
      expect(await pool.run(host.name, ['ip', '-4', '-brief', 'address'])).toContain(` ${host.address}/24`);
      const daemons = await pool.run(host.name, ['ps', '-A', '-o', 'comm=']);
      expect(daemons.includes('condor_startd')).toBe(host.role === 'ep');
      expect(daemons.includes('condor_schedd')).toBe(host.role === 'ap');
      expect(daemons.includes('condor_collecto')).toBe(host.role === 'cm');
    }
    const links = await pool.run('switch', ['ip', '-brief', 'link', 'show', 'master', 'pool0']);
    const names = links
      .trim()
      .split('\n')
      .map((line) => line.split('@')[0]);
    expect(names.sort()).toEqual(pool.hosts.map((host) => host.name).sort());
  });

  it('runs a job on each execution point and moves its input there', async () => {
    await asUser('head -c 3000000 /dev/zero >input.dat');
    await asUser(
      'cat >job.sub; condor_submit job.sub',
      `executable = /usr/bin/wc
transfer_executable = false
arguments = -c input.dat
should_transfer_files = yes
transfer_input_files = input.dat
output = out.$(site)
error = err.$(site)
log = job.log
request_memory = 64MB
request_disk = 10MB
requirements = TARGET.LarkSite == "$(site)"
queue site in (UCSD, FNAL)
`,
    );
    await asUser('condor_wait -wait 80 job.log');
    expect(await asUser('cat out.UCSD out.FNAL')).toBe('3000000 input.dat\n3000000 input.dat\n');
    const history = await asUser('condor_history -af LastRemoteHost BytesRecvd ExitCode');
    expect(history.trim().split('\n').sort()).toEqual([
      expect.stringMatching(/@ep1\.lark\.test 3000000(\.0)? 0$/),
      expect.stringMatching(/@ep2\.lark\.test 3000000(\.0)? 0$/),
    ]);
  });

  it('takes ads on stdin through the command prefix and gives them back', async () => {
    const ad = (name: string, throughputMbps: number) =>
      `MyType = "NetworkPath"\nName = "${name}"\nThroughputMbps = ${throughputMbps}\nClassAdLifetime = 600\n`;
    const paths = () =>
      status('-any', '-constraint', 'MyType == "NetworkPath"', '-af', 'Name', 'ThroughputMbps');
    const advertise = ['condor_advertise', '-tcp', '-multiple'];

    await pool.run('cm', [...advertise, 'UPDATE_AD_GENERIC', '-'], {
      input: [ad('UNL>UCSD', 940.5), ad('UNL>FNAL', 87.25)].join('\n'),
    });
    expect(await paths()).toEqual(['UNL>FNAL 87.25', 'UNL>UCSD 940.5']);

    await pool.run('cm', [...advertise, 'INVALIDATE_ADS_GENERIC', '-'], {
      input:
        'MyType = "Query"\nTargetType = "NetworkPath"\nRequirements = MyType == "NetworkPath" && Name == "UNL>FNAL"\n',
    });
    expect(await paths()).toEqual(['UNL>UCSD 940.5']);
  });

  it('changes configuration on a running host', async () => {
    await pool.configure('ap', '95-test', 'SCHEDD_ATTRS = $(SCHEDD_ATTRS) LarkTest\nLarkTest = 42\n');
    await expect.poll(() => status('-schedd', '-af', 'LarkTest'), { timeout: 30_000 }).toEqual(['42']);
  });

  it('says what failed and where', async () => {
    await expect(pool.run('ap', ['condor_submit', '/nowhere.sub'])).rejects.toThrow(
      /on host ap of pool .*nowhere/s,
    );
    await expect(pool.exec('cm', ['sleep', '60'], { timeoutMs: 300 })).rejects.toThrow(
      /sleep on host cm .* 0\.3 s/,
    );
    expect((await pool.exec('cm', ['ps', '-A', '-o', 'args='])).stdout).not.toContain('sleep 60');
    expect(() => pool.commandPrefix('ep9')).toThrow('The pool has no host "ep9"; it has cm, ap, ep1, ep2');
  });

  it('can be looked into from elsewhere, beside a second pool with its own network', async () => {
    const second = await startPool({
      executionPoints: [{ name: 'worker-1', site: 'CERN' }],
      accessPointSite: 'DESY',
      extraConfig: { ep: 'NUM_CPUS = 7', ap: 'LarkSite = "$(FULL_HOSTNAME)"' },
    });
    try {
      const ids = runningPools().map((running) => running.id);
      expect(ids).toContain(pool.id);
      expect(ids).toContain(second.id);
      const attached = attachPool(second.id);
      expect(attached.hosts).toEqual(second.hosts);
      const slots = await attached.run('cm', ['condor_status', '-af', 'Machine', 'LarkSite', 'TotalCpus']);
      expect(slots.trim()).toMatch(/^worker-1\.lark\.test CERN 7(\.0)?$/);
      const schedds = await attached.run('cm', ['condor_status', '-schedd', '-af', 'LarkSite']);
      expect(schedds.trim()).toBe('ap.lark.test');
      expect(await status('-af', 'LarkSite')).toEqual(['FNAL', 'UCSD']);
      const subnets = readStates(Date.now()).map((state) => state.subnet);
      expect(new Set(subnets).size).toBe(subnets.length);
      expect(() => attachPool()).toThrow(/^Several pools are running/);
    } finally {
      await second.stop();
    }
    expect(runningPools().map((running) => running.id)).not.toContain(second.id);
    expect(() => attachPool(second.id)).toThrow(`No pool "${second.id}" is running`);
  });
});
