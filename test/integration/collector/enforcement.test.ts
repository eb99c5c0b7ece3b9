import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { createHtcondor } from '../../../src/collector/htcondor.ts';
import { type PublishedPath, pathAd } from '../../../src/collector/path-ad.ts';
import type { Standing } from '../../../src/collector/plan.ts';
import { type Journal, publish } from '../../../src/collector/publish.ts';
import { collectorSink } from '../../../src/collector/sink.ts';
import { siteAds } from '../../../src/collector/site-ad.ts';
import type { BreakerState, PathVerdict, Withholding } from '../../../src/domain.ts';
import { type Pool, startPool } from '../../../testbed/pool/pool.ts';
import { conditions } from '../../../testbed/pool/root-tree.ts';
import { MAIN, ROOT } from '../../support/lark.ts';

/**
 * Breakers in real matches: HTCondor's files as they are shipped, maps made by real `lark sync` processes of ads in a
 * real collector. On ap1, condor_master runs it, installed by `lark pool-config`; those of cm and ap2 run out here.
 * ep3 has nothing of Lark in its START: there the jobs of ap2 carry the condition.
 */

const able = conditions();
const MAPS = '/var/lib/lark/maps';
const BIG = 20;
const SMALL = 2;

const shipped = async (name: string): Promise<string> => {
  const text = await readFile(join(ROOT, 'config/htcondor', `${name}.conf`), 'utf8');
  return text.replace(/^DAEMON_LIST = .*LARK_SYNC$/m, '');
};

