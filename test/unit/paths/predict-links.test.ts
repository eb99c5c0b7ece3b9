import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Hop, type PathEstimate, pathName } from '../../../src/domain.ts';
import { hiddenPairs } from '../../../src/paths/backtest/hidden.ts';
import { LinkEffects } from '../../../src/paths/predict/link-effects.ts';
import { linksOf, linksOfPairs, type SiteRoute } from '../../../src/paths/predict/links.ts';
import { Predictor, predict } from '../../../src/paths/predict/predict.ts';
import { linksWorld } from '../../support/links-world.ts';

const NOW = new Date('2026-01-10T00:00:00Z');
const ALL = { predictPaths: 1_000_000 };
const hopsOf = (...addresses: readonly string[]): Hop[] => addresses.map((address) => ({ address }));

const links = fc
  .uniqueArray(fc.constantFrom('a>b', 'b>c', 'c>d', 'd>e', 'AS1>AS2'), { minLength: 1 })
  .map((names) => new Map(names.sort().map((name) => [name, 1])));
const residuals = fc
  .array(fc.record({ links, residual: fc.double({ min: -3, max: 3, noNaN: true }) }), { maxLength: 12 })
  .map((all) => all.map((each, i) => ({ ...each, pair: `P${i}` })));

describe('links of routes', () => {
  test('lead from router to router in one direction; silent hops are crossed by autonomous systems alone', () => {
    expect([...linksOf(hopsOf('a', 'b', 'c'))]).toEqual(['a>b', 'b>c']);
    expect(linksOf(hopsOf('c', 'b', 'a')).has('a>b')).toBe(false);
    const silent = [{ address: 'a', asn: 1 }, {}, { address: 'c', asn: 2 }, { name: 'd.example', asn: 2 }];
    expect([...linksOf(silent)]).toEqual(['AS1>AS2', 'c>d.example']);
  });

  test('of several routes count by their share; the order of routes makes no difference', () => {
    const route = (...addresses: string[]): SiteRoute => ({
      srcSite: 'A',
      dstSite: 'B',
      hops: hopsOf(...addresses),
    });
    const routes = [route('a', 'b', 'd'), route('a', 'b', 'c'), { ...route('x', 'y'), dstSite: 'C' }];
    expect([...linksOfPairs(routes).get('A>B')!]).toEqual([
      ['a>b', 1],
      ['b>c', 0.5],
      ['b>d', 0.5],
    ]);
    expect([...linksOfPairs(routes.toReversed()).get('A>B')!]).toEqual([...linksOfPairs(routes).get('A>B')!]);
    expect(linksOfPairs([route('a')]).size).toBe(0);
  });
});

describe('what links are worth', () => {
  test('no shared link: nothing; the order of measured pairs makes no difference, to the last bit', () => {
    fc.assert(
      fc.property(residuals, links, fc.integer(), (known, asked, turn) => {
        const at = known.length === 0 ? 0 : Math.abs(turn) % known.length;
        const other = [...known.slice(at), ...known.slice(0, at)].toReversed();
        expect(new LinkEffects(other).correction(asked)).toBe(new LinkEffects(known).correction(asked));
        expect(new LinkEffects(known).correction(new Map([['elsewhere>x', 1]]))).toBeUndefined();
      }),
    );
  });

  test('a slow pair lowers others over a link of it, never by more than it is slow; the more so, the more they share', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 5, noNaN: true }), links, (slow, used) => {
        const effects = new LinkEffects([{ pair: 'slow', links: used, residual: -slow }]);
        const all = effects.correction(used)!;
        expect(all).toBeLessThan(0);
        expect(all).toBeGreaterThan(-slow);
        for (const [link, share] of used) {
          const one = effects.correction(new Map([[link, share]]))!;
          expect(one).toBeLessThan(0);
          expect(one).toBeGreaterThanOrEqual(all);
        }
      }),
    );
  });

  test('the link that only slow pairs share is to blame more than the one that usual pairs share with them', () => {
    const pair = (i: number, names: string[], residual: number) => ({
      pair: `P${i}`,
      links: new Map(names.map((name) => [name, 1])),
      residual,
    });
    const known = Array.from({ length: 8 }, (_, i) =>
      i % 2 === 0 ? pair(i, ['common', 'slow'], -2) : pair(i, ['common', 'fine'], 0),
    );
    const effects = new LinkEffects(known);
    const worth = (...names: string[]): number =>
      effects.correction(new Map(names.map((name) => [name, 1])))!;
    expect(worth('slow')).toBeLessThan(1.5 * worth('common'));
    expect(worth('common', 'slow')).toBeCloseTo(-2, 0);
    expect(worth('common', 'fine')).toBeCloseTo(0, 0);
  });
});

