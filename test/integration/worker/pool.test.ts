import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Pool, startPool } from '../../../testbed/pool/pool.ts';
import { conditions } from '../../../testbed/pool/root-tree.ts';

const able = conditions();
const ROOT = resolve(import.meta.dirname, '../../..');
const SHIPPED = readFileSync(join(ROOT, 'config/htcondor/worker-execution-point.conf'), 'utf8');

/** Slots, and short intervals so that a test need not wait. */
const CONDOR = `NUM_CPUS = 8
MEMORY = 4096
${SHIPPED}
STARTD_CRON_LARK_PERIOD = 3s
LARK_MONITOR_SLOTS = 4
STARTER_UPDATE_INTERVAL = 3
STARTER_INITIAL_UPDATE_INTERVAL = 2
`;
const WORKER = `policy: /opt/lark/config/worker/policy.ad
host: {uplink: eth0}
nat: {ipv4Pool: 10.144.0.0/16}
shaping: {uplinkMbps: 100}
accounting: {checkpointSeconds: 2}
`;
const LARK = '#!/bin/sh\nexec /usr/local/bin/node /opt/lark/src/cli/main.ts "$@"\n';

describe.skipIf(!able.ok)(`the worker on a real pool${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lark-worker-pool-'));
  let pool: Pool;
  let server: string;
  beforeAll(async () => {
    const file = (name: string, text: string, mode: number): string => {
      writeFileSync(join(folder, name), text, { mode });
      return join(folder, name);
    };
    pool = await startPool({
      executionPoints: [{ name: 'ep1', site: 'UCSD' }],
      extraConfig: { ep: CONDOR },
      mounts: {
        '/opt/lark': ROOT,
        '/usr/local/bin/node': process.execPath,
        '/usr/bin/lark': file('lark', LARK, 0o755),
        '/etc/lark/worker.yaml': file('worker.yaml', WORKER, 0o644),
        '/usr/libexec/lark/lark-job-wrapper': join(ROOT, 'config/worker/lark-job-wrapper'),
      },
    });
    server = pool.hosts.find(({ name }) => name === 'ap')!.address;
    await pool.run('ap', ['iperf3', '-s', '-D']);
  });
  afterAll(async () => {
    await pool?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const asUser = (script: string, input?: string) =>
    pool.run('ap', ['runuser', '-u', 'lark', '--', 'sh', '-ec', `cd; ${script}`], {
      timeoutMs: 90_000,
      ...(input !== undefined && { input }),
    });
  /** A job that runs a script of the shell; its log, output and error are NAME.log, .out and .err. */
  const submit = async (name: string, script: string, ...more: string[]): Promise<void> => {
    await asUser(`cat >${name}.sh`, script);
    const lines = [
      'executable = /bin/sh',
      'transfer_executable = false',
      `arguments = ${name}.sh`,
      `transfer_input_files = ${name}.sh`,
      'should_transfer_files = yes',
      ...['log', 'output', 'error'].map((kind) => `${kind} = ${name}.${kind.slice(0, 3)}`),
      'request_memory = 32MB',
      'request_disk = 20MB',
      ...more,
    ];
    await asUser(
      'condor_submit -',
      `${lines.join('\n')}\n${more.some((line) => line.startsWith('queue')) ? '' : 'queue\n'}`,
    );
  };
  const agentPids = async () =>
    (await pool.exec('ep1', ['pgrep', '-f', '[m]ain.ts worker agent'])).stdout
      .trim()
      .split('\n')
      .filter(Boolean);
  const startAgent = () =>
    pool.run('ep1', ['sh', '-c', 'setsid lark worker agent </dev/null >>/var/log/agent.log 2>&1 &']);

  it('has the bandwidth that the inventory tells, and matches no more than that', async () => {
    const slots = await pool.run('cm', ['condor_status', '-af', 'BANDWIDTH', 'TotalBANDWIDTH']);
    expect(slots.trim()).toBe('100 100');
    await submit('share', 'sleep 300', 'request_bandwidth = 40', '+LarkNetwork = "host"', 'queue 3');
    await startAgent();
    const count = async () =>
      (await pool.run('ap', ['condor_q', '-all', '-constraint', 'JobStatus == 2', '-af', 'ProcId']))
        .trim()
        .split('\n');
    await expect.poll(async () => (await count()).length, { timeout: 60_000, interval: 1000 }).toBe(2);
    // some negotiation cycles later it is still two
    await asUser('sleep 8');
    expect(await count()).toHaveLength(2);
    expect((await pool.run('cm', ['condor_status', '-af', 'BANDWIDTH'])).trim().split('\n').sort()).toEqual([
      '20',
      '40',
      '40',
    ]);
    await asUser('condor_rm -all');
  });

  it('gives a job an address of its own from which it reaches a server outside, at its rate', async () => {
    const script = `ip -brief -4 address show dev eth0
grep CapEff /proc/self/status
iperf3 -c ${server} -t 6 -J >up.json
sleep 9
`;
    await submit(
      'nat',
      script,
      'request_bandwidth = 40',
      '+LarkNetwork = "nat"',
      'transfer_output_files = up.json',
    );
    await expect
      .poll(async () => (await pool.exec('ep1', ['ls', '/run/lark/journal'])).stdout, {
        timeout: 60_000,
        interval: 500,
      })
      .toMatch(/lk/);
    // what an administrator sees who goes into the job
    const pid = await expect
      .poll(async () => (await pool.exec('ep1', ['pgrep', '-x', '-u', 'lark', 'iperf3'])).stdout.trim(), {
        timeout: 30_000,
        interval: 200,
      })
      .toMatch(/^\d+$/)
      .then(async () => (await pool.run('ep1', ['pgrep', '-x', '-u', 'lark', 'iperf3'])).trim());
    const inside = await pool.run('ep1', ['nsenter', '-t', pid, '-n', 'ip', '-brief', 'link']);
    expect(
      inside
        .trim()
        .split('\n')
        .map((line) => line.split(/[@\s]/)[0]),
    ).toEqual(['lo', 'eth0']);
    await asUser('condor_wait -wait 80 nat.log');
    const out = await asUser('cat nat.out');
    expect(out).toMatch(/eth0@\S+ +UP +10\.144\.\d+\.\d+\/32/);
    expect(out).toMatch(/CapEff:\s+0{16}/);
    const report = JSON.parse(await asUser('cat up.json'));
    const mbps = report.end.sum_received.bits_per_second / 1e6;
    // payload of 40 Mb/s at layer 2; the machine may be busy
    expect(mbps).toBeGreaterThan(20);
    expect(mbps).toBeLessThan(40.5);
  });

  it('tells what the job moved in its ad and in its event log', async () => {
    const ad = await pool.run('ap', [
      ...[
        'condor_history',
        '-limit',
        '1',
        '-constraint',
        'UserLog == "nat.log" || RegExp("nat.log$", UserLog)',
      ],
      ...[
        '-af',
        'BANDWIDTHProvisioned',
        'BANDWIDTHAverageUsage',
        'BANDWIDTHPeakUsage',
        'NetworkOutgoingUsage',
      ],
      'NetworkOutgoingExternalUsage',
    ]);
    const [provisioned, average, peak, outgoing, external] = ad.trim().split(' ').map(Number);
    expect(provisioned).toBe(40);
    expect(average).toBeGreaterThan(1);
    expect(peak).toBeGreaterThan(average!);
    const arrived = JSON.parse(await asUser('cat up.json')).end.sum_received.bytes;
    expect(outgoing).toBeGreaterThan(arrived);
    expect(outgoing).toBeLessThan(arrived * 1.15);
    expect(external).toBe(outgoing);
    const row = /BANDWIDTH +: +(\S+) +(\S+) +(\S+)/.exec(await asUser('cat nat.log'));
    expect(row?.slice(2)).toEqual(['40', '40']);
    expect(Number(row?.[1])).toBeCloseTo(average!, 1);
  });

  it('counts the next job of the slot from nothing', async () => {
    await submit('small', `iperf3 -c ${server} -n 100K >/dev/null; sleep 9`, '+LarkNetwork = "nat"');
    await asUser('condor_wait -wait 80 small.log');
    const history = ['condor_history', '-limit', '1', '-constraint', 'RegExp("small.log$", UserLog)'];
    const ad = await pool.run('ap', [...history, '-af', 'NetworkOutgoingUsage', 'LastRemoteHost']);
    const [outgoing, slot] = ad.trim().split(' ');
    expect(slot).toMatch(/^slot1_1@/);
    expect(Number(outgoing)).toBeGreaterThan(100_000);
    expect(Number(outgoing)).toBeLessThan(1_000_000);
  });

  it('leaves a job that opts out where it is', async () => {
    await submit('host', 'readlink /proc/self/ns/net', '+LarkNetwork = "host"');
    await asUser('condor_wait -wait 80 host.log');
    expect(await asUser('cat host.out')).toBe(await pool.run('ep1', ['readlink', '/proc/self/ns/net']));
  });

  it('leaves nothing behind in the host', async () => {
    await expect
      .poll(async () => (await pool.run('ep1', ['ip', '-brief', 'link'])).match(/^lk\S+/gm) ?? [], {
        timeout: 30_000,
      })
      .toEqual([]);
    const journal = ['sh', '-c', 'ls -A /run/lark/journal /run/lark/leases | grep lk || true'];
    await expect.poll(() => pool.run('ep1', journal), { timeout: 30_000 }).toBe('');
  });

  it('holds a job while no agent answers, with the reason in its log', async () => {
    for (const pid of await agentPids()) await pool.run('ep1', ['kill', '-9', pid]);
    await expect.poll(agentPids, { timeout: 10_000 }).toEqual([]);
    await submit('lost', 'echo it ran in; ip -brief address', '+LarkNetwork = "nat"');
    await expect
      .poll(() => asUser('cat lost.log'), { timeout: 80_000, interval: 1000 })
      .toMatch(/Job was held\.\n.*Lark: Lark's agent does not answer/);
    expect((await pool.exec('ap', ['sh', '-c', 'cat /home/lark/lost.out'])).stdout).toBe('');
  });
});
