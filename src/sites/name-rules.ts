/**
 * What the name of a host says of its site, given the known hosts that share its longest domain. Each rule either
 * names one site, or stands between several, or is silent.
 */
import { type Neighbourhood, siteOf, sitesOf } from './neighbourhood.ts';
import { isWidespread, type SiteIndex } from './site-index.ts';
import { isMainWord, registeredDomain, soundsLikeMeasurement, stemsOf, wordsOf } from './tokens.ts';

export interface RuleFinding {
  /** One: it decides. Several: it stands between these. */
  sites: string[];
  text: string;
}

export type NameRule = (name: string, near: Neighbourhood, index: SiteIndex) => RuleFinding | undefined;

/**
 * All hosts known under the domain are of one site; or, for a name right under a domain with sites in its branches,
 * all that stand right under it. A name that bears another site's word stands between the two.
 */
export const byDomain: NameRule = (name, near, index) => {
  const level = near.sites.length === 1 ? near.hosts : siblings(name, near);
  const sites = level === near.hosts ? near.sites : sitesOf(level, index);
  const site = sites[0];
  if (sites.length !== 1 || site === undefined || isHostedNaming(name, near, site)) return undefined;
  const where = level === near.hosts ? `in ${near.domain}` : `right under ${near.domain}`;
  const told = `${counted(level)} ${where}, all of ${site}`;
  const contested = level.length === 1 ? contestedBy(near, site, index) : undefined;
  if (contested) {
    return {
      sites: [site, contested].sort(),
      text: `${told}; but all others in ${registeredDomain(name)} are of ${contested}`,
    };
  }
  const foreign = foreignWord(name, near, site, index);
  if (!foreign) return { sites: [site], text: told };
  return {
    sites: [site, ...foreign.sites].sort(),
    text: `${told}; but "${foreign.word}" is a word of ${foreign.sites.join(', ')}`,
  };
};

const isDirect = (name: string, domain: string): boolean => !name.slice(0, -domain.length - 1).includes('.');

function siblings(name: string, { domain, hosts }: Neighbourhood): readonly string[] {
  return isDirect(name, domain) ? hosts.filter((host) => isDirect(host, domain)) : [];
}

/**
 * A word in the name that another site of the country bears, and the domain's site does not. Where a single host
 * speaks for the domain, the domain's own word counts as well: with one host of Bern's site under unige.ch, Geneva's
 * may be meant.
 */
function foreignWord(
  name: string,
  { domain, hosts }: Neighbourhood,
  site: string,
  index: SiteIndex,
): (RuleFinding & { word: string }) | undefined {
  const own = new Set(wordsOf(site));
  const below = name.slice(0, -domain.length - 1);
  const organisation = registeredDomain(name)?.split('.')[0] ?? '';
  const words = wordsOf(hosts.length === 1 ? `${below}.${organisation}` : below);
  const country = index.site.get(site)?.countryCode;
  for (const word of words.flatMap(startsOf)) {
    if (own.has(word) || /\d/.test(word) || isWidespread(word, name, index)) continue;
    const bearers = [...(index.byWord.get(word) ?? [])];
    if (bearers.includes(site)) continue;
    const rivals = bearers.filter((rival) => {
      const core = index.coreWords.get(rival)!;
      // A later word counts among the sites of one organisation: TTU-ANTAEUS, TTU-TESTWULF.
      if (core[0] !== word && !core.some((other) => own.has(other))) return false;
      const other = index.site.get(rival)?.countryCode;
      return other === undefined || country === undefined || other === country;
    });
    if (rivals.length > 0 && rivals.length <= 2) return { word, sites: rivals, text: '' };
  }
  return undefined;
}

/** One host is little to go by where the rest of the organisation's domain is all of one other site. */
function contestedBy({ domain, hosts }: Neighbourhood, site: string, index: SiteIndex): string | undefined {
  const organisation = registeredDomain(domain);
  if (organisation === undefined || organisation === domain) return undefined;
  const others = (index.hostsIn.get(organisation) ?? []).filter((host) => !hosts.includes(host));
  const sites = sitesOf(others, index);
  return sites.length === 1 && sites[0] !== site ? sites[0] : undefined;
}

/** `t2ifaece05` → itself, its runs of letters, and what those begin with: `ifae`, `ifaec`, … */
function startsOf(word: string): string[] {
  const stems = word.match(/[a-z]+/g) ?? [];
  const starts = stems.flatMap((stem) =>
    Array.from({ length: Math.max(0, stem.length - 4) }, (_, i) => stem.slice(0, i + 4)),
  );
  return [...new Set([word, ...stems, ...starts])];
}

/**
 * Names that an organisation hosts for others bear the site's own word: `ce5-vanderbilt.sites.example.org` says
 * nothing of a name under the same domain that lacks it.
 */
function isHostedNaming(name: string, { domain, hosts }: Neighbourhood, site: string): boolean {
  const own = new Set(wordsOf(site).filter((word) => word.length >= 4));
  const bears = (host: string): boolean => stemsOf(host, domain).some((stem) => own.has(stem));
  return !bears(name) && hosts.every(bears);
}

