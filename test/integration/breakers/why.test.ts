import { readFileSync } from 'node:fs';
import { parseAds } from 'classad-parser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHtcondor } from '../../../src/collector/htcondor.ts';
import { pathMapEntries } from '../../../src/collector/path-map.ts';
import { userMapText } from '../../../src/collector/user-map.ts';
import { knownPaths } from '../../../src/why/breaker-cause.ts';
import type { Cause } from '../../../src/why/causes.ts';
import type { JobWhy } from '../../../src/why/job.ts';
import { whyOfJob } from '../../../src/why/read-pool.ts';
import { type Pool, startPool } from '../../../testbed/pool/pool.ts';
import { conditions } from '../../../testbed/pool/root-tree.ts';
import { lark } from '../../support/lark.ts';

/** Why jobs do not run, asked of a real pool: what is told has to be what HTCondor does. */

const able = conditions();
const soon = { timeout: 60_000, interval: 500 };

const shipped = (name: string): string =>
  readFileSync(new URL(`../../../config/htcondor/${name}.conf`, import.meta.url), 'utf8');
/** The maps are written by the test. */
const withoutSync = (text: string): string => text.replaceAll(/^(?:LARK_SYNC|DAEMON_LIST).*\n/gm, '');

const SINCE = Math.floor(Date.now() / 1000) - 900;
const PATHS = [
  { dst: 'FNAL', mbps: 50, maxInputMB: 10 },
  { dst: 'UCSD', mbps: 80, maxInputMB: 100 },
]
  .map(
    ({ dst, mbps, maxInputMB }) => `MyType = "NetworkPath"
Name = "UNL>${dst}"
SrcSite = "UNL"
DstSite = "${dst}"
ThroughputMbps = ${mbps}.0
BreakerState = "OPEN"
BreakerPolicy = "bulk-input"
BreakerReason = "ThroughputMbps ${mbps}"
BreakerSince = ${SINCE}
BreakerRetryAt = ${SINCE + 86_400}
MaxInputMB = ${maxInputMB}.0
ClassAdLifetime = 7200
`,
  )
  .join('\n');

