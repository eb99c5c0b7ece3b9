import { baseValue, eventTypesOf, statisticsValue, type View, visibleRuns } from './events.ts';
import type { Archive, Json } from './model.ts';

/**
 * The truth to check a harvester against: what a complete harvest of a window must have found. Written from the
 * model, not from what the servers answer; a test holds the two against each other.
 */

export interface BookPoint {
  /** Epoch seconds. */
  ts: number;
  value: Json;
}

export interface BookSeries {
  /** Key of the archive (its address). */
  archive: string;
  metadataKey: string;
  eventType: string;
  summary: 'base' | 'statistics/0';
  testType: string;
  /** The test was told at which rate to send. */
  udp: boolean;
  source: string;
  destination: string;
  sourceSite: string;
  destinationSite: string;
  unit: string;
  points: BookPoint[];
}

export interface BooksQuery {
  /** Both ends are inclusive, as the archives' own windows are. */
  from: Date;
  to: Date;
  /** Default: all. A window of a day over all event types of 2,400 hosts does not fit into memory. */
  eventTypes?: readonly string[];
  summaries?: readonly ('base' | 'statistics/0')[];
  /** Keys of archives; default: all. */
  archives?: readonly string[];
}

export interface Books {
  /** Series that have points in the window. */
  series: BookSeries[];
  totalPoints: number;
}

export function books(archives: Archive[], query: BooksQuery, view: View): Books {
  const from = Math.ceil(query.from.getTime() / 1000);
  const to = Math.floor(query.to.getTime() / 1000);
  const series: BookSeries[] = [];
  let totalPoints = 0;
  for (const archive of archives) {
    if (query.archives && !query.archives.includes(archive.key)) continue;
    for (const test of archive.tests.values()) {
      const found = [...visibleRuns(archive, test, from, to, view)];
      if (found.length === 0) continue;
      for (const type of eventTypesOf(test, archive.kind)) {
        if (query.eventTypes && !query.eventTypes.includes(type.name)) continue;
        for (const summary of ['base', 'statistics/0'] as const) {
          if (query.summaries && !query.summaries.includes(summary)) continue;
          const points: BookPoint[] = [];
          for (const run of found) {
            const value =
              summary === 'base'
                ? baseValue(archive, test, type.name, run)
                : statisticsValue(archive, test, type.name, run);
            if (value !== null) points.push({ ts: run.ts, value });
          }
          if (points.length === 0) continue;
          totalPoints += points.length;
          series.push({
            archive: archive.key,
            metadataKey: test.key,
            eventType: type.name,
            summary,
            testType: test.type,
            udp: test.udp,
            source: test.sourceAddress,
            destination: test.destinationAddress,
            sourceSite: test.source.site.name,
            destinationSite: test.destination.site.name,
            unit: type.unit,
            points,
          });
        }
      }
    }
  }
  return { series, totalPoints };
}
