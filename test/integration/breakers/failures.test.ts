import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BreakerView } from '../../../src/api/breakers.ts';
import { ended, queued, submit } from '../../../testbed/pool/jobs.ts';
import { MAPS } from '../../../testbed/pool/lark-hosts.ts';
import { type LarkPool, startLarkPool } from '../../../testbed/pool/lark-pool.ts';
import { conditions } from '../../../testbed/pool/root-tree.ts';

/**
 * Parts of Lark and of HTCondor die while a breaker is open. Whatever dies, the pool goes on; what is open stays open for
 * as long as it was promised and no longer; and nobody has to do anything. The tests are one story, in this order.
 */

const able = conditions();

const PATH = 'UNL>UCSD';
const POLICY = `Name = "slow-path"
Covers = true
Trip = ThroughputMbps < 15.0
Reset = ThroughputMbps > 30.0
MinSamples = 3
MinQuality = 0.05
HoldSeconds = 0
MinOpenSeconds = 1
GoodResults = 1
MaxInputMB = 3
`;
const LINK_MBPS = 100;
const THROTTLED_MBPS = 8;
/** An ad that is not renewed counts for so long, and a measurement. */
const LIFETIME_SECONDS = 24;
const STALE_SECONDS = 45;
const soon = { timeout: 90_000, interval: 300 };

