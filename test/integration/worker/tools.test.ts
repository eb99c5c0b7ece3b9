import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentHost, MAIN, POLICY, said } from '../../support/agent-host.ts';
import { finished, missing, WorkerHost } from '../../support/worker-host.ts';

const why = missing('ip', 'tc', 'nft', 'unshare');
const YAML = `
policy: ${POLICY}
bridge: {ipv4Ranges: [{first: 192.0.2.10, last: 192.0.2.50}], ipv6Ranges: [{first: "2001:db8::10", last: "2001:db8::50"}]}
shaping: {uplinkMbps: 1000}
`;

describe.skipIf(why)(`tools by hand, without an agent${why ? ` (${why})` : ''}`, () => {
  let host: WorkerHost;
  let world: AgentHost;
  const file = () => join(host.folder, 'worker.yaml');
  const lark = (...args: string[]) =>
    finished(world.spawn([process.execPath, MAIN, 'worker', ...args, '--config', file()]));
  const exec = (...args: string[]) => world.worker('exec', ...args);
  /** Of the machine without Lark's own device for downloads, which stays until all is cleaned. */
  const layout = () =>
    host.run('sh', '-c', '(ip -br -4 address; ip -br -6 address; ip route; ip -6 route) | grep -v lark-ifb0');

  beforeAll(async () => {
    host = await WorkerHost.start();
    writeFileSync(file(), `${YAML}state: {dataDirectory: ${host.folder}/data}\n`);
    world = AgentHost.of(host, file());
  });
  afterAll(async () => {
    await world?.end();
    await host?.stop();
  });

  it('bridge up, test and down', async () => {
    const before = layout();
    expect(await lark('bridge', 'test')).toMatchObject({ code: 1, out: expect.stringContaining('FAILED') });
    expect(await lark('bridge', 'up')).toMatchObject({ code: 0, out: 'lark-br0 stands\n' });
    expect((await lark('bridge', 'up')).out).toMatch(/was there already/);
    const tested = await lark('bridge', 'test');
    expect(tested.out).toMatch(/^ok +gateway: 192\.0\.2\.254 answers$/m);
    expect(tested.code).toBe(0);

    const job = world.spawn(
      exec('--quiet', '--mode', 'bridge', '--', 'sh', '-c', 'echo "$(ip -br address)"; exec sleep 60'),
    );
    expect(await said(job)).toMatch(/192\.0\.2\.\d+\/24 2001:db8::[0-9a-f]+\/64/);
    expect(await lark('bridge', 'down')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^lark: networks of jobs hang on lark-br0: lk\w{8};/),
    });
    const ended = finished(job);
    const name = host.run('sh', '-c', 'ls /run/lark/journal').trim();
    expect((await lark('clean', name)).out).toBe(`removed ${name}\n`);
    expect(await lark('bridge', 'down')).toMatchObject({ code: 0 });
    expect(layout()).toBe(before);
    expect((await lark('bridge', 'down')).out).toMatch(/nothing to do/);
    job.kill();
    await ended;
  });

  it('enter runs a command in the network of a job that runs', async () => {
    const job = world.spawn(
      exec('--quiet', '--', 'sh', '-c', 'echo "$(ip -br -4 address show eth0)"; exec sleep 60'),
    );
    const [, address] = /(10\.44\.[\d.]+)/.exec(await said(job))!;
    const name = host.run('sh', '-c', 'ls /run/lark/journal').trim();
    const enter = (job: string, ...run: string[]) =>
      finished(world.spawn(world.worker('enter', job, '--', ...run)));
    const inside = await enter(name, 'sh', '-c', 'ip -br -4 address show eth0; exit 3');
    expect(inside).toMatchObject({ code: 3, out: expect.stringContaining(address!) });
    expect(await enter('12.0', 'true')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^lark: no network is called 12\.0 or belongs to a job of that id/),
    });
    await lark('clean', name);
    job.kill();
    await finished(job);
  });

  it('exec gives a network of IPv4 where the machine has IPv6 switched off', async () => {
    const off = (value: string) =>
      host.run(
        'sysctl',
        '-qw',
        ...['all', 'default'].map((on) => `net.ipv6.conf.${on}.disable_ipv6=${value}`),
      );
    off('1');
    try {
      const { code, out } = await finished(
        world.spawn(exec('--quiet', '--', 'ip', '-br', 'address', 'show', 'eth0')),
      );
      expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/ 10\.44\.\d+\.\d+\/32 *\n$/) });
    } finally {
      off('0');
      host.run('ip', '-6', 'addr', 'replace', '2001:db8::1/64', 'dev', 'up0', 'nodad');
      host.run('ip', '-6', 'route', 'replace', 'default', 'via', '2001:db8::fe');
    }
  });

  it('exec finds the uplink of a default route with several next hops', async () => {
    const hop = (last: number) => ['nexthop', 'via', `192.0.2.${last}`, 'dev', 'up0'];
    host.run('ip', '-6', 'route', 'del', 'default');
    host.run('ip', 'route', 'replace', 'default', ...hop(254), ...hop(253));
    try {
      expect(await finished(world.spawn(exec('--quiet', '--', 'true')))).toMatchObject({ code: 0, err: '' });
    } finally {
      host.run('ip', 'route', 'replace', 'default', 'via', '192.0.2.254');
      host.run('ip', '-6', 'route', 'add', 'default', 'via', '2001:db8::fe');
    }
  });

  it.each([
    [
      'nat: {ipv4Pool: 192.0.0.0/16}',
      /nat\.ipv4Pool: 192\.0\.0\.0\/16 holds 192\.0\.2\.1, an address of this machine/,
    ],
    ['hooks: {create: /no/such}', /hooks\.create: \/no\/such cannot be run/],
    ['policy: /no/such.ad', /\/no\/such\.ad/],
  ])('the agent does not start with %s, and the doctor says why', async (text, message) => {
    const before = readFileSync(file(), 'utf8');
    const kept = before.split('\n').filter((line) => !line.startsWith(text.split(':')[0]!));
    writeFileSync(file(), `${kept.join('\n')}\n${text}\n`);
    try {
      const agent = await lark('agent');
      expect(agent).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^lark: [^\n]+\n$/) });
      expect(agent.err).toMatch(message);
      const doctor = await lark('doctor');
      expect(doctor.code).toBe(1);
      expect(doctor.out.split('\n').filter((line) => /^BAD/.test(line))).toContainEqual(
        expect.stringMatching(message),
      );
    } finally {
      writeFileSync(file(), before);
    }
  });

  it('doctor sees the older iptables too', async (context) => {
    try {
      host.run('iptables-legacy', '-P', 'FORWARD', 'DROP');
    } catch {
      context.skip('there is no iptables-legacy here, or the kernel has no tables for it');
    }
    try {
      expect((await lark('doctor')).out).toMatch(
        /^costs +chain ip filter FORWARD \(iptables-legacy\) drops/m,
      );
    } finally {
      host.run('iptables-legacy', '-P', 'FORWARD', 'ACCEPT');
    }
  });

  it('selftest tries every mode, finds all well here, and leaves nothing', async () => {
    const before = host.run('ip', '-o', 'link');
    const { code, out, err } = await finished(world.spawn([process.execPath, MAIN, 'worker', 'selftest']));
    expect(out.split('\n').filter((line) => line !== '' && !line.startsWith('ok '))).toEqual([]);
    for (const mode of ['none', 'nat', 'bridge']) expect(out).toContain(`mode ${mode} `);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(host.run('ip', '-o', 'link')).toBe(before);
  });

  it('clean --all takes everything of Lark away, and again nothing, and nothing of the site', async () => {
    const before = layout();
    await lark('bridge', 'up');
    const job = world.spawn(exec('--quiet', '--bandwidth', '40', '--', 'sh', '-c', 'echo up; exec sleep 60'));
    await said(job);
    const cleaned = await lark('clean', '--all');
    expect(cleaned).toMatchObject({ code: 0, err: '' });
    expect(cleaned.out).toMatch(
      /^removed lk\w{8}; and the rules that stood for all, and the bridge lark-br0$/m,
    );
    host.run('tc', 'qdisc', 'add', 'dev', 'up0', 'root', 'handle', '7:', 'pfifo');
    for (let time = 0; time < 2; time++) {
      expect(await lark('clean', '--all')).toEqual({
        code: 0,
        out: 'nothing was left to remove; and the rules that stood for all\n',
        err: '',
      });
    }
    expect(host.run('tc', 'qdisc', 'show', 'dev', 'up0')).toContain('pfifo 7:');
    expect(host.run('nft', 'list', 'ruleset')).toBe('');
    expect(host.run('ip', '-o', 'link')).not.toMatch(/lark|lk/);
    expect(host.leaks()).toEqual([]);
    expect(layout()).toBe(before);
    job.kill();
  });
});
