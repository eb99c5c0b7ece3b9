import { resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide, type JudgedPath } from '../../../src/breaker/decide.ts';
import { loadPolicies, parsePolicy } from '../../../src/breaker/policy.ts';
import type { Breaker } from '../../../src/domain.ts';

const T0 = new Date('2026-01-01T00:00:00Z');
const at = (seconds: number): Date => new Date(T0.getTime() + seconds * 1000);

const POLICY = parsePolicy(
  `Name = "slow"
Covers = SrcSite != "EXEMPT"
Trip = ThroughputMbps < 100
Reset = ThroughputMbps > 200
MinSamples = 3
MinQuality = 0.3
HoldSeconds = 60
MinOpenSeconds = 300
MaxInputMB = 50
`,
  'slow.ad',
);

interface Reading {
  mbps?: number;
  samples?: number;
  quality?: number;
}
const path = (src: string, dst: string, { mbps, samples = 10, quality = 0.9 }: Reading): JudgedPath => ({
  srcSite: src,
  dstSite: dst,
  quality,
  metrics:
    mbps === undefined ? { lossRate: figures(0, samples) } : { throughputMbps: figures(mbps, samples) },
});
const figures = (centre: number, sampleCount: number) => ({
  centre,
  p10: centre,
  p90: centre,
  sampleCount,
  seriesCount: 1,
  lastMeasured: T0,
});

/** Runs one path through readings, `step` seconds apart; the states after each. */
function run(readings: Reading[], step = 30): Breaker[] {
  let before: Breaker[] = [];
  return readings.map((reading, i) => {
    before = decide([path('A', 'B', reading)], [POLICY], before, 0.5, at(i * step)).breakers;
    return before[0]!;
  });
}
const states = (readings: Reading[], step = 30): string[] => run(readings, step).map(({ state }) => state);

describe('one breaker', () => {
  test('trips when the condition has held, and withholds only while open', () => {
    const seen = run([{ mbps: 500 }, { mbps: 50 }, { mbps: 50 }, { mbps: 50 }]);
    expect(seen.map(({ state }) => state)).toEqual(['CLOSED', 'CLOSED', 'CLOSED', 'OPEN']);
    expect(seen.map(({ maxInputMB }) => maxInputMB)).toEqual([undefined, undefined, undefined, 50]);
    expect(seen[3]!.reason).toContain('ThroughputMbps 50');
    expect(seen[3]!.since).toEqual(at(90));
  });

  test('a good reading in between starts the clock again', () => {
    expect(states([{ mbps: 50 }, { mbps: 500 }, { mbps: 50 }, { mbps: 50 }])).not.toContain('OPEN');
  });

  test('between the two thresholds nothing changes', () => {
    expect(states(Array(20).fill({ mbps: 150 }))).not.toContain('OPEN');
    const opened = [...Array(4).fill({ mbps: 50 }), ...Array(30).fill({ mbps: 150 })];
    expect(states(opened).at(-1)).toBe('OPEN');
  });

  test('closes after the reset has held and the minimum open time is over', () => {
    const seen = states([...Array(3).fill({ mbps: 50 }), ...Array(12).fill({ mbps: 500 })]);
    expect(seen[2]).toBe('OPEN');
    // Opened at 60 s, so not before 360 s (reading 12).
    expect(seen.slice(3, 12).every((state) => state === 'OPEN')).toBe(true);
    expect(seen[12]).toBe('CLOSED');
  });

  test.each([
    ['too few samples', { mbps: 50, samples: 2 }, '2 fresh samples, 3 are needed'],
    ['poor quality', { mbps: 50, quality: 0.2 }, 'quality 0.2, 0.3 is needed'],
    ['nothing the policy asks for', {}, 'Trip cannot be told'],
  ])('%s: UNKNOWN, also where it was open, and nothing is withheld', (_what, reading, reason) => {
    const seen = run([{ mbps: 50 }, { mbps: 50 }, { mbps: 50 }, reading]);
    expect(seen[2]!.state).toBe('OPEN');
    expect(seen[3]).toMatchObject({ state: 'UNKNOWN' });
    expect(seen[3]!.maxInputMB).toBeUndefined();
    const fresh = decide([path('A', 'B', reading)], [POLICY], [], 0.5, T0).breakers[0]!;
    expect(fresh.state).toBe('UNKNOWN');
    expect(fresh.reason).toContain(reason);
  });

  test('a policy that does not cover a path has no breaker for it', () => {
    expect(decide([path('EXEMPT', 'B', { mbps: 1 })], [POLICY], [], 0.5, T0).breakers).toEqual([]);
  });

  test('transitions carry from, to and cause', () => {
    const before = run(Array(2).fill({ mbps: 50 }));
    const { transitions } = decide([path('A', 'B', { mbps: 50 })], [POLICY], [before[1]!], 0.5, at(60));
    expect(transitions).toEqual([
      {
        srcSite: 'A',
        dstSite: 'B',
        policy: 'slow',
        at: at(60),
        from: 'CLOSED',
        to: 'OPEN',
        reason: expect.stringContaining('50'),
      },
    ]);
  });
});

