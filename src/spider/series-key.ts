import type { Metric } from '../domain.ts';

/** Names a series within its archive: the key of the map of checkpoints. */
export function seriesKey(series: { metadataKey: string; metric: Metric }): string {
  return `${series.metadataKey}/${series.metric}`;
}
