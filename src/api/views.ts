import { METRICS, type Metric, pathName } from '../domain.ts';
import { nextAttemptAt, steadyJitter } from '../spider/backoff.ts';
import { LISTED_MS } from '../steps/discover.ts';
import { pathAds } from '../steps/publish.ts';
import type { Store } from '../store/store.ts';
import { standingOf } from './breakers.ts';
import type { AdView, ArchiveView, HostView, MetricView, PathView, SitesView } from './view-types.ts';

const iso = (at: Date | undefined): string | null => at?.toISOString() ?? null;

export async function hostsView(store: Store, now: Date): Promise<HostView[]> {
  const hosts = await store.hosts({ seenSince: new Date(now.getTime() - LISTED_MS) });
  const assignments = new Map((await store.assignments()).map((a) => [a.subject, a]));
  return hosts.map((host) => {
    const assignment = assignments.get(host.key);
    return {
      host: host.key,
      names: host.names,
      addresses: host.addresses,
      site: assignment?.site ?? null,
      method: assignment?.method ?? null,
      evidence: assignment?.evidence ?? 'not located yet',
      siteNameHint: host.siteNameHint ?? null,
      accessPolicy: host.accessPolicy ?? null,
      pschedulerUrls: host.pschedulerUrls,
      lastSeen: host.lastSeen.toISOString(),
    };
  });
}

export async function archivesView(store: Store, now: Date): Promise<ArchiveView[]> {
  const archives = await store.archives({ seenSince: new Date(now.getTime() - LISTED_MS) });
  return archives.map((archive) => ({
    archive: archive.key,
    url: archive.lastReport?.url ?? archive.urls[0] ?? '',
    kind: archive.kind ?? null,
    outcome: archive.lastReport?.outcome ?? null,
    fault: archive.lastReport?.fault ?? null,
    message: archive.lastReport?.message ?? null,
    series: archive.seriesCount,
    samplesLastRead: archive.lastReport?.samplesRead ?? 0,
    lastRead: iso(archive.lastReport?.at),
    lastSuccess: iso(archive.lastSuccessAt),
    failuresInARow: archive.consecutiveFailures,
    nextAttempt: iso(nextAttemptAt(archive, steadyJitter(archive))),
  }));
}

export async function sitesView(store: Store, now: Date): Promise<SitesView> {
  const hosts = new Map(
    (await store.hosts({ seenSince: new Date(now.getTime() - LISTED_MS) })).map((host) => [host.key, host]),
  );
  const assignments = await store.assignments();
  const paths = await store.estimates();
  const views = new Map<string, SitesView['sites'][number]>();
  for (const { name } of await store.sites()) {
    views.set(name, {
      site: name,
      hosts: 0,
      endpoints: 0,
      machines: 0,
      accessPoints: 0,
      pathsOut: 0,
      pathsIn: 0,
    });
  }
  for (const { subject, site } of assignments) {
    const view = site === undefined ? undefined : views.get(site);
    if (!view) continue;
    if (hosts.has(subject)) view.hosts++;
    else view.endpoints++;
  }
  for (const { site, slots, isAccessPoint } of await store.machines()) {
    const view = site === undefined ? undefined : views.get(site);
    if (view && slots > 0) view.machines++;
    if (view && isAccessPoint) view.accessPoints++;
  }
  for (const { srcSite, dstSite } of paths) {
    const [from, to] = [views.get(srcSite), views.get(dstSite)];
    if (from) from.pathsOut++;
    if (to) to.pathsIn++;
  }
  return {
    sites: [...views.values()],
    unmapped: assignments
      .filter(({ site }) => site === undefined)
      .map(({ subject, evidence }) => ({ subject, names: hosts.get(subject)?.names ?? [], evidence })),
  };
}

export interface PathFilter {
  srcSite?: string;
  dstSite?: string;
}

export async function pathsView(store: Store, filter: PathFilter): Promise<PathView[]> {
  const estimates = await store.estimates(filter);
  const breakers = Map.groupBy(await store.breakers(), pathName);
  return estimates.map((path) => {
    const metric = (name: Metric): MetricView | null => {
      const figures = path.metrics[name];
      if (!figures) return null;
      const { method = null, factors = null, sources = null, lastMeasured, ...rest } = figures;
      return { ...rest, lastMeasured: iso(lastMeasured), method, factors, sources };
    };
    return {
      path: pathName(path),
      srcSite: path.srcSite,
      dstSite: path.dstSite,
      ...(Object.fromEntries(METRICS.map((name) => [name, metric(name)])) as Record<
        Metric,
        MetricView | null
      >),
      quality: path.quality,
      sampleCount: path.sampleCount,
      lastMeasured: iso(path.lastMeasured),
      measured: path.measured,
      estimatedAt: path.estimatedAt.toISOString(),
      breakers: (breakers.get(pathName(path)) ?? []).map(standingOf),
    };
  });
}

/** Exactly what would be published now. */
export async function adsView(store: Store, lifetimeSeconds: number): Promise<AdView[]> {
  const ads = pathAds(await store.estimates(), await store.breakers(), lifetimeSeconds);
  return [...ads].map(({ name, text }) => ({ name, text }));
}
