import type { LocateMethod } from '../domain.ts';
import { weakHints } from './hints.ts';
import { machineEvidence } from './machine.ts';
import { nameEvidence } from './name-evidence.ts';
import { type Hidden, neighbourhood, nothingHidden } from './neighbourhood.ts';
import type { SiteIndex } from './site-index.ts';
import { canonicalHost, isAddress } from './sites-file.ts';

/** Something to be located: a host, a machine of the pool, or a test endpoint that no known host claims. */
export interface Subject {
  subject: string;
  names: string[];
  addresses: string[];
  /** What the machine's own ad says, e.g. GLIDEIN_CMSSite. */
  attributes?: Record<string, string>;
  /** What the lookup service's record says: free text, each a hint at most. */
  hints?: LookupHints;
  /** What the routers next to it on traces say: a hint at most. */
  neighbour?: NeighbourHint;
}

export interface NeighbourHint {
  site: string;
  text: string;
}

export interface LookupHints {
  siteNameHint?: string;
  communities?: string[];
  latitude?: number;
  longitude?: number;
}

/** One piece of evidence: it speaks for these sites (for one among them, where there are several). */
export interface Evidence {
  method: LocateMethod;
  sites: string[];
  text: string;
  /** How often such evidence is right, 0..1; 0 where it names no single site. */
  confidence: number;
}

export interface Resolution {
  site?: string;
  method?: LocateMethod;
  /** Of the site; 0 without one. */
  confidence: number;
  /** What decided; or why nothing could. */
  evidence: string;
  /** Between which sites it stands, where it is ambiguous; by name. */
  candidates: string[];
}

/** Which of a machine's attributes are its own word, the strongest first. */
export const MACHINE_ATTRIBUTES = [
  'LarkSite',
  'GLIDEIN_CMSSite',
  'OSG_INSTITUTION_ID',
  'GLIDEIN_Site',
  'GLIDEIN_ResourceName',
] as const;

export interface ResolveOptions {
  machineAttributes?: readonly string[];
  /** Known hosts that are to be forgotten: for leave-one-out. */
  hidden?: Hidden;
}

interface Kind {
  method: LocateMethod;
  find: () => Evidence[];
  /** Two sites by such evidence end the search: what is weaker must not outvote it. */
  isFinal: boolean;
}

/**
 * Which site a subject belongs to, by the strongest evidence that is unanimous. A prefix or a domain that several
 * sites share leaves it to weaker evidence to choose among these, never beyond them; two addresses in prefixes of
 * different sites contradict each other, and nothing weaker settles that. Lark never guesses.
 */
export function resolve(subject: Subject, index: SiteIndex, options: ResolveOptions = {}): Resolution {
  let open: { sites: Set<string>; texts: string[] } | undefined;
  for (const { method, find, isFinal } of kindsOf(subject, index, options)) {
    const told = combine(find(), method, open?.sites);
    if (!told) continue;
    const [site] = told.sites;
    if (told.sites.length === 1 && site !== undefined) {
      const evidence = [...(open?.texts ?? []), told.text].join('; ');
      return { site, method: told.method, confidence: told.confidence, evidence, candidates: [] };
    }
    open = { sites: new Set(told.sites), texts: [...(open?.texts ?? []), told.text] };
    if (isFinal || told.isContradiction) break;
  }
  return open
    ? undecided([...open.sites].sort(), open.texts)
    : { confidence: 0, evidence: nearest(subject, index, options.hidden ?? nothingHidden), candidates: [] };
}

const AMBIGUOUS = 'ambiguous between ';

const undecided = (candidates: string[], texts: string[]): Resolution => ({
  confidence: 0,
  evidence: `${AMBIGUOUS}${candidates.join(', ')}: ${texts.join('; ')}`,
  candidates,
});

/** Between which sites an ambiguous assignment stands, by its evidence: a site's name holds neither comma nor colon. */
export function candidatesOf(evidence: string): string[] {
  if (!evidence.startsWith(AMBIGUOUS)) return [];
  return evidence.slice(AMBIGUOUS.length, evidence.indexOf(':')).split(', ');
}

/** Every piece of evidence there is, the strongest kind first, whatever decided. */
export function allEvidence(subject: Subject, index: SiteIndex, options: ResolveOptions = {}): Evidence[] {
  return kindsOf(subject, index, options).flatMap(({ find }) => find());
}

