/**
 * What is known of sites, in two shapes.
 *
 * - `SourceFacts`: what ONE source says (a CRIC dump, OSG Topology, GOCDB, sites.yaml), in the source's own names,
 *   checked and brought to canonical form, and nothing else: a parser joins nothing and guesses nothing.
 * - `Knowledge`: what all of them say together: `joinSources(facts, overrides)` in join.ts.
 *
 * Both are plain JSON data: they can be stored, versioned and compared as text.
 */

/**
 * Which kind of source. The order is the rank: where two speak of the same thing, the earlier one is believed
 * (`file`: sites.yaml, a person's word), and the merged site bears the earlier one's name.
 */
export const SOURCE_KINDS = ['file', 'cric', 'osg', 'gocdb'] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];

/** What one source says. A source kind may be there more than once (two CRIC instances, a dump and a slice). */
export interface SourceFacts {
  kind: SourceKind;
  /** URL or file that it was read from: shown as evidence. */
  origin: string;
  /** Commit, date or digest of the content; absent where there is none. */
  version?: string;
  sites: SiteFacts[];
}

/**
 * One site as one source tells of it: a CRIC rcsite, an OSG ResourceGroup, a GOCDB site. What the source does not say
 * is absent (or an empty list). Texts are as the source writes them, trimmed; hosts and prefixes are canonical.
 */
export interface SiteFacts {
  /** The source's own name: rcsite `name`, ResourceGroup `GroupName`, GOCDB `SITENAME`. Unique within the source. */
  name: string;
  /** Numbers that join sources. `oimGroupId`: CRIC `oim_groupid` = OSG ResourceGroup `GroupID`. */
  oimGroupId?: number;
  /** CRIC `gocdb_pk` = GOCDB site `PRIMARY_KEY`, e.g. `268G0`. */
  gocdbKey?: string;
  /** Further names. One alias may belong to several sites (an OSG Site or facility with several groups). */
  aliases: SiteAlias[];
  /** Degrees; absent where the source has none or says 0, 0. */
  latitude?: number;
  longitude?: number;
  /** ISO 3166 two letters, upper case; absent where the source gives anything else. */
  countryCode?: string;
  /** Free text that may hold the site's name: altname, description, institute, facility, city. Hints only. */
  texts: string[];
  /** Exact hosts of the site's services. */
  hosts: HostFact[];
  /** Declared address ranges (CRIC netroutes). */
  prefixes: PrefixFact[];
  /** Domains that the source itself declares for the site: sites.yaml, CRIC's `preset=domains`. */
  domains: string[];
  /** False: the source calls the site disabled, closed or inactive. */
  active: boolean;
}

/**
 * - `cms`, `atlas`, `alice`, `lhcb`, `vo`: the experiment's name (CRIC `sites[]`; `vo`: any other `vo_name`).
 * - `netsite`: name of a CRIC netsite.
 * - `osg-site`, `osg-facility`: names of what the ResourceGroup is part of.
 * - `osg-institution`: the facility's `InstitutionID`, e.g. `https://osg-htc.org/iid/...`.
 * - `osg-resource`: name of a resource in the group (what GLIDEIN_ResourceName says).
 * - `wlcg-accounting`: `WLCGInformation.AccountingName`.
 * - `other`: anything else that means the whole site.
 */
export const ALIAS_KINDS = [
  'cms',
  'atlas',
  'alice',
  'lhcb',
  'vo',
  'netsite',
  'osg-site',
  'osg-facility',
  'osg-institution',
  'osg-resource',
  'wlcg-accounting',
  'other',
] as const;
export type AliasKind = (typeof ALIAS_KINDS)[number];

export interface SiteAlias {
  text: string;
  kind: AliasKind;
}

export interface HostFact {
  /**
   * DNS name (lower case, no trailing dot) or canonical address: no scheme, port or path. An endpoint that lists
   * several hosts (`a.cern.ch,b.cern.ch`) gives several facts. `canonicalHost` in sites-file.ts.
   */
  host: string;
  /** The source's word for the service, e.g. `SE`, `CE`, `PerfSonar`, `net.perfSONAR.Bandwidth`. */
  service: string;
  /** OSG resource name or CRIC service name; absent where there is none. */
  resource?: string;
  /** False: disabled, inactive, not in production. The host still tells of the site's domain. */
  active: boolean;
}

export interface PrefixFact {
  /** CIDR with the host bits zero, canonical text, e.g. `192.0.2.0/24`, `2001:db8::/32`. */
  prefix: string;
  /** The CRIC netsite (a location within the site), where given. */
  netsite?: string;
  asn?: number;
}

/** What all sources together say. Made by `joinSources`; the resolver reads nothing else. */
export interface Knowledge {
  /** The sources it was made of, the strongest first. `KnownHost.sources` etc. are indexes into this list. */
  sources: { kind: SourceKind; origin: string; version?: string }[];
  /** By name. */
  sites: KnownSite[];
  /** Host name (lower case) or canonical address → site name. A person's word: nothing outranks it. */
  overrides: Record<string, string>;
  /** What did not fit together, one sentence each: for the log and the cycle's warnings. */
  warnings: string[];
}

/** One site, merged from every source that knows it. */
export interface KnownSite {
  /** As ads and map keys carry it: `siteName` of the strongest source's name. */
  name: string;
  /** The sources that tell of it. */
  sources: number[];
  /** Every name it goes by, the source's own ones (kind `name`) included; one entry for each text and kind. */
  aliases: { text: string; kind: AliasKind | 'name' }[];
  oimGroupId?: number;
  gocdbKey?: string;
  latitude?: number;
  longitude?: number;
  countryCode?: string;
  texts: string[];
  hosts: (HostFact & { source: number })[];
  prefixes: (PrefixFact & { source: number })[];
  domains: { domain: string; source: number }[];
  active: boolean;
}
