import { METRICS, type Metric } from '../domain.ts';

/** A series with the sites of its two ends. */
export interface LocatedSeries {
  id: number;
  metric: Metric;
  srcSite: string;
  dstSite: string;
}

export interface PathSeries {
  srcSite: string;
  dstSite: string;
  series: { id: number; metric: Metric }[];
}

/**
 * Groups series by directed pair of sites, metrics in their fixed order. Series within one site tell nothing of a
 * path between sites and are left out.
 */
export function groupByPath(located: Iterable<LocatedSeries>): PathSeries[] {
  const paths = new Map<string, PathSeries>();
  for (const { id, metric, srcSite, dstSite } of located) {
    if (srcSite === dstSite) continue;
    const key = `${srcSite}>${dstSite}`;
    const path = paths.get(key) ?? { srcSite, dstSite, series: [] };
    paths.set(key, path);
    path.series.push({ id, metric });
  }
  for (const path of paths.values()) {
    path.series.sort((a, b) => METRICS.indexOf(a.metric) - METRICS.indexOf(b.metric) || a.id - b.id);
  }
  return [...paths.values()];
}
