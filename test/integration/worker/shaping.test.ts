import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { hasTree, shapingPieces, treeSetup } from '../../../src/worker/shaping/htb.ts';
import { type JobNetwork, SHARED_IFB } from '../../../src/worker/types.ts';
import { OUTSIDE, World, whyNot } from './nft-world.ts';

const reason = whyNot('iperf3', 'ethtool');
/** Payload of a TCP segment and the frame that carries it. */
const FRAME_SHARE = 1448 / 1514;
const SECONDS = 6;

const intervals = z.array(
  z.object({ sum: z.object({ bytes: z.number(), seconds: z.number(), omitted: z.boolean() }) }),
);
const result = z.object({ intervals, server_output_json: z.object({ intervals }) });

type Direction = 'up' | 'down';

describe.skipIf(reason)(`shaping${reason ? ` (${reason})` : ''}`, () => {
  let world: World;
  afterEach(() => world.close());

  async function open(bridged: boolean, linkMbps: number, yaml?: string): Promise<void> {
    world = new World(yaml);
    await world.open({ bridged });
    await world.shape(linkMbps);
  }

  /** Frames of layer 2 in Mb/s, each job against a server of its own, all at once. */
  async function measure(jobs: readonly JobNetwork[], direction: Direction): Promise<number[]> {
    // Packets as on a wire: one large segment that a queue drops is sent again whole, and that is no payload.
    for (const [namespace, device] of [
      [world.outside, 'o0'],
      ...jobs.map((job) => [world.namespaceOf(job), 'eth0']),
    ]) {
      await world.in(namespace!, 'ethtool', ['-K', device!, 'tso', 'off', 'gso', 'off']);
    }
    const servers = jobs.map(({ lease }) =>
      world.in(world.outside, 'iperf3', ['-s', '-1', '-J', '-p', String(5200 + lease.slotIndex)]),
    );
    try {
      return await Promise.all(
        jobs.map(async (network) => {
          const port = 5200 + network.lease.slotIndex;
          const job = world.namespaceOf(network);
          await expect.poll(() => isListening(port), { timeout: 10_000 }).toBe(true);
          const reverse = direction === 'down' ? ['-R'] : [];
          const { stdout } = await world.in(job, 'iperf3', [
            ...[
              '-c',
              OUTSIDE.off4,
              '-p',
              String(port),
              '-t',
              String(SECONDS),
              '-O',
              '1',
              '-l',
              '16K',
              '-J',
              ...reverse,
            ],
            '--get-server-output',
          ]);
          const { intervals, server_output_json } = result.parse(JSON.parse(stdout));
          // The receiver's whole seconds: the sums at the end hold what was still in queues. Of these the middle one: where
          // the machine is busy, a receiver that comes late to one second finds its bytes in the next.
          const rates = (direction === 'down' ? intervals : server_output_json.intervals)
            .filter(({ sum: { omitted, seconds } }) => !omitted && seconds > 0.9)
            .slice(0, SECONDS - 1)
            .map(({ sum: { bytes, seconds } }) => (bytes * 8) / 1e6 / seconds / FRAME_SHARE)
            .sort((a, b) => a - b);
          return rates[rates.length >> 1] ?? 0;
        }),
      );
    } finally {
      await Promise.all(servers.map((server) => server.catch(() => undefined)));
    }
  }

  async function isListening(port: number): Promise<boolean> {
    const { stdout } = await world.in(world.outside, 'ss', ['-ltn', `sport = :${port}`]);
    return stdout.includes(`:${port}`);
  }

  test.each([
    { mode: 'nat', bridged: false },
    { mode: 'bridge', bridged: true },
  ])('a ceiling of 40 Mb/s is used and holds, in both directions, mode $mode', async ({ bridged }) => {
    await open(bridged, 100);
    const network = world.network(1, { bandwidth: { minMbps: 40, maxMbps: 40 } });
    await world.add(network, 100);
    for (const direction of ['up', 'down'] as const) {
      const [mbps = 0] = await measure([network], direction);
      expect.soft(mbps, direction).toBeGreaterThan(39.6);
      expect.soft(mbps, direction).toBeLessThan(40.4);
    }
  });

  test('two busy jobs of 70 and 30 get their shares of 100 Mb/s within 2 %', async () => {
    await open(false, 100);
    const jobs = [70, 30].map((minMbps, index) => world.network(index + 1, { bandwidth: { minMbps } }));
    for (const network of jobs) await world.add(network, 100);
    for (const direction of ['up', 'down'] as const) {
      const [first = 0, second = 0] = await measure(jobs, direction);
      expect.soft(first, direction).toBeGreaterThan(68);
      expect.soft(first, direction).toBeLessThan(72);
      expect.soft(second, direction).toBeGreaterThan(28);
      expect.soft(second, direction).toBeLessThan(32);
    }
  });

  test('one alone gets what the other leaves, and users share what is left over', async () => {
    await open(false, 100, 'shaping: {shareBy: user, ceilingFactor: none}');
    const owners = ['alice', 'alice', 'bob'];
    const jobs = owners.map((owner, index) =>
      world.network(index + 1, { owner, bandwidth: { minMbps: 10 } }),
    );
    for (const network of jobs) await world.add(network, 100);
    // What the agent does when a second job of the same owner comes.
    const [first, second, third] = jobs as [JobNetwork, JobNetwork, JobNetwork];
    await world.tc(shapingPieces(second, world.config, world.facts(100), [first]).tcUp);

    const [alone = 0] = await measure([third], 'up');
    expect.soft(alone).toBeGreaterThan(95);
    const [one = 0, two = 0, three = 0] = await measure(jobs, 'up');
    // 10 for each job, and of the 70 that are left half for each user.
    expect.soft(one + two).toBeGreaterThan(52);
    expect.soft(one + two).toBeLessThan(58);
    expect.soft(three).toBeGreaterThan(42);
    expect.soft(three).toBeLessThan(48);
  });

  test('rates up to 400 Gb/s arrive in the kernel whole, and all goes with the job', async () => {
    await open(false, 400_000);
    const network = world.network(1, { bandwidth: { minMbps: 123_456, maxMbps: 399_999 } });
    await world.add(network, 400_000);
    const classes = async (device: string) =>
      (await world.in(world.host, 'tc', ['class', 'show', 'dev', device])).stdout;
    for (const device of ['up0', SHARED_IFB]) {
      expect.soft(await classes(device)).toMatch(/htb 4c4b:ffff root rate 400Gbit ceil 400Gbit /);
      expect
        .soft(await classes(device))
        .toMatch(/htb 4c4b:1 parent 4c4b:ffff .* rate 123456Mbit ceil 399999Mbit /);
    }
    // The trees again, and the job again: nothing of it is lost or doubled.
    const qdiscs = (await world.in(world.host, 'tc', ['-j', 'qdisc', 'show', 'dev', 'up0'])).stdout;
    expect(hasTree(qdiscs)).toBe(true);
    const facts = world.facts(400_000);
    const { tcUp, tcDown } = shapingPieces(network, world.config, facts);
    await world.tc(treeSetup(world.config, facts, ['up0', SHARED_IFB]));
    await world.tc(tcUp);
    expect((await classes('up0')).match(/4c4b:1 /g)).toHaveLength(1);
    await world.tc(tcDown);
    for (const device of ['up0', SHARED_IFB]) expect(await classes(device)).not.toContain('4c4b:1 ');
    await world.tc(tcDown, '-force').catch(() => 'gone before');
  });
});
