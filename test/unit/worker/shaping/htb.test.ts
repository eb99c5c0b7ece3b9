import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseWorkerConfig } from '../../../../src/worker/config.ts';
import {
  hasTree,
  type ShapingFacts,
  shapingPieces,
  shareLines,
  treeSetup,
} from '../../../../src/worker/shaping/htb.ts';
import { bitRate, bytesIn, leafQueue } from '../../../../src/worker/shaping/rates.ts';
import type { Bandwidth, JobNetwork } from '../../../../src/worker/types.ts';

const config = (yaml = '') => parseWorkerConfig(yaml, '/etc/lark/worker.yaml');
const facts: ShapingFacts = { device: 'up0', mtu: 1500, linkMbps: 10_000, leaf: 'bfifo' };

function network(slotIndex: number, bandwidth?: Bandwidth): JobNetwork {
  return {
    request: {
      mode: 'nat',
      inbound: [],
      isAccounted: true,
      owner: 'alice',
      jobId: '1.0',
      starter: { pid: 1, startTicks: 1 },
      ...(bandwidth && { bandwidth }),
    },
    lease: {
      name: `lk${String(slotIndex).padStart(8, '0')}`,
      slotIndex,
      forwards: [],
      createdAt: new Date(0),
      jobId: '1.0',
      bootId: 'boot',
    },
  };
}

test('golden file of the trees and of a job', async () => {
  const { tcUp, tcDown } = shapingPieces(network(31, { minMbps: 40, maxMbps: 80 }), config(), facts);
  const text = ['# trees', ...treeSetup(config(), facts), '# up', ...tcUp, '# down', ...tcDown, ''].join(
    '\n',
  );
  await expect(text).toMatchFileSnapshot('golden/htb.tc');
});

test('a tree that stands is not made anew', () => {
  expect(treeSetup(config(), facts, ['up0', 'lark-ifb0']).filter((line) => line.includes(' root '))).toEqual(
    [],
  );
  expect(hasTree('[{"kind":"htb","handle":"4c4b:","root":true}]')).toBe(true);
  expect(hasTree('[{"kind":"htb","handle":"1:","root":true},{"kind":"fq_codel","handle":"4c4b:"}]')).toBe(
    false,
  );
});

test('without a share, or without a known link, nothing is shaped', () => {
  const nothing = { tcUp: [], tcDown: [] };
  expect(shapingPieces(network(1), config(), facts)).toEqual(nothing);
  const { linkMbps: _, ...unknown } = facts;
  expect(shapingPieces(network(1, { minMbps: 1 }), config(), unknown)).toEqual(nothing);
  expect(treeSetup(config(), unknown)).toEqual([]);
});

test('at every rate up to 400 Gb/s numbers are whole, in their 32 bits, and minimum ≤ ceiling ≤ link', () => {
  const rate = fc.double({ min: 0.001, max: 400_000, noNaN: true });
  fc.assert(
    fc.property(rate, rate, rate, (linkMbps, minMbps, maxMbps) => {
      const { tcUp } = shapingPieces(network(1, { minMbps, maxMbps }), config(), { ...facts, linkMbps });
      for (const line of tcUp.filter((text) => text.startsWith('class'))) {
        const [, rateBits, ceilBits, burst, cburst, quantum] =
          /rate (\d+)bit ceil (\d+)bit burst (\d+)b cburst (\d+)b quantum (\d+)$/.exec(line)!.map(Number);
        expect(rateBits).toBeLessThanOrEqual(ceilBits!);
        expect(ceilBits).toBeLessThanOrEqual(Math.max(8, Math.round(linkMbps * 1e6)));
        for (const bytes of [burst!, cburst!]) {
          expect(bytes).toBeGreaterThanOrEqual(3028);
          expect(bytes).toBeLessThan(2 ** 32);
        }
        expect(quantum).toBeGreaterThanOrEqual(1514);
        expect(quantum).toBeLessThan(2 ** 31);
      }
    }),
  );
});

test('by user, what is left over is shared between users, whatever the number of their jobs', () => {
  const quanta = (lines: string[]) =>
    lines
      .filter((line) => line.includes('dev up0'))
      .map((line) => Number(/quantum (\d+)/.exec(line)?.[1]))
      .reduce((sum, bytes) => sum + bytes, 0);
  const byUser = config('shaping: {shareBy: user}');
  const many = [1, 2, 3, 4].map((slot) => network(slot, { minMbps: 10 * slot }));
  const one = quanta(shareLines([network(9, { minMbps: 5 })], byUser, facts));
  expect(quanta(shareLines(many, byUser, facts))).toBe(one);
  expect(quanta(shareLines(many, config(), facts))).not.toBe(one);
});

test("by user, a job's coming and going sets its siblings again", () => {
  const siblings = [1, 2].map((slot) => network(slot, { minMbps: 10 }));
  const byUser = config('shaping: {shareBy: user}');
  const { tcUp, tcDown } = shapingPieces(siblings[0]!, byUser, facts, siblings);
  const quantumOf = (lines: string[]) =>
    lines
      .filter((line) => / up0 .*classid 4c4b:2 /.test(line))
      .map((line) => /quantum (\d+)/.exec(line)?.[1]);
  const [shared] = quantumOf(tcUp);
  const [alone] = quantumOf(tcDown);
  expect(Number(alone)).toBe(2 * Number(shared));
  expect(tcDown.filter((line) => line.startsWith('class replace'))).toEqual([]);
});

test('queues are bounded in time, and hold the first window of a connection', () => {
  const queue = (mbps: number) => leafQueue('bfifo', { mbps, queueMs: 50, frameBytes: 1514 });
  expect(queue(40)).toBe('bfifo limit 250000b');
  expect(queue(0.5)).toBe('bfifo limit 15140b');
  expect(queue(400_000)).toBe(`bfifo limit ${2 ** 27}b`);
  expect(leafQueue('fq_codel', { mbps: 1, queueMs: 50, frameBytes: 1514 })).toBe(
    'fq_codel memory_limit 30280 target 19ms interval 380ms',
  );
  expect(bitRate(0.0000001)).toBe('8bit');
  expect(bytesIn(8, 1)).toBe(1000);
});
