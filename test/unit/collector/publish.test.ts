import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAds } from 'classad-parser';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pathAd, strictest } from '../../../src/collector/path-ad.ts';
import type { Standing } from '../../../src/collector/plan.ts';
import { publish } from '../../../src/collector/publish.ts';
import { type AdSink, directorySink } from '../../../src/collector/sink.ts';
import type { Breaker, PathEstimate } from '../../../src/domain.ts';

const NOW = new Date('2026-01-10T00:00:00Z');
const secondsAgo = (seconds: number): Date => new Date(NOW.getTime() - seconds * 1000);

const ESTIMATE: PathEstimate = {
  srcSite: 'UCSD',
  dstSite: 'UNL',
  metrics: {
    throughputMbps: {
      centre: 9412.34567,
      p10: 800,
      p90: 9900,
      sampleCount: 7,
      seriesCount: 1,
      lastMeasured: NOW,
    },
    lossRate: { centre: 0, p10: 0, p90: 0, sampleCount: 100, seriesCount: 1, lastMeasured: NOW },
  },
  quality: 0.9,
  sampleCount: 107,
  lastMeasured: NOW,
  measured: true,
  estimatedAt: NOW,
};
const breaker = (state: Breaker['state'], policy: string, maxInputMB?: number): Breaker => ({
  srcSite: 'UCSD',
  dstSite: 'UNL',
  policy,
  state,
  reason: `because of "${policy}" \\ more`,
  since: secondsAgo(60),
  ...(maxInputMB !== undefined && { maxInputMB }),
});

describe('the path ad', () => {
  test('has what is known, in order, and nothing that is not', () => {
    const { name, text } = pathAd(ESTIMATE, [breaker('OPEN', 'slow', 100)], 3600);
    expect(name).toBe('UCSD>UNL');
    const [ad] = parseAds(text);
    expect(ad!.names()).toEqual([
      'MyType',
      'Name',
      'SrcSite',
      'DstSite',
      'ThroughputMbps',
      'ThroughputMbpsP10',
      'ThroughputMbpsP90',
      'LossRate',
      'Quality',
      'SampleCount',
      'LastMeasured',
      'Measured',
      'BreakerState',
      'BreakerPolicy',
      'BreakerReason',
      'BreakerSince',
      'MaxInputMB',
      'ClassAdLifetime',
    ]);
    expect(ad!.getNumber('ThroughputMbps')).toBe(9412.3);
    expect(ad!.getNumber('LossRate')).toBe(0);
    expect(ad!.getNumber('LastMeasured')).toBe(NOW.getTime() / 1000);
    expect(ad!.getString('BreakerReason')).toBe('because of "slow" \\ more');
  });

  test('the hash changes with the content and only with it', () => {
    const one = pathAd(ESTIMATE, [], 3600);
    expect(pathAd(structuredClone(ESTIMATE), [], 3600).contentHash).toBe(one.contentHash);
    expect(pathAd({ ...ESTIMATE, quality: 0.89 }, [], 3600).contentHash).not.toBe(one.contentHash);
  });

  test('the strictest breaker is told', () => {
    const all = [
      breaker('CLOSED', 'a'),
      breaker('OPEN', 'b', 500),
      breaker('OPEN', 'c', 100),
      breaker('UNKNOWN', 'd'),
    ];
    expect(strictest(all)!.policy).toBe('c');
    expect(strictest([breaker('CLOSED', 'a'), breaker('UNKNOWN', 'd')])!.policy).toBe('d');
    expect(strictest([])).toBeUndefined();
  });
});

/** A sink that keeps what it is told, and whether the sign stands. */
const memory = (signedAt: Date | undefined) => {
  const said: string[] = [];
  const sink: AdSink = {
    describe: async () => 'memory',
    signedAt: async () => signedAt,
    sign: async () => void said.push('signed'),
    advertise: async (ads) => {
      for (const { name } of ads) said.push(`+${name}`);
    },
    withdraw: async (names) => void said.push(...names.map((name) => `-${name}`)),
    standing: async () => [],
  };
  return { sink, said };
};