describe('predicted paths whose routes are known', () => {
  const world = linksWorld(
    { seed: 7, sites: 30, routers: 12, bottleneckShare: 0.15, measuredShare: 0.4 },
    NOW,
  );
  // Every fourth measured pair is hidden, its route is not.
  const visible = world.measured.filter((_, i) => i % 4 !== 0);
  const known = new Set(visible.map(pathName));
  const routesOfHidden = world.routes.filter((route) => !known.has(pathName(route)));
  const before = predict(visible, world.facts, ALL, NOW);
  const after = predict(visible, world.facts, ALL, NOW, world.routes);
  const byName = (paths: readonly PathEstimate[]) => new Map(paths.map((path) => [pathName(path), path]));

  test('pairs without a route, and all where no route is shared, stay as they were', () => {
    const traced = new Set(routesOfHidden.map(pathName));
    const isUntraced = (path: PathEstimate): boolean => !traced.has(pathName(path));
    expect(after.filter(isUntraced)).toEqual(before.filter(isUntraced));
    expect(before.filter(isUntraced).length).toBeGreaterThan(100);
    expect(after).not.toEqual(before);
    const apart = world.routes.map((route, i) => ({
      ...route,
      hops: route.hops.map(({ address }) => (address === undefined ? {} : { address: `${i}-${address}` })),
    }));
    expect(predict(visible, world.facts, ALL, NOW, apart)).toEqual(before);
    expect(predict(visible, world.facts, ALL, NOW, routesOfHidden)).toEqual(before);
  });

  test('the order of routes makes no difference', () => {
    expect(predict(visible, world.facts, ALL, NOW, world.routes.toReversed())).toEqual(after);
  });

  test('are not measured, have no better quality than without, and an interval around them', () => {
    const earlier = byName(before);
    for (const path of after) {
      expect(path).toMatchObject({ measured: false, sampleCount: 0 });
      expect(path.quality).toBe(earlier.get(pathName(path))!.quality);
      expect(path.quality).toBeLessThanOrEqual(0.1);
      const { centre, p10, p90, method } = path.metrics.throughputMbps!;
      // A usual measured path's own interval is the least.
      expect(p10 / centre).toBeLessThanOrEqual(0.8 + 1e-9);
      expect(p90 / centre).toBeGreaterThanOrEqual(1.1 - 1e-9);
      if (method?.endsWith('shared links')) expect(known.has(pathName(path))).toBe(false);
    }
  });

  test('a bottleneck lowers the prediction of a pair whose trace goes over it', () => {
    // Between any two sites there are two ways; those over x>y are slow, and nothing of the sites says which.
    const sites = Array.from({ length: 16 }, (_, i) => `S${i}`);
    const isSlow = (a: number, b: number): boolean => (a * 7 + b * 11 + ((a * b) % 5)) % 4 === 0;
    const paths: PathEstimate[] = [];
    const routes: SiteRoute[] = [];
    for (const [a, srcSite] of sites.entries())
      for (const [b, dstSite] of sites.entries()) {
        if (a === b) continue;
        const middle = isSlow(a, b) ? ['x', 'y'] : ['v', 'w'];
        routes.push({ srcSite, dstSite, hops: hopsOf(`out-${a}`, ...middle, `in-${b}`) });
        if ((a + 3 * b) % 5 === 0) continue;
        const centre = isSlow(a, b) ? 300 : 9000;
        const loss = isSlow(a, b) ? 0.01 : 0.00001;
        const counts = { sampleCount: 60, seriesCount: 1 };
        const metrics = {
          throughputMbps: { centre, p10: 0.8 * centre, p90: 1.1 * centre, ...counts },
          lossRate: { centre: loss, p10: loss, p90: loss, ...counts },
        };
        paths.push({
          ...{ srcSite, dstSite, metrics, quality: 0.8, sampleCount: 60, measured: true },
          ...{ lastMeasured: NOW, estimatedAt: NOW },
        });
      }
    const without = byName(predict(paths, [], ALL, NOW));
    const told = predict(paths, [], ALL, NOW, routes);
    const slow = told.filter(({ srcSite, dstSite }) => isSlow(+srcSite.slice(1), +dstSite.slice(1)));
    expect(slow.length).toBeGreaterThan(5);
    for (const path of told) {
      const { centre } = path.metrics.throughputMbps!;
      const earlier = without.get(pathName(path))!.metrics.throughputMbps!.centre;
      if (slow.includes(path)) expect(centre).toBeLessThan(earlier);
      expect(centre < 1500).toBe(slow.includes(path));
      expect(path.metrics.lossRate!.centre > 0.001).toBe(slow.includes(path));
    }
  });

  test('too few of them kept aside: none is corrected', () => {
    const some = world.routes.filter(({ srcSite }) => srcSite === 'S003');
    const predictor = new Predictor(visible, world.facts, NOW, some);
    const plain = new Predictor(visible, world.facts, NOW);
    for (const { srcSite, dstSite } of some)
      expect(predictor.path(srcSite, dstSite)).toEqual(plain.path(srcSite, dstSite));
  });
});

test('hidden pairs of small generated worlds with bottlenecks are told better with traces', () => {
  const figures = [101, 102, 103].map((seed) => {
    const options = { seed, sites: 60, routers: 20, bottleneckShare: 0.12, measuredShare: 0.15 };
    const { measured, facts, routes } = linksWorld(options, NOW);
    return {
      without: hiddenPairs(measured, facts, NOW)!,
      traced: hiddenPairs(measured, facts, NOW, 0, routes)!,
    };
  });
  const sum = (of: 'without' | 'traced', figure: 'auc' | 'medianPercent' | 'p75Percent'): number =>
    figures.reduce((total, each) => total + each[of][figure], 0);
  expect(sum('traced', 'medianPercent')).toBeLessThan(sum('without', 'medianPercent'));
  expect(sum('traced', 'p75Percent')).toBeLessThan(sum('without', 'p75Percent'));
  expect(sum('traced', 'auc')).toBeGreaterThan(sum('without', 'auc'));
});

test('generated worlds without bottlenecks: traces do no harm', () => {
  for (const seed of [101, 102, 103]) {
    const world = linksWorld({ seed, sites: 60, routers: 20, bottleneckShare: 0, measuredShare: 0.35 }, NOW);
    const without = hiddenPairs(world.measured, world.facts, NOW)!;
    const traced = hiddenPairs(world.measured, world.facts, NOW, 0, world.routes)!;
    expect(traced.medianPercent).toBeLessThan(without.medianPercent * 1.1);
  }
});
