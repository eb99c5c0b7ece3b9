import { describe, expect, test } from 'vitest';
import { review } from '../../../../src/paths/review/review.ts';
import { NOTHING_KNOWN, type ReviewInput } from '../../../../src/paths/review/types.ts';
import { columns, HOUR_MS, MINUTE_MS, many, NOW, noisy, path, series } from './series.ts';

const look = (paths: ReviewInput[], context = NOTHING_KNOWN) =>
  review(paths, context, { staleHours: 48 }, NOW);
const values = (paths: ReviewInput[], context = NOTHING_KNOWN) =>
  look(paths, context).map(({ input }) => input.series.map((one) => [...one.values]));

test('nothing is said of what is as it should be, and its samples are not even copied', () => {
  const given = path(series('lossRate', 'a>b', many(0)), series('throughputMbps', 'a>b', many(900, 10)));
  const [found] = look([given]);
  expect(found).toMatchObject({ excluded: {}, notes: [] });
  expect(found!.input.series[0]!.values).toBe(given.series[0]!.values);
});

describe('duplicates', () => {
  const one = columns(noisy(900, 20), 6 * HOUR_MS);
  const central = { archiveKey: 'central' };

  test('of two archives that hold the same runs, one counts', () => {
    const [first, second] = [
      series('throughputMbps', 'a>b', one),
      series('throughputMbps', 'a>b', one, central),
    ];
    const [found] = look([path(first, second)]);
    expect(found!.input.series.map(({ id }) => id)).toEqual([first.id]);
    expect(found!.excluded).toEqual({ duplicate: 20 });
    expect(found!.notes).toEqual([{ id: second.id, excluded: { duplicate: 20 }, duplicateOf: first.id }]);
  });

  test('runs that only the other archive has count, too', () => {
    const part = { atMs: one.atMs.slice(4), values: one.values.slice(4) };
    const [short, long] = [
      series('throughputMbps', 'a>b', part),
      series('throughputMbps', 'a>b', one, central),
    ];
    const [found] = look([path(short, long)]);
    expect(found!.excluded).toEqual({ duplicate: 16 });
    expect(found!.input.series.map(({ id }) => id)).toEqual([long.id]);
  });

  test('an aggregate has ms, no tool, and means of delays', () => {
    const delays = columns(noisy(20));
    const aggregated = { atMs: delays.atMs.map((at) => at + 400), values: delays.values.map((v) => v + 1.7) };
    const own = series('oneWayDelayMs', 'a>b', delays);
    const copy = series('oneWayDelayMs', 'a>b', aggregated, { archiveKey: 'aggregate:x', tool: 'unknown' });
    const [found] = look([path(copy, own)]);
    expect(found!.input.series.map(({ id }) => id)).toEqual([own.id]);
  });

  test('not: the other family, another tool, other values, other times, the same archive', () => {
    const later = { ...one, atMs: one.atMs.map((at) => at + 90_000) };
    const others = [
      series('throughputMbps', 'a>b', one, { ...central, ipVersion: 6 }),
      series('throughputMbps', 'a>b', one, { ...central, tool: 'pscheduler/nuttcp' }),
      series('throughputMbps', 'a>b', columns(noisy(500, 20), 6 * HOUR_MS), central),
      series('throughputMbps', 'a>b', later, central),
      series('throughputMbps', 'a>b', one),
    ];
    for (const other of others)
      expect(look([path(series('throughputMbps', 'a>b', one), other)])[0]!.excluded).toEqual({});
  });

  test('IPv4 and IPv6 of a pair are both kept', () => {
    const [found] = look([
      path(
        series('lossRate', 'a>b', many(0)),
        series('lossRate', 'a>b', many(0.02), { archiveKey: 'other', ipVersion: 6 }),
      ),
    ]);
    expect(found!.input.series.map(({ ipVersion }) => ipVersion)).toEqual([4, 6]);
  });
});

