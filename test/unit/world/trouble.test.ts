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

test('troubles are asked for: a world too small for them says so', async () => {
  await start({});
  expect(world.hosts.every(({ trouble }) => trouble === null)).toBe(true);
  await expect(startWorld({ hosts: 5, clock: () => NOW, troubledHosts: 5 })).rejects.toThrow(/in trouble/);
});
