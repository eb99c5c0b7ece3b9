import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Hop } from '../../../src/domain.ts';
import { type RouteRun, routeHistory } from '../../../src/paths/route-history.ts';

const HOUR = 3_600_000;
/** A run at this hour; `*` is a silent hop, a final `!` says that the destination was not reached. */
const run = (hour: number, way: string): RouteRun => ({
  atMs: hour * HOUR,
  hops: hopsOf(way.replace('!', '')),
  isReached: !way.endsWith('!'),
});
const hopsOf = (way: string): Hop[] => [...way].map((place) => (place === '*' ? {} : { address: place }));
const wayOf = (hops: readonly Hop[]) => hops.map(({ address }) => address ?? '*').join('');
const historyOf = (ways: string[], stepHours = 1) =>
  routeHistory(ways.map((way, i) => run(i * stepHours, way)));
const changesOf = (ways: string[], stepHours = 1) =>
  historyOf(ways, stepHours).changes.map(({ atMs, before, after }) => [
    atMs / HOUR,
    wayOf(before),
    wayOf(after),
  ]);

describe('the history of a route', () => {
  it('dates a change, and says when the current way began', () => {
    expect(changesOf(['abz', 'abz', 'acz', 'acz'])).toEqual([[2, 'abz', 'acz']]);
    expect(historyOf(['abz', 'abz', 'acz', 'acz']).current).toEqual({
      sinceMs: 2 * HOUR,
      lastSeenMs: 3 * HOUR,
      hops: hopsOf('acz'),
    });
  });

  it('a hop that keeps silent changes nothing, and what other runs told of it is kept', () => {
    expect(changesOf(['abz', 'a*z', '*bz', 'abz'])).toEqual([]);
    expect(wayOf(historyOf(['a*z', '**z', 'abz', 'a*z']).current!.hops)).toBe('abz');
    // b and c are different routers, though the silent run between them fits both.
    expect(changesOf(['abz', 'a*z', 'acz'])).toEqual([[2, 'abz', 'acz']]);
  });

  it('packets that go this way and that in turn are balanced: no change, but returns', () => {
    const history = historyOf(['abz', 'acz', 'abz', 'acz']);
    expect([history.changes.length, history.returns]).toEqual([0, 3]);
    expect(history.current).toMatchObject({ sinceMs: HOUR, hops: hopsOf('acz') });
  });

  it('a change is one although others were none', () => {
    expect(changesOf(['abz', 'acz', 'abz', 'acz', 'adz', 'adz'])).toEqual([[4, 'acz', 'adz']]);
  });

  it('a way that comes back after more than a day is a change', () => {
    expect(changesOf(['abz', 'acz', 'abz'], 25)).toHaveLength(2);
    expect(changesOf(['abz', 'acz', 'abz'], 12)).toHaveLength(0);
  });

  it('runs that got nowhere change nothing and are counted, as those that met a router twice', () => {
    const history = historyOf(['abz', 'ab!', 'abab!', 'abz', 'aabz', 'aabz']);
    expect(history).toMatchObject({ runCount: 6, unreached: 2, looping: 1 });
    expect(history.changes.map(({ atMs }) => atMs / HOUR)).toEqual([4]);
    expect(historyOf(['a!', 'ab!'])).toEqual({
      runCount: 2,
      unreached: 2,
      looping: 0,
      changes: [],
      returns: 0,
    });
  });

  it('changes neither with runs that lost a hop’s answer nor with more runs of the same way', () => {
    const ways = fc.array(fc.constantFrom('abcz', 'adcz', 'abez'), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(ways, fc.integer({ min: 0, max: 2 }), (ways, silent) => {
        const doubled = ways.flatMap((way, i) => [run(i, way), run(i + 0.5, way.replace(way[silent]!, '*'))]);
        const plain = historyOf(ways);
        const other = routeHistory(doubled);
        expect(other.changes).toEqual(plain.changes);
        expect(other.returns).toBe(plain.returns);
        expect(wayOf(other.current!.hops)).toBe(ways.at(-1));
      }),
    );
  });
});