function kindsOf(subject: Subject, index: SiteIndex, options: ResolveOptions): Kind[] {
  const hidden = options.hidden ?? nothingHidden;
  const identifiers = [...new Set([...subject.names, ...subject.addresses].map(canonicalHost))];
  const addresses = identifiers.filter((id) => isAddress(id));
  const names = identifiers.filter((id) => !isAddress(id));
  const attributes = options.machineAttributes ?? MACHINE_ATTRIBUTES;
  return [
    { method: 'override', isFinal: true, find: () => byOverride(identifiers, index) },
    { method: 'machine', isFinal: true, find: () => machineEvidence(subject, attributes, index) },
    { method: 'host-name', isFinal: true, find: () => byHost(identifiers, index, hidden) },
    { method: 'prefix', isFinal: false, find: () => byPrefix(addresses, index) },
    { method: 'domain', isFinal: true, find: () => byOwnDomain(names, index) },
    { method: 'domain', isFinal: false, find: () => byName(names, index, hidden) },
    { method: 'hints', isFinal: true, find: () => weakHints(subject, index) },
  ];
}

function byOverride(identifiers: readonly string[], { knowledge }: SiteIndex): Evidence[] {
  return identifiers.flatMap((id) => {
    const site = Object.hasOwn(knowledge.overrides, id) ? knowledge.overrides[id] : undefined;
    return site === undefined ? [] : [{ method: 'override', sites: [site], text: id, confidence: 1 }];
  });
}

function byHost(identifiers: readonly string[], { hosts }: SiteIndex, hidden: Hidden): Evidence[] {
  return identifiers.flatMap((id) => {
    const claim = hidden(id) ? undefined : hosts.get(id);
    if (!claim) return [];
    return [{ method: 'host-name', sites: claim.sites, text: `${id} (${claim.from})`, confidence: 0.99 }];
  });
}

function byPrefix(addresses: readonly string[], { prefixes }: SiteIndex): Evidence[] {
  return addresses.flatMap((address) => {
    const hit = prefixes.longest(address);
    if (!hit) return [];
    return [
      {
        method: 'prefix',
        sites: [...hit.sites].sort(),
        text: `${address} in ${hit.prefix}`,
        confidence: 0.97,
      },
    ];
  });
}

/** A domain that sites.yaml declares for a site; the longest, and a name may be the domain itself. */
function byOwnDomain(names: readonly string[], { ownDomains }: SiteIndex): Evidence[] {
  if (ownDomains.size === 0) return [];
  return names.flatMap((name) => {
    const labels = name.split('.');
    const suffix = labels
      .map((_, i) => labels.slice(i).join('.'))
      .find((candidate) => ownDomains.has(candidate));
    if (suffix === undefined) return [];
    const sites = [...ownDomains.get(suffix)!].sort();
    return [{ method: 'domain', sites, text: `${name} in ${suffix}`, confidence: 0.97 }];
  });
}

function byName(names: readonly string[], index: SiteIndex, hidden: Hidden): Evidence[] {
  return names.flatMap((name) => {
    const { method, sites, text, confidence } = nameEvidence(name, index, hidden) ?? {};
    if (!method || !sites || sites.length === 0) return [];
    return [{ method, sites, text: `${name}: ${text}`, confidence: confidence! }];
  });
}

/**
 * What several pieces of one kind say together: the sites that all of them allow, within `among` where that is given.
 * None at all: they contradict each other, and all that were named are candidates.
 */
function combine(
  found: readonly Evidence[],
  method: LocateMethod,
  among: ReadonlySet<string> | undefined,
): (Evidence & { isContradiction: boolean }) | undefined {
  if (found.length === 0) return undefined;
  let sites = among ? [...among] : [...new Set(found.flatMap((one) => one.sites))];
  for (const one of found) sites = sites.filter((site) => one.sites.includes(site));
  const text = found.map((one) => one.text).join('; ');
  const strongest = found.reduce((a, b) => (b.confidence > a.confidence ? b : a));
  if (sites.length > 0) return { ...strongest, sites, text, isContradiction: false };
  // Weaker evidence that fits none of the candidates chooses nothing among them.
  if (among) return undefined;
  const named = [...new Set(found.flatMap((one) => one.sites))].sort();
  return { method, sites: named, text, confidence: 0, isContradiction: true };
}

/** Why nothing is known, and what comes nearest. */
function nearest({ names, addresses }: Subject, index: SiteIndex, hidden: Hidden): string {
  const near = names.flatMap((name) => {
    const found = neighbourhood(canonicalHost(name), index, hidden);
    return found ? [`${found.domain} has hosts of ${found.sites.join(', ')}, which is too little`] : [];
  });
  const looked = [...names, ...addresses].join(', ') || 'neither name nor address';
  return `no override, host, prefix or domain of any source fits (${[looked, ...near].join('; ')})`;
}