describe.skipIf(!able.ok)(`breakers in a real pool${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let pool: Pool;
  let folder: string;
  const syncs: Record<string, ChildProcess> = {};
  const rootOf = (host: string) => `/proc/${pool.hosts.find(({ name }) => name === host)!.initPid}/root`;
  const READERS = { cm: 'negotiator', ap1: 'schedd', ap2: 'schedd' };

  beforeAll(async () => {
    const executionPoint = await shipped('execution-point');
    pool = await startPool({
      accessPoints: [
        { name: 'ap1', site: 'UNL' },
        { name: 'ap2', site: 'KIT' },
      ],
      executionPoints: [
        { name: 'ep1', site: 'UCSD' },
        { name: 'ep2', site: 'FNAL' },
        { name: 'ep3', site: 'CERN' },
      ],
      extraConfig: {
        cm: `${await shipped('central-manager')}\nLARK_RANK_FROM_MB = 10`,
        ep: 'NUM_CPUS = 6\nNUM_SLOTS_TYPE_1 = 1\nSLOT_TYPE_1 = 100%\nSLOT_TYPE_1_PARTITIONABLE = True',
        ep1: executionPoint,
        ep2: executionPoint,
      },
    });
    folder = await mkdtemp(join(tmpdir(), 'lark-enforcement-'));
    const sizes = [SMALL, BIG].map((mb) => `head -c ${mb}000000 /dev/zero > in${mb}`).join('; ');
    for (const ap of ['ap1', 'ap2']) await asUser(ap, sizes);
    // A Lark of its own for ap1: what `lark sync` needs of this checkout.
    const home = join(rootOf('ap1'), 'opt/lark');
    await cp(process.execPath, join(rootOf('ap1'), 'usr/local/bin/node'));
    const needless = /node_modules\/(@biomejs|@electric-sql|@rolldown|@typescript|typescript|lightningcss)/;
    for (const part of ['package.json', 'src', 'packages', 'config', 'node_modules'])
      await cp(join(ROOT, part), join(home, part), {
        recursive: true,
        verbatimSymlinks: true,
        filter: (path) => !needless.test(path) && !path.includes('.compile-cache'),
      });
    await mkdir(join(rootOf('ap1'), 'usr/bin'), { recursive: true });
    await writeFile(
      join(rootOf('ap1'), 'usr/bin/lark'),
      '#!/bin/sh\nexec /usr/local/bin/node /opt/lark/src/cli/main.ts "$@"\n',
      { mode: 0o755 },
    );
  });
  afterAll(async () => {
    for (const child of Object.values(syncs)) child.kill('SIGKILL');
    await pool?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  const asUser = (ap: string, script: string, input?: string) =>
    pool.run(ap, ['runuser', '-u', 'lark', '--', 'sh', '-ec', `cd; ${script}`], {
      ...(input !== undefined && { input }),
    });

  interface Cluster {
    ap: string;
    id: number;
    count: number;
  }
  interface Wish {
    ap?: string;
    count?: number;
    inputMB?: number;
    seconds?: number;
    site?: string;
    more?: string;
  }
  async function submit(wish: Wish): Promise<Cluster> {
    const { ap = 'ap1', count = 1, inputMB = BIG, seconds = 1, site, more = '' } = wish;
    const text = [
      'executable = /bin/sleep',
      'transfer_executable = false',
      `arguments = ${seconds}`,
      'should_transfer_files = yes',
      `transfer_input_files = in${inputMB}`,
      'request_memory = 32MB',
      'request_disk = 10MB',
      ...(site ? [`requirements = TARGET.LarkSite == "${site}"`] : []),
      more,
      `queue ${count}`,
      '',
    ].join('\n');
    const said = await asUser(ap, 'condor_submit -terse -', text);
    return { ap, id: Number.parseInt(said, 10), count };
  }
  /** Tickets of the jobs that have not started; -1 for one that has none. */
  async function idle({ ap, id }: Cluster): Promise<number[]> {
    const constraint = `ClusterId == ${id} && JobStatus == 1`;
    const text = await pool.run(ap, [
      'condor_q',
      '-allusers',
      '-constraint',
      constraint,
      '-af',
      'LarkTicket ?: -1',
    ]);
    return text.split('\n').filter(Boolean).map(Number);
  }
  const started = async (cluster: Cluster) => cluster.count - (await idle(cluster)).length;
  const allStart = (...clusters: Cluster[]) =>
    Promise.all(
      clusters.map((cluster) =>
        expect.poll(() => idle(cluster), { timeout: 60_000, interval: 500 }).toEqual([]),
      ),
    );
  /** Three cycles of the negotiator, and one of the schedd. */
  const someCycles = () => sleep(6500);
  const machinesOf = async ({ ap, id }: Cluster): Promise<string[]> => {
    const text = await pool.run(ap, ['condor_history', String(id), '-af', 'LastRemoteHost']);
    return text
      .split('\n')
      .filter(Boolean)
      .map((host) => host.replace(/^.*@/, '').split('.')[0]!);
  };

  let standing: ReadonlyMap<string, Standing> = new Map();
  const journal: Journal = {
    standing: async () => standing,
    begin: async () => {},
    settle: async (next) => {
      standing = next;
    },
  };
  interface Told {
    state: BreakerState;
    withholds?: Withholding;
    tickets?: PathVerdict['tickets'];
    mbps?: number;
  }
  /** What the service would publish: these paths and no others. */
  async function tell(paths: Record<string, Told>, lifetimeSeconds = 600): Promise<void> {
    const htcondor = createHtcondor({
      commandPrefix: pool.commandPrefix('cm'),
      configVal: 'condor_config_val',
      collector: '',
      commandTimeoutSeconds: 20,
    });
    const now = new Date();
    const wanted = Object.entries(paths).map(([name, { state, withholds, tickets, mbps }]) => {
      const [srcSite, dstSite] = name.split('>') as [string, string];
      const centre = { sampleCount: 9, seriesCount: 1, lastMeasured: now };
      const path: PublishedPath = {
        srcSite,
        dstSite,
        metrics:
          mbps === undefined ? {} : { throughputMbps: { centre: mbps, p10: mbps, p90: mbps, ...centre } },
      };
      const verdict: PathVerdict = {
        state,
        policy: 'test',
        reason: 'as the test says',
        since: now,
        ...(withholds && { withholds }),
        ...(tickets && { tickets }),
        all: [{ policy: 'test', state }],
      };
      return pathAd(path, verdict, lifetimeSeconds);
    });
    const sites = siteAds(new Map([['ep1.lark.test', 'UCSD']]), 600);
    const input = { wanted: [...wanted, ...sites], lifetimeSeconds, now };
    expect(await publish(collectorSink(htcondor), journal, input)).toBeUndefined();
  }
  /** Until every map has a line like this (or, with `not`, none), and the daemons have read it. */
  async function inForce(line: RegExp, { not = false, hosts = Object.keys(READERS) } = {}): Promise<void> {
    for (const host of hosts) {
      const read = async () => {
        const file = join(rootOf(host), MAPS, 'LARK_PATH.map');
        const text = await readFile(file, 'utf8').catch(() => '');
        const times = JSON.parse(
          await readFile(join(rootOf(host), MAPS, 'reconfigured.json'), 'utf8').catch(() => '{}'),
        ) as { files?: Record<string, number> };
        const seconds = Number(
          await pool.run(host, ['stat', '-c', '%Y', `${MAPS}/LARK_PATH.map`]).catch(() => -1),
        );
        return text !== '' && line.test(text) !== not && times.files?.['LARK_PATH.map'] === seconds;
      };
      await expect.poll(read, { timeout: 30_000, interval: 250 }).toBe(true);
      // Answered only after the reconfiguration that was sent before it.
      await pool.run(host, ['condor_config_val', `-${READERS[host as keyof typeof READERS]}`, 'LARK_MAPS']);
    }
  }
  async function startSync(host: string): Promise<void> {
    const file = join(folder, `${host}.yaml`);
    await writeFile(
      file,
      stringify({
        sync: { directory: join(rootOf(host), MAPS), everySeconds: 1, reconfigEverySeconds: 0 },
        htcondor: { commandPrefix: pool.commandPrefix(host) },
      }),
    );
    const child = spawn(process.execPath, [MAIN, 'sync', '--config', file], { stdio: 'ignore' });
    syncs[host] = child;
  }
  const larkOnAp1 = (...args: string[]) => pool.exec('ap1', ['lark', ...args]);

  let withoutLark: Cluster;

  test('no map, an unreadable one, a job without anything of Lark: all match as before', async () => {
    await pool.run('cm', [
      'sh',
      '-c',
      `mkdir -p ${MAPS}; head -c 999 /dev/urandom > ${MAPS}/LARK_PATH.map; chmod 0 ${MAPS}/LARK_PATH.map; condor_reconfig`,
    ]);
    withoutLark = await submit({ ap: 'ap2', site: 'FNAL', more: 'hold = true' });
    await allStart(
      await submit({ count: 3, site: 'FNAL' }),
      await submit({ ap: 'ap2', count: 3, site: 'CERN' }),
    );
  });

  test('pool-config says what is missing, installs it, and sees it in force; condor_master runs lark sync', async () => {
    const check = ['pool-config', 'check', '--role', 'access-point'];
    const before = await larkOnAp1(...check);
    expect(before.exitCode).toBe(1);
    expect(before.stdout).toMatch(
      /^MISSING\s+the schedd does not know the map LARK_PATH and LARK_SITE: run/m,
    );
    const installed = await larkOnAp1('pool-config', 'install', '--role', 'access-point');
    expect(installed).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('95-lark-access-point.conf: written'),
    });
    // The test need not wait as long as an administrator.
    await pool.writeFile(
      'ap1',
      '/etc/lark/lark.yaml',
      stringify({ sync: { everySeconds: 1, reconfigEverySeconds: 0 } }),
    );
    await pool.run('ap1', ['condor_reconfig']);
    const conf = `${await shipped('access-point')}\n${await shipped('access-point-requirements')}`;
    await pool.configure('ap2', '95-lark', conf);
    await Promise.all([startSync('cm'), startSync('ap2')]);
    await tell({ 'UNL>FNAL': { state: 'CLOSED', mbps: 900 } });
    await inForce(/UNL>FNAL CLOSED/, { hosts: ['cm', 'ap1'] });
    await expect
      .poll(async () => (await larkOnAp1(...check)).stdout, { timeout: 30_000, interval: 1000 })
      .not.toMatch(/^MISSING/m);
    // A file that somebody has changed stays; so does the exit code.
    await pool.run('ap1', ['sh', '-c', 'echo "X = 1" >> /etc/condor/config.d/95-lark-access-point.conf']);
    const refused = await larkOnAp1('pool-config', 'install', '--role', 'access-point');
    expect(refused).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/is not as Lark wrote it.*--force/),
    });
  });

  let held: Cluster;

  test('an open path: large jobs wait, also for leftovers and claims in use; all else runs', async () => {
    await tell({
      'UNL>FNAL': { state: 'OPEN', withholds: { maxInputMB: 10 }, mbps: 900 },
      '*>FNAL': { state: 'OPEN', withholds: { maxInputMB: 10 } },
      'KIT>FNAL': { state: 'CLOSED' },
      'KIT>CERN': { state: 'OPEN', withholds: { maxInputMB: 10 } },
    });
    await inForce(/UNL>FNAL OPEN/, { hosts: ['cm', 'ap1'] });
    await inForce(/KIT>CERN OPEN/, { hosts: ['cm', 'ap2'] });
    // Small ones first: their claims and what is left of their slots are there for the large ones to be tempted.
    const small = await submit({ count: 8, inputMB: SMALL, seconds: 2, site: 'FNAL' });
    held = await submit({ count: 10, site: 'FNAL' });
    const elsewhere = await submit({ count: 6, site: 'UCSD' });
    const others = await submit({ ap: 'ap2', count: 4, site: 'FNAL' });
    // Where START knows nothing, the jobs' own requirements do.
    const heldByRequirements = await submit({ ap: 'ap2', count: 4, site: 'CERN' });
    const smallThere = await submit({ ap: 'ap2', count: 4, inputMB: SMALL, site: 'CERN' });
    await allStart(small, elsewhere, others, smallThere);
    await someCycles();
    expect(await started(held)).toBe(0);
    expect(await started(heldByRequirements)).toBe(0);
    await pool.run('ap2', ['condor_rm', String(heldByRequirements.id)]);
  });

  test("a job from before Lark's time crosses it: nothing is known of where it comes from", async () => {
    await pool.run('ap2', ['condor_release', String(withoutLark.id)]);
    await allStart(withoutLark);
  });

  test('half-open: the jobs whose turn it is cross; closed: all do', async () => {
    const withholds = { maxInputMB: 10 };
    await tell({ 'UNL>FNAL': { state: 'HALF_OPEN', withholds, tickets: { from: 0, to: 50 } } });
    await inForce(/UNL>FNAL HALF_OPEN/, { hosts: ['cm', 'ap1'] });
    const tickets = await idle(held);
    const others = tickets.filter((ticket) => ticket >= 50).sort();
    expect(others.length).toBeGreaterThan(0);
    expect(others.length).toBeLessThan(10);
    const waiting = async () => (await idle(held)).sort();
    await expect.poll(waiting, { timeout: 60_000, interval: 500 }).toEqual(others);
    await someCycles();
    expect(await waiting()).toEqual(others);
    await tell({ 'UNL>FNAL': { state: 'CLOSED' } });
    await allStart(held);
  });

  test('a pair without an entry stands under its sites: into one, out of one', async () => {
    const withholds = { maxInputMB: 10 };
    await tell({ '*>FNAL': { state: 'OPEN', withholds }, 'KIT>*': { state: 'FORCED_OPEN', withholds } });
    await inForce(/KIT>\*" FORCED_OPEN/, { hosts: ['cm', 'ap2'] });
    await inForce(/\*>FNAL" OPEN/, { hosts: ['ap1'] });
    const into = await submit({ count: 2, site: 'FNAL' });
    const outOf = await submit({ ap: 'ap2', count: 2, site: 'UCSD' });
    const neither = await submit({ count: 2, site: 'UCSD' });
    await allStart(neither);
    await someCycles();
    expect([await started(into), await started(outOf)]).toEqual([0, 0]);
    await tell({ 'UNL>FNAL': { state: 'CLOSED' } });
    await allStart(into, outOf);
  });

  test('predicted transfer time with the backlog, number of jobs, and size of the output', async () => {
    // 20 MB take 8 s of what the path carries; two of them are more than 14 s of the 20 Mb/s that are told.
    await pool.run('switch', [
      'tc',
      'qdisc',
      'add',
      'dev',
      'ep1',
      'root',
      'tbf',
      'rate',
      '20mbit',
      'burst',
      '64k',
      'latency',
      '200ms',
    ]);
    await tell({
      'UNL>UCSD': { state: 'OPEN', withholds: { maxTransferSeconds: 14 }, mbps: 20 },
      'KIT>FNAL': { state: 'OPEN', withholds: { maxJobs: 1 } },
      'FNAL>UNL': { state: 'OPEN', withholds: { maxOutputMB: 5 } },
    });
    await inForce(/UNL>UCSD OPEN/, { hosts: ['cm', 'ap1'] });
    await inForce(/KIT>FNAL OPEN/, { hosts: ['cm', 'ap2'] });
    const first = await submit({ site: 'UCSD' });
    const only = await submit({ ap: 'ap2', site: 'FNAL', seconds: 60 });
    const wordy = await submit({ site: 'FNAL', more: '+LarkOutputMB = 50' });
    const terse = await submit({ site: 'FNAL', more: '+LarkOutputMB = 1' });
    await allStart(first, only, terse);
    // state,maxInputMB,throughputMbps,maxTransferSeconds,backlogMB: one significant digit of it.
    await inForce(/UNL>UCSD OPEN,999999999,20,14,20,/, { hosts: ['cm', 'ap1'] });
    await inForce(/KIT>FNAL OPEN,.*,1,1,\d+$/m, { hosts: ['cm', 'ap2'] });
    const second = await submit({ site: 'UCSD' });
    const next = await submit({ ap: 'ap2', site: 'FNAL' });
    await sleep(3000);
    expect([await started(second), await started(next), await started(wordy)]).toEqual([0, 0, 0]);
    // The first has arrived; the only one is gone.
    await allStart(second);
    await pool.run('ap2', ['condor_rm', String(only.id)]);
    await allStart(next);
    expect(await started(wordy)).toBe(0);
    await pool.run('ap1', ['condor_rm', String(wordy.id)]);
    await pool.run('switch', ['tc', 'qdisc', 'del', 'dev', 'ep1', 'root']);
  });

  test('of two sites that would take it, a large job goes where the better path leads', async () => {
    for (const [better, worse, machine] of [
      ['UCSD', 'FNAL', 'ep1'],
      ['FNAL', 'UCSD', 'ep2'],
    ] as const) {
      await tell({
        [`UNL>${better}`]: { state: 'CLOSED', mbps: 2000 },
        [`UNL>${worse}`]: { state: 'CLOSED', mbps: 90 },
      });
      await inForce(new RegExp(`UNL>${better} CLOSED,999999999,2000`), { hosts: ['cm', 'ap1'] });
      const more = 'requirements = TARGET.LarkSite == "UCSD" || TARGET.LarkSite == "FNAL"';
      for (let i = 0; i < 2; i++) {
        const job = await submit({ seconds: 0, more });
        await expect.poll(() => machinesOf(job), { timeout: 30_000, interval: 500 }).toEqual([machine]);
      }
    }
  });

  test('ads that nobody renews hold nothing, also where the collector or lark sync is dead', async () => {
    const open: Told = { state: 'OPEN', withholds: { maxInputMB: 10 } };
    await tell({ 'UNL>FNAL': open, 'KIT>FNAL': open }, 24);
    await inForce(/(UNL|KIT)>FNAL OPEN/);
    // Of ap2 nobody removes the entry any more: START itself knows when its time is over.
    syncs.ap2!.kill('SIGKILL');
    const jobs = [
      await submit({ count: 2, site: 'FNAL' }),
      await submit({ ap: 'ap2', count: 2, site: 'FNAL' }),
    ];
    await sleep(3000);
    expect(await Promise.all(jobs.map(started))).toEqual([0, 0]);
    await pool.run('cm', ['condor_off', '-fast', '-daemon', 'collector']);
    await inForce(/>FNAL/, { not: true, hosts: ['ap1'] });
    // Without the collector HTCondor's tools do not find the negotiator, which matches nothing meanwhile.
    const mapOfCm = () => readFile(join(rootOf('cm'), MAPS, 'LARK_PATH.map'), 'utf8');
    await expect.poll(mapOfCm, { timeout: 30_000, interval: 250 }).not.toContain('>FNAL');
    const round = JSON.parse(await readFile(join(rootOf('ap1'), MAPS, 'sync.json'), 'utf8')) as {
      problems: string[];
    };
    expect(round.problems).toEqual([expect.stringMatching(/^the collector could not be read: /)]);
    expect(await Promise.all(jobs.map(started))).toEqual([0, 0]);
    await pool.run('cm', ['condor_on', '-daemon', 'collector']);
    await allStart(...jobs);
    expect(await readFile(join(rootOf('ap2'), MAPS, 'LARK_PATH.map'), 'utf8')).toContain('KIT>FNAL OPEN');
  });
});