describe('stale series', () => {
  const old = (hours: number, intervalMs: number) =>
    columns(noisy(300, 12), intervalMs, NOW.getTime() - hours * HOUR_MS);

  test('one that missed ten of its runs gives way to those that go on', () => {
    const silent = series('rttMs', 'a>b', old(4, 5 * MINUTE_MS));
    const live = series('rttMs', 'a-2>b-2', noisy(20));
    const [found] = look([path(silent, live)]);
    expect(found!.excluded).toEqual({ stale: 12 });
    expect(found!.notes[0]).toMatchObject({ id: silent.id, staleIntervalMs: 5 * MINUTE_MS });
    expect(found!.input.series.map(({ id }) => id)).toEqual([live.id]);
  });

  test('alone it stays: then old is what is known', () => {
    expect(look([path(series('rttMs', 'a>b', old(4, 5 * MINUTE_MS)))])[0]!.excluded).toEqual({});
  });

  test('four hours are nothing to a test that is run every six', () => {
    const rare = series('throughputMbps', 'a>b', old(4, 6 * HOUR_MS));
    const often = series('throughputMbps', 'a-2>b-2', columns(noisy(300, 12), HOUR_MS));
    expect(look([path(rare, often)])[0]!.excluded).toEqual({});
  });
});

describe('clocks', () => {
  const clocks = (...entries: [string, number][]) => ({ ...NOTHING_KNOWN, clocks: new Map(entries) });

  test('a known offset is taken off both directions, and saves what was impossible', () => {
    const there = series('oneWayDelayMs', 'a>b', columns([]), { impossible: columns(noisy(20 - 30)) });
    const back = series('oneWayDelayMs', 'b>a', noisy(20 + 30));
    const [out, home] = look([path(there), path(back)], clocks(['b', -30]));
    expect(out!.input.series[0]!.values[0]).toBeCloseTo(20);
    expect(out!.notes).toEqual([{ id: there.id, excluded: {}, correctedMs: -30, regained: 120 }]);
    expect(home!.input.series[0]!.values[0]).toBeCloseTo(20);
  });

  test('hours in which the clock stood elsewhere do not count', () => {
    const stepped = [...noisy(20, 240), ...noisy(50, 480)];
    const [found] = look([path(series('oneWayDelayMs', 'a>b', stepped))], clocks(['b', 30]));
    expect(found!.excluded['clock-offset']).toBeGreaterThanOrEqual(200);
    const left = found!.input.series[0]!.values;
    expect(Math.min(...left)).toBeGreaterThan(19);
    expect(Math.max(...left)).toBeLessThan(22);
  });

  test('a pair alone cannot tell whose clock it is: where one direction is impossible, neither counts', () => {
    const there = series('oneWayDelayMs', 'a>b', columns([]), { impossible: columns(noisy(-10)) });
    const back = series('oneWayDelayMs', 'b>a', noisy(50));
    const other = series('oneWayDelayMs', 'b-2>a-2', noisy(21));
    const [, home] = look([path(there), path(back, other)]);
    expect(home!.excluded).toEqual({ 'clock-offset': 120 });
    expect(home!.input.series.map(({ id }) => id)).toEqual([other.id]);
  });

  test('an offset that leaves a direction impossible is not the whole truth: neither direction counts', () => {
    const there = series('oneWayDelayMs', 'a>b', columns([]), { impossible: columns(noisy(-50)) });
    const back = series('oneWayDelayMs', 'b>a', noisy(90));
    const [, home] = look([path(there), path(back)], clocks(['b', -30]));
    expect(home!.excluded).toEqual({ 'clock-offset': 120 });
  });

  test('a one-way delay above the round trip is impossible; below it, it may be uneven', () => {
    const way = (delay: number) => [
      path(series('oneWayDelayMs', 'a>b', noisy(delay)), series('rttMs', 'a>b', noisy(40))),
    ];
    expect(look(way(50))[0]!.excluded).toEqual({ 'clock-offset': 120 });
    expect(look(way(38))[0]!.excluded).toEqual({});
  });
});

