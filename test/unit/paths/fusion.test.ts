import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { estimate, freshMetrics, type SeriesSamples } from '../../../src/paths/estimate.ts';
import { type Belief, type EvidenceStream, fuse } from '../../../src/paths/evidence.ts';
import { transferEvidence } from '../../../src/paths/fusion.ts';
import { carriedWindows, type MovedFiles } from '../../../src/paths/fusion-windows.ts';
import { normalNumbers, uniformNumbers } from '../../../testbed/random.ts';

const HOUR_MS = 3_600_000;
const NOW = new Date('2026-07-20T12:00:00Z');
const OPTIONS = { staleHours: 48 };

const file = (startSeconds: number, seconds: number, mbps: number): MovedFiles => ({
  ...{ startMs: startSeconds * 1000, endMs: (startSeconds + seconds) * 1000, mbps },
});

describe('what the path carried', () => {
  test('transfers at the same time are added up, pauses do not count', () => {
    const [window, ...others] = carriedWindows([file(0, 20, 40), file(10, 10, 60), file(100, 10, 60)]);
    expect(others).toEqual([]);
    expect(window).toMatchObject({ atMs: 110_000, mbps: 2000 / 30, busySeconds: 30, stretches: 2 });
  });

  test('one that stood still does not hide what another one got', () => {
    const [window] = carriedWindows([file(0, 9, 100), file(0, 30, 10)]);
    expect(window!.mbps).toBeCloseTo(90);
    expect(window!.megabits).toBeCloseTo(1200);
  });

  test('what goes on for long is told every ten minutes', () => {
    const windows = carriedWindows([file(300, 1500, 10)]);
    expect(windows.map(({ atMs, mbps, busySeconds }) => [atMs / 1000, mbps, busySeconds])).toEqual([
      [600, 10, 300],
      [1200, 10, 600],
      [1800, 10, 600],
    ]);
  });

  test('short stretches and few bytes tell nothing', () => {
    expect(carriedWindows([file(0, 3, 1000)])).toEqual([]);
    expect(carriedWindows([file(0, 30, 1)])).toEqual([]);
    expect(carriedWindows([file(0, 3, 100), file(2, 3, 100)])).toMatchObject([{ mbps: 120 }]);
  });

  test('no order matters, and no bit is lost or doubled', () => {
    const files = fc.array(
      fc.tuple(fc.nat(3000), fc.integer({ min: 4, max: 1500 }), fc.integer({ min: 10, max: 1000 })),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(files, (some) => {
        const moved = some.map(([start, seconds, mbps]) => file(start, seconds, mbps));
        const windows = carriedWindows(moved);
        expect(carriedWindows(moved.toReversed()).map(({ atMs }) => atMs)).toEqual(
          windows.map(({ atMs }) => atMs),
        );
        const carried = windows.reduce((sum, { megabits }) => sum + megabits, 0);
        const sent = some.reduce((sum, [, seconds, mbps]) => sum + seconds * mbps, 0);
        expect(carried).toBeLessThanOrEqual(sent * 1.000001);
        // A window of little is left out: at most 40 Mb each, two for a transfer besides those within it.
        expect(carried).toBeGreaterThan(sent - 40 * 8 * some.length - 0.001);
      }),
    );
  });
});

/** Tests, an even value every `everyHours`, the newest `ageHours` ago. */
const tests = (count: number, value: (i: number) => number, ageHours = 1, everyHours = 6): SeriesSamples => ({
  ...{ id: 1, metric: 'throughputMbps', archiveKey: 'a', tool: 'iperf3', pair: 'x>y' },
  ...{ source: 'x', destination: 'y' },
  atMs: Float64Array.from(
    { length: count },
    (_, i) => NOW.getTime() - (ageHours + (count - 1 - i) * everyHours) * HOUR_MS,
  ),
  values: Float64Array.from({ length: count }, (_, i) => value(i)),
});
/** A minute of files each hour, the newest `ageHours` ago. */
const hourly = (count: number, mbps: (i: number) => number, ageHours = 1): MovedFiles[] =>
  Array.from({ length: count }, (_, i) => {
    const end = NOW.getTime() - (ageHours + count - 1 - i) * HOUR_MS;
    return { startMs: end - 60_000, endMs: end, mbps: mbps(i) };
  });
