import { nameKey } from './join.ts';
import type { RuleFinding } from './name-rules.ts';
import { isWidespread, type SiteIndex } from './site-index.ts';
import { isMainWord, registeredDomain, soundsLikeMeasurement, wordsOf } from './tokens.ts';

/**
 * Where no host of the domain is known, the organisation's own name: `perfsonar.canarie.ca` and CA-CANARIE-NREN. The
 * word must be the main one of the site's name, or the domain's country must be the site's as well.
 */
export function byOrganisation(name: string, index: SiteIndex): RuleFinding | undefined {
  const domain = registeredDomain(name);
  if (domain === undefined) return undefined;
  const labels = name.split('.');
  const inner = labels.slice(name === domain ? 0 : 1, labels.length - domain.split('.').length + 1);
  const words = new Set([...inner, ...inner.flatMap(wordsOf), domain.replaceAll('.', '')]);
  const country = countryOf(domain);
  const scores = new Map<string, number>();
  for (const word of words) {
    // What begins host names under other domains is a service: hpc, grid, cloud.
    if (isWidespread(word, name, index)) continue;
    for (const site of index.byWord.get(word) ?? []) {
      const code = index.site.get(site)?.countryCode;
      if (country !== undefined && code !== undefined && code !== country.code) continue;
      if (isNetwork(site) && !soundsLikeMeasurement(name)) continue;
      const isName = inner.includes(nameKey(site));
      const isMain = isMainWord(word, index.coreWords.get(site)!);
      if (!isName && !isMain && !(country?.isNational && code !== undefined)) continue;
      // A site's whole name outweighs any word, and its main word any other.
      scores.set(site, (scores.get(site) ?? 0) + word.length + (isName ? 10_000 : isMain ? 100 : 0));
    }
  }
  if (scores.size === 0) return undefined;
  const best = Math.max(...scores.values());
  const sites = [...scores].filter(([, score]) => score === best).map(([site]) => site);
  return {
    sites: sites.sort(),
    text: `no host is known under ${domain}, but its name is in ${sites.join(', ')}`,
  };
}

/** A research network, as CRIC names them: it has measurement hosts, but no services of a site. */
export const isNetwork = (site: string): boolean =>
  wordsOf(site).some((word) => word === 'nren' || word === 'ren');

/** The country of a top-level domain; `.edu` and `.gov` are American, but too large to speak for a site. */
function countryOf(domain: string): { code: string; isNational: boolean } | undefined {
  const top = domain.slice(domain.lastIndexOf('.') + 1);
  if (top === 'edu' || top === 'gov') return { code: 'US', isNational: false };
  if (top === 'uk') return { code: 'GB', isNational: true };
  return top.length === 2 ? { code: top.toUpperCase(), isNational: true } : undefined;
}
