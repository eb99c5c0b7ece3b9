import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PairSummary } from '../../../../src/domain.ts';
import { hostClocks } from '../../../../src/paths/review/host-clocks.ts';
import { changedHosts, hostContext, hostFindings } from '../../../../src/paths/review/host-findings.ts';
import { NOTHING_KNOWN } from '../../../../src/paths/review/types.ts';
import { HOUR_MS, NOW } from './series.ts';

const newestMs = NOW.getTime() - 60_000;
const table = (pairs: readonly PairSummary[]) => new Map(pairs.map((each) => [each.pair, each]));

/** Every host with every other: delays by distance, uneven by up to a tenth of the round trip, and by their clocks. */
function mesh(clocksMs: readonly number[], uneven = (_a: number, _b: number) => 0): Map<string, PairSummary> {
  const pairs: PairSummary[] = [];
  for (const a of clocksMs.keys()) {
    for (const b of clocksMs.keys()) {
      if (a === b) continue;
      const oneWayMs = 2 + 7 * Math.abs(a - b);
      const floorMs = oneWayMs * (1 + 0.15 * uneven(a, b)) + clocksMs[b]! - clocksMs[a]!;
      pairs.push({ pair: `h${a}>h${b}`, newestMs, delays: [{ family: 4, floorMs, newestMs }] });
    }
  }
  return table(pairs);
}

describe('clocks', () => {
  test('right ones are not suspected, however uneven the routes', () => {
    const unevenness = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), {
      minLength: 64,
      maxLength: 64,
    });
    fc.assert(
      fc.property(unevenness, (draws) => {
        expect(hostClocks(mesh(Array<number>(8).fill(0), (a, b) => draws[8 * a + b]!)).size).toBe(0);
      }),
    );
  });

  test('wrong ones are found, and by how much, though a third of all are wrong', () => {
    const wrong = [0, 0, 35, 0, -60, 0, 0, 900, 0, 0];
    const found = hostClocks(mesh(wrong, (a, b) => Math.sin(7 * a + b)));
    expect([...found.keys()].sort()).toEqual(['h2', 'h4', 'h7']);
    for (const [host, { offsetMs }] of found) expect(offsetMs).toBeCloseTo(wrong[Number(host.slice(1))]!, -1);
  });

  test('two hosts cannot tell whose clock it is', () => {
    expect(hostClocks(mesh([0, 50])).size).toBe(0);
  });

  test('directions that were measured at other times, or whose sum is no round trip, say nothing', () => {
    const late = mesh([0, 0, 0, 0, 50]);
    for (const [pair, each] of late) if (pair < 'h3') each.delays![0]!.newestMs -= 7 * HOUR_MS;
    expect(hostClocks(late).size).toBe(0);
    const moved = mesh([0, 0, 0, 0, 50]);
    for (const each of moved.values()) each.rttFloorMs = 500;
    expect(hostClocks(moved).size).toBe(0);
  });

  test('the finding has the numbers', () => {
    const [finding] = hostFindings(mesh([0, 0, 0, 0, -60]), new Map(), 48, NOW);
    expect(finding).toMatchObject({ host: 'h4', kind: 'clock-off', offsetMs: -60 });
    expect(finding!.evidence).toContain('60.0 ms behind');
    expect(finding!.evidence).toContain('4 of 4');
  });
});

describe('firewalls', () => {
  const losses = (isLost: (source: number, destination: number) => boolean, hosts = 5) =>
    table(
      Array.from({ length: hosts * hosts }, (_, i): [number, number] => [Math.floor(i / hosts), i % hosts])
        .filter(([a, b]) => a !== b)
        .map(([a, b]) => ({
          pair: `h${a}>h${b}`,
          newestMs,
          loss: { samples: 60, allLost: isLost(a, b) ? 60 : 0, newestMs },
        })),
    );
  const found = (summaries: Map<string, PairSummary>) =>
    hostFindings(summaries, new Map(), 48, NOW).map(({ host, kind, direction }) => [host, kind, direction]);

  test('a host to which, or from which, every packet is lost while the others get through', () => {
    expect(found(losses((_, b) => b === 2))).toEqual([['h2', 'firewall', 'in']]);
    expect(found(losses((a) => a === 2))).toEqual([['h2', 'firewall', 'out']]);
    expect(found(losses((a, b) => a === 2 || b === 2))).toEqual([
      ['h2', 'firewall', 'in'],
      ['h2', 'firewall', 'out'],
    ]);
  });

  test('not: one dead path, too few partners, partners that reach nobody, tests of long ago, half of the packets', () => {
    expect(found(losses((a, b) => a === 1 && b === 2))).toEqual([]);
    expect(found(losses((_, b) => b === 2, 3))).toEqual([]);
    expect(found(losses(() => true))).toEqual([]);
    const old = losses((_, b) => b === 2);
    for (const { loss } of old.values()) loss!.newestMs -= 7 * HOUR_MS;
    expect(found(old)).toEqual([]);
    const half = losses((_, b) => b === 2);
    for (const { loss } of half.values()) loss!.allLost /= 2;
    expect(found(half)).toEqual([]);
  });
});

describe('stopped', () => {
  const summaries = table([{ pair: 'h1>h2', newestMs: newestMs - 5 * HOUR_MS, intervalMs: 60_000 }]);
  const silentFor = (hours: number, readHoursAgo = 0, of = summaries) => {
    const activity = {
      lastSampleMs: NOW.getTime() - hours * HOUR_MS,
      readToMs: NOW.getTime() - readHoursAgo * HOUR_MS,
    };
    return hostFindings(of, new Map([['h1', activity]]), 48, NOW).map(({ kind }) => kind);
  };

  test('it was active, its archive was read since, and nothing came', () => {
    expect(silentFor(5)).toEqual(['stopped']);
    expect(silentFor(1)).toEqual([]);
  });

  test('not: an archive that nobody could read, tests that are rare, a host that is long gone', () => {
    expect(silentFor(5, 4.5)).toEqual([]);
    expect(silentFor(5, 0, table([{ pair: 'h1>h2', newestMs, intervalMs: 6 * HOUR_MS }]))).toEqual([]);
    expect(silentFor(24 * 30)).toEqual([]);
  });
});

test('what changed is told by host; a clock that moved by a hair has not', () => {
  const context = { ...NOTHING_KNOWN, clocks: new Map([['a', 50]]), stopped: new Set(['b']) };
  const later = { ...NOTHING_KNOWN, clocks: new Map([['a', 50.2]]), blockedIn: new Set(['c']) };
  expect([...changedHosts(context, later)].sort()).toEqual(['b', 'c']);
  expect(changedHosts(context, context).size).toBe(0);
  expect(hostContext([])).toEqual(NOTHING_KNOWN);
});