const path = (series: SeriesSamples[], moved: MovedFiles[] = []) => {
  const evidence = transferEvidence(moved, series);
  return estimate(
    [{ srcSite: 'A', dstSite: 'B', series, ...(evidence && { evidence: [evidence] }) }],
    OPTIONS,
    NOW,
  )[0]!;
};
const figures = (series: SeriesSamples[], moved: MovedFiles[] = []) =>
  path(series, moved).metrics.throughputMbps!;
const wobble = (level: number) => (i: number) => level * (1 + 0.02 * ((i * 7) % 5));

describe('transfers and tests together', () => {
  test('transfers alone are a measurement, of less quality than as many tests, and nothing a breaker judges by', () => {
    const moved = path([], hourly(30, wobble(400)));
    const tested = path([tests(30, wobble(400), 1, 1)]);
    expect(moved.measured).toBe(true);
    expect(moved.metrics.throughputMbps!.centre).toBeGreaterThan(390);
    expect(moved.metrics.throughputMbps!.centre).toBeLessThan(440);
    expect(moved.quality).toBeLessThan(tested.quality);
    expect(moved.quality).toBeGreaterThan(0);
    expect(freshMetrics(moved, OPTIONS, NOW)).toEqual({});
    expect(freshMetrics(path([tests(3, wobble(400))], hourly(3, wobble(400))), OPTIONS, NOW)).not.toEqual({});
  });

  test('fresh and plentiful tests decide, also where transfers are slower', () => {
    const found = figures([tests(60, wobble(1000))], hourly(200, wobble(600)));
    expect(found.centre).toBeGreaterThan(0.9 * 1040);
    expect(found.sources!.map(({ kind }) => kind)).toEqual(['tests', 'transfers']);
    expect(found.sources![0]!.share).toBeGreaterThan(0.5);
    expect(found.sources!.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  });

  test('how far transfers are below the tests is learnt: they tell where the path went since the last test', () => {
    // Side by side for ten days, the jobs at 60 %; then, four days without a test, the path fell to a half.
    const series = [tests(40, wobble(1000), 96)];
    const moved = hourly(330, (i) => (i < 240 ? 600 : 300));
    const found = figures(series, moved);
    expect(found.centre).toBeGreaterThan(400);
    expect(found.centre).toBeLessThan(700);
    expect(figures(series).centre).toBeGreaterThan(900);
    expect(found.sources![1]!.share).toBeGreaterThan(0.5);
  });

  test('old tests yield to fresh transfers, old transfers to fresh tests', () => {
    const oldTests = figures([tests(30, wobble(1000), 500)], hourly(30, wobble(300)));
    const oldTransfers = figures([tests(30, wobble(1000))], hourly(30, wobble(300), 500));
    expect(oldTests.sources![1]!.share).toBeGreaterThan(0.6);
    expect(oldTransfers.sources![1]!.share).toBeLessThan(0.2);
    expect(oldTests.centre).toBeLessThan(oldTransfers.centre);
  });

  test('hours in which jobs asked for little are no proof of a slow path', () => {
    const busy = figures(
      [],
      hourly(24, () => 800),
    ).centre;
    const mixed = figures(
      [],
      hourly(24, (i) => (i % 2 === 0 ? 800 : 100)),
    ).centre;
    expect(mixed).toBeGreaterThan(0.85 * busy);
  });

  test('evidence that agrees makes the forecast surer, and the interval no wider than the wider of the two', () => {
    const belief = fc.record({
      centre: fc.double({ min: -3, max: 9, noNaN: true }),
      variance: fc.double({ min: 1e-4, max: 1, noNaN: true }),
      below: fc.double({ min: -2, max: -0.01, noNaN: true }),
      above: fc.double({ min: 0.01, max: 2, noNaN: true }),
    });
    fc.assert(
      fc.property(belief, belief, fc.double({ min: -0.99, max: 0.99, noNaN: true }), (a, other, shift) => {
        const b: Belief = { ...other, centre: a.centre + shift * Math.sqrt(a.variance + other.variance) };
        const both = fuse(a, b);
        expect(both.variance).toBeLessThan(Math.min(a.variance, b.variance));
        expect(both.above - both.below).toBeLessThanOrEqual(
          Math.max(a.above, b.above) - Math.min(a.below, b.below) + 1e-9,
        );
      }),
    );
    const few = figures([tests(2, wobble(400))]);
    const more = figures([tests(2, wobble(400))], hourly(60, wobble(400)));
    expect(more.p90 - more.p10).toBeLessThan(few.p90 - few.p10);
  });
});

/**
 * Paths whose level drifts and jumps, tested a few times a day with days off, and used by jobs by the hour on some days:
 * slower than tests by an amount of each path's own, sometimes much slower.
 */
function world(seed: number) {
  const uniform = uniformNumbers(seed);
  const normal = normalNumbers(uniform);
  const everyHours = [6, 12, 24][Math.floor(uniform() * 3)]!;
  const hours = 30 * 24;
  let level = Math.log(200) + normal();
  const bias = -0.2 + 0.2 * normal();
  const truth: number[] = [];
  for (let hour = 0; hour < hours; hour++) {
    level += 0.02 * normal() + (uniform() < 1 / (10 * 24) ? 0.6 * normal() : 0);
    truth.push(level);
  }
  const from = NOW.getTime() - hours * HOUR_MS;
  const tested: [number, number][] = [];
  const moved: MovedFiles[] = [];
  for (let day = 0; day < 30; day++) {
    const isTested = uniform() > 0.3;
    const isUsed = uniform() > 0.3;
    for (let hour = day * 24; hour < day * 24 + 24; hour++) {
      const atMs = from + hour * HOUR_MS;
      if (isTested && hour % everyHours === 0)
        tested.push([atMs, Math.exp(truth[hour]! + 0.1 * normal() + (uniform() < 0.03 ? -2 : 0))]);
      if (!isUsed || uniform() < 0.5) continue;
      const slow = uniform() < 0.2 ? -uniform() : 0;
      moved.push({
        startMs: atMs,
        endMs: atMs + 30_000,
        mbps: Math.exp(truth[hour]! + bias + 0.15 * normal() + slow),
      });
    }
  }
  return { truth, tested, moved, from };
}

/** Seeds from 1 on were looked at while the rule was chosen, those from 101 on when it was. */
test.each([1, 101])('both together forecast better than either alone (seeds from %i on)', (firstSeed) => {
  const errors = {
    tests: [] as number[],
    transfers: [] as number[],
    corrected: [] as number[],
    both: [] as number[],
  };
  for (let seed = firstSeed; seed < firstSeed + 60; seed++) {
    const { truth, tested, moved, from } = world(seed);
    for (let day = 12; day < 30; day += 3) {
      const now = new Date(from + (day * 24 + 7) * HOUR_MS);
      const before = tested.filter(([atMs]) => atMs < now.getTime());
      const atMs = Float64Array.from(before, ([at]) => at);
      const values = Float64Array.from(before, ([, mbps]) => mbps);
      const series = [{ ...tests(0, () => 0), atMs, values }];
      const files = moved.filter(({ endMs }) => endMs < now.getTime());
      const actual = Math.exp(truth[day * 24 + 7]!);
      const error = (shown: SeriesSamples[], evidence: EvidenceStream | undefined): number => {
        const input = {
          srcSite: 'A',
          dstSite: 'B',
          series: shown,
          ...(evidence && { evidence: [evidence] }),
        };
        const { centre } = estimate([input], OPTIONS, now)[0]!.metrics.throughputMbps!;
        return Math.abs(centre - actual) / actual;
      };
      errors.tests.push(error(series, undefined));
      errors.transfers.push(error([], transferEvidence(files, [])));
      // Without the tests' own forecast, but with what they taught of the transfers.
      errors.corrected.push(error([], transferEvidence(files, series)));
      errors.both.push(error(series, transferEvidence(files, series)));
    }
  }
  const at = (share: number, all: number[]): number =>
    all.toSorted((a, b) => a - b)[Math.floor(share * all.length)]!;
  if (process.env.LARK_SHOW_FIGURES)
    console.log(Object.entries(errors).map(([name, all]) => [name, at(0.5, all), at(0.75, all)]));
  for (const share of [0.5, 0.75])
    for (const alone of [errors.tests, errors.transfers, errors.corrected])
      expect(at(share, errors.both)).toBeLessThan(at(share, alone));
});