describe.skipIf(!able.ok)(`lark why, on a pool${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let pool: Pool;
  beforeAll(async () => {
    pool = await startPool({
      extraConfig: {
        cm: withoutSync(shipped('central-manager')),
        ap: withoutSync(shipped('access-point')),
        ep: shipped('execution-point'),
      },
    });
    const map = userMapText(pathMapEntries(knownPaths(parseAds(PATHS)).values()));
    for (const host of ['cm', 'ap']) {
      await pool.writeFile(host, '/var/lib/lark/maps/LARK_PATH.map', map);
      await pool.writeFile(host, '/var/lib/lark/maps/LARK_SITE.map', '* nobody NOWHERE\n');
      await pool.run(host, ['condor_reconfig']);
    }
    const argv = ['condor_advertise', '-tcp', '-multiple', 'UPDATE_AD_GENERIC', '-'];
    await pool.run('cm', argv, { input: PATHS });
  });
  afterAll(() => pool?.stop());

  const submit = async (inputMiB: number, ...lines: string[]): Promise<string> => {
    const file = `input-${inputMiB}.dat`;
    const text = [
      'executable = /bin/sleep',
      'transfer_executable = false',
      'arguments = 600',
      'should_transfer_files = yes',
      ...(inputMiB > 0 ? [`transfer_input_files = ${file}`] : []),
      'request_memory = 100',
      'request_disk = 1',
      ...lines,
      'queue',
      '',
    ].join('\n');
    const script = `cd; truncate -s ${inputMiB}M ${file}; condor_submit -terse -`;
    const said = await pool.run('ap', ['runuser', '-u', 'lark', '--', 'sh', '-ec', script], { input: text });
    return said.split(' ')[0]!;
  };
  const ask = (id: string): Promise<JobWhy> =>
    whyOfJob(
      { id },
      createHtcondor({
        commandPrefix: pool.commandPrefix('cm'),
        configVal: '/usr/bin/condor_config_val',
        collector: '',
        commandTimeoutSeconds: 20,
      }),
      [],
      new Date(),
    );
  const causesBySite = ({ sites }: JobWhy): Record<string, Cause[][]> =>
    Object.fromEntries(sites.map(({ site, outcomes }) => [site, outcomes.map(({ causes }) => causes)]));
  /** Until the negotiator has looked at it and said no. */
  const rejected = async (id: string): Promise<JobWhy> => {
    await expect.poll(async () => (await ask(id)).says[0], soon).toMatch(/the negotiator's last word/);
    return ask(id);
  };

  it('each job is told its own reason, by the ads of the pool alone', async () => {
    const big = await submit(200);
    const picky = await submit(0, 'requirements = TARGET.LarkSite == "Nebraska"');
    const huge = await submit(0, 'request_memory = 50000');
    const held = await submit(0, 'hold = true');
    const middle = await submit(50);

    const ofBig = await rejected(big);
    expect(ofBig).toMatchObject({ status: 'idle', owner: 'lark', submitSite: 'UNL', slots: 2 });
    expect(causesBySite(ofBig)).toMatchObject({
      FNAL: [[{ kind: 'breaker', path: 'UNL>FNAL', state: 'OPEN', reason: 'ThroughputMbps 50' }]],
      UCSD: [[{ kind: 'breaker', path: 'UNL>UCSD', exceeds: ['its input of 210 MB exceeds 100 MB'] }]],
    });
    expect(ofBig.sites.every(({ enforced }) => enforced)).toBe(true);

    expect(causesBySite(await rejected(picky))).toEqual({
      FNAL: [[expect.objectContaining({ kind: 'requirements', clause: 'TARGET.LarkSite == "Nebraska"' })]],
      UCSD: [[expect.objectContaining({ found: 'the slot\'s LarkSite is "UCSD"' })]],
    });
    expect(causesBySite(await rejected(huge))).toEqual({
      FNAL: [[{ kind: 'too-small', resource: 'Memory', asked: 50000, most: 2048 }]],
      UCSD: [[{ kind: 'too-small', resource: 'Memory', asked: 50000, most: 2048 }]],
    });

    // 52 MB: too much for the one path, not for the other. That is where it has to run.
    await expect.poll(async () => (await ask(middle)).status, soon).toBe('running');
    expect((await ask(middle)).says).toEqual([
      expect.stringMatching(/^it runs at slot1_\d+@ep1.* \(UCSD\)$/),
    ]);

    const ofHeld = await ask(held);
    expect(ofHeld.status).toBe('held');
    expect(ofHeld.says[0]).toMatch(/it is held: submitted on hold/);
    expect(causesBySite(ofHeld)).toEqual({ FNAL: [[]], UCSD: [[]] });
    await pool.run('ap', ['condor_release', held]);
    await expect.poll(async () => (await ask(held)).status, soon).toBe('running');

    await expect(ask('999.0')).rejects.toThrow(/ap\.lark\.test has no job 999\.0/);
    await pool.run('ap', ['condor_rm', held]);
    await expect.poll(async () => (await ask(held)).status, soon).toBe('removed');

    const { stdout, stderr, exitCode } = await lark(['why', big], {
      LARK_HTCONDOR_COMMAND_PREFIX: JSON.stringify(pool.commandPrefix('cm')),
      LARK_HTCONDOR_CONFIG_VAL: '/usr/bin/condor_config_val',
    });
    expect([stderr, exitCode]).toEqual(['', 0]);
    expect(stdout).toMatch(
      /FNAL: 1 slot\n {2}all: the breaker of UNL>FNAL is OPEN since .* under bulk-input/,
    );
    expect(stdout).toMatch(/with input of 100 MB or less it may run at UCSD \(1 slot\) now/);
  });
});
