import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { createHtcondor } from '../../../src/collector/htcondor.ts';
import { readTransfers } from '../../../src/collector/transfers.ts';
import { loadConfig } from '../../../src/config.ts';
import { pairedTransfers } from '../../../src/paths/fusion-windows.ts';
import { type Service, startService } from '../../../src/service.ts';
import { linksOf } from '../../../testbed/pool/links.ts';
import { type Pool, startPool } from '../../../testbed/pool/pool.ts';
import { conditions } from '../../../testbed/pool/root-tree.ts';
import { quietLog } from '../../support/lark.ts';

/**
 * Jobs move files over links of a known speed; nobody measures anything. What the access point's history tells of it is
 * the estimate of the path. Input is let through one by one, so that jobs wait for it; output comes all at once. Other jobs
 * have the input than have the output: a link that is full in one direction delays what acknowledges the other's.
 */

const able = conditions();
const MBPS = { in: 100, out: 40 };
const JOBS = 3;
/** What is not larger than 100 MiB goes without waiting for its turn. */
const MB = { in: 110, out: 40 };

describe.skipIf(!able.ok)(`What jobs moved in a real pool${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let pool: Pool;
  let folder: string;
  let service: Service;

  beforeAll(async () => {
    pool = await startPool({
      extraConfig: { ap: 'MAX_CONCURRENT_UPLOADS = 1\nJOB_EPOCH_HISTORY = $(SPOOL)/epoch_history' },
    });
    const links = linksOf(pool);
    await links.shape('ap', 'ep1', MBPS.in);
    await links.shape('ep1', 'ap', MBPS.out);
    folder = await mkdtemp(join(tmpdir(), 'lark-transfers-'));
    const siteOf = { ap: 'HOME', ep1: 'NORTH', ep2: 'SOUTH' };
    const sites = Object.entries(siteOf).map(([host, name]) => {
      const { address } = pool.hosts.find((one) => one.name === host)!;
      return [name, { name, netroutes: { lan: { networks: { ipv4: [`${address}/32`] } } } }];
    });
    await writeFile(join(folder, 'cric.json'), JSON.stringify(Object.fromEntries(sites)));
    await writeFile(join(folder, 'sites.yaml'), '');
    const configFile = join(folder, 'lark.yaml');
    await writeFile(
      configFile,
      stringify({
        store: { directory: join(folder, 'store') },
        discover: { bootstrapUrls: [], searchUrls: [] },
        sites: {
          sources: [{ name: 'cric', format: 'cric', file: 'cric.json' }],
          machineAttributes: [],
        },
        transfers: { everyMinutes: 0 },
        htcondor: { commandPrefix: pool.commandPrefix('cm') },
        breaker: { policies: join(import.meta.dirname, '../../../config/policies') },
        log: { level: 'error' },
      }),
    );
    const { config } = loadConfig(configFile, {});
    service = await startService(config, { log: quietLog, clock: () => new Date(), version: 'test' });
  });
  afterAll(async () => {
    await service?.close();
    await pool?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  const asUser = (script: string, input?: string) =>
    pool.run('ap', ['runuser', '-u', 'lark', '--', 'sh', '-ec', `cd; ${script}`], {
      timeoutMs: 180_000,
      ...(input !== undefined && { input }),
    });
  const INPUT = 'transfer_input_files = input';
  const OUTPUT = `transfer_output_files = output
transfer_output_remaps = "output = output.$(Cluster).$(Process)"`;
  const job = (script: string, files: string, count: number): string => `executable = /bin/sh
arguments = "-c '${script}'"
transfer_executable = false
should_transfer_files = yes
${files}
request_memory = 64MB
request_disk = 400MB
requirements = TARGET.Machine == "ep1.lark.test"
log = job.log
queue ${count}
`;
  const samplesOf = async (src: string, dst: string, event: string) => {
    const series = (await service.store.series()).find(
      ({ source, destination, eventType }) => source === src && destination === dst && eventType === event,
    );
    return series ? service.store.sampleRows({ seriesId: series.id }) : [];
  };
  const estimateOf = async (srcSite: string, dstSite: string) =>
    (await service.store.estimates({ srcSite, dstSite }))[0];

  test('its history alone gives the path in both directions', async () => {
    expect((await service.cycle()).warnings).toEqual([]);
    expect(await service.store.estimates()).toEqual([]);
    const submit = 'condor_submit -; condor_wait -wait 100 job.log';
    await asUser(`truncate -s ${MB.in}000000 input; ${submit}`, job('exit', INPUT, JOBS));
    await asUser(submit, job(`truncate -s ${MB.out}000000 output`, OUTPUT, JOBS));
    const { warnings, unmapped } = await service.cycle();
    expect({ warnings, unmapped }).toEqual({ warnings: [], unmapped: 0 });

    for (const [src, dst, mbps] of [
      ['HOME', 'NORTH', MBPS.in],
      ['NORTH', 'HOME', MBPS.out],
    ] as const) {
      const path = (await estimateOf(src, dst))!;
      expect(path).toMatchObject({ measured: true });
      const { centre, seriesCount, sources } = path.metrics.throughputMbps!;
      expect(centre / mbps).toBeGreaterThan(0.75);
      expect(centre / mbps).toBeLessThan(1.25);
      expect(seriesCount).toBe(0);
      expect(sources).toEqual([{ kind: 'transfers', centre, sampleCount: expect.any(Number), share: 1 }]);
      expect(path.quality).toBeGreaterThan(0);
    }
  });

  test('the time that a transfer waited for its turn is none of it', async () => {
    const started = await samplesOf('HOME', 'NORTH', 'transfer-started');
    expect(started).toHaveLength(JOBS);
    const finished = await samplesOf('HOME', 'NORTH', 'transfer-finished');
    const [from, to] = [started, finished].map((samples) => ({
      atMs: Float64Array.from(samples, ({ at }) => at.getTime()),
      values: Float64Array.from(samples, ({ value }) => value!),
    }));
    const begun = await pool.run('ap', [
      ...['condor_history', '-constraint', 'TransferInput =!= undefined'],
      ...['-af', 'JobCurrentStartDate', 'TransferInStarted'],
    ]);
    const waits = begun
      .trim()
      .split('\n')
      .map((line) => line.split(' ').map(Number));
    expect(Math.max(...waits.map(([start, move]) => move! - start!))).toBeGreaterThan(3);
    // The first two jobs start together: if waiting counted, their transfers would too. The turn is over when all is
    // sent, a little before it has arrived.
    const moved = pairedTransfers(from!, to!);
    expect(moved).toHaveLength(JOBS);
    for (const [i, { startMs }] of moved.slice(1).entries())
      expect(startMs).toBeGreaterThanOrEqual(moved[i]!.endMs - 3000);
  });

  test('what is read again is there once', async () => {
    const before = await samplesOf('NORTH', 'HOME', 'transfer-finished');
    expect(before).toHaveLength(JOBS);
    const centre = (await estimateOf('HOME', 'NORTH'))!.metrics.throughputMbps!.centre;
    const samples = (await service.store.sampleCounts()).total;
    await pool.run('ap', ['condor_restart', '-daemon', 'schedd']);
    await expect
      .poll(async () => (await pool.exec('ap', ['condor_q'])).exitCode, { timeout: 60_000, interval: 1000 })
      .toBe(0);
    await expect
      .poll(async () => (await service.cycle()).warnings, { timeout: 60_000, interval: 1000 })
      .toEqual([]);
    expect((await service.store.sampleCounts()).total).toBe(samples);
    expect(await samplesOf('NORTH', 'HOME', 'transfer-finished')).toEqual(before);
    expect((await estimateOf('HOME', 'NORTH'))!.metrics.throughputMbps!.centre).toBe(centre);
  });

  test('a job that was sent away and came again tells of each run', async () => {
    const htcondor = createHtcondor({
      ...{ commandPrefix: pool.commandPrefix('cm'), configVal: 'condor_config_val', collector: '' },
      commandTimeoutSeconds: 20,
    });
    const submitted = await asUser(
      'condor_submit -terse -',
      job('sleep 3; echo > output; sleep 7', `${INPUT}\n${OUTPUT}`, 1),
    );
    const id = submitted.split(' ')[0]!;
    const runs = async () => {
      const ads = await pool.run('ap', [
        'condor_q',
        id,
        '-af',
        'NumShadowStarts',
        'TransferInFinished',
        'JobStatus',
      ]);
      return ads.trim().split(/\s+/).map(Number);
    };
    await expect.poll(async () => (await runs())[1], { timeout: 60_000, interval: 500 }).toBeGreaterThan(0);
    await pool.run('ap', ['condor_vacate_job', '-fast', id]);
    await asUser('condor_wait -wait 90 job.log');
    const { transfers, rejected } = await readTransfers(
      htcondor,
      'ap.lark.test',
      new Date(Date.now() - 3_600_000),
      new Date(),
    );
    const mine = transfers.filter((one) => one.id.includes(`#${id}#`) && one.direction === 'in');
    expect(mine.map(({ bytes }) => bytes)).toEqual([MB.in * 1e6, MB.in * 1e6]);
    expect(rejected['earlier-runs-unknown']).toBeUndefined();
  });
});
