import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conditions } from '../../../testbed/pool/root-tree.ts';
import { startWorkerPool, type WorkerPool } from './worker-pool.ts';

const able = conditions();

describe.skipIf(!able.ok)(`the worker on a real pool${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let world: WorkerPool;
  beforeAll(async () => {
    world = await startWorkerPool({ ep1: {} });
  });
  afterAll(() => world?.stop());

  it('has the bandwidth that the inventory tells, and matches no more than that', async () => {
    const { pool, submit, asUser } = world;
    const slots = await pool.run('cm', ['condor_status', '-af', 'BANDWIDTH', 'TotalBANDWIDTH']);
    expect(slots.trim()).toBe('100 100');
    await world.startAgent('ep1');
    await submit('share', 'sleep 300', 'request_bandwidth = 40', '+LarkNetwork = "host"', 'queue 3');
    const running = async () =>
      (await pool.run('ap', ['condor_q', '-all', '-constraint', 'JobStatus == 2', '-af', 'ProcId']))
        .trim()
        .split('\n');
    await expect.poll(async () => (await running()).length, { timeout: 60_000, interval: 1000 }).toBe(2);
    // some negotiation cycles later it is still two
    await asUser('sleep 8');
    expect(await running()).toHaveLength(2);
    expect((await pool.run('cm', ['condor_status', '-af', 'BANDWIDTH'])).trim().split('\n').sort()).toEqual([
      '20',
      '40',
      '40',
    ]);
    await asUser('condor_rm -all');
  });

  it('gives a job an address of its own from which it reaches a server outside', async () => {
    const { pool, submit, asUser, server } = world;
    const script = `ip -brief -4 address show dev eth0
grep CapEff /proc/self/status
iperf3 -c ${server} -t 4 -J >up.json
sleep 9
`;
    await submit(
      'nat',
      script,
      'request_bandwidth = 40',
      'transfer_output_files = up.json',
      'job_ad_information_attrs = NetworkOutgoingUsage, NetworkOutgoingExternalUsage',
    );
    // what an administrator sees who goes into the job
    await world.said('nat', 'ep1', /CapEff/);
    const job = (await pool.run('ep1', ['pgrep', '-u', 'lark', '-fx', '/bin/sh nat.sh'])).trim();
    const inside = await pool.run('ep1', ['nsenter', '-t', job, '-n', 'ip', '-brief', 'link']);
    expect(
      inside
        .trim()
        .split('\n')
        .map((line) => line.split(/[@\s]/)[0]),
    ).toEqual(['lo', 'eth0']);
    await world.ended('nat');
    const out = await asUser('cat nat.out');
    expect(out).toMatch(/eth0@\S+ +UP +10\.144\.\d+\.\d+\/32/);
    expect(out).toMatch(/CapEff:\s+0{16}/);
  });

  it('tells what the job moved in its ad and in its event log', async () => {
    const { asUser, history } = world;
    const names = ['BANDWIDTHProvisioned', 'BANDWIDTHAverageUsage', 'BANDWIDTHPeakUsage'];
    const usage = ['NetworkOutgoingUsage', 'NetworkOutgoingExternalUsage'];
    const ad = await history('nat', 'RequestBANDWIDTH', ...names, ...usage);
    const [requested, provisioned, average, peak, outgoing, external] = ad.map(Number);
    expect(requested).toBe(40);
    expect(provisioned).toBe(40);
    expect(average).toBeGreaterThan(1);
    expect(peak).toBeGreaterThan(average!);
    const arrived = JSON.parse(await asUser('cat up.json')).end.sum_received.bytes;
    expect(outgoing).toBeGreaterThan(arrived);
    expect(outgoing).toBeLessThan(arrived * 1.15);
    expect(external).toBe(outgoing);
    const log = await asUser('cat nat.log');
    const row = /BANDWIDTH +: +(\S+) +(\S+) +(\S+)/.exec(log);
    expect(row?.slice(2)).toEqual(['40', '40']);
    expect(Number(row?.[1])).toBeCloseTo(average!, 1);
    // Where the user asked for them.
    const told = (name: string) =>
      [...log.matchAll(new RegExp(`^${name} = (\\S+)`, 'gm'))].map(([, bytes]) => Number(bytes)).at(-1);
    expect(usage.map(told)).toEqual([outgoing, external]);
  });

  it('counts the next job of the slot from nothing', async () => {
    await world.submit('small', `iperf3 -c ${world.server} -n 100K >/dev/null; sleep 9`);
    await world.ended('small');
    const [outgoing, slot] = await world.history('small', 'NetworkOutgoingUsage', 'LastRemoteHost');
    expect(slot).toMatch(/^slot1_1@/);
    expect(Number(outgoing)).toBeGreaterThan(100_000);
    expect(Number(outgoing)).toBeLessThan(1_000_000);
  });

  it('leaves a job that opts out where it is', async () => {
    await world.submit('host', 'readlink /proc/self/ns/net', '+LarkNetwork = "host"');
    await world.ended('host');
    expect(await world.asUser('cat host.out')).toBe(
      await world.pool.run('ep1', ['readlink', '/proc/self/ns/net']),
    );
  });

  it('gives a job that checkpoints itself and goes on a network again', async () => {
    // The second time it stays until the monitor has told of it.
    const script = `ip -brief -4 address show dev eth0
iperf3 -c ${world.server} -n 1M >/dev/null
[ -e done ] && sleep 12 && exit 0
echo 1 >done; exit 85
`;
    await world.submit('again', script, 'checkpoint_exit_code = 85', 'transfer_checkpoint_files = done');
    await world.ended('again');
    const out = await world.asUser('cat again.out');
    expect(out.match(/eth0@\S+ +UP +10\.144\.\d+\.\d+\/32/g)).toHaveLength(2);
    // Of both networks together.
    const [outgoing] = (await world.history('again', 'NetworkOutgoingUsage')).map(Number);
    expect(outgoing).toBeGreaterThan(2 * 2 ** 20);
    expect(outgoing).toBeLessThan(2.5 * 2 ** 20);
  });

  it('leaves nothing behind in the host', async () => {
    const { pool } = world;
    await expect
      .poll(async () => (await pool.run('ep1', ['ip', '-brief', 'link'])).match(/^lk\S+/gm) ?? [], {
        timeout: 30_000,
      })
      .toEqual([]);
    const journal = ['sh', '-c', 'ls -A /run/lark/journal /run/lark/leases | grep lk || true'];
    await expect.poll(() => pool.run('ep1', journal), { timeout: 30_000 }).toBe('');
  });
});
