import type { Metric } from '../../src/domain.ts';
import type { PathInput, SeriesSamples } from '../../src/paths/estimate.ts';
import type { WorldPair, WorldSeries } from '../../testbed/paths-world.ts';

/** The generator's series as the estimator takes them. */
export function pathInput(pair: WorldPair, metrics: readonly Metric[], latencyDays = 1): PathInput {
  const read: Partial<Record<Metric, () => WorldSeries[]>> = {
    throughputMbps: () => pair.throughput(),
    lossRate: () => pair.loss(latencyDays),
    oneWayDelayMs: () => pair.delay(latencyDays),
  };
  const series = metrics.flatMap((metric) =>
    (read[metric]?.() ?? [])
      .filter(({ values }) => values.length > 0)
      .map(
        (one, i): SeriesSamples => ({
          id: i,
          metric,
          archiveKey: 'world',
          source: pair.src.name,
          destination: pair.dst.name,
          ...one,
        }),
      ),
  );
  return { srcSite: pair.src.name, dstSite: pair.dst.name, series };
}
