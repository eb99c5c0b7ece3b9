import { type ChildProcess, execFileSync } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentHost, MAIN, said } from '../../support/agent-host.ts';
import { finished } from '../../support/worker-host.ts';
import { SEND } from './crash-traffic.ts';
import { BYTES, CrashWorld, MODES, type Mode, SOON, sentBytes, whyNot } from './crash-world.ts';

const suffix = whyNot ? ` (${whyNot})` : '';
const CHECKPOINTS = 'accounting: {checkpointSeconds: 0.2}\n';

describe.skipIf(whyNot)(`what a power cut leaves${suffix}`, () => {
  let world: CrashWorld;
  let agents: AgentHost;
  beforeEach(async () => {
    world = await CrashWorld.start(CHECKPOINTS);
    agents = AgentHost.of(world.host, world.configFile);
  });
  afterEach(async () => {
    await agents?.end();
    await world?.stop();
  });

  /** What `lark worker agent` says. */
  const startAgent = async (): Promise<{ log: () => string[]; kill: () => Promise<void> }> => {
    const child = agents.spawn([...world.node, MAIN, 'worker', 'agent', '--config', world.configFile], []);
    let text = '';
    child.stderr!.on('data', (chunk) => (text += chunk));
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    await expect.poll(() => text, { timeout: 60_000, interval: 50 }).toContain('agent listens');
    return {
      log: () => text.split('\n').filter((line) => !line.includes('agent listens') && line !== ''),
      async kill() {
        child.kill('SIGKILL');
        await ended;
      },
    };
  };

  /** A job that has sent all, and lives. */
  const startJob = async (mode: Mode, number = 0): Promise<ChildProcess> => {
    const ad = `LarkNetwork = "${mode}"\nLarkInboundPorts = 8080\nRequestBandwidth = 10\nProcId = ${number}`;
    const job = agents.job(ad, `${mode === 'none' ? '' : SEND}\necho sent; exec sleep 120`);
    expect(await said(job)).toBe('sent\n');
    return job;
  };
  const end = async (jobs: ChildProcess[]) => {
    const ended = jobs.map(finished);
    // The starter, and with it what it started.
    for (const job of jobs) execFileSync('pkill', ['-9', '-P', String(job.pid)]);
    await Promise.all(ended);
  };
  const moved = (records: Awaited<ReturnType<CrashWorld['ended']>>) =>
    records.map((record) => [record.jobId, sentBytes(record), record.hasGap]);
  const layout = () =>
    ['-o addr show dev lark-br0 scope global', '-4 route', '-6 route']
      .map((words) => world.host.run('ip', ...words.split(' ')))
      .join('')
      .replace(/^\d+: /gm, '')
      .replace(/^.*dev (lk|up0).*\n/gm, '');

  it('in all modes: books of ended jobs whole, a gap for those that ran, and all stands again', async () => {
    let agent = await startAgent();
    await end(await Promise.all(MODES.map((mode, i) => startJob(mode, 10 + i))));
    await expect.poll(() => world.host.leaks(), SOON).toEqual([]);
    const jobs = await Promise.all(MODES.map((mode, i) => startJob(mode, 20 + i)));
    const live = async () => moved(await world.store.live()).sort();
    await expect.poll(live, SOON).toEqual([
      ['7.20', BYTES, false],
      ['7.21', BYTES, false],
    ]);
    const before = layout();
    expect(before).toContain('192.0.2.1/24');

    await agent.kill();
    await end(jobs);
    const { host } = world;
    host.run('rm', '-rf', '/run/lark');
    host.run('nft', 'flush', 'ruleset');
    host.run(
      'sh',
      '-c',
      'for l in $(ls /proc/sys/net/ipv4/conf); do case $l in lk*|lark-*) ip link del $l;; esac; done',
    );
    host.run(
      'sh',
      '-c',
      'tc qdisc del dev up0 root; ip addr flush dev up0; ip link set up0 down; ip -6 route flush dev up0',
    );
    host.run('sysctl', '-qw', 'net.ipv4.ip_forward=0', 'net.ipv6.conf.all.forwarding=0');
    host.bootUplink();

    agent = await startAgent();
    expect(layout()).toBe(before);
    expect(host.leaks()).toEqual([]);
    expect(await live()).toEqual([]);
    const books = [
      ['7.10', BYTES, false],
      ['7.11', BYTES, false],
      ['7.20', BYTES, true],
      ['7.21', BYTES, true],
    ];
    expect(moved(await world.ended()).sort()).toEqual(books);
    await end(await Promise.all(MODES.map((mode, i) => startJob(mode, 30 + i))));
    await expect.poll(() => host.leaks(), SOON).toEqual([]);
    expect(moved(await world.ended()).sort()).toEqual([
      ...books,
      ['7.30', BYTES, false],
      ['7.31', BYTES, false],
    ]);
    await agent.kill();
  }, 120_000);

  it.each([
    { kind: 'empty', damage: () => '' },
    { kind: 'truncated', damage: (text: string) => text.slice(0, text.length / 2) },
    { kind: 'overwritten', damage: () => '\0\xff{"name":7}\n' },
  ])(
    'and what a disk or a hand left $kind is survived: said once, by name',
    async ({ damage }) => {
      let agent = await startAgent();
      const run = (path: string) => host(`cat '${path}'`);
      const host = (script: string) => world.host.run('sh', '-ec', script);
      const spoil = (path: string) => {
        const text = damage(run(path));
        execFileSync(world.host.prefix[0]!, [...world.host.prefix.slice(1), 'tee', path], {
          input: Buffer.from(text, 'latin1'),
          stdio: ['pipe', 'ignore', 'inherit'],
        });
      };
      await end([await startJob('nat', 1)]);
      await expect.poll(() => world.host.leaks(), SOON).toEqual([]);
      // One job for each file that is spoiled.
      const modes: Mode[] = ['nat', 'nat', 'nat', 'bridge', 'nat', 'nat'];
      const jobs = await Promise.all(modes.map((mode, i) => startJob(mode, 10 + i)));
      const names = new Map(
        host('cd /run/lark/journal; for f in lk*; do echo "$f $(cat $f)"; done')
          .trim()
          .split('\n')
          .map((line) => [/"jobId":"7\.(\d+)"/.exec(line)![1]!, line.split(' ')[0]!]),
      );
      const fileOf = (job: number, kind: string) =>
        host(`grep -l ${names.get(`${job}`)} /run/lark/leases/${kind}-*`).split('\n')[0]!;
      const live = async () => (await world.store.live()).length;
      await expect.poll(live, SOON).toBe(6);
      await agent.kill();

      const accounting = join(world.host.folder, 'data/accounting');
      const record = join(accounting, `${names.get('15')}.json`);
      const history = join(accounting, readdirSync(accounting).find((file) => file.startsWith('ended-'))!);
      const torn = [
        `/run/lark/journal/${names.get('10')}`,
        fileOf(11, 'slot'),
        fileOf(12, 'name'),
        fileOf(13, 'address'),
        fileOf(14, 'port'),
        record,
        '/run/lark/bridge.json',
      ];
      for (const file of [...torn, '/run/lark/leases/last', '/run/lark/on-failure']) spoil(file);
      appendFileSync(history, readFileSync(history, 'utf8').slice(0, 40));

      agent = await startAgent();
      const log = agent.log();
      for (const file of [...torn, history]) {
        const name = file.split('/').at(-1)!;
        const lines = log.filter((line) => line.includes(name) && /unreadable|could not be read/.test(line));
        expect.soft([file, lines]).toEqual([file, [expect.any(String)]]);
      }
      // The job whose entry is lost has lost its network; the others have theirs, and are counted.
      const ruleset = world.host.run('nft', 'list', 'ruleset');
      for (const [job, name] of names)
        expect.soft([job, ruleset.includes(name)]).toEqual([job, job !== '10']);
      for (const file of torn.slice(1, 5)) expect.soft(run(file)).toContain('"name"');
      expect((await startJob('nat', 30)).exitCode).toBe(null);
      await end(jobs);
      await expect
        .poll(async () => moved(await world.ended()).sort(), SOON)
        .toEqual([
          ['7.1', BYTES, false],
          // Closed before its device was gone.
          ['7.10', BYTES, true],
          ...['7.11', '7.12', '7.13', '7.14'].map((id) => [id, BYTES, false]),
          // Whether anything was counted before the present counters cannot be told.
          ['7.15', BYTES, true],
        ]);
      const unreadable = readdirSync(accounting).filter((file) => file.endsWith('.unreadable'));
      expect(unreadable).toEqual([`${names.get('15')}.json.unreadable`]);
      rmSync(join(accounting, unreadable[0]!));
      writeFileSync(history, readFileSync(history));
      await agent.kill();
    },
    120_000,
  );
});
