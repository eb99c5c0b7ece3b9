import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verdictOf } from '../../../src/breaker/verdict.ts';
import { createHtcondor, type Htcondor } from '../../../src/collector/htcondor.ts';
import { PATH_AD_TYPE, pathAd } from '../../../src/collector/path-ad.ts';
import { type AdSink, collectorSink } from '../../../src/collector/sink.ts';
import type { Breaker, PathEstimate } from '../../../src/domain.ts';
import { publishAds } from '../../../src/steps/publish.ts';
import { openStore, type Store } from '../../../src/store/store.ts';
import { type Pool, startPool } from '../../../testbed/pool/pool.ts';
import { conditions } from '../../../testbed/pool/root-tree.ts';

/** Publishing to a real collector: what stands there is asked of condor_status each time. */

const able = conditions();
const NOW = new Date('2026-05-05T15:00:00Z');
const LIFETIME_SECONDS = 3600;

describe.skipIf(!able.ok)(`the collector of a real pool${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let pool: Pool;
  let htcondor: Htcondor;
  let sink: AdSink;
  let folder: string;
  let store: Store;

  beforeAll(async () => {
    pool = await startPool({ executionPoints: [{ name: 'ep1', site: 'UCSD' }] });
    htcondor = createHtcondor({
      commandPrefix: pool.commandPrefix('cm'),
      configVal: 'condor_config_val',
      collector: '',
      commandTimeoutSeconds: 20,
    });
    sink = collectorSink(htcondor);
    folder = await mkdtemp(join(tmpdir(), 'lark-collector-'));
    store = await openStore({ directory: join(folder, 'store') });
  });
  afterAll(async () => {
    await store?.close();
    await rm(folder, { recursive: true, force: true });
    await pool?.stop();
  });

  const path = (srcSite: string, dstSite: string, centre = 940): PathEstimate => ({
    srcSite,
    dstSite,
    metrics: {
      throughputMbps: {
        centre,
        p10: centre / 2,
        p90: centre * 1.5,
        sampleCount: 9,
        seriesCount: 1,
        lastMeasured: NOW,
      },
      lossRate: { centre: 0, p10: 0, p90: 0, sampleCount: 9, seriesCount: 1, lastMeasured: NOW },
    },
    quality: 0.75,
    sampleCount: 18,
    lastMeasured: NOW,
    measured: true,
    estimatedAt: NOW,
  });
  const open: Breaker = {
    srcSite: 'UNL',
    dstSite: 'UCSD',
    policy: 'bulk-input',
    state: 'OPEN',
    reason: 'ThroughputMbps 40; "slow" \\ since Monday',
    since: NOW,
    withholds: { maxInputMB: 100 },
  };
  const publish = (ads: ReturnType<typeof pathAd>[], at = NOW) =>
    publishAds(store, sink, ads, LIFETIME_SECONDS, at);
  const standing = async () => (await sink.standing()).sort();
  // condor_advertise does not wait until the collector has worked through what it sent.
  const stand = (names: string[]) => expect.poll(standing, { timeout: 15_000 }).toEqual(names);
  const status = async (...args: string[]): Promise<string> =>
    (await pool.run('cm', ['condor_status', '-any', ...args])).trim();

  test('HTCondor is asked for its own settings', async () => {
    expect(await htcondor.version()).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await htcondor.setting('COLLECTOR_HOST')).toBe(pool.collectorAddress);
    expect(await htcondor.setting('NO_SUCH_SETTING_AT_ALL')).toBe('');
    expect(await sink.describe()).toContain(pool.collectorAddress);
  });

  test('an ad arrives as it was meant, type by type', async () => {
    expect(await publish([pathAd(path('UNL', 'UCSD'), verdictOf([open]), LIFETIME_SECONDS)])).toBeUndefined();
    await stand(['UNL>UCSD']);
    const [ad] = JSON.parse(await status('-json', '-constraint', `MyType == "${PATH_AD_TYPE}"`)) as object[];
    expect(ad).toMatchObject({
      MyType: PATH_AD_TYPE,
      Name: 'UNL>UCSD',
      SrcSite: 'UNL',
      DstSite: 'UCSD',
      ThroughputMbps: 940,
      ThroughputMbpsP10: 470,
      ThroughputMbpsP90: 1410,
      LossRate: 0,
      Quality: 0.75,
      SampleCount: 18,
      LastMeasured: NOW.getTime() / 1000,
      Measured: true,
      BreakerState: 'OPEN',
      BreakerPolicy: 'bulk-input',
      BreakerReason: open.reason,
      MaxInputMB: 100,
      ClassAdLifetime: LIFETIME_SECONDS,
    });
    // Not known is absent, not 0.
    for (const name of ['OneWayDelayMs', 'RttMs', 'Retransmits']) expect(ad).not.toHaveProperty(name);
    expect(await status('-af', 'isReal(ThroughputMbps)', '-constraint', 'Name == "UNL>UCSD"')).toBe('true');
  });

  test('changed ads replace, unwanted ones are withdrawn, others stay', async () => {
    await publish(
      [path('A', 'B'), path('B', 'A'), path('A', 'C')].map((p) => pathAd(p, undefined, LIFETIME_SECONDS)),
    );
    await stand(['A>B', 'A>C', 'B>A']);
    await publish([path('A', 'B', 3), path('B', 'A')].map((p) => pathAd(p, undefined, LIFETIME_SECONDS)));
    await stand(['A>B', 'B>A']);
    await expect
      .poll(() => status('-af', 'ThroughputMbps', '-constraint', 'Name == "A>B"'), { timeout: 15_000 })
      .toBe('3.0');
    // The pool's own ads were never touched.
    expect((await status('-af', 'MyType')).split('\n')).toEqual(
      expect.arrayContaining(['Machine', 'Scheduler']),
    );
  });

  test('thousands at once, and away again', async () => {
    const many = Array.from({ length: 3000 }, (_, i) =>
      pathAd(path(`S${i}`, 'HUB'), undefined, LIFETIME_SECONDS),
    );
    expect(await publish(many)).toBeUndefined();
    await stand(many.map(({ name }) => name).sort());
    expect(await publish(many.slice(0, 10))).toBeUndefined();
    await stand(
      many
        .slice(0, 10)
        .map(({ name }) => name)
        .sort(),
    );
  });

  test('a collector that is down costs a warning; when it is back, everything is caught up', async () => {
    const ads = [path('A', 'B'), path('B', 'A')].map((p) => pathAd(p, undefined, LIFETIME_SECONDS));
    await publish(ads);
    await pool.run('cm', ['condor_off', '-fast', '-daemon', 'collector']);
    await expect
      .poll(
        () =>
          sink.standing().then(
            () => 'up',
            () => 'down',
          ),
        { timeout: 20_000 },
      )
      .toBe('down');

    const more = [...ads, pathAd(path('C', 'A'), undefined, LIFETIME_SECONDS)].slice(1);
    const warning = await publish(more);
    expect(warning).toMatch(/condor_\w+ (failed|did not end)/);
    // What was said before is not forgotten, what could not be said is not recorded.
    expect([...(await store.publications()).keys()].sort()).toEqual(['A>B', 'B>A']);

    await pool.run('cm', ['condor_on', '-daemon', 'collector']);
    await expect
      .poll(
        () =>
          sink.standing().then(
            () => 'up',
            () => 'down',
          ),
        { timeout: 30_000 },
      )
      .toBe('up');
    await stand([]);
    expect(await publish(more)).toBeUndefined();
    await stand(['B>A', 'C>A']);
    expect([...(await store.publications()).keys()].sort()).toEqual(['B>A', 'C>A']);
  });
});

test('HTCondor that is not there is one clear sentence', async () => {
  const absent = createHtcondor({
    commandPrefix: [],
    configVal: 'condor_config_val_that_is_not_there',
    collector: '',
    commandTimeoutSeconds: 5,
  });
  await expect(absent.version()).rejects.toThrow(
    /^condor_config_val_that_is_not_there was not found: install HTCondor's tools/,
  );
  const slow = createHtcondor({
    commandPrefix: ['tail', '-f'],
    configVal: '/dev/null',
    collector: '',
    commandTimeoutSeconds: 0.3,
  });
  await expect(slow.setting('/dev/null')).rejects.toThrow(/did not end within 0.3 s/);
});
