import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backtestText } from '../../../src/cli/backtest.ts';
import { parseConfig } from '../../../src/config.ts';
import { isMeasured, type Sample, type SeriesRead } from '../../../src/domain.ts';
import { inColumns } from '../../../src/judged.ts';
import { ForecastBacktest } from '../../../src/paths/backtest/forecasts.ts';
import { groupByPath } from '../../../src/paths/pairs.ts';
import { locatedSeries } from '../../../src/sites/subjects.ts';
import { backtestEstimates } from '../../../src/steps/backtest.ts';
import { estimatePaths } from '../../../src/steps/estimate.ts';
import { openStore, type Store } from '../../../src/store/store.ts';
import { pathsWorld } from '../../../testbed/paths-world.ts';
import { pathInput } from '../../support/paths-world.ts';

const END = new Date('2026-01-10T00:00:00Z');
const world = pathsWorld({ seed: 3, sites: 12, pairs: 70, days: 20, end: END });
const { config } = parseConfig('', '/nowhere/lark.yaml', {});

describe('stored history', () => {
  let folder: string;
  let store: Store;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lark-backtest-'));
    store = await openStore({ directory: join(folder, 'store') });
    const archive = { key: 'archive', urls: ['http://archive.example/'], sources: [] };
    await store.saveDiscovery({ hosts: [], archives: [archive], expected: [], sources: [] }, END);
    const reads: SeriesRead<Sample>[] = world.pairs.flatMap((pair, p) =>
      pathInput(pair, ['throughputMbps']).series.map(
        ({ source, destination, tool, ipVersion, atMs, values }, i) => ({
          series: {
            archiveKey: 'archive',
            metadataKey: `${p}-${i}`,
            metric: 'throughputMbps' as const,
            source: `${source}.example`.toLowerCase(),
            destination: `${destination}.example`.toLowerCase(),
            tool: `${tool}-${i}`,
            ...(ipVersion && { ipVersion }),
            eventType: 'throughput',
          },
          samples: [...values].map((value, k) => ({
            at: new Date(atMs[k]!),
            value,
            verdict: 'good' as const,
          })),
          checkpoint: END,
        }),
      ),
    );
    await store.saveReads(reads.map(inColumns), END);
    await store.saveAssignments(
      world.sites.map(({ name }) => ({
        subject: `${name}.example`.toLowerCase(),
        site: name,
        evidence: 'the world says so',
        confidence: 1,
      })),
      [],
      END,
    );
  }, 60_000);

  afterAll(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('is judged as the same series are out of memory', async () => {
    const result = await backtestEstimates(store, config, { to: END });
    const inMemory = new ForecastBacktest('throughputMbps');
    for (const pair of world.pairs) {
      const { series } = pathInput(pair, ['throughputMbps']);
      inMemory.path(
        // The store knows one host at each end of these, and tells series apart by their tool.
        series.map((one, i) => ({ ...one, pair: 'one', tool: `${one.tool}-${i}` })),
      );
    }
    const expected = inMemory.figures();
    const [found] = result.forecasts;
    expect(found!.forecasts).toBe(expected.forecasts);
    expect(found!.mixture.medianPercent).toBeCloseTo(expected.mixture.medianPercent, 1);
    expect(found!.interval.within).toBeCloseTo(expected.interval.within, 2);
    expect(result.hidden!.hidden).toBeGreaterThan(3);
    expect(backtestText(result)).toMatch(/mixture +[\d.]+ +[\d.]+/);
  });

  test('from and to: what is before is learnt from, what is after is not seen', async () => {
    const from = new Date('2026-01-05T00:00:00Z');
    const to = new Date('2026-01-08T00:00:00Z');
    const [few] = (await backtestEstimates(store, config, { from, to })).forecasts;
    const between = world.pairs
      .flatMap((pair) => pathInput(pair, ['throughputMbps']).series)
      .flatMap(({ atMs }) => [...atMs])
      .filter((at) => at >= from.getTime() && at < to.getTime()).length;
    expect(few!.forecasts).toBe(between);
  });

  test('a cycle stores predictions beside estimates, and keeps them until they are an hour old', async () => {
    const series = (await store.series()).filter(isMeasured);
    const assignments = await store.assignments();
    const paths = groupByPath(locatedSeries(series, [], assignments));
    const located = { sites: await store.sites(), hosts: [], assignments, paths };
    const made = await estimatePaths(store, config.estimate, located, new Set(), END);
    const predicted = made.filter(({ measured }) => !measured);
    expect(made.length - predicted.length).toBeGreaterThan(50);
    expect(predicted.length).toBeGreaterThan(20);
    const stored = await store.estimates();
    expect(stored).toEqual(made);
    const soon = await estimatePaths(
      store,
      config.estimate,
      located,
      new Set(),
      new Date(END.getTime() + 60_000),
    );
    expect(soon.filter(({ measured }) => !measured)).toEqual(predicted);
    const later = new Date(END.getTime() + 3_700_000);
    const again = await estimatePaths(store, config.estimate, located, new Set(), later);
    expect(again.find(({ measured }) => !measured)!.estimatedAt).toEqual(later);
    const none = await estimatePaths(
      store,
      { ...config.estimate, predictPaths: 0 },
      located,
      new Set(),
      later,
    );
    expect(none.every(({ measured }) => measured)).toBe(true);
    expect((await store.estimates()).length).toBe(none.length);
  });
});
