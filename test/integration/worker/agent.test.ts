import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AgentHost, said } from '../../support/agent-host.ts';
import { finished, missing } from '../../support/worker-host.ts';

const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');

describe.skipIf(why)(`the agent and its wrapper${why ? ` (${why})` : ''}`, () => {
  let world: AgentHost;
  const job = (...args: Parameters<AgentHost['job']>) => world.job(...args);

  beforeAll(async () => {
    world = await AgentHost.start('shaping: {uplinkMbps: 100}\nagent: {sweepSeconds: 2}');
    mkdirSync(dirname(gateFile()));
    chmodSync(dirname(gateFile()), 0o777);
  });
  afterAll(() => world?.stop());
  afterEach(async () => {
    rmSync(gateFile(), { force: true });
    await world.gone();
  });
  const gateFile = () => join(world.host.folder, 'open/go');
  /** What a job's script waits with. */
  const gate = () => `until [ -e ${gateFile()} ]; do sleep 0.1; done`;
  const openGate = () => writeFileSync(gateFile(), '');

  it('gives a job its network, its name and no right at all', async () => {
    const { code, out } = await finished(
      job(
        'RequestBandwidth = 10\nLarkInboundPorts = 20555',
        'ip -br addr show dev eth0; getent hosts ep1.example.org; id -u; grep CapEff /proc/self/status; echo "$ODD"; cat /run/lark/jobs/*/hosts | wc -l',
        {
          environment: {
            ODD: 'a "b"\n$c',
            PERL5OPT: '-MNo::Such::Module',
            PATH: '/tmp:/usr/bin:/bin:/usr/sbin:/sbin',
          },
        },
      ),
    );
    expect(out).toMatch(/^eth0@if\d+\s+UP\s+10\.44\.\d+\.\d+\/32 fd6c:/);
    expect(out).toMatch(/\n(fd6c:\S+|10\.44\.\S+)\s+ep1\.example\.org/);
    expect(out).toContain('\n12345\nCapEff:\t0000000000000000\na "b"\n$c\n');
    expect(code).toBe(0);
  });

  it('gives mode none a loopback only, and leaves alone a job that wants the network of the host', async () => {
    const script = 'ls /proc/self/net/dev_snmp6 | sort | tr "\\n" " "';
    const [none, untouched] = await Promise.all([
      finished(job('LarkNetwork = "none"', script)),
      finished(job('LarkNetwork = "host"', script)),
    ]);
    expect(none).toMatchObject({ code: 0, out: 'lo ' });
    expect(untouched.out).toContain('up0');
  });

  it('does not run a job whose network cannot be made, and says why', async () => {
    const { code, out, err } = await finished(job('LarkNetwork = "wifi"', 'echo ran'));
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain("Lark: LarkNetwork = 'wifi': expected one of none, nat, bridge and host");
  });

  it('starts again while jobs run, also after kill -9: they keep their network, and it goes with them', async () => {
    const child = job('', 'echo up; read -t 6 < <(sleep 6); ip -br addr show dev eth0');
    await said(child);
    await world.endAgent('SIGKILL');
    expect(world.host.leaks()).not.toEqual([]);
    await world.startAgent();
    const { code, out } = await finished(child);
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/10\.44\./) });
    await world.gone();
  });

  it('makes the rules again that somebody flushed, for jobs that run too', async () => {
    const child = job('', 'echo up; read -t 8 < <(sleep 8)');
    await said(child);
    const name = /lk[0-9a-z]{8}/.exec(world.host.run('ip', '-o', 'link'))![0];
    world.host.run('nft', 'flush', 'ruleset');
    await expect
      .poll(() => world.host.run('nft', 'list', 'ruleset'), { timeout: 7000, interval: 200 })
      .toContain(`from_${name}`);
    await finished(child);
  });

  it('makes the shaping again that somebody took, for jobs that run too', async () => {
    const child = job('RequestBandwidth = 10', `echo up; ${gate()}`);
    await said(child);
    const classes = () =>
      ['up0', 'lark-ifb0'].map((device) =>
        world.host.run('sh', '-c', `tc class show dev ${device} | grep -c "rate 10Mbit"; true`).trim(),
      );
    expect(classes()).toEqual(['1', '1']);
    world.host.run('tc', 'qdisc', 'replace', 'dev', 'up0', 'root', 'pfifo');
    world.host.run('ip', 'link', 'del', 'lark-ifb0');
    expect(classes()).not.toEqual(['1', '1']);
    await expect.poll(classes, { timeout: 20_000, interval: 200 }).toEqual(['1', '1']);
    const filter = ['sh', '-c', 'tc filter show dev $(ip -br link | grep -o "^lk[0-9a-z]*") egress'];
    expect(world.host.run(...filter)).toContain('Egress Redirect to device lark-ifb0');
    openGate();
    await finished(child);
  });

  it('forwards again where somebody loaded the sysctls of a machine that does not', async () => {
    const forwards = () =>
      world.host.run('sysctl', '-n', 'net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding').trim();
    expect(forwards()).toBe('1\n1');
    world.host.run('sysctl', '-qw', 'net.ipv4.ip_forward=0', 'net.ipv6.conf.all.forwarding=0');
    await expect.poll(forwards, { timeout: 20_000, interval: 200 }).toBe('1\n1');
  });

  it('reads its configuration again on SIGHUP, and goes on with the old one where the new one is wrong', async () => {
    const before = readFileSync(world.configFile, 'utf8');
    const word = () => world.host.run('cat', '/run/lark/on-failure').trim();
    try {
      expect(word()).toBe('hold');
      writeFileSync(world.configFile, `${before}onFailure: idle\n`);
      world.reload();
      await expect.poll(word, { timeout: 20_000, interval: 100 }).toBe('idle');
      writeFileSync(world.configFile, `${before}onFailure: nonsense\n`);
      world.reload();
      expect((await finished(job('', 'echo still'))).out).toBe('still\n');
      expect(word()).toBe('idle');
    } finally {
      writeFileSync(world.configFile, before);
    }
  });

  it('counts a job that runs in a class that came with a new configuration', async () => {
    const before = readFileSync(world.configFile, 'utf8');
    const child = job(
      '',
      `echo up; ${gate()}
       for i in {1..5}; do head -c 1000 /dev/zero > /dev/udp/192.0.2.254/7001; done; exec sleep 0.5`,
    );
    try {
      await said(child);
      writeFileSync(
        world.configFile,
        `${before}onFailure: run-without\naccounting: {classes: [{name: Near, cidrs: [192.0.2.0/24]}]}\n`,
      );
      world.reload();
      const word = () => world.host.run('cat', '/run/lark/on-failure').trim();
      await expect.poll(word, { timeout: 20_000, interval: 100 }).toBe('run-without');
      openGate();
      await finished(child);
      await world.gone();
      const [usage] = JSON.parse(world.host.run(...world.worker('usage', '--json'))).slice(-1);
      expect(usage.classes.Near).toMatchObject({ outBytes: 5 * 1028, outPackets: 5 });
      expect(usage.isIncomplete).toBe(false);
    } finally {
      child.kill();
      writeFileSync(world.configFile, before);
      world.reload();
    }
  });

  it('does not let a second one take its place', async () => {
    const second = await finished(world.spawn(world.worker('agent')));
    expect(second).toMatchObject({
      code: 1,
      err: 'lark: an agent listens on /run/lark/worker.sock already\n',
    });
    expect((await finished(job('', 'echo served'))).out).toBe('served\n');
  });

  it('without an agent no job runs by accident', async () => {
    await world.endAgent('SIGKILL');
    try {
      const { code, out, err } = await finished(job('', 'echo ran'));
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toContain("Lark: Lark's agent does not answer at /run/lark/worker.sock");
    } finally {
      await world.startAgent();
    }
  });

  it('keeps no record of a job for itself that others could write', () => {
    expect(() =>
      world.host.run('setpriv', '--reuid', '12345', '--clear-groups', 'touch', '/run/lark/journal/x'),
    ).toThrow();
  });
});
