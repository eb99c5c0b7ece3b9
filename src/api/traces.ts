import type { Hop } from '../domain.ts';
import { type RouteHistory, type RouteRun, routeHistory } from '../paths/route-history.ts';
import { endpointKeys, endpointSites } from '../sites/subjects.ts';
import type { Store, StoredRoute, StoredTraceTest, TraceRunColumns } from '../store/store.ts';
import { type TestFilter, testFilter } from './test-filter.ts';
import type { TracesView } from './view-types.ts';

/** Changes are looked for so far back; routes are told as long as they are kept. */
const WINDOW_MS = 7 * 24 * 3_600_000;
/** A world of tests does not fit on a page. */
const MOST_TESTS = 50;

/**
 * The ways of packets between hosts or sites, by the tests that trace them: the current one, and how it changed within
 * the last week. Newest tests first.
 */
export async function tracesView(store: Store, filter: TestFilter, now: Date): Promise<TracesView> {
  const hosts = await store.hosts();
  const siteOf = endpointSites(hosts, await store.assignments());
  const fits = testFilter(filter, { siteOf, keyOf: endpointKeys(hosts) });
  const chosen = (await store.traceTests())
    .filter((test) => fits([test.source, test.sourceName], [test.destination, test.destinationName]))
    .sort((a, b) => (b.lastRunAt?.getTime() ?? 0) - (a.lastRunAt?.getTime() ?? 0));
  const shown = chosen.slice(0, MOST_TESTS);
  const ids = shown.map(({ id }) => id);
  const routes = Map.groupBy(await store.routes(ids), ({ testId }) => testId);
  const runs = await store.traceRuns(ids, new Date(now.getTime() - WINDOW_MS));
  return {
    traces: shown.map((test) => traceOf(test, routes.get(test.id) ?? [], runs.get(test.id))),
    testsLeftOut: chosen.length - shown.length,
  };
}

function traceOf(
  test: StoredTraceTest,
  routes: readonly StoredRoute[],
  runs: TraceRunColumns = { atMs: [], routeIds: [] },
): TracesView['traces'][number] {
  const history = routeHistory(runsOf(routes, runs));
  return {
    source: test.sourceName ?? test.source,
    destination: test.destinationName ?? test.destination,
    ipVersion: test.ipVersion ?? null,
    tool: test.tool,
    archive: test.archiveKey,
    lastRun: test.lastRunAt?.toISOString() ?? null,
    runs: history.runCount,
    unreached: history.unreached,
    looping: history.looping,
    returns: history.returns,
    current: currentOf(history),
    changes: history.changes.map(({ atMs, before, after }) => ({
      at: iso(atMs),
      before: before.map(hopView),
      after: after.map(hopView),
    })),
    routes: routes.map(({ hops, isReached, firstSeen, lastSeen }) => ({
      hops: hops.map(hopView),
      isReached,
      firstSeen: firstSeen.toISOString(),
      lastSeen: lastSeen.toISOString(),
    })),
  };
}

function runsOf(routes: readonly StoredRoute[], { atMs, routeIds }: TraceRunColumns): RouteRun[] {
  const byId = new Map(routes.map((route) => [route.id, route]));
  return atMs.flatMap((ms, i) => {
    const route = byId.get(routeIds[i]!);
    return route ? [{ atMs: ms, hops: route.hops, isReached: route.isReached }] : [];
  });
}

function currentOf({ current }: RouteHistory): TracesView['traces'][number]['current'] {
  if (!current) return null;
  const asns: number[] = [];
  for (const { asn } of current.hops) if (asn !== undefined && asn !== asns.at(-1)) asns.push(asn);
  return {
    since: iso(current.sinceMs),
    lastSeen: iso(current.lastSeenMs),
    hops: current.hops.map(hopView),
    asns,
  };
}

const iso = (ms: number) => new Date(ms).toISOString();

const hopView = ({ address, name, asn }: Hop) => ({
  address: address ?? null,
  name: name ?? null,
  asn: asn ?? null,
});