describe.skipIf(!able.ok)(
  `what dies while a breaker is open${able.ok ? '' : ` (skipped: ${able.why})`}`,
  () => {
    let lark: LarkPool;
    beforeAll(async () => {
      lark = await startLarkPool({
        linkMbps: LINK_MBPS,
        policy: POLICY,
        settings: {
          publish: { lifetimeSeconds: LIFETIME_SECONDS },
          estimate: { staleHours: STALE_SECONDS / 3600 },
        },
        // condor_master starts again what has died; by default it waits ten seconds.
        condor: { cm: 'MASTER_BACKOFF_CONSTANT = 1', ap: 'MASTER_BACKOFF_CONSTANT = 1' },
      });
      lark.measuring.begin();
      await lark.service.start();
    });
    afterAll(() => lark?.stop());

    const inForce = () => ['cm', 'ap1'].map((host) => lark.maps.stateOf(host, PATH));
    const isOpen = () => expect.poll(inForce, soon).toEqual(['OPEN', 'OPEN']);
    const submitLarge = (batch: string) =>
      submit(lark.pool, 'ap1', { batch, inputMB: 5, count: 3, seconds: 0, site: 'UCSD' });
    const expectWaiting = async (batch: string) => {
      const queue = await queued(lark.pool, 'ap1', batch);
      const states = lark.maps.history.filter(({ path }) => path === PATH).slice(-4);
      expect(queue, JSON.stringify(states)).toEqual({ idle: 3, running: 0, held: 0 });
    };
    const allRan = (batch: string, count: number) =>
      expect.poll(async () => (await ended(lark.pool, 'ap1', batch)).length, soon).toBe(count);
    /** A small job goes all the way: it is matched, crosses the very path, runs and ends. */
    const smallJobRuns = async (batch: string) => {
      await submit(lark.pool, 'ap1', { batch, inputMB: 1, count: 1, seconds: 0, site: 'UCSD' });
      await allRan(batch, 1);
    };
    const pidOf = async (host: string, program: string): Promise<string> =>
      (await lark.pool.exec(host, ['pgrep', '-f', `^${program}`])).stdout.trim();
    /** Kills it and waits until condor_master has started it again. */
    const killed = async (host: string, program: string): Promise<void> => {
      const pid = await pidOf(host, program);
      expect(pid).toMatch(/^\d+$/);
      await lark.pool.run(host, ['kill', '-KILL', pid]);
      const next = () => pidOf(host, program);
      await expect.poll(async () => ![pid, ''].includes(await next()), soon).toBe(true);
    };
    const lastRound = async (host: string) =>
      JSON.parse(await lark.pool.run(host, ['cat', `${MAPS}/sync.json`])) as {
        heardAt: string;
        problems: string[];
      };
    const stateNow = async () =>
      (await lark.service.get<BreakerView[]>('breakers')).find(({ path }) => path === PATH)?.state;

    it('nobody yet: the link is throttled, and large jobs wait', async () => {
      await expect.poll(() => lark.maps.stateOf('ap1', PATH), soon).toBe('CLOSED');
      await lark.links.shape('ap1', 'ep1', THROTTLED_MBPS);
      await isOpen();
      await submitLarge('first');
      await smallJobRuns('before');
      await expectWaiting('first');
    });

    it('lark sync of an access point: its map stays, and it comes back', async () => {
      await killed('ap1', 'node');
      await smallJobRuns('after-sync');
      await expectWaiting('first');
      const syncedAt = async () => Date.parse((await lastRound('ap1')).heardAt);
      const before = Date.now();
      await expect.poll(syncedAt, soon).toBeGreaterThan(before);
      expect(inForce()).toEqual(['OPEN', 'OPEN']);
    });

    it('the negotiator: its successor knows the map', async () => {
      await killed('cm', 'condor_negotiator');
      await smallJobRuns('after-negotiator');
      await expectWaiting('first');
      expect(inForce()).toEqual(['OPEN', 'OPEN']);
    });

    it('the collector: what it forgot counts on, and is told to its successor', async () => {
      await killed('cm', 'condor_collector');
      const states = async () =>
        (
          await lark.pool.exec('cm', [
            'condor_status',
            '-any',
            '-constraint',
            `Name == "${PATH}"`,
            '-af',
            'BreakerState',
          ])
        ).stdout.trim();
      await expect.poll(states, soon).toBe('OPEN');
      // It does not know the negotiator yet, which is told of changes all the same.
      const since = Date.now();
      await expect.poll(async () => Date.parse((await lastRound('cm')).heardAt), soon).toBeGreaterThan(since);
      expect((await lastRound('cm')).problems).toEqual([]);
      await smallJobRuns('after-collector');
      await expectWaiting('first');
      expect(lark.maps.history.filter(({ path }) => path === PATH).at(-1)?.state).toBe('OPEN');
    });

    it('the service: what it said counts as long as it promised, then jobs run; it comes back and knows', async () => {
      await expectWaiting('first');
      await lark.service.kill();
      const killedAt = Date.now() / 1000;
      // What it sent last has been heard by then.
      await sleep(3000);
      const map = await lark.pool.run('ap1', ['cat', `${MAPS}/LARK_PATH.map`]);
      const value = map.split('\n').find((line) => line.startsWith(`* ${PATH} OPEN`))!;
      const until = Number(value.split(',')[10]);
      expect(until).toBeGreaterThan(killedAt);
      expect(until).toBeLessThanOrEqual(killedAt + LIFETIME_SECONDS);
      // Without anybody who knows, nothing is withheld; but not before the promised time is over.
      await allRan('first', 3);
      for (const { startedAt } of await ended(lark.pool, 'ap1', 'first'))
        expect(startedAt).toBeGreaterThanOrEqual(until);
      await expect.poll(inForce, soon).toEqual([undefined, undefined]);

      await lark.service.start();
      await isOpen();
      await submitLarge('second');
      await smallJobRuns('after-service');
      await expectWaiting('second');
    });

    it('the measurements: old data withholds nothing, and new data closes the breaker', async () => {
      await lark.measuring.pause();
      await expect.poll(stateNow, soon).toBe('UNKNOWN');
      await expect.poll(inForce, soon).toEqual(['UNKNOWN', 'UNKNOWN']);
      await allRan('second', 3);
      lark.measuring.begin();
      await isOpen();
      await lark.links.shape('ap1', 'ep1', LINK_MBPS);
      await expect.poll(inForce, soon).toEqual(['CLOSED', 'CLOSED']);
    });
  },
);
