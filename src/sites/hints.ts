import type { KnownSite } from './knowledge.ts';
import { byOrganisation } from './organisation.ts';
import type { Evidence, Subject } from './resolve.ts';
import type { SiteIndex } from './site-index.ts';
import { canonicalHost } from './sites-file.ts';
import { wordsOf } from './tokens.ts';

/** Coordinates are a town's: two hosts of one campus are entered miles apart. */
const NEAR_KM = 40;

/** Experiments by the words that lookup records use for their communities. */
const EXPERIMENTS: ReadonlySet<string> = new Set(['cms', 'atlas', 'alice', 'lhcb']);

/**
 * Weak hints: the lookup record's site name, its coordinates, its communities, the organisation in a host's name, the
 * neighbours on traces. None decides alone. Two that allow one and the same site do, if none of the others speaks
 * against it.
 */
export function weakHints(subject: Subject, index: SiteIndex): Evidence[] {
  const hints = [
    bySiteText(subject, index),
    byPlace(subject, index),
    ...byOrganisations(subject, index),
    byNeighbour(subject),
  ].filter((hint) => hint !== undefined);
  if (hints.length < 2) return [];
  const [first, ...others] = hints;
  let sites = first!.sites.filter((site) => others.every((other) => other.sites.includes(site)));
  const texts = hints.map(({ text }) => text);
  if (sites.length > 1) {
    const told = byCommunity(subject, sites, index);
    if (told) {
      sites = told.sites;
      texts.push(told.text);
    }
  }
  return sites.length === 1 ? [{ method: 'hints', sites, text: texts.join('; '), confidence: 0.85 }] : [];
}

type Hint = Pick<Evidence, 'sites' | 'text'>;

/** Every word of the record's site name that is a site's main word, and no word that is another's. */
function bySiteText({ hints }: Subject, index: SiteIndex): Hint | undefined {
  const text = hints?.siteNameHint;
  if (text === undefined) return undefined;
  const sites = new Set(wordsOf(text).flatMap((word) => [...(index.byWord.get(word) ?? [])]));
  if (sites.size === 0) return undefined;
  return { sites: [...sites], text: `the lookup record calls it "${text}"` };
}

function byPlace({ hints }: Subject, index: SiteIndex): Hint | undefined {
  const { latitude, longitude } = hints ?? {};
  if (latitude === undefined || longitude === undefined) return undefined;
  const near = index.knowledge.sites.filter((site) => {
    const distance = kilometres({ latitude, longitude }, site);
    return distance !== undefined && distance <= NEAR_KM;
  });
  if (near.length === 0) return undefined;
  return {
    sites: near.map(({ name }) => name),
    text: `it stands within ${NEAR_KM} km of ${near.map(({ name }) => name).join(', ')}`,
  };
}

function byOrganisations({ names }: Subject, index: SiteIndex): Hint[] {
  return names.flatMap((name) => byOrganisation(canonicalHost(name), index) ?? []);
}

function byNeighbour({ neighbour }: Subject): Hint | undefined {
  return neighbour && { sites: [neighbour.site], text: neighbour.text };
}

/** Only tells sites apart that all other hints allow. */
function byCommunity({ hints }: Subject, among: readonly string[], index: SiteIndex): Hint | undefined {
  const named = new Set((hints?.communities ?? []).flatMap(wordsOf).filter((word) => EXPERIMENTS.has(word)));
  if (named.size === 0) return undefined;
  const sites = among.filter((site) => index.site.get(site)!.aliases.some(({ kind }) => named.has(kind)));
  return sites.length === 1 ? { sites, text: `its communities are ${[...named].join(', ')}` } : undefined;
}

/** Great-circle distance; undefined where the site has no place. */
function kilometres(
  from: { latitude: number; longitude: number },
  site: Pick<KnownSite, 'latitude' | 'longitude'>,
): number | undefined {
  if (site.latitude === undefined || site.longitude === undefined) return undefined;
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const a =
    Math.sin(radians(site.latitude - from.latitude) / 2) ** 2 +
    Math.cos(radians(from.latitude)) *
      Math.cos(radians(site.latitude)) *
      Math.sin(radians(site.longitude - from.longitude) / 2) ** 2;
  return 2 * 6371 * Math.asin(Math.min(1, Math.sqrt(a)));
}