describe('all packets lost', () => {
  const dead = [...many(0, 60), ...many(1, 30), ...many(0, 30)];
  const passing = (pair: string) =>
    series('throughputMbps', pair, columns([900], 1, NOW.getTime() - 45 * MINUTE_MS));

  test('stays a result where nothing says otherwise', () => {
    expect(look([path(series('lossRate', 'a>b', dead))])[0]!.excluded).toEqual({});
    // The way back is lost as well, but it was measured: the other host was up.
    const both = [path(series('lossRate', 'a>b', dead)), path(series('lossRate', 'b>a', dead))];
    expect(look(both).map(({ excluded }) => excluded)).toEqual([{}, {}]);
  });

  test('blocked: throughput of the same hosts passed meanwhile', () => {
    expect(look([path(series('lossRate', 'a>b', dead), passing('a>b'))])[0]!.excluded).toEqual({
      blocked: 30,
    });
  });

  test('host down: other hosts passed on the same path, or the way back brought nothing meanwhile', () => {
    expect(look([path(series('lossRate', 'a>b', dead), passing('a-2>b-2'))])[0]!.excluded).toEqual({
      'host-down': 30,
    });
    const back = columns(many(0, 120));
    const isGap = (at: number) => at > NOW.getTime() - 62 * MINUTE_MS && at < NOW.getTime() - 30 * MINUTE_MS;
    const gap = {
      atMs: back.atMs.filter((at) => !isGap(at)),
      values: back.values.filter((_, i) => !isGap(back.atMs[i]!)),
    };
    const both = [path(series('lossRate', 'a>b', dead)), path(series('lossRate', 'b>a', gap))];
    expect(look(both)[0]!.excluded).toEqual({ 'host-down': 30 });
  });

  test('what was found of the hosts decides first', () => {
    const lost = [path(series('lossRate', 'a>b', many(1)))];
    expect(look(lost, { ...NOTHING_KNOWN, blockedIn: new Set(['b']) })[0]!.excluded).toEqual({
      blocked: 120,
    });
    expect(look(lost, { ...NOTHING_KNOWN, blockedOut: new Set(['a']) })[0]!.excluded).toEqual({
      blocked: 120,
    });
    expect(look(lost, { ...NOTHING_KNOWN, stopped: new Set(['b']) })[0]!.excluded).toEqual({
      'host-down': 120,
    });
    expect(look(lost, { ...NOTHING_KNOWN, blockedIn: new Set(['a']) })[0]!.excluded).toEqual({});
  });
});

describe('outliers', () => {
  const found = (
    metric: 'oneWayDelayMs' | 'rttMs' | 'throughputMbps' | 'lossRate' | 'retransmits',
    all: number[],
  ) => {
    const left = values([path(series(metric, 'a>b', all))])[0]![0] ?? [];
    const missing = [...all];
    for (const value of left) missing.splice(missing.indexOf(value), 1);
    return missing;
  };

  test('a value that stands alone far from its neighbours', () => {
    expect(found('oneWayDelayMs', [20, 20.1, 20, 19.9, 20, 900, 20.1, 20, 20.2, 20])).toEqual([900]);
    expect(found('throughputMbps', [900, 910, 905, 920, 90_000, 915, 900])).toEqual([90_000]);
    expect(found('rttMs', [100, 100, 101, 99, 100, 1, 100, 100, 101, 99, 100])).toEqual([1]);
  });

  test('not: a lasting change of level, slow transfers, noise, a short series', () => {
    expect(found('throughputMbps', [900, 910, 905, 920, 9, 915, 900])).toEqual([]);
    for (const all of [
      [...many(10, 20), ...many(100, 20), ...many(10, 20)],
      [10, 25, 13, 40, 11, 31, 60, 12, 18, 22, 45, 10],
      [10, 10, 900, 10, 10],
    ])
      expect(found('rttMs', all)).toEqual([]);
  });

  test('not: peaks of loss and retransmits, which are results', () => {
    expect(found('lossRate', [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0])).toEqual([]);
    expect(found('retransmits', [0, 0, 0, 0, 0, 9e5, 0, 0, 0, 0, 0])).toEqual([]);
  });
});

test('unfit samples are counted for the estimate, copies are not', () => {
  const own = series('oneWayDelayMs', 'a>b', [...noisy(20, 20), 900, ...noisy(20, 20)], { leftOutCount: 3 });
  const copy = series('oneWayDelayMs', 'a>b', own, { archiveKey: 'central' });
  const [found] = look([path(own, copy)]);
  expect(found!.input.series).toHaveLength(1);
  expect(found!.input.series[0]!.leftOutCount).toBe(4);
});
