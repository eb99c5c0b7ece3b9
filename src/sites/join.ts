import {
  type AliasKind,
  type Knowledge,
  type KnownSite,
  type SiteFacts,
  SOURCE_KINDS,
  type SourceFacts,
} from './knowledge.ts';
import { siteName } from './name.ts';

/** Aliases that mean the whole site and nothing larger or smaller: two sources' sites may be joined by one. */
const WHOLE_SITE: ReadonlySet<AliasKind> = new Set<AliasKind>(['cms', 'atlas', 'netsite', 'other']);

/** CRIC keeps services that have no site under such a name: it is none. */
const PLACEHOLDERS: ReadonlySet<string> = new Set(['null', 'none', 'unknown', 'n_a']);

/**
 * What all sources together say. Sites of different sources become one by, in this order: the same `oimGroupId`, the
 * same `gocdbKey`, the same name, one's name being an alias of the other and of no other site. Sites whose numbers
 * differ are never joined. The merged site bears the name that the strongest source gives it.
 *
 * @param overrides host or address → site, as a person wrote it: any name the site goes by
 */
export function joinSources(
  sources: readonly SourceFacts[],
  overrides: ReadonlyMap<string, string> = new Map(),
): Knowledge {
  const ordered = [...sources].sort((a, b) => SOURCE_KINDS.indexOf(a.kind) - SOURCE_KINDS.indexOf(b.kind));
  const book = new SiteBook();
  const warnings: string[] = [];
  for (const [index, { origin, sites }] of ordered.entries()) {
    const taken = new Set<KnownSite>();
    const shared = sharedAliases(sites);
    for (const facts of sites) {
      if (PLACEHOLDERS.has(nameKey(facts.name))) continue;
      const known = book.match(facts, shared, taken);
      const site = known ?? book.open(facts);
      if (!site) {
        warnings.push(
          `${origin}: site "${facts.name}" has no letter or digit that an ad can carry; left out`,
        );
        continue;
      }
      taken.add(site);
      merge(site, facts, index);
      book.index(site);
    }
  }
  const pinned: Record<string, string> = {};
  for (const [host, wanted] of overrides) {
    const found = book.named(wanted);
    if (found.size > 1) {
      const names = [...found].map(({ name }) => name).sort();
      warnings.push(`the override of ${host} names "${wanted}", which may be any of ${names.join(', ')}`);
    }
    const site = found.size === 1 ? [...found][0]! : undefined;
    if (!site && found.size === 0)
      warnings.push(`the override of ${host} names the site "${wanted}", which no source knows`);
    pinned[host] = site?.name ?? siteName(wanted);
  }
  return {
    sources: ordered.map(({ kind, origin, version }) => ({ kind, origin, ...(version && { version }) })),
    sites: book.sites.sort((a, b) => (a.name < b.name ? -1 : 1)),
    overrides: pinned,
    warnings,
  };
}

/** How names are compared: as ads carry them, without case. */
export const nameKey = (text: string): string => siteName(text).toLowerCase();

/** Aliases that several sites of one source have: they join nothing. */
function sharedAliases(sites: readonly SiteFacts[]): Set<string> {
  const owner = new Map<string, SiteFacts>();
  const shared = new Set<string>();
  for (const site of sites) {
    for (const { text } of site.aliases) {
      const key = nameKey(text);
      if ((owner.get(key) ?? site) !== site) shared.add(key);
      owner.set(key, site);
    }
  }
  return shared;
}

/** The sites so far, by everything that can join another source's site to them. */
class SiteBook {
  readonly sites: KnownSite[] = [];
  #names = new Set<string>();
  #byText = new Map<string, Set<KnownSite>>();
  #byId = new Map<string, Set<KnownSite>>();

  named(text: string): ReadonlySet<KnownSite> {
    return this.#byText.get(nameKey(text)) ?? new Set();
  }

