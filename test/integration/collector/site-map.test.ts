import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { createHtcondor } from '../../../src/collector/htcondor.ts';
import { loadConfig } from '../../../src/config.ts';
import { type Service, startService } from '../../../src/service.ts';
import { createSync, type Sync } from '../../../src/sync.ts';
import { type Pool, startPool } from '../../../testbed/pool/pool.ts';
import { conditions } from '../../../testbed/pool/root-tree.ts';
import { quietLog } from '../../support/lark.ts';

/**
 * A pool whose machines say nothing of where they stand: their sites come from their addresses, the service tells the
 * collector, and HTCondor matches jobs by the map that "lark sync" makes of it.
 */

const able = conditions();
const MAPS = '/etc/lark-maps';

describe.skipIf(!able.ok)(`LARK_SITE in a real pool${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let pool: Pool;
  let folder: string;
  let configFile: string;
  let service: Service;
  let sync: Sync;
  /** Which host stands where, as the sites' prefixes say. */
  let standing: Record<string, string>;

  const mapsOfNegotiator = [
    'NEGOTIATOR_CLASSAD_USER_MAP_NAMES = LARK_SITE',
    `CLASSAD_USER_MAPFILE_LARK_SITE = ${MAPS}/LARK_SITE.map`,
  ].join('\n');

  beforeAll(async () => {
    pool = await startPool({
      extraConfig: { cm: mapsOfNegotiator, ap: 'SCHEDD_ATTRS =', ep: 'STARTD_ATTRS =' },
    });
    folder = await mkdtemp(join(tmpdir(), 'lark-site-map-'));
    standing = { ap: 'HOME', ep1: 'NORTH', ep2: 'SOUTH' };
    await describeSites(standing);
    const cm = pool.hosts.find(({ name }) => name === 'cm')!;
    configFile = join(folder, 'lark.yaml');
    await writeFile(join(folder, 'sites.yaml'), '');
    await writeFile(
      configFile,
      stringify({
        store: { directory: join(folder, 'store') },
        discover: { bootstrapUrls: [], searchUrls: [] },
        sites: { sources: [{ name: 'cric', format: 'cric', file: 'cric.json' }] },
        // The same folder, as it is seen from outside the host.
        sync: { directory: `/proc/${cm.initPid}/root${MAPS}`, reconfigEverySeconds: 0 },
        htcondor: { commandPrefix: pool.commandPrefix('cm') },
        breaker: { policies: join(import.meta.dirname, '../../../config/policies') },
        log: { level: 'error' },
      }),
    );
    const { config } = loadConfig(configFile, {});
    const clock = () => new Date();
    service = await startService(config, { log: quietLog, clock, version: 'test' });
    sync = createSync({
      config: config.sync,
      htcondor: createHtcondor(config.htcondor),
      clock,
      log: quietLog,
    });
  });
  afterAll(async () => {
    await service?.close();
    await pool?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  /** Each host's own address is a network of its site. */
  async function describeSites(siteOf: Record<string, string>): Promise<void> {
    const document: Record<string, object> = {};
    for (const [host, name] of Object.entries(siteOf)) {
      const { address } = pool.hosts.find((one) => one.name === host)!;
      document[name] = { name, netroutes: { lan: { networks: { ipv4: [`${address}/32`] } } } };
    }
    await writeFile(join(folder, 'cric.json'), JSON.stringify(document));
  }
  /** What the service published has arrived: the collector works through it on its own time. */
  const synced = async (line?: string) => {
    await expect
      .poll(async () => ({ ...(await sync.round()), lines: await mapText() }), { timeout: 30_000 })
      .toMatchObject({
        problems: [],
        machines: 3,
        lines: line === undefined ? expect.anything() : expect.arrayContaining([line]),
      });
  };
  const mapText = async () =>
    (await pool.run('cm', ['cat', `${MAPS}/LARK_SITE.map`])).split('\n').filter((line) => /^\*/.test(line));
  const asUser = (script: string, input?: string) =>
    pool.run('ap', ['runuser', '-u', 'lark', '--', 'sh', '-ec', `cd; ${script}`], {
      timeoutMs: 90_000,
      ...(input !== undefined && { input }),
    });
  /** Runs a job that wants to be at a site by the map alone; gives the machine it ran on. */
  const machineOf = async (site: string): Promise<string> => {
    const submitted = await asUser(
      'condor_submit -terse -',
      `executable = /bin/true
transfer_executable = false
should_transfer_files = yes
request_memory = 64MB
request_disk = 10MB
log = job.${site}.log
requirements = userMap("LARK_SITE", TARGET.Machine) =?= "${site}"
queue
`,
    );
    const [job] = submitted.trim().split(' ');
    await asUser(`condor_wait -wait 80 job.${site}.log ${job}`);
    return (await asUser(`condor_history ${job} -af LastRemoteHost`)).trim().replace(/^.*@/, '');
  };

  test('no machine says where it stands', async () => {
    const said = await pool.run('cm', [
      'condor_status',
      '-any',
      '-constraint',
      'LarkSite isnt undefined || GLIDEIN_Site isnt undefined',
      '-af',
      'Name',
    ]);
    expect(said.trim()).toBe('');
  });

  test('every machine and access point gets its site from its address, in the map that HTCondor reads', async () => {
    const { warnings } = await service.cycle();
    expect(warnings).toEqual([]);
    await synced();
    expect(await mapText()).toEqual([
      '* ap.lark.test HOME',
      '* ep1.lark.test NORTH',
      '* ep2.lark.test SOUTH',
    ]);
    const machines = await service.store.machines();
    expect(
      machines.map(({ names, site, method, isAccessPoint }) => [names[0], site, method, isAccessPoint]),
    ).toEqual([
      ['ap.lark.test', 'HOME', 'prefix', true],
      ['ep1.lark.test', 'NORTH', 'prefix', false],
      ['ep2.lark.test', 'SOUTH', 'prefix', false],
    ]);
  });

  test('the negotiator matches by it', async () => {
    expect(await machineOf('NORTH')).toBe('ep1.lark.test');
    expect(await machineOf('SOUTH')).toBe('ep2.lark.test');
  });

  test('nothing has changed: nothing is written, nobody is told', async () => {
    const cm = pool.hosts.find(({ name }) => name === 'cm')!;
    const files = ['LARK_SITE.map', 'reconfigured.json'];
    const times = () =>
      Promise.all(files.map(async (file) => (await stat(`/proc/${cm.initPid}/root${MAPS}/${file}`)).mtimeMs));
    const before = await times();
    expect((await service.cycle()).warnings).toEqual([]);
    await synced();
    expect(await times()).toEqual(before);
  });

  test('a machine that is found to stand elsewhere is matched there', async () => {
    await describeSites({ ap: 'HOME', ep1: 'SOUTH', ep2: 'NORTH' });
    await service.cycle();
    await synced('* ep1.lark.test SOUTH');
    expect(await machineOf('SOUTH')).toBe('ep1.lark.test');
  });

  test('a collector that is down costs a warning; map and machines stay', async () => {
    const before = await mapText();
    await pool.run('cm', ['condor_off', '-fast', '-daemon', 'collector']);
    try {
      await expect
        .poll(async () => (await service.cycle()).warnings.join('\n'), { timeout: 60_000 })
        .toMatch(/the pool's machines could not be read: .*condor_status/);
      const { problems } = await sync.round();
      expect(problems).toEqual([expect.stringMatching(/^the collector could not be read: .*condor_status/)]);
      expect(await mapText()).toEqual(before);
      expect(await service.store.machines()).toHaveLength(3);
    } finally {
      await pool.run('cm', ['condor_on', '-daemon', 'collector']);
    }
  });

  test('what a machine says itself goes first', async () => {
    await expect.poll(async () => (await service.cycle()).warnings, { timeout: 60_000 }).toEqual([]);
    await pool.configure('ep1', '95-site', 'STARTD_ATTRS = LarkSite\nLarkSite = "HOME"\n');
    await expect
      .poll(
        async () => {
          await service.cycle();
          await sync.round();
          return mapText();
        },
        { timeout: 60_000, interval: 1000 },
      )
      .toContain('* ep1.lark.test HOME');
  });
});