test('laws: afterwards exactly the wanted ads stand, each fresh; nothing is sent without need', async () => {
  const names = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const hash = fc.constantFrom('1', '2');
  const standing = fc.dictionary(names, fc.tuple(hash, fc.integer({ min: -100, max: 3000 })));
  await fc.assert(
    fc.asyncProperty(fc.dictionary(names, hash), standing, fc.boolean(), async (want, stand, remembers) => {
      const known = new Map<string, Standing>(
        Object.entries(stand).map(([name, [contentHash, age]]) => [
          name,
          { contentHash, advertisedAt: secondsAgo(age) },
        ]),
      );
      const { sink, said } = memory(remembers ? secondsAgo(10) : undefined);
      const wanted = Object.entries(want).map(([name, contentHash]) => ({ name, contentHash, text: '' }));
      const result = await publish(sink, { wanted, standing: known, lifetimeSeconds: 3600, now: NOW });
      const expected = wanted.filter(({ name, contentHash }) => {
        const before = known.get(name);
        const age = before ? (NOW.getTime() - before.advertisedAt.getTime()) / 1000 : Infinity;
        return !(remembers && before?.contentHash === contentHash && age >= 0 && age < 1200);
      });
      const gone = [...known.keys()].filter((name) => !(name in want));
      expect(result.advertised.map(({ name }) => name)).toEqual(expected.map(({ name }) => name));
      expect(result.withdrawn).toEqual(gone);
      expect(said).toEqual([
        ...expected.map(({ name }) => `+${name}`),
        ...gone.map((name) => `-${name}`),
        ...(remembers ? [] : ['signed']),
      ]);
    }),
  );
});

describe('publish', () => {
  const ad = (name: string) => ({ name, text: `Name = "${name}"\n`, contentHash: name });
  const standing = new Map([
    ['old', { contentHash: 'old', advertisedAt: secondsAgo(10) }],
    ['same', { contentHash: 'same', advertisedAt: secondsAgo(10) }],
  ]);
  const input = { wanted: [ad('same'), ad('new')], standing, lifetimeSeconds: 3600, now: NOW };

  test('sends what is new, withdraws what is gone', async () => {
    const { sink, said } = memory(secondsAgo(10));
    const result = await publish(sink, input);
    expect(said).toEqual(['+new', '-old']);
    expect(result).toMatchObject({ withdrawn: ['old'] });
  });

  test('leaves a new sign before the old one is gone', async () => {
    const { sink, said } = memory(secondsAgo(1200));
    await publish(sink, input);
    expect(said).toEqual(['+new', '-old', 'signed']);
  });

  test('a restarted collector gets everything again', async () => {
    const { sink, said } = memory(undefined);
    const result = await publish(sink, input);
    expect(said).toEqual(['+same', '+new', '-old', 'signed']);
    expect(result.advertised.map(({ name }) => name)).toEqual(['same', 'new']);
  });

  test('a collector that is down is a failure told, and nothing counts as said', async () => {
    const { sink } = memory(secondsAgo(10));
    const down = { ...sink, advertise: () => Promise.reject(new Error('no route')) };
    expect(await publish(down, input)).toMatchObject({ advertised: [], withdrawn: [], failure: 'no route' });
    const halfWay = { ...sink, withdraw: () => Promise.reject(new Error('gone')) };
    const result = await publish(halfWay, input);
    expect(result.advertised.map(({ name }) => name)).toEqual(['new']);
    expect(result).toMatchObject({ withdrawn: [], failure: 'gone' });
  });

  test('the folder sink: one file an ad, names survive', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lark-sink-'));
    try {
      const sink = directorySink(join(folder, 'ads'));
      await sink.advertise([ad('A>B/c'), ad('X>Y')]);
      expect((await sink.standing()).sort()).toEqual(['A>B/c', 'X>Y']);
      await sink.withdraw(['X>Y', 'never>was']);
      expect(await sink.standing()).toEqual(['A>B/c']);
      expect(await readdir(join(folder, 'ads'))).toHaveLength(1);
      expect(await sink.signedAt()).toBeUndefined();
      await sink.sign(NOW, 60);
      expect(await sink.signedAt()).toEqual(NOW);
      expect(await sink.standing()).toEqual(['A>B/c']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
