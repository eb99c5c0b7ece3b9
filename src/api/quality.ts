import type { Config } from '../config.ts';
import type { MeasurementHost } from '../domain.ts';
import { pathName } from '../domain.ts';
import { endpointKeys, endpointSites } from '../sites/subjects.ts';
import { LISTED_MS } from '../steps/discover.ts';
import type { Store, StoredExpectedTest, StoredFinding } from '../store/store.ts';
import { seriesQuality } from './quality-series.ts';
import { readableTests, silentTests } from './silent-tests.ts';
import { isNamed, type TestFilter, testFilter } from './test-filter.ts';
import type { QualityView } from './view-types.ts';

/** An expected test is silent when so long nothing was heard of it: the rarest are run a few times a day. */
const SILENT_MS = 24 * 3_600_000;
/** So many series are looked into at once; a whole world is asked for by totals. */
const MOST_SERIES = 200;
const MOST_WORST = 10;

/**
 * How good the data of a host, a site or a pair is, and why: the verdicts of its samples by themselves and in their
 * context, what was found of the hosts, series that fell silent, and tests that a mesh asks for and nobody has results
 * of. Without a filter, the totals over everything that is kept, and where it is worst.
 */
export async function qualityView(
  store: Store,
  filter: TestFilter,
  options: Config['estimate'],
  now: Date,
): Promise<QualityView> {
  const seen = { seenSince: new Date(now.getTime() - LISTED_MS) };
  const hosts = await store.hosts(seen);
  const assignments = await store.assignments();
  const all = await store.series();
  const findings = await store.hostFindings();
  const siteOf = endpointSites(hosts, assignments);
  const keyOf = endpointKeys(hosts, all);
  const ends = { siteOf, keyOf };
  const named = (text: string, ids: readonly string[]) => isNamed(ends, text, ids);
  const fits = testFilter(filter, ends);
  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  const asked = Object.values(filter).filter((value) => value !== undefined);

  const expected = readableTests(await store.expectedTests(seen)).filter(
    (test) => !isFiltered || fits([test.source], [test.destination]),
  );
  const silent = silentTests(expected, all, new Date(now.getTime() - SILENT_MS), keyOf);
  const show = hostLabels(hosts, assignments);
  const chosen = isFiltered
    ? all.filter((s) => fits([s.source, s.sourceName], [s.destination, s.destinationName]))
    : [];
  const shown = chosen.slice(0, MOST_SERIES);
  const looked = isFiltered
    ? await seriesQuality(store, shown, { all, hosts, assignments, findings }, options, now)
    : { series: [], leftOut: {} };
  return {
    ...(isFiltered ? { totals: [], leftOut: looked.leftOut, worstPaths: [] } : await overall(store)),
    findings: findings
      .filter(({ host }) => !isFiltered || asked.some((text) => named(text, [host, show(host).host])))
      .map((finding) => findingOf(finding, show)),
    worstHosts: isFiltered ? [] : worstHosts(expected, silent, keyOf, show),
    series: looked.series,
    seriesLeftOut: chosen.length - shown.length,
    silent: silent.map(({ source, destination, testType, template }) => ({
      source,
      destination,
      testType,
      template,
    })),
  };
}

type Label = (host: string) => { host: string; site: string | null };

/** How people call a host: by its name, or its address. */
function hostLabels(
  hosts: readonly MeasurementHost[],
  assignments: readonly { subject: string; site?: string }[],
): Label {
  const byKey = new Map(hosts.map((host) => [host.key, host]));
  const siteOf = new Map(assignments.map(({ subject, site }) => [subject, site]));
  return (key) => {
    const host = byKey.get(key);
    return { host: host?.names[0] ?? host?.addresses[0] ?? key, site: siteOf.get(key) ?? null };
  };
}

function findingOf({ host, kind, since, evidence, advice }: StoredFinding, show: Label) {
  return { ...show(host), kind, since: since.toISOString(), evidence, advice };
}

async function overall(store: Store): Promise<Pick<QualityView, 'totals' | 'leftOut' | 'worstPaths'>> {
  const totals = (await store.sampleCounts()).byVerdict;
  const leftOut = await store.excludedCounts();
  const worst = (await store.reviews())
    .map((review) => {
      const { duplicate: _, ...reasons } = review.excluded;
      return {
        path: pathName(review),
        leftOut: reasons,
        total: Object.values(reasons).reduce((sum, count) => sum + count, 0),
      };
    })
    .filter(({ total }) => total > 0)
    .sort((a, b) => b.total - a.total)
    .slice(0, MOST_WORST);
  return {
    totals: totals.map(({ reason, ...rest }) => ({ ...rest, reason: reason ?? null })),
    leftOut: Object.fromEntries(leftOut.map(({ reason, count }) => [reason, count])),
    worstPaths: worst.map(({ path, leftOut }) => ({ path, leftOut })),
  };
}

/** Hosts of which no or next to no expected test is heard, the source of each being who is to run it. */
function worstHosts(
  expected: readonly StoredExpectedTest[],
  silent: readonly StoredExpectedTest[],
  keyOf: (end: string) => string,
  show: Label,
): QualityView['worstHosts'] {
  const silentOf = Map.groupBy(silent, ({ source }) => keyOf(source));
  const expectedOf = Map.groupBy(expected, ({ source }) => keyOf(source));
  return [...silentOf]
    .map(([host, tests]) => ({
      ...show(host),
      expected: expectedOf.get(host)!.length,
      silent: tests.length,
    }))
    .filter((host) => 2 * host.silent >= host.expected)
    .sort((a, b) => b.silent - a.silent)
    .slice(0, MOST_WORST);
}