describe('the guard', () => {
  const holding = (paths: JudgedPath[]) => {
    const before = decide(paths, [POLICY], [], 0.5, T0).breakers;
    return decide(paths, [POLICY], before, 0.5, at(60));
  };

  test('no more than its share of a site opens, and the rest is reported', () => {
    const fan = ['P', 'Q', 'R', 'S'].map((src) => path(src, 'HUB', { mbps: 5 }));
    const { breakers, guarded } = holding(fan);
    expect(breakers.filter(({ state }) => state === 'OPEN')).toHaveLength(2);
    expect(guarded).toHaveLength(2);
    expect(guarded[0]).toContain('2 of 4 paths of HUB are open already');
    expect(
      breakers.filter(({ state, maxInputMB }) => state === 'CLOSED' && maxInputMB !== undefined),
    ).toEqual([]);
  });

  test('a site with one path may lose it', () => {
    expect(holding([path('A', 'B', { mbps: 5 })]).breakers[0]!.state).toBe('OPEN');
  });
});

test('laws over random histories: never open on poor data, no change faster than the hold, guard never exceeded', () => {
  const reading = fc.record({
    mbps: fc.option(fc.constantFrom(20, 90, 150, 250), { nil: undefined }),
    samples: fc.constantFrom(0, 2, 3, 50),
    quality: fc.constantFrom(0, 0.29, 0.3, 1),
  });
  const sites = ['A', 'B', 'C'];
  const pairs = sites.flatMap((a) => sites.filter((b) => b !== a).map((b) => [a, b] as const));
  const world = fc.array(reading, { minLength: pairs.length, maxLength: pairs.length });
  fc.assert(
    fc.property(
      fc.array(world, { minLength: 1, maxLength: 40 }),
      fc.constantFrom(0.25, 0.5, 1),
      (history, share) => {
        let before: Breaker[] = [];
        const lastOpened = new Map<string, number>();
        history.forEach((readings, turn) => {
          const paths = pairs.map(([a, b], i) => path(a, b, readings[i]!));
          const { breakers, transitions } = decide(paths, [POLICY], before, share, at(turn * 20));
          breakers.forEach((breaker, i) => {
            const { mbps, samples, quality } = readings[i]!;
            const poor = samples < 3 || quality < 0.3 || mbps === undefined;
            expect(breaker.state === 'UNKNOWN').toBe(poor);
            expect(breaker.maxInputMB !== undefined).toBe(breaker.state === 'OPEN');
          });
          for (const { srcSite, dstSite, from, to } of transitions) {
            const key = `${srcSite}>${dstSite}`;
            if (to === 'OPEN') lastOpened.set(key, turn * 20);
            if (from === 'OPEN' && to === 'CLOSED') {
              expect(turn * 20 - lastOpened.get(key)!).toBeGreaterThanOrEqual(POLICY.minOpenSeconds);
            }
          }
          for (const site of sites) {
            const open = breakers.filter(
              (b) => b.state === 'OPEN' && (b.srcSite === site || b.dstSite === site),
            );
            expect(open.length).toBeLessThanOrEqual(Math.max(1, Math.floor(share * 4)));
          }
          before = breakers;
        });
      },
    ),
    { numRuns: 300 },
  );
});

describe('policy files', () => {
  test.each([
    ['Trip = true', 'Covers is missing'],
    ['Covers = true\nTrip = (1\nReset = false', 'bad.ad:'],
    [
      'Covers = true\nTrip = true\nReset = false\nMaxInput = 3',
      'unknown attribute MaxInput; did you mean "MaxInputMB"?',
    ],
    [
      'Covers = true\nTrip = true\nReset = false\nMinQuality = 2',
      'MinQuality: expected a number from 0 to 1',
    ],
    ['', 'expected one policy'],
  ])('%j', (text, message) => {
    expect(() => parsePolicy(text, 'bad.ad')).toThrow(message);
  });

  test('the shipped policies read, and each has a gap between trip and reset', () => {
    const policies = loadPolicies(resolve(import.meta.dirname, '../../../config/policies'));
    expect(policies.map(({ name }) => name)).toEqual(['bulk-input', 'dead-path', 'lossy-path']);
    for (const policy of policies) {
      for (const mbps of [0.5, 5, 50, 150, 5000]) {
        for (const loss of [0, 0.001, 0.01, 0.03, 0.2, 0.9]) {
          const judged: JudgedPath = {
            srcSite: 'A',
            dstSite: 'B',
            quality: 1,
            metrics: { throughputMbps: figures(mbps, 99), lossRate: figures(loss, 99) },
          };
          const quick = { ...policy, holdSeconds: 0, minOpenSeconds: 0 };
          const first = decide([judged], [quick], [], 1, T0).breakers;
          const second = decide([judged], [quick], first, 1, at(1)).breakers;
          // The same figures must not open and close in turn.
          expect(second[0]!.state, `${policy.name} ${mbps} ${loss}`).toBe(first[0]!.state);
        }
      }
    }
  });
});
