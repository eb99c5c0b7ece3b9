import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config.ts';
import { type PathEstimate, pathName } from '../../../src/domain.ts';
import { hiddenPairs } from '../../../src/paths/backtest/hidden.ts';
import { predictions, siteRoutes } from '../../../src/steps/predict.ts';
import { openStore, type Store } from '../../../src/store/store.ts';
import { linksWorld } from '../../support/links-world.ts';

const NOW = new Date('2026-01-10T00:00:00Z');
const HOUR_MS = 3_600_000;

describe('traces in the store', () => {
  const world = linksWorld(
    { seed: 7, sites: 30, routers: 12, bottleneckShare: 0.15, measuredShare: 0.4 },
    NOW,
  );
  const { config } = parseConfig('', '/nowhere/lark.yaml', {});
  const host = (site: string): string => `${site}.example`.toLowerCase();
  const assignments = world.facts.map(({ name }) => ({
    subject: host(name),
    ...{ site: name, evidence: 'so', confidence: 1 },
  }));
  const places = { sites: [], hosts: [], assignments };
  let folder: string;
  let store: Store;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lark-links-'));
    store = await openStore({ directory: join(folder, 'store') });
    const archive = { key: 'archive', urls: ['http://archive.example/'], sources: [] };
    await store.saveDiscovery({ hosts: [], archives: [archive], expected: [], sources: [] }, NOW);
    const traceTest = (source: string, destination: string) => ({
      ...{ archiveKey: 'archive', metadataKey: `${source}>${destination}`, tool: 'traceroute' },
      ...{ source, destination },
    });
    const at = new Date(NOW.getTime() - HOUR_MS);
    await store.saveTraces(
      [
        ...world.routes.map(({ srcSite, dstSite, hops }) => ({
          test: traceTest(host(srcSite), host(dstSite)),
          runs: [{ at, route: { hops: [...hops], isReached: true } }],
          checkpoint: NOW,
        })),
        {
          test: { ...traceTest('s000.example', 's001.example'), metadataKey: 'not reached' },
          runs: [{ at, route: { hops: [{ address: '10.0.0.1' }], isReached: false } }],
          checkpoint: NOW,
        },
        {
          test: traceTest('s000.example', 'nowhere.example'),
          runs: [{ at, route: { hops: [{ address: '10.0.0.1' }], isReached: true } }],
          checkpoint: NOW,
        },
      ],
      NOW,
    );
  }, 120_000);

  afterAll(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('are routes between sites where they got to the destination and are not stale', async () => {
    const found = await siteRoutes(store, places, 48, NOW);
    expect(found.map(pathName).sort()).toEqual(world.routes.map(pathName).sort());
    expect(await siteRoutes(store, places, 48, new Date(NOW.getTime() + 48 * HOUR_MS))).toEqual([]);
  });

  test('correct the predictions of a cycle while they are fresh', async () => {
    const measured = world.measured.filter((_, i) => i % 4 !== 0);
    const corrected = (paths: readonly PathEstimate[]): number =>
      paths.filter(({ metrics }) => metrics.throughputMbps?.method?.endsWith('shared links')).length;
    const { fresh } = await predictions(store, config.estimate, places, measured, [], NOW);
    expect(corrected(fresh)).toBeGreaterThan(20);
    const later = new Date(NOW.getTime() + 48 * HOUR_MS);
    const without = await predictions(store, config.estimate, places, measured, [], later);
    expect(without.fresh.length).toBe(fresh.length);
    expect(corrected(without.fresh)).toBe(0);
  });
});

/** Penalty and rounds were chosen by seeds 1 to 6; these were first looked at when all was chosen. */
const KEPT_FOR_THE_END = [101, 102, 103, 104, 105, 106];

describe.each([
  { bottleneckShare: 0.06, measuredShare: 0.15 },
  { bottleneckShare: 0.12, measuredShare: 0.15 },
  { bottleneckShare: 0.06, measuredShare: 0.35 },
  { bottleneckShare: 0.12, measuredShare: 0.35 },
])(
  'worlds with $bottleneckShare of the links as bottlenecks, $measuredShare of the pairs measured',
  (shares) => {
    test('hidden pairs are told better with traces, each fifth in turn', () => {
      const figures = KEPT_FOR_THE_END.flatMap((seed) => {
        const { measured, facts, routes } = linksWorld({ seed, sites: 60, routers: 20, ...shares }, NOW);
        return [0, 1, 2, 3, 4].map((turn) => ({
          without: hiddenPairs(measured, facts, NOW, turn)!,
          traced: hiddenPairs(measured, facts, NOW, turn, routes)!,
        }));
      });
      const mean = (
        kind: 'without' | 'traced',
        figure: 'auc' | 'medianPercent' | 'p75Percent' | 'within',
      ): number => {
        // A turn without bad pairs has no AUC.
        const values = figures.map((each) => each[kind][figure]).filter((value) => !Number.isNaN(value));
        return values.reduce((sum, value) => sum + value, 0) / values.length;
      };
      for (const kind of ['without', 'traced'] as const)
        process.stdout.write(
          `${JSON.stringify(shares)} ${kind}: AUC ${mean(kind, 'auc').toFixed(3)}, median ${mean(kind, 'medianPercent').toFixed(1)} %, ` +
            `P75 ${mean(kind, 'p75Percent').toFixed(1)} %, in the interval ${mean(kind, 'within').toFixed(2)}\n`,
        );
      expect(mean('traced', 'medianPercent')).toBeLessThan(mean('without', 'medianPercent'));
      expect(mean('traced', 'p75Percent')).toBeLessThan(mean('without', 'p75Percent'));
      expect(mean('traced', 'auc')).toBeGreaterThan(mean('without', 'auc') + 0.05);
      expect(mean('traced', 'within')).toBeGreaterThan(0.78);
    }, 120_000);
  },
);
