import { LRUCache } from 'lru-cache';
import { getDomain } from 'tldts';

/** `ps01.grid.example.ac.uk` → `example.ac.uk`; undefined where the name has none (a bare label, a public suffix). */
export function registeredDomain(name: string): string | undefined {
  const known = registered.get(name);
  if (known !== undefined) return known || undefined;
  const domain = getDomain(name, { allowPrivateDomains: true, extractHostname: false });
  registered.set(name, domain ?? '');
  return domain ?? undefined;
}

/** Each rule asks again, and the list of public suffixes is long. '' stands for none. */
const registered = new LRUCache<string, string>({ max: 4096 });

/**
 * The domains a name stands in, the longest first, down to the registered one: what is above it (`ac.uk`, `edu`) is
 * everybody's. `a.b.example.org` → `b.example.org`, `example.org`.
 */
export function domainsOf(name: string): string[] {
  const last = registeredDomain(name);
  if (last === undefined) return [];
  const domains: string[] = [];
  for (let rest = name; rest !== last; ) {
    rest = rest.slice(rest.indexOf('.') + 1);
    domains.push(rest);
  }
  return domains;
}

/** The runs of letters and digits in a text, lower case, accents off: `UKI-LT2-IC-HEP` → `uki`, `lt2`, `ic`, `hep`. */
export function wordsOf(text: string): string[] {
  return (
    text
      .normalize('NFKD')
      .replace(/\p{M}+/gu, '')
      .toLowerCase()
      .match(/[a-z0-9]+/g) ?? []
  );
}

/** A word that is this share of what a site's name has of its own stands for the whole. */
const MAIN_SHARE = 0.6;

export function isMainWord(word: string, core: readonly string[]): boolean {
  if (!core.includes(word)) return false;
  return word.length / core.reduce((sum, { length }) => sum + length, 0) >= MAIN_SHARE;
}

/** The runs of letters in the labels of a name below a domain: `ce-01.t2.example.org` → `ce`, `t`. */
export function stemsOf(name: string, domain: string): string[] {
  const below = name === domain ? '' : name.slice(0, -domain.length - 1);
  return below.match(/[a-z]+/g) ?? [];
}

/**
 * Whether a name is one that measurement hosts bear: `psonar1`, `perfsonar-bw`, `ps-latency`, `lhcperfmon`, `psum01`,
 * `t2ps-bandwidth`, `uct2-net3`. Only the labels below the registered domain count.
 */
export function soundsLikeMeasurement(name: string): boolean {
  const domain = registeredDomain(name);
  const below = domain && name !== domain ? name.slice(0, -domain.length - 1) : name;
  return /sonar|perf|netmon|lhcmon|owamp|bwctl|bandwidth|latency|(^|[-.\d_])(ps|psn|psb|psl|psnr|ps[a-z]{2,4}\d+|bw|lat)(?=[-.\d_]|$)/.test(
    below,
  );
}
