import { METRICS, type Metric } from '../domain.ts';
import type { TransferSeries } from './fusion-windows.ts';

/** What one series is of, as far as an estimate asks: which hosts were at its ends, and what told of it. */
export interface TestSeries {
  id: number;
  metric: Metric;
  archiveKey: string;
  tool: string;
  ipVersion?: 4 | 6;
  /** The ends as the archive reports them. */
  source: string;
  destination: string;
  /** `<source host>><destination host>`: the same over IPv4, IPv6 and all names of the two hosts. */
  pair: string;
  /** Its newest sample, whatever its verdict. */
  lastSampleAt?: Date;
}

/** A series with the sites of its two ends. */
export interface LocatedSeries extends TestSeries {
  srcSite: string;
  dstSite: string;
}

export interface PathSeries {
  srcSite: string;
  dstSite: string;
  series: TestSeries[];
  /** What the pool's own jobs moved over it. */
  transfers?: TransferSeries[];
}

/**
 * Groups series by directed pair of sites, metrics in their fixed order. Series within one site tell nothing of a
 * path between sites and are left out.
 */
export function groupByPath(located: Iterable<LocatedSeries>): PathSeries[] {
  const paths = new Map<string, PathSeries>();
  for (const one of located) {
    const { srcSite, dstSite } = one;
    if (srcSite === dstSite) continue;
    const key = `${srcSite}>${dstSite}`;
    const path = paths.get(key) ?? { srcSite, dstSite, series: [] };
    paths.set(key, path);
    path.series.push(testSeries(one));
  }
  for (const path of paths.values()) {
    path.series.sort((a, b) => METRICS.indexOf(a.metric) - METRICS.indexOf(b.metric) || a.id - b.id);
  }
  return [...paths.values()];
}

/** Nothing else of a stored series is kept in memory for the whole cycle. */
function testSeries({
  id,
  metric,
  archiveKey,
  tool,
  ipVersion,
  source,
  destination,
  pair,
  lastSampleAt,
}: TestSeries): TestSeries {
  return {
    ...{ id, metric, archiveKey, tool, source, destination, pair },
    ...(ipVersion && { ipVersion }),
    ...(lastSampleAt && { lastSampleAt }),
  };
}
