import { afterEach, expect, test } from 'vitest';
import { startWorld, type World, type WorldOptions } from '../../../testbed/world/world.ts';
import { NOW } from './wire.ts';

let world: World;
afterEach(() => world.close());

const HOUR = 3_600_000;
const start = async (options: WorldOptions): Promise<void> => {
  world = await startWorld({ hosts: 24, seed: 8, clock: () => NOW, ...options });
};
const runsOf = (hoursAgo: number, hours = 1) =>
  world.runs({
    from: new Date(NOW.getTime() - hoursAgo * HOUR),
    to: new Date(NOW.getTime() - (hoursAgo - hours) * HOUR),
  });

test('a host behind a firewall loses all that comes and nothing of what it sends', async () => {
  await start({ troubledHosts: 1 });
  const { key } = world.hosts.find(({ trouble }) => trouble === 'firewall')!;
  const owd = runsOf(1).filter((run) => run.testType === 'latencybg' && run.ipVersion === 4);
  const towards = owd.filter(({ destination }) => destination === key);
  const from = owd.filter(({ source }) => source === key);
  expect(new Set(towards.map(({ source }) => source)).size).toBeGreaterThan(5);
  expect(towards.every((run) => run.packetsLost === run.packetsSent)).toBe(true);
  expect(from.length).toBeGreaterThan(0);
  expect(from.filter((run) => run.packetsLost === run.packetsSent).length).toBeLessThan(from.length / 10);
});

test('a host that stopped was there the day before yesterday, and is expected still', async () => {
  await start({ troubledHosts: 1 });
  const { key } = world.hosts.find(({ trouble }) => trouble === 'stopped')!;
  expect(runsOf(60, 2).some(({ source }) => source === key)).toBe(true);
  expect(runsOf(20).some(({ source }) => source === key)).toBe(false);
  const expected = world.expectedPairs().filter(({ sourceHost }) => sourceHost === key);
  expect(expected.length).toBeGreaterThan(0);
  expect(expected.filter(({ testType }) => testType === 'latencybg').every(({ silent }) => silent)).toBe(
    true,
  );
});

test('some clocks are off and nobody says by how much they may be', async () => {
  await start({ seed: 4, untoldClockErrors: true });
  const off = new Set(world.hosts.filter((host) => host.clockOffsetMs !== 0).map(({ key }) => key));
  const owd = runsOf(1).filter((run) => run.oneWayDelayMs && run.ipVersion === 4);
  const untold = owd.filter((run) => run.maxClockErrorMs === 0);
  expect(untold.length).toBeGreaterThan(0);
  expect(untold.every((run) => off.has(run.source) || off.has(run.destination))).toBe(true);
  const plain = owd.filter((run) => !off.has(run.source) && !off.has(run.destination));
  expect(plain.every((run) => run.maxClockErrorMs! > 0)).toBe(true);
});

test('clocks are wrong by as much as the books say, and nobody else says so', async () => {
  await start({ wrongClocks: 2 });
  const { key, clockOffsetMs } = world.hosts.find((host) => host.clockOffsetMs === -60)!;
  const owd = runsOf(1).filter((run) => run.oneWayDelayMs && run.ipVersion === 4);
  const right = new Set(world.hosts.filter((host) => host.clockOffsetMs === 0).map((host) => host.key));
  const seen = (run: (typeof owd)[number]) => run.oneWayDelayMs!.minimum;
  const there = owd.find((run) => run.destination === key && right.has(run.source))!;
  const back = owd.find((run) => run.source === key && run.destination === there.source)!;
  expect(Math.abs((seen(there) - seen(back)) / 2 - clockOffsetMs)).toBeLessThan(25);
  expect(there.maxClockErrorMs).toBe(0);
});

test('a host that was down has a gap, and what was sent to it is lost meanwhile', async () => {
  await start({ outages: 1, anchor: new Date(NOW.getTime() + 20 * HOUR) });
  const { key, outage } = world.hosts.find((host) => host.outage)!;
  const within = runsOf(7, 2).filter(
    (run) => run.testType === 'latencybg' && run.startedAt >= outage!.from && run.startedAt < outage!.to,
  );
  expect(within.some(({ source }) => source === key)).toBe(false);
  const towards = within.filter(({ destination }) => destination === key);
  expect(towards.length).toBeGreaterThan(100);
  expect(towards.every((run) => run.packetsLost === run.packetsSent)).toBe(true);
});

test('IPv6 may take another way', async () => {
  const speeds = async (options: WorldOptions) => {
    await start(options);
    const runs = runsOf(6, 6).filter((run) => run.throughputBps && run.ipVersion === 6);
    const mean = runs.reduce((sum, run) => sum + run.throughputBps!, 0) / runs.length;
    await world.close();
    return mean;
  };
  const even = await speeds({});
  expect(await speeds({ unevenFamilies: true })).toBeLessThan(0.7 * even);
});

test('troubles are asked for: a world too small for them says so', async () => {
  await start({});
  expect(world.hosts.every(({ trouble }) => trouble === null)).toBe(true);
  await expect(startWorld({ hosts: 5, clock: () => NOW, troubledHosts: 5 })).rejects.toThrow(/in trouble/);
});
