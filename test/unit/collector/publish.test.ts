import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAds } from 'classad-parser';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { verdictOf } from '../../../src/breaker/verdict.ts';
import { pathAd } from '../../../src/collector/path-ad.ts';
import type { Standing } from '../../../src/collector/plan.ts';
import { type Journal, publish } from '../../../src/collector/publish.ts';
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
  ...(maxInputMB !== undefined && { withholds: { maxInputMB } }),
});

describe('the path ad', () => {
  test('has what is known, in order, and nothing that is not', () => {
    const { name, text } = pathAd(ESTIMATE, verdictOf([breaker('OPEN', 'slow', 100)]), 3600);
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
      'BreakerPolicies',
      'ClassAdLifetime',
    ]);
    expect(ad!.getNumber('ThroughputMbps')).toBe(9412.3);
    expect(ad!.getNumber('LossRate')).toBe(0);
    expect(ad!.getNumber('LastMeasured')).toBe(NOW.getTime() / 1000);
    expect(ad!.getString('BreakerReason')).toBe('because of "slow" \\ more');
  });

  test('the hash changes with the content and only with it', () => {
    const one = pathAd(ESTIMATE, undefined, 3600);
    expect(pathAd(structuredClone(ESTIMATE), undefined, 3600).contentHash).toBe(one.contentHash);
    expect(pathAd({ ...ESTIMATE, quality: 0.89 }, undefined, 3600).contentHash).not.toBe(one.contentHash);
  });
});

const standing: ReadonlyMap<string, Standing> = new Map([
  ['old', { contentHash: 'old', advertisedAt: secondsAgo(10) }],
  ['same', { contentHash: 'same', advertisedAt: secondsAgo(10) }],
]);

/** A sink and a journal that keep what they are told. */
const memory = (signedAt: Date | undefined, known: ReadonlyMap<string, Standing> = standing) => {
  const said: string[] = [];
  const noted: { begun: string[][]; settled: string[][] } = { begun: [], settled: [] };
  const journal: Journal = {
    standing: async () => known,
    begin: async (names) => void noted.begun.push([...names]),
    settle: async (next) => void noted.settled.push([...next.keys()].sort()),
  };
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
  return { sink, said, journal, noted };
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
      const { sink, said, journal, noted } = memory(remembers ? secondsAgo(10) : undefined, known);
      const wanted = Object.entries(want).map(([name, contentHash]) => ({ name, contentHash, text: '' }));
      const input = { wanted, lifetimeSeconds: 3600, now: NOW };
      expect(await publish(sink, journal, input)).toBeUndefined();
      const expected = wanted.filter(({ name, contentHash }) => {
        const before = known.get(name);
        const age = before ? (NOW.getTime() - before.advertisedAt!.getTime()) / 1000 : Infinity;
        return !(remembers && before?.contentHash === contentHash && age >= 0 && age < 1200);
      });
      const gone = [...known.keys()].filter((name) => !(name in want));
      if (expected.length > 0) expect(noted.begun).toEqual([expected.map(({ name }) => name)]);
      if (expected.length + gone.length > 0) expect(noted.settled).toEqual([Object.keys(want).sort()]);
      else expect(noted).toEqual({ begun: [], settled: [] });
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
  const input = { wanted: [ad('same'), ad('new')], lifetimeSeconds: 3600, now: NOW };

  test('sends what is new, withdraws what is gone', async () => {
    const { sink, said, journal, noted } = memory(secondsAgo(10));
    expect(await publish(sink, journal, input)).toBeUndefined();
    expect(said).toEqual(['+new', '-old']);
    expect(noted).toEqual({ begun: [['new']], settled: [['new', 'same']] });
  });

  test('leaves a new sign before the old one is gone', async () => {
    const { sink, said, journal } = memory(secondsAgo(1200));
    await publish(sink, journal, input);
    expect(said).toEqual(['+new', '-old', 'signed']);
  });

  test('a restarted collector gets everything again', async () => {
    const { sink, said, journal, noted } = memory(undefined);
    await publish(sink, journal, input);
    expect(said).toEqual(['+same', '+new', '-old', 'signed']);
    expect(noted.settled).toEqual([['new', 'same']]);
  });

  test('a collector that is down is a failure told, and nothing counts as said', async () => {
    const { sink, journal, noted } = memory(secondsAgo(10));
    const down = { ...sink, signedAt: () => Promise.reject(new Error('no route')) };
    expect(await publish(down, journal, input)).toBe('no route');
    expect(noted).toEqual({ begun: [], settled: [] });

    // It takes what is sent, and fails at the end.
    const refusing: AdSink = {
      ...sink,
      advertise: async (ads) => {
        for (const _ of ads);
        throw new Error('refused');
      },
    };
    expect(await publish(refusing, journal, input)).toBe('refused');
    expect(noted).toEqual({ begun: [['new']], settled: [] });

    const halfWay = { ...sink, withdraw: () => Promise.reject(new Error('gone')) };
    expect(await publish(halfWay, journal, input)).toBe('gone');
    expect(noted.settled).toEqual([['new', 'old', 'same']]);
  });

  test('a journal that fails is no failure of the collector', async () => {
    const { sink, journal } = memory(secondsAgo(10));
    const broken = { ...journal, settle: () => Promise.reject(new Error('disk full')) };
    await expect(publish(sink, broken, input)).rejects.toThrow('disk full');
  });

  test('an ad that may or may not stand is sent', async () => {
    const { sink, said, journal } = memory(secondsAgo(10), new Map([['same', { contentHash: 'same' }]]));
    await publish(sink, journal, input);
    expect(said).toEqual(['+same', '+new']);
  });

  test('the folder sink: no ads at all is no failure', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lark-sink-'));
    try {
      const sink = directorySink(join(folder, 'ads'));
      const { journal } = memory(undefined, new Map());
      expect(await publish(sink, journal, { ...input, wanted: [] })).toBeUndefined();
      expect(await sink.signedAt()).toEqual(NOW);
    } finally {
      await rm(folder, { recursive: true });
    }
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