/** Under a shared domain, hosts that differ in digits alone are one series: `atlas-ce-01`, `atlas-ce-08`. */
export const bySeries: NameRule = (name, near, index) => {
  const pattern = seriesOf(name);
  if (pattern === name) return undefined;
  const series = near.hosts.filter((host) => seriesOf(host) === pattern);
  const sites = sitesOf(series, index);
  if (sites.length !== 1 || series.length < 2) return undefined;
  return { sites, text: `${counted(series)} named like it but for the number, all of ${sites[0]}` };
};

export const seriesOf = (name: string): string => {
  const end = name.indexOf('.');
  return `${name.slice(0, end).replace(/\d+/g, '#')}${name.slice(end)}`;
};

/** Under a domain with more sites than this, a label's start is alike by chance. */
const MOST_MARKED = 8;

/**
 * Under a shared domain, the start of a label may tell the sites apart: `marcce01`, `marsq02` and `marperf01`. It
 * counts when no other domain knows such a start and all hosts that bear it are of one site; so does a whole word of
 * the name of one of the sites.
 */
export const byMark: NameRule = (name, near, index) => {
  const marks = new Map<string, string>();
  for (const stem of stemsOf(name, near.domain)) {
    const mark = markOf(stem, name, near, index);
    if (mark) marks.set(mark.site, mark.text);
  }
  return marks.size === 0
    ? undefined
    : { sites: [...marks.keys()].sort(), text: [...marks.values()].join('; ') };
};

function markOf(
  stem: string,
  name: string,
  near: Neighbourhood,
  index: SiteIndex,
): { site: string; text: string } | undefined {
  if ((index.sitesIn.get(near.domain) ?? 0) > MOST_MARKED) return undefined;
  const word = startsOf(stem).find((start) =>
    near.sites.some((site) => isOwnWord(start, site, name, near, index)),
  );
  if (word !== undefined) {
    const bearers = near.sites.filter((site) => isOwnWord(word, site, name, near, index));
    if (bearers.length === 1)
      return {
        site: bearers[0]!,
        text: `"${word}" is the own word of ${bearers[0]}, which is in ${near.domain}`,
      };
  }
  for (let length = Math.min(6, stem.length); length >= 2; length--) {
    const start = stem.slice(0, length);
    const alike = near.hosts.filter(
      (host) => host !== name && stemsOf(host, near.domain).some((other) => other.startsWith(start)),
    );
    if (alike.length === 0) continue;
    const sites = sitesOf(alike, index);
    if (sites.length > 1 || isWidespread(start, name, index)) return undefined;
    // A single host, or two letters, may be alike by chance; a shorter start may find more.
    if (alike.length < (length < 3 ? 4 : 2)) continue;
    const text = `${counted(alike)} in ${near.domain} with a label in "${start}…", all of ${sites[0]}`;
    return { site: sites[0]!, text };
  }
  return undefined;
}

/** What a site's name has of its own, apart from the domain's words; no other site has it, nor do hosts elsewhere. */
function isOwnWord(word: string, site: string, name: string, near: Neighbourhood, index: SiteIndex): boolean {
  if (!index.byWord.get(word)?.has(site) || index.byWord.get(word)!.size !== 1) return false;
  const labels = near.domain.split('.');
  const core = index.coreWords.get(site)!.filter((other) => !labels.includes(other));
  return isMainWord(word, core) && !isWidespread(word, name, index);
}

/** One host in twenty may be a stray: one login node of Wisconsin's in the domain of CERN. */
const PLAIN_SHARE = 0.9;

/** A name without any mark, right under a shared domain where all other names without any mark are of one site. */
export const byPlainness: NameRule = (name, near, index) => {
  if (byMark(name, near, index)) return undefined;
  const parent = parentOf(name);
  const plain = plainHosts(near, index).filter((host) => parentOf(host) === parent);
  const [most] = [...Map.groupBy(plain, (host) => siteOf(host, index))].sort(
    ([, a], [, b]) => b.length - a.length,
  );
  if (!most || most[1].length < 4 || most[1].length < PLAIN_SHARE * plain.length) return undefined;
  return {
    sites: [most[0]],
    text: `${most[1].length} of ${plain.length} known hosts right under ${parent} without the mark of any site are of ${most[0]}`,
  };
};

export const parentOf = (name: string): string => name.slice(name.indexOf('.') + 1);

/** Comparing each host with all others is done once for each list of hosts: unless some are hidden, it is the index's. */
const plainOf = new WeakMap<readonly string[], readonly string[]>();
function plainHosts(near: Neighbourhood, index: SiteIndex): readonly string[] {
  const known = plainOf.get(near.hosts);
  if (known) return known;
  const plain = near.hosts.filter((host) => !byMark(host, near, index));
  plainOf.set(near.hosts, plain);
  return plain;
}

/** A measurement host under a shared domain belongs to the one site there that declares its network. */
export const byNetwork: NameRule = (name, near, index) => {
  if (!soundsLikeMeasurement(name)) return undefined;
  const declared = near.sites.filter((site) => (index.site.get(site)?.prefixes.length ?? 0) > 0);
  if (declared.length !== 1) return undefined;
  return {
    sites: declared,
    text: `by its name it measures, and of the sites in ${near.domain} only ${declared[0]} declares its network`,
  };
};

const counted = (hosts: readonly string[]): string =>
  hosts.length === 1 ? `1 known host (${hosts[0]})` : `${hosts.length} known hosts`;
