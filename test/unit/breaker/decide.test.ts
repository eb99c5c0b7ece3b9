import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decide } from '../../../src/breaker/decide.ts';
import { loadPolicies, type Policy, parsePolicy } from '../../../src/breaker/policy.ts';
import type { Breaker, Forcing } from '../../../src/domain.ts';
import { at, path, type Reading, T0 } from './support.ts';

const POLICY = parsePolicy(
  `Name = "slow"
Covers = SrcSite != "EXEMPT"
Trip = ThroughputMbps < 100
Reset = ThroughputMbps > 200
MinSamples = 3
MinQuality = 0.3
HoldSeconds = 60
MinOpenSeconds = 300
MaxOpenSeconds = 2000
DecaySeconds = 10000
GoodResults = 2
HalfOpenShare = 0.25
HalfOpenTurnSeconds = 60
HalfOpenProbe = true
MaxInputMB = 50
`,
  'slow.ad',
);
const ALL = { ofSite: 1, ofPool: 1 };

/** Runs one path through readings, `step` seconds apart, each measured at its own time; the breaker after each. */
function run(readings: Reading[], step = 30, forcings: Forcing[] = [], policy: Policy = POLICY): Breaker[] {
  let before: Breaker[] = [];
  return readings.map((reading, i) => {
    const now = at(i * step);
    const judged = path('A', 'B', { measuredAt: now, ...reading });
    before = decide([judged], [policy], before, ALL, now, forcings).breakers;
    return before[0]!;
  });
}
const states = (readings: Reading[], step = 30): string[] => run(readings, step).map(({ state }) => state);
const times = (count: number, reading: Reading): Reading[] => Array(count).fill(reading);