  /** The one known site that these facts are about; sites in `taken` are already told of by the same source. */
  match(facts: SiteFacts, shared: ReadonlySet<string>, taken: ReadonlySet<KnownSite>): KnownSite | undefined {
    const free = (sites: Iterable<KnownSite>): KnownSite[] =>
      [...sites].filter((site) => !taken.has(site) && !idsDiffer(site, facts));
    const sameName = free(this.named(facts.name));
    for (const id of idsOf(facts)) {
      const found = free(this.#byId.get(id) ?? []);
      const exact = found.find((site) => sameName.includes(site));
      if (exact) return exact;
      if (found.length === 1) return found[0];
    }
    const bearers = sameName.filter(({ name }) => nameKey(name) === nameKey(facts.name));
    if (bearers.length === 1) return bearers[0];
    if (sameName.length === 1) return sameName[0];
    const byAlias = new Set(
      facts.aliases
        .filter(({ text, kind }) => WHOLE_SITE.has(kind) && !shared.has(nameKey(text)))
        .flatMap(({ text }) => free(this.named(text)))
        .filter((site) => facts.aliases.some(({ text }) => nameKey(text) === nameKey(site.name))),
    );
    return byAlias.size === 1 ? [...byAlias][0] : undefined;
  }

  /** A new site under a name that no other has; undefined when nothing of its name can stay. */
  open(facts: SiteFacts): KnownSite | undefined {
    const wanted = siteName(facts.name);
    if (!wanted) return undefined;
    let name = wanted;
    for (let n = 2; this.#names.has(name); n++) name = `${wanted}_${n}`;
    this.#names.add(name);
    const site: KnownSite = {
      name,
      sources: [],
      aliases: [],
      texts: [],
      hosts: [],
      prefixes: [],
      domains: [],
      active: facts.active,
    };
    this.sites.push(site);
    return site;
  }

  index(site: KnownSite): void {
    for (const id of idsOf(site)) addTo(this.#byId, id, site);
    addTo(this.#byText, nameKey(site.name), site);
    for (const { text, kind } of site.aliases)
      if (kind === 'name' || WHOLE_SITE.has(kind)) addTo(this.#byText, nameKey(text), site);
  }
}

type Ids = Pick<SiteFacts, 'oimGroupId' | 'gocdbKey'>;

const idsOf = ({ oimGroupId, gocdbKey }: Ids): string[] => [
  ...(oimGroupId === undefined ? [] : [`oim ${oimGroupId}`]),
  ...(gocdbKey === undefined ? [] : [`gocdb ${gocdbKey}`]),
];

const idsDiffer = (a: Ids, b: Ids): boolean =>
  (a.oimGroupId !== undefined && b.oimGroupId !== undefined && a.oimGroupId !== b.oimGroupId) ||
  (a.gocdbKey !== undefined && b.gocdbKey !== undefined && a.gocdbKey !== b.gocdbKey);

/** What an earlier source said stays; lists grow. */
function merge(site: KnownSite, facts: SiteFacts, source: number): void {
  site.sources.push(source);
  for (const alias of [{ text: facts.name, kind: 'name' as const }, ...facts.aliases]) {
    if (!site.aliases.some(({ text, kind }) => text === alias.text && kind === alias.kind))
      site.aliases.push({ text: alias.text, kind: alias.kind });
  }
  site.oimGroupId ??= facts.oimGroupId;
  site.gocdbKey ??= facts.gocdbKey;
  if (site.latitude === undefined || site.longitude === undefined) {
    site.latitude = facts.latitude;
    site.longitude = facts.longitude;
  }
  site.countryCode ??= facts.countryCode;
  for (const text of facts.texts) if (!site.texts.includes(text)) site.texts.push(text);
  site.hosts.push(...facts.hosts.map((host) => ({ ...host, source })));
  site.prefixes.push(...facts.prefixes.map((prefix) => ({ ...prefix, source })));
  site.domains.push(...facts.domains.map((domain) => ({ domain, source })));
  site.active ||= facts.active;
}

function addTo<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}
