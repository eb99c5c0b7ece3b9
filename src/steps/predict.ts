/**
 * The step of a cycle that predicts paths nobody measured, from those that were.
 */
import type { Config } from '../config.ts';
import {
  type MeasurementHost,
  type PathEstimate,
  pathName,
  type Site,
  type SiteAssignment,
} from '../domain.ts';
import type { SiteRoute } from '../paths/predict/links.ts';
import { predict } from '../paths/predict/predict.ts';
import type { SiteFacts } from '../paths/predict/sites.ts';
import { endpointSites } from '../sites/subjects.ts';
import type { Store } from '../store/store.ts';

/** Predictions stand so long: what they lean on moves slowly, and each that changes is an ad to be sent. */
const PREDICT_AGAIN_MS = 3_600_000;

export interface Predictions {
  /** All that stand. */
  all: readonly PathEstimate[];
  /** Those of them that were made now. */
  fresh: readonly PathEstimate[];
}

/** Which sites there are, and what stands there. */
export interface Places {
  sites: readonly Site[];
  hosts: readonly MeasurementHost[];
  assignments: readonly SiteAssignment[];
}

/** @param earlier the predictions that are stored */
export async function predictions(
  store: Pick<Store, 'currentRoutes'>,
  options: Config['estimate'],
  places: Places,
  measured: readonly PathEstimate[],
  earlier: readonly PathEstimate[],
  now: Date,
): Promise<Predictions> {
  const made = earlier[0]?.estimatedAt.getTime();
  if (made !== undefined && now.getTime() - made < PREDICT_AGAIN_MS && options.predictPaths > 0) {
    const known = new Set(measured.map(pathName));
    return { all: earlier.filter((path) => !known.has(pathName(path))), fresh: [] };
  }
  const routes = options.predictPaths > 0 ? await siteRoutes(store, places, options.staleHours, now) : [];
  const fresh = predict(measured, siteFacts(places), options, now, routes);
  return { all: fresh, fresh };
}

/** What is known of sites, by themselves and by the hosts that stand there. */
export function siteFacts({ sites, hosts, assignments }: Places): SiteFacts[] {
  const facts = new Map<string, SiteFacts>();
  for (const { name, latitude, longitude } of sites)
    facts.set(name, {
      name,
      ...(latitude !== undefined && longitude !== undefined && { latitude, longitude }),
    });
  const siteOf = new Map(assignments.map(({ subject, site }) => [subject, site]));
  for (const { key, latitude, longitude, capacityMbps } of hosts) {
    const name = siteOf.get(key);
    if (name === undefined) continue;
    const site = facts.get(name) ?? { name };
    facts.set(name, site);
    if (site.latitude === undefined && latitude !== undefined && longitude !== undefined)
      Object.assign(site, { latitude, longitude });
    if (capacityMbps !== undefined) site.capacityMbps = Math.max(capacityMbps, site.capacityMbps ?? 0);
  }
  return [...facts.values()];
}

/**
 * The routes that tests between sites met last, whether or not these sites measure anything else. One that did not get
 * to its destination does not say which way packets go that do; one older than `staleHours` may be of the past.
 */
export async function siteRoutes(
  store: Pick<Store, 'currentRoutes'>,
  { hosts, assignments }: Places,
  staleHours: number,
  now: Date,
): Promise<SiteRoute[]> {
  const siteOf = endpointSites(hosts, assignments);
  const since = new Date(now.getTime() - staleHours * 3_600_000);
  return (await store.currentRoutes(since)).flatMap(({ test, route }) => {
    const srcSite = siteOf(test.source, test.sourceName);
    const dstSite = siteOf(test.destination, test.destinationName);
    if (!route.isReached || srcSite === undefined || dstSite === undefined || srcSite === dstSite) return [];
    return [{ srcSite, dstSite, hops: route.hops }];
  });
}
