/**
 * What "lark sync" has heard from the collector, with the time up to which it counts: kept beside the maps, so that a
 * collector that is gone or a restart make it neither vanish nor last longer.
 */
import type { ClassAd } from 'classad-parser';
import { pathName } from '../domain.ts';
import { PATH_AD_TYPE } from './path-ad.ts';
import { entryOfAd, PATH_MAP_ATTRIBUTES, type PathMapEntry } from './path-map.ts';
import { SIGN_TYPE } from './sink.ts';
import { machinesOfAd, SITE_AD_TYPE } from './site-ad.ts';
import { isMapText } from './user-map.ts';

/** Plain data: it is stored as JSON. */
export interface Heard {
  /** By name; each counts until `untilSeconds` (epoch). */
  paths: Record<string, { entry: PathMapEntry; untilSeconds: number }>;
  /** Which machines stand at a site. */
  sites: Record<string, string[]>;
}

export const NOTHING_HEARD: Heard = { paths: {}, sites: {} };

/** What to ask the collector for. */
export const HEARD_ATTRIBUTES = [
  'MyType',
  'Name',
  'Machines',
  'LastHeardFrom',
  'ClassAdLifetime',
  ...PATH_MAP_ATTRIBUTES,
];

/**
 * @param site where only the paths from and to this site matter, as on an access point; a ClassAd string literal with
 * its quotes
 */
export function heardConstraint(site: string | undefined): string {
  const ends = ['SrcSite', 'DstSite'].flatMap((end) => [`${end} == ${site}`, `${end} == "*"`]);
  const paths = `MyType == "${PATH_AD_TYPE}"${site === undefined ? '' : ` && (${ends.join(' || ')})`}`;
  return `${paths} || MyType == "${SITE_AD_TYPE}" || MyType == "${SIGN_TYPE}"`;
}

/** HTCondor's own default, for ads that do not say. */
const DEFAULT_LIFETIME_SECONDS = 900;

/**
 * What counts after the collector was asked. One in which Lark's sign stands holds all ads; one that was restarted has
 * lost ads and sign, and what it does not hold counts on until its time is over.
 */
export function hear(before: Heard, ads: readonly ClassAd[]): Heard {
  const isComplete = ads.some((ad) => ad.getString('MyType') === SIGN_TYPE);
  const heard: Heard = isComplete
    ? { paths: {}, sites: {} }
    : { paths: { ...before.paths }, sites: { ...before.sites } };
  for (const ad of ads) {
    const type = ad.getString('MyType');
    if (type === PATH_AD_TYPE) {
      const entry = entryOfAd(ad);
      const name = entry && pathName(entry);
      if (name && isMapText(name)) heard.paths[name] = { entry, untilSeconds: untilSeconds(ad) };
    } else if (type === SITE_AD_TYPE) {
      const site = ad.getString('Name');
      if (site && isMapText(site)) heard.sites[site] = machinesOfAd(ad).filter(isMapText);
    }
  }
  return heard;
}

/**
 * When the ad's time is over, rounded down to sixths of it: an ad that is only renewed changes the maps a few times in
 * its life, and those of all paths at the same moment.
 */
function untilSeconds(ad: ClassAd): number {
  const lifetime = ad.getNumber('ClassAdLifetime') ?? DEFAULT_LIFETIME_SECONDS;
  const step = Math.max(1, Math.floor(lifetime / 6));
  return Math.floor(((ad.getNumber('LastHeardFrom') ?? 0) + lifetime) / step) * step;
}

/** The paths whose time is not over. Sites stay: where a machine stands is not less true when nobody repeats it. */
export function stillCounting(heard: Heard, now: Date): Heard {
  const nowSeconds = now.getTime() / 1000;
  const paths = Object.entries(heard.paths).filter(([, path]) => path.untilSeconds > nowSeconds);
  return { ...heard, paths: Object.fromEntries(paths) };
}

/** The map LARK_SITE. A machine that two sites claim is left out. */
export function siteMapEntries({ sites }: Heard): Map<string, string> {
  const claims = new Map<string, Set<string>>();
  for (const [site, machines] of Object.entries(sites))
    for (const machine of machines) claims.set(machine, (claims.get(machine) ?? new Set()).add(site));
  const entries = new Map<string, string>();
  for (const [machine, [site, ...others]] of claims)
    if (site !== undefined && others.length === 0) entries.set(machine, site);
  return entries;
}