describe('one breaker', () => {
  test('trips when the condition has held, and withholds only while open', () => {
    const seen = run([{ mbps: 500 }, { mbps: 50 }, { mbps: 50 }, { mbps: 50 }]);
    expect(seen.map(({ state }) => state)).toEqual(['CLOSED', 'CLOSED', 'CLOSED', 'OPEN']);
    expect(seen.map(({ withholds }) => withholds)).toEqual([
      undefined,
      undefined,
      undefined,
      { maxInputMB: 50 },
    ]);
    expect(seen[3]!.reason).toContain('ThroughputMbps 50');
    expect(seen[3]!.since).toEqual(at(90));
    expect(seen[3]!.retryAt).toEqual(at(390));
  });

  test('a good reading in between starts the clock again', () => {
    expect(states([{ mbps: 50 }, { mbps: 500 }, { mbps: 50 }, { mbps: 50 }])).not.toContain('OPEN');
  });

  test('between the two thresholds nothing trips', () => {
    expect(states(times(20, { mbps: 150 }))).not.toContain('OPEN');
  });

  test('heals by half-open: only after its time, and by new good results', () => {
    const seen = states([...times(3, { mbps: 50 }), ...times(12, { mbps: 500 })]);
    // Opened at 60 s, so not before 360 s (reading 12); two results later it is closed.
    expect(seen.slice(2)).toEqual([...Array(10).fill('OPEN'), 'HALF_OPEN', 'HALF_OPEN', 'CLOSED']);
  });

  test('half-open: the same measurement seen again is no new result', () => {
    const readings = [
      ...times(3, { mbps: 50 }),
      ...times(30, { mbps: 500, measuredAt: at(100) }),
      { mbps: 500, measuredAt: at(2000) },
      { mbps: 500, measuredAt: at(2001) },
    ];
    expect(states(readings).slice(12)).toEqual([...Array(22).fill('HALF_OPEN'), 'CLOSED']);
  });

  test('half-open withholds all but the jobs whose turn it is, and each has its turn', () => {
    const seen = run([...times(3, { mbps: 50 }), ...times(20, { mbps: 500, measuredAt: T0 })]);
    const half = seen.filter(({ state }) => state === 'HALF_OPEN');
    expect(half.every(({ withholds }) => withholds?.maxInputMB === 50)).toBe(true);
    const turns = half.map(({ tickets }) => `${tickets!.from}-${tickets!.to}`);
    expect([...new Set(turns)]).toEqual(['0-25', '25-50', '50-75', '75-100']);
    expect(turns[8]).toBe('0-25');
  });

  test('bad again while half-open: open at once, and for longer', () => {
    const seen = run([...times(3, { mbps: 50 }), ...times(11, { mbps: 500 }), { mbps: 50 }]);
    expect(seen.at(-2)!.state).toBe('HALF_OPEN');
    expect(seen.at(-1)).toMatchObject({ state: 'OPEN', openings: 2, since: at(420), retryAt: at(1020) });
  });

  test('the back-off has a cap, and fades with time', () => {
    const often = { ...POLICY, holdSeconds: 0, minOpenSeconds: 300, goodResults: 1 };
    let before: Breaker[] = [];
    let seconds = 0;
    const turn = (mbps: number, later: number): Breaker => {
      seconds += later;
      const judged = path('A', 'B', { mbps, measuredAt: at(seconds) });
      before = decide([judged], [often], before, ALL, at(seconds)).breakers;
      return before[0]!;
    };
    const openFor = (): number => {
      const opened = turn(50, 1);
      expect(opened.state).toBe('OPEN');
      expect(turn(500, 2001).state).toBe('HALF_OPEN');
      expect(turn(500, 1).state).toBe('CLOSED');
      return (opened.retryAt!.getTime() - opened.since.getTime()) / 1000;
    };
    expect([openFor(), openFor(), openFor(), openFor(), openFor()]).toEqual([300, 600, 1200, 2000, 2000]);
    turn(500, 30_000);
    expect(openFor()).toBe(1200);
    turn(500, 100_000);
    expect(openFor()).toBe(300);
  });

  test('a path that stays between the thresholds is given a chance in the end', () => {
    const seen = states([...times(3, { mbps: 50 }), ...times(200, { mbps: 150, measuredAt: T0 })]);
    expect(seen.indexOf('HALF_OPEN') * 30).toBe(90 + POLICY.maxOpenSeconds - 20 + 20 + 10);
    expect(seen.at(-1)).toBe('CLOSED');
  });

  test.each([
    ['too few samples', { mbps: 50, samples: 2 }, 'fewer than 3 fresh samples'],
    ['poor quality', { mbps: 50, quality: 0.2 }, 'quality 0.2, 0.3 is needed'],
    ['nothing the policy asks for', { loss: 0 }, 'no fresh ThroughputMbps'],
    ['a prediction, however bad', { mbps: 0.1, measured: false }, 'nobody measured it'],
  ])('%s: UNKNOWN, also where it was open, and nothing is withheld', (_what, reading, reason) => {
    const seen = run([{ mbps: 50 }, { mbps: 50 }, { mbps: 50 }, reading]);
    expect(seen[2]!.state).toBe('OPEN');
    expect(seen[3]).toMatchObject({ state: 'UNKNOWN', openings: 1 });
    expect(seen[3]!.withholds).toBeUndefined();
    const fresh = decide([path('A', 'B', reading)], [POLICY], [], ALL, T0).breakers[0]!;
    expect(fresh.state).toBe('UNKNOWN');
    expect(fresh.reason).toContain(reason);
  });

  test('thin data of one metric does not speak for another', () => {
    const either = parsePolicy(
      'Covers = true\nTrip = LossRate > 0.5 =?= true || ThroughputMbps < 1 =?= true\nReset = false\nMaxJobs = 0',
      'either.ad',
    );
    const judged = path('A', 'B', { mbps: 0.5, loss: 0 });
    judged.metrics.throughputMbps!.sampleCount = 1;
    expect(decide([judged], [either], [], ALL, T0).breakers[0]!.state).toBe('CLOSED');
    judged.metrics.throughputMbps!.sampleCount = 3;
    expect(decide([judged], [either], [], ALL, T0).breakers[0]!.state).toBe('OPEN');
  });

  test('a policy that does not cover a path has no breaker for it', () => {
    expect(decide([path('EXEMPT', 'B', { mbps: 1 })], [POLICY], [], ALL, T0).breakers).toEqual([]);
  });

  test('transitions carry from, to and cause; what did not change is the same object', () => {
    const [, closed] = run(times(2, { mbps: 50 }));
    const made = decide([path('A', 'B', { mbps: 50 })], [POLICY], [closed!], ALL, at(60));
    expect(made.transitions).toEqual([
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
    expect(made.changed).toEqual(made.breakers);
    const again = decide([path('A', 'B', { mbps: 50 })], [POLICY], made.breakers, ALL, at(61));
    expect(again).toMatchObject({ changed: [], gone: [], transitions: [] });
    expect(again.breakers[0]).toBe(made.breakers[0]);
    const gone = decide([], [POLICY], made.breakers, ALL, at(62));
    expect(gone).toMatchObject({ breakers: [], gone: [{ policy: 'slow' }] });
  });

  test('half-open breakers ask for a test of the path where the policy says so', () => {
    const before = run([...times(3, { mbps: 50 }), ...times(10, { mbps: 500 })]).slice(-1);
    const judged = [path('A', 'B', { mbps: 500 })];
    expect(decide(judged, [POLICY], before, ALL, at(391)).probes).toHaveLength(1);
    const silent = { ...POLICY, halfOpenProbe: false };
    expect(decide(judged, [silent], before, ALL, at(391)).probes).toEqual([]);
  });
});

describe("a person's word", () => {
  const word = (state: Forcing['state'], seconds: number, more: Partial<Forcing> = {}): Forcing => ({
    srcSite: 'A',
    dstSite: 'B',
    state,
    owner: 'ann',
    reason: 'new switch',
    at: T0,
    until: at(seconds),
    ...more,
  });

  test('open: withholds until its time is over, then what is measured counts, from the beginning', () => {
    const seen = run(times(8, { mbps: 500 }), 30, [word('FORCED_OPEN', 100)]);
    expect(seen.map(({ state }) => state)).toEqual([
      ...Array(4).fill('FORCED_OPEN'),
      ...Array(4).fill('CLOSED'),
    ]);
    expect(seen[0]).toMatchObject({
      withholds: { maxInputMB: 50 },
      reason: expect.stringContaining('ann, until'),
    });
    const bad = run(times(8, { mbps: 5 }), 30, [word('FORCED_CLOSED', 100)]);
    expect(bad.map(({ state }) => state)).toEqual([
      ...Array(4).fill('FORCED_CLOSED'),
      'CLOSED',
      'CLOSED',
      'OPEN',
      'OPEN',
    ]);
  });

  test('of one policy, of a whole site, and the later of two', () => {
    const stateOf = (...words: Forcing[]): string => run([{ mbps: 500 }], 30, words)[0]!.state;
    expect(stateOf(word('FORCED_OPEN', 9, { policy: 'slow' }))).toBe('FORCED_OPEN');
    expect(stateOf(word('FORCED_OPEN', 9, { policy: 'other' }))).toBe('CLOSED');
    expect(stateOf(word('FORCED_OPEN', 9, { srcSite: '*' }))).toBe('FORCED_OPEN');
    expect(stateOf(word('FORCED_OPEN', 9, { dstSite: 'C' }))).toBe('CLOSED');
    const later = word('FORCED_CLOSED', 9, { at: at(-1) });
    expect(stateOf(word('FORCED_OPEN', 9, { at: at(-5) }), later)).toBe('FORCED_CLOSED');
  });

  test('holds where nothing is measured, and its end is told', () => {
    const forcing = word('FORCED_OPEN', 100, { dstSite: 'NOWHERE' });
    const first = decide([], [POLICY], [], ALL, T0, [forcing]);
    expect(first.breakers).toMatchObject([
      { policy: 'by-hand', state: 'FORCED_OPEN', withholds: { maxInputMB: 0 } },
    ]);
    expect(first.transitions).toMatchObject([{ from: 'CLOSED', to: 'FORCED_OPEN' }]);
    const same = decide([], [POLICY], first.breakers, ALL, at(50), [forcing]);
    expect(same).toMatchObject({ transitions: [], changed: [] });
    const last = decide([], [POLICY], same.breakers, ALL, at(100), [forcing]);
    expect(last.breakers).toEqual([]);
    expect(last.transitions).toMatchObject([{ from: 'FORCED_OPEN', to: 'CLOSED' }]);
    expect(last.gone).toHaveLength(1);
  });
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
    ['Covers = true\nTrip = true\nReset = false', 'it withholds nothing'],
    [
      'Covers = true\nTrip = true\nReset = false\nMaxJobs = 1\nMinOpenSeconds = 900\nMaxOpenSeconds = 60',
      'MaxOpenSeconds: expected a number from 900',
    ],
    ['', 'expected one policy'],
  ])('%j', (text, message) => {
    expect(() => parsePolicy(text, 'bad.ad')).toThrow(message);
  });

  test('the shipped policies read, and each has a gap between trip and reset', () => {
    const policies = loadPolicies(resolve(import.meta.dirname, '../../../config/policies'));
    expect(policies.map(({ name }) => name)).toEqual(['bulk-input', 'dead-path', 'lossy-path']);
    for (const policy of policies) {
      const quick = { ...policy, holdSeconds: 0, minOpenSeconds: 0, goodResults: 1 };
      for (const mbps of [undefined, 0.5, 5, 50, 150, 5000]) {
        for (const loss of [undefined, 0, 0.001, 0.01, 0.03, 0.2, 0.9]) {
          let before: Breaker[] = [];
          for (let turn = 0; turn < 3; turn++) {
            const judged = path('A', 'B', { mbps, loss, samples: 99, quality: 1, measuredAt: at(turn) });
            const { breakers, transitions } = decide([judged], [quick], before, ALL, at(turn));
            // The same figures must not open and close in turn.
            if (turn > 0) expect(transitions, `${policy.name} ${mbps} ${loss}`).toEqual([]);
            before = breakers;
          }
        }
      }
    }
  });
});
