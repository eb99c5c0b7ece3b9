import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BreakerView, EventView } from '../../../src/api/breakers.ts';
import { ended, type JobRecord, negotiations, queued, submit } from '../../../testbed/pool/jobs.ts';
import { type LarkPool, startLarkPool } from '../../../testbed/pool/lark-pool.ts';
import { conditions } from '../../../testbed/pool/root-tree.ts';

/**
 * A link is throttled and heals, while two access points keep three execution points busy: real transfers, real
 * measurements, and every part of Lark as it is installed.
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
MinOpenSeconds = 5
GoodResults = 2
HalfOpenShare = 0.2
HalfOpenTurnSeconds = 5
MaxInputMB = 3
`;
/** Above and below what the policy lets through, in MB. */
const BIG = 5;
const SMALL = 1;

const LINK_MBPS = 100;
const THROTTLED_MBPS = 5;
const soon = { timeout: 90_000, interval: 500 };

describe.skipIf(!able.ok)(`a throttled link${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let lark: LarkPool;
  beforeAll(async () => {
    lark = await startLarkPool({ linkMbps: LINK_MBPS, policy: POLICY });
    lark.measuring.begin();
    await lark.service.start();
  });
  afterAll(() => lark?.stop());

  const stateOf = async (path: string) =>
    (await lark.service.get<BreakerView[]>('breakers')).find((breaker) => breaker.path === path)?.state;
  /** Until negotiator and schedd of the access point have read it. Returns when that was. */
  const inForce = async (state: string, accessPoint = 'ap1'): Promise<number> => {
    const both = () => ['cm', accessPoint].map((host) => lark.maps.stateOf(host, PATH));
    await expect.poll(both, { ...soon, interval: 100 }).toEqual([state, state]);
    const since = lark.maps.history.filter((entry) => entry.path === PATH && entry.state === state);
    return Math.max(...since.map(({ atMs }) => atMs));
  };
  const allEnded = async (batch: string, counts: Record<string, number>): Promise<JobRecord[]> => {
    const done = async () => {
      const lists = await Promise.all(Object.keys(counts).map((ap) => ended(lark.pool, ap, batch)));
      return lists.flat();
    };
    const total = Object.values(counts).reduce((sum, count) => sum + count);
    await expect.poll(async () => (await done()).length, { timeout: 200_000, interval: 2000 }).toBe(total);
    return done();
  };
  const crossed = (jobs: readonly JobRecord[]) =>
    jobs.filter(({ schedd, site }) => schedd === 'ap1' && site === 'UCSD');

  it('withholds large jobs from that path alone, until it has healed', async () => {
    const { pool, links } = lark;
    for (const { name } of lark.paths) await expect.poll(() => stateOf(name), soon).toBe('CLOSED');

    // While all is well, everything crosses: claims are in use, and are used again and again.
    await submit(pool, 'ap1', { batch: 'before', inputMB: BIG, count: 60, seconds: 1 });
    await submit(pool, 'ap2', { batch: 'before', inputMB: BIG, count: 20, seconds: 1 });
    await expect
      .poll(async () => crossed(await ended(pool, 'ap1', 'before')).length, soon)
      .toBeGreaterThan(0);

    await links.shape('ap1', 'ep1', THROTTLED_MBPS);
    const openMs = await inForce('OPEN');
    await expect
      .poll(async () => (await negotiations(pool)).cycles.some(({ startedMs }) => startedMs >= openMs), soon)
      .toBe(true);
    const cycle = (await negotiations(pool)).cycles.find(({ startedMs }) => startedMs >= openMs)!;
    // What was matched before is on its way; job starts are told in whole seconds.
    const shutSeconds = cycle.finishedMs / 1000 + 1;

    await submit(pool, 'ap1', { batch: 'pinned', inputMB: BIG, count: 10, seconds: 1, site: 'UCSD' });
    await submit(pool, 'ap1', { batch: 'small', inputMB: SMALL, count: 20, seconds: 1, site: 'UCSD' });
    await submit(pool, 'ap2', { batch: 'other', inputMB: BIG, count: 10, seconds: 1, site: 'UCSD' });
    await submit(pool, 'ap1', { batch: 'big', inputMB: BIG, count: 80, seconds: 1 });
    await submit(pool, 'ap2', { batch: 'big', inputMB: BIG, count: 40, seconds: 1 });
    const small = await allEnded('small', { ap1: 20 });
    const big = await allEnded('big', { ap1: 80, ap2: 40 });
    const other = await allEnded('other', { ap2: 10 });
    const before = await allEnded('before', { ap1: 60, ap2: 20 });
    expect(await queued(pool, 'ap1', 'pinned')).toEqual({ idle: 10, running: 0, held: 0 });
    expect(await stateOf(PATH)).toBe('OPEN');

    expect(crossed(small)).toHaveLength(20);
    const late = crossed([...before, ...big]).filter(({ startedAt }) => startedAt! > shutSeconds);
    expect(late).toEqual([]);
    expect(other.map(({ site }) => site)).toEqual(Array(10).fill('UCSD'));
    const sitesOfAp1 = new Set(big.filter(({ schedd }) => schedd === 'ap1').map(({ site }) => site));
    expect(sitesOfAp1).toEqual(new Set(['FNAL', 'BNL']));
    // Most jobs never passed the negotiator: they ran in leftovers and on claims that were there.
    const { matches } = await negotiations(pool);
    expect(matches).toBeGreaterThan(0);
    expect(matches).toBeLessThan((before.length + big.length + small.length) / 2);

    await links.shape('ap1', 'ep1', LINK_MBPS);
    await inForce('HALF_OPEN');
    await inForce('CLOSED');
    const pinned = await allEnded('pinned', { ap1: 10 });
    expect(crossed(pinned)).toHaveLength(10);
    // None of them before the path was tried again.
    const tried = lark.maps.history.find(({ path, state }) => path === PATH && state === 'HALF_OPEN')!;
    expect(pinned.filter(({ startedAt }) => startedAt! < Math.floor(tried.atMs / 1000) - 1)).toEqual([]);

    const told = await lark.service.get<EventView[]>('transitions');
    const states = told
      .filter(({ path }) => path === PATH)
      .toSorted((a, b) => a.id - b.id)
      .map(({ to }) => to);
    expect(states.slice(-3)).toEqual(['OPEN', 'HALF_OPEN', 'CLOSED']);
    expect(told.filter(({ path, to }) => path !== PATH && to === 'OPEN')).toEqual([]);
  }, 400_000);
});
