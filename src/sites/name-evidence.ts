import type { LocateMethod } from '../domain.ts';
import {
  byDomain,
  byMark,
  byNetwork,
  byPlainness,
  bySeries,
  type NameRule,
  parentOf,
  type RuleFinding,
  seriesOf,
} from './name-rules.ts';
import { type Hidden, type Neighbourhood, neighbourhood, siteOf, sitesOf } from './neighbourhood.ts';
import { byOrganisation } from './organisation.ts';
import type { SiteIndex } from './site-index.ts';
import { soundsLikeMeasurement } from './tokens.ts';

/** What a name alone says. Several sites: it stands between them. None: the nearest known hosts say nothing. */
export interface NameEvidence extends RuleFinding {
  method: LocateMethod;
  /** 0..1, as leave-one-out over the sources of 2026 bears out: see docs/sites.md. */
  confidence: number;
}

const RULES: readonly { rule: NameRule; method: LocateMethod; confidence: number }[] = [
  { rule: byDomain, method: 'domain', confidence: 0.97 },
  { rule: bySeries, method: 'name-pattern', confidence: 0.98 },
  { rule: byMark, method: 'name-pattern', confidence: 0.95 },
  { rule: byPlainness, method: 'name-pattern', confidence: 0.95 },
  { rule: byNetwork, method: 'hints', confidence: 0.9 },
];

const PATTERNS: readonly NameRule[] = [bySeries, byMark, byPlainness];

/** A domain for which a single host speaks may be another's as well. */
const SINGLE_HOST = 0.93;
/** A branch of the organisation's domain where no host is known yet may be a site that is not known yet. */
const NEW_BRANCH = 0.85;
/** A leading site speaks for a domain until others have so many times its hosts there. */
const SHARED_BY_OTHERS = 1;
/** So many hosts of a domain must agree where no leading source knows any of them. */
const MIN_FOLLOWERS = 5;

export function nameEvidence(name: string, index: SiteIndex, hidden: Hidden): NameEvidence | undefined {
  const all = neighbourhood(name, index, hidden);
  if (!all) {
    const organisation = byOrganisation(name, index);
    return organisation && { ...organisation, method: 'hints', confidence: 0.9 };
  }
  const leading = neighbourhood(name, index, hidden, index.leading);
  if (!leading) {
    const told = judge(name, all, index);
    if (told.sites.length !== 1 || all.hosts.length >= MIN_FOLLOWERS) return told;
    return { ...told, sites: [], text: `${told.text}: too few to speak for the whole domain` };
  }
  const told = judge(name, leading, index);
  const isShared = all.domain !== leading.domain || all.hosts.length !== leading.hosts.length;
  return isShared && told.sites.length === 1 ? amongOthers(name, told, leading, all, index) : told;
}

/** The first rule that speaks; where none does, between the sites of the domain. */
function judge(name: string, near: Neighbourhood, index: SiteIndex): NameEvidence {
  for (const { rule, method, confidence } of RULES) {
    const found = rule(name, near, index);
    if (!found) continue;
    if (rule !== byDomain) return { ...found, method, confidence };
    const isNewBranch = !near.hosts.some((host) => parentOf(host) === parentOf(name));
    const few = isNewBranch ? NEW_BRANCH : near.hosts.length === 1 ? SINGLE_HOST : confidence;
    return { ...found, method, confidence: few };
  }
  if (near.sites.length > 1) {
    const text = `${near.domain} is shared by ${near.sites.length} sites`;
    return { sites: [...near.sites], text, method: 'domain', confidence: 0 };
  }
  const text = `hosts in ${near.domain} bear the name of ${near.sites[0]}, and it does not`;
  return { sites: [], text, method: 'domain', confidence: 0 };
}

/**
 * What the leading sites' hosts say, in a domain where groups that only OSG lists have hosts too. A measurement host
 * is the site's that declares its network; any other name only when none of the others speaks against it.
 */
function amongOthers(
  name: string,
  told: NameEvidence,
  leading: Neighbourhood,
  all: Neighbourhood,
  index: SiteIndex,
): NameEvidence {
  const site = told.sites[0]!;
  if (soundsLikeMeasurement(name) && (index.site.get(site)?.prefixes.length ?? 0) > 0) {
    return { ...told, confidence: Math.min(told.confidence, 0.95) };
  }
  const between = (sites: readonly string[], text: string): NameEvidence => ({
    ...told,
    sites: [...new Set([site, ...sites])].sort(),
    text: `${told.text}; but ${text}`,
    confidence: 0,
  });
  if (all.domain !== leading.domain)
    return between(all.sites, `nearer, in ${all.domain}, are hosts of ${all.sites.join(', ')}`);
  if (!leading.hosts.some((host) => parentOf(host) === parentOf(name)))
    return between(all.sites, `none of them is right under ${parentOf(name)}, and ${all.domain} is shared`);
  const series = all.hosts.filter((host) => seriesOf(host) === seriesOf(name));
  if (series.length > 0 && !series.some((host) => siteOf(host, index) === site))
    return between(sitesOf(series, index), `names like it but for the number are of others`);
  const pattern = PATTERNS.map((rule) => rule(name, all, index)).find((found) => found !== undefined);
  if (pattern ? pattern.sites.join() !== site : told.method === 'name-pattern')
    return between(pattern?.sites ?? all.sites, pattern?.text ?? `others in ${all.domain} are named so too`);
  const others = all.hosts.filter((host) => siteOf(host, index) !== site).length;
  if (told.method === 'domain' && others > SHARED_BY_OTHERS * (all.hosts.length - others))
    return between(all.sites, `most hosts in ${all.domain} are of ${all.sites.length - 1} others`);
  return told;
}
