import type { Metric, Sample } from '../domain.ts';
import { endpointKeys, endpointSites } from '../sites/subjects.ts';
import { outliers } from '../spider/outliers.ts';
import { LISTED_MS } from '../steps.ts';
import type { Store, StoredExpectedTest, StoredSeries } from '../store/store.ts';
import type { QualityView } from './view-types.ts';

/** Samples are judged over this time: a day has all hours in it. */
const WINDOW_MS = 24 * 3_600_000;
/** So many series are looked into at once; a whole world is asked for by totals. */
const MOST_SERIES = 200;

/** Which tests: both ends, or all that touch one host or site. */
export interface QualityFilter {
  end?: string;
  source?: string;
  destination?: string;
}

/**
 * What the tests of each pScheduler type measure. Traces are not read yet, so their silence says nothing; a UDP
 * throughput test, whose result Lark leaves out, is told as silent.
 */
const MEASURES: Readonly<Record<string, readonly Metric[]>> = {
  throughput: ['throughputMbps'],
  latency: ['oneWayDelayMs', 'lossRate'],
  latencybg: ['oneWayDelayMs', 'lossRate'],
  rtt: ['rttMs'],
};

/**
 * How good the data of a host, a site or a pair is, and why: samples of the last day by verdict and reason, values
 * that stand alone, series that fell silent, and tests that a mesh asks for and nobody has results of. Without a
 * filter, the totals over everything that is kept, and the silent tests.
 */
export async function qualityView(store: Store, filter: QualityFilter, now: Date): Promise<QualityView> {
  const seen = { seenSince: new Date(now.getTime() - LISTED_MS) };
  const hosts = await store.hosts(seen);
  const siteOf = endpointSites(hosts, await store.assignments());
  const keyOf = endpointKeys(hosts);
  const named = (text: string, ids: readonly (string | undefined)[]): boolean =>
    ids.some(
      (id) => id !== undefined && (keyOf(id) === keyOf(text) || keyOf(id) === text || siteOf(id) === text),
    );
  const fits = (
    source: readonly (string | undefined)[],
    destination: readonly (string | undefined)[],
  ): boolean =>
    (filter.end === undefined || named(filter.end, source) || named(filter.end, destination)) &&
    (filter.source === undefined || named(filter.source, source)) &&
    (filter.destination === undefined || named(filter.destination, destination));

  const all = await store.series();
  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  const chosen = isFiltered
    ? all.filter((s) => fits([s.source, s.sourceName], [s.destination, s.destinationName]))
    : [];
  const since = new Date(now.getTime() - WINDOW_MS);
  const series: QualityView['series'] = [];
  for (const one of chosen.slice(0, MOST_SERIES)) {
    series.push(seriesQuality(one, await store.sampleRows({ seriesId: one.id, since }), since));
  }
  const silent = silentTests(await store.expectedTests(seen), all, since, keyOf).filter(
    (test) => !isFiltered || fits([test.source], [test.destination]),
  );
  const totals = (await store.sampleCounts()).byVerdict;
  return {
    totals: isFiltered ? [] : totals.map(({ reason, ...rest }) => ({ ...rest, reason: reason ?? null })),
    series,
    seriesLeftOut: Math.max(0, chosen.length - MOST_SERIES),
    silent: silent.map(({ source, destination, testType, template }) => ({
      source,
      destination,
      testType,
      template,
    })),
  };
}

function seriesQuality(
  series: StoredSeries,
  samples: readonly Sample[],
  since: Date,
): QualityView['series'][number] {
  const reasons = new Map<string, number>();
  for (const { verdict, reason } of samples) {
    if (verdict !== 'good') reasons.set(reason ?? verdict, (reasons.get(reason ?? verdict) ?? 0) + 1);
  }
  const good = samples.filter(({ verdict }) => verdict === 'good').length;
  return {
    source: series.sourceName ?? series.source,
    destination: series.destinationName ?? series.destination,
    metric: series.metric,
    tool: series.tool,
    archive: series.archiveKey,
    good,
    notGood: samples.length - good,
    reasons: Object.fromEntries([...reasons].sort(([, a], [, b]) => b - a)),
    outliers: outliers(series.metric, samples).length,
    lastSample: series.lastSampleAt?.toISOString() ?? null,
    isSilent: !series.lastSampleAt || series.lastSampleAt < since,
  };
}

/** Expected tests of which no series had a sample since. */
function silentTests(
  expected: readonly StoredExpectedTest[],
  series: readonly StoredSeries[],
  since: Date,
  keyOf: (end: string) => string,
): StoredExpectedTest[] {
  const heard = new Set<string>();
  for (const { source, sourceName, destination, destinationName, metric, lastSampleAt } of series) {
    if (!lastSampleAt || lastSampleAt < since) continue;
    for (const from of [source, sourceName]) {
      for (const to of [destination, destinationName]) {
        if (from && to) heard.add(`${keyOf(from)} ${keyOf(to)} ${metric}`);
      }
    }
  }
  return expected.filter(({ source, destination, testType }) => {
    const metrics = MEASURES[testType];
    if (!metrics) return false;
    return !metrics.some((metric) => heard.has(`${keyOf(source)} ${keyOf(destination)} ${metric}`));
  });
}
