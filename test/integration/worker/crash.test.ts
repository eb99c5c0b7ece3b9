import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { totals, type UsageRecord } from '../../../src/worker/accounting/record.ts';
import { billed } from '../../../src/worker/accounting/report.ts';
import { UsageStore } from '../../../src/worker/accounting/store.ts';
import { limiter } from '../../../src/worker/limiter.ts';
import { AgentHost, POLICY, said } from '../../support/agent-host.ts';
import { finished, missing, startJob, WorkerHost } from '../../support/worker-host.ts';

const DRIVER = new URL('crash-driver.ts', import.meta.url).pathname;
const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');
const BRIDGE = `bridge:
  ipv4Ranges: [{first: 192.0.2.10, last: 192.0.2.40}]
  ipv6Ranges: [{first: "2001:db8::10", last: "2001:db8::40"}]
`;
const IPV4_BYTES = 20 * (1000 + 28);
const IPV6_BYTES = 20 * (1000 + 48);

const writeConfig = (host: WorkerHost, yaml: string): string => {
  const file = join(host.folder, 'worker.yaml');
  writeFileSync(file, `shaping: {uplinkMbps: 100}\nstate: {dataDirectory: ${host.folder}/data}\n${yaml}`);
  return file;
};
const ended = async (host: WorkerHost): Promise<Map<string, UsageRecord[]>> =>
  Map.groupBy(await new UsageStore(`${host.folder}/data`).history(new Date(0)), ({ name }) => name);
const sentBytes = (record: UsageRecord): number => billed(totals(record)).out.bytes;

/**
 * kill -9 at every step of set-up and tear-down, one after the other, and then an agent's start: nothing may be left, and
 * no byte of accounting be missing.
 */
describe.skipIf(why).each([
  { mode: 'nat', with: 'IPv4 and IPv6', yaml: '', bytes: IPV4_BYTES + IPV6_BYTES },
  { mode: 'bridge', with: 'IPv4 and IPv6', yaml: BRIDGE, bytes: IPV4_BYTES + IPV6_BYTES },
  { mode: 'none', with: 'nothing', yaml: '', bytes: undefined },
])(`killed at every step, in mode $mode with $with${why ? ` (${why})` : ''}`, ({ mode, yaml, bytes }) => {
  let host: WorkerHost;
  let configFile: string;
  beforeAll(async () => {
    host = await WorkerHost.start();
    configFile = writeConfig(host, yaml);
  });
  afterAll(() => host?.stop());

  const drive = async (what: string, step = 0) => {
    const [program, ...args] = [...host.prefix, process.execPath, DRIVER, configFile, what, `${step}`, mode];
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
    'of %s',
    async (what) => {
      const { steps, end, err } = await drive(what);
      expect([end, err, host.leaks()]).toEqual([0, '', []]);
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
      expect([agent.end, agent.err, host.leaks()]).toEqual([0, '', []]);
      for (const { job } of runs) endJob(job);
      if (what === 'up' || bytes === undefined) return;
      const records = await ended(host);
      for (const { step, name } of runs) {
        const [record, ...more] = records.get(name!) ?? [];
        expect.soft(more, step).toEqual([]);
        expect.soft(record && [step, sentBytes(record), record.hasGap]).toEqual([step, bytes, false]);
      }
    },
    120_000,
  );
});

/** An agent lives, or dies with them, while wrapper or starter of a job are killed at each step of its set-up. */
describe.skipIf(why)(`of wrapper, starter and all together${why ? ` (${why})` : ''}`, () => {
  let host: WorkerHost;
  let configFile: string;
  beforeEach(async () => {
    host = await WorkerHost.start();
    configFile = writeConfig(host, '');
  });
  afterEach(() => host?.stop());
  const gone = () => expect.poll(() => host.leaks(), { timeout: 20_000, interval: 100 }).toEqual([]);

  it.each(['wrapper', 'starter', 'pool'] as const)(
    'kill -9 of the %s at every step of a set-up leaves nothing',
    async (victim) => {
      const world = AgentHost.of(host, configFile);
      try {
        const start = async (step: number) => {
          const agent = world.spawn([process.execPath, DRIVER, configFile, victim, `${step}`, host.folder]);
          expect(await said(agent)).toBe('listens\n');
          return agent;
        };
        let agent = await start(1);
        const steps: string[] = [];
        for (let step = 1; steps.at(-1) !== 'up'; step++) {
          expect(step).toBeLessThan(30);
          const killed = said(agent);
          await finished(startJob(host, { jobAd: 'RequestBandwidth = 10', command: ['/bin/sleep', '1'] }));
          steps.push(/^killed (\S+)\n$/.exec(await killed)?.[1] ?? 'nobody');
          if (victim === 'pool') agent = await start(step + 1);
          await gone();
        }
        expect(steps).toEqual(
          expect.arrayContaining(['name', 'lease', 'ip-host', 'nft', 'tc', 'ip-job', 'up']),
        );
        expect(steps).not.toContain('nobody');
      } finally {
        await world.end();
      }
    },
    120_000,
  );

  it('a power cut leaves what was written down, and says that more may be missing', async () => {
    const policy = `policy: ${POLICY}\n`;
    const world = AgentHost.of(host, writeConfig(host, `${policy}accounting: {checkpointSeconds: 0.2}\n`));
    try {
      await world.startAgent();
      const child = world.job(
        '',
        'for i in {1..20}; do head -c 1000 /dev/zero > /dev/udp/192.0.2.254/7001; done; echo sent; exec sleep 30',
      );
      await said(child);
      const live = async () => (await new UsageStore(`${host.folder}/data`).live()).map(sentBytes);
      await expect.poll(live, { timeout: 10_000 }).toEqual([IPV4_BYTES]);
      await world.endAgent('SIGKILL');
      child.kill('SIGKILL');
      host.run(
        'sh',
        '-c',
        'rm -rf /run/lark; nft flush ruleset; tc qdisc del dev up0 root; for l in $(ls /proc/sys/net/ipv4/conf); do case $l in lk*|lark-*) ip link del $l;; esac; done',
      );
      await world.startAgent();
      await gone();
      expect(await live()).toEqual([]);
      const records = [...(await ended(host)).values()].flat();
      expect(records.map((record) => [sentBytes(record), record.hasGap])).toEqual([[IPV4_BYTES, true]]);
    } finally {
      await world.end();
    }
  }, 60_000);
});
