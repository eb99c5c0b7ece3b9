import { hostOf, type Identifier, identifier } from '../address.ts';
import type { MeasurementHost } from '../domain.ts';
import type { LookupRecord } from './records.ts';
import { UnionFind } from './union-find.ts';

/**
 * What one record says of a host. A merged host is a claim too, so that merging can be repeated.
 * Claims that share an identifier or a link speak of one host.
 */
export interface HostClaim extends Partial<Omit<MeasurementHost, 'key'>> {
  /** Record URIs by which records point at each other. */
  links?: string[];
  /** When the record was registered, in ms: of two claims that differ the later one is believed. */
  freshness?: number;
  /** Told before, by a source that fails now: it completes what is told now, and is nothing by itself. */
  isRemembered?: true;
}

/** What one record or seed says of an archive: base URLs that all lead to it. */
export interface ArchiveClaim {
  urls: string[];
  sources: string[];
  /** As of a host's claim. */
  isRemembered?: true;
}

/** What the records of one source say; whose the archives are shows when all sources have been heard. */
export interface RecordClaims {
  hosts: HostClaim[];
  registrations: Registration[];
}

/**
 * Tokens that tie a claim to others. Private addresses tie only claims that have nothing better, because every
 * site has its own 192.168.1.1.
 */
export function hostTokens(claim: HostClaim): string[] {
  const identifiers = [...(claim.names ?? []), ...(claim.addresses ?? [])].flatMap(
    (text) => identifier(text) ?? [],
  );
  const uuids = claim.clientUuids ?? [];
  const strong = [...identifierTokens(identifiers, 'global'), ...uuids.map((uuid) => `uuid ${uuid}`)];
  const best = strong.length > 0 ? strong : identifierTokens(identifiers, 'site');
  return [...best, ...(claim.links ?? []).map((link) => `link ${link}`)];
}

function identifierTokens(identifiers: Identifier[], scope: Identifier['scope']): string[] {
  return identifiers.filter((found) => found.scope === scope).map((found) => `${found.kind} ${found.text}`);
}

export function recordClaims(records: readonly LookupRecord[], source: string): RecordClaims {
  const hosts: HostClaim[] = [];
  const registrations: Registration[] = [];
  for (const record of records) {
    if (record.type.includes('host')) hosts.push(hostClaim(record, source));
    else if (record.type.includes('interface')) hosts.push(interfaceClaim(record, source));
    else {
      if (record['service-type'].some((type) => type !== 'ma')) hosts.push(responderClaim(record, source));
      if (record['service-type'].includes('ma')) {
        const urls = archiveUrls(record['service-locator']);
        if (urls.length > 0) registrations.push({ urls, owner: ownerClaim(record, source), source });
      }
    }
  }
  return { hosts, registrations };
}

/**
 * Joins what the records of all sources say. Neither the order of sources nor that of records matters.
 * @param known client-uuids that were recognised as cloned before
 * @param remembered claims of hosts, beside those of the records
 */
export function claimsOf(
  told: readonly RecordClaims[],
  known: ReadonlySet<string> = new Set(),
  remembered: readonly HostClaim[] = [],
): {
  hosts: HostClaim[];
  archives: ArchiveClaim[];
  /** Client-uuids that tie no claims together: see `clonedUuids`. */
  cloned: Set<string>;
} {
  const hosts = [...told.flatMap((each) => each.hosts), ...remembered];
  const registrations = told.flatMap((each) => each.registrations);
  const cloned = clonedUuids([...hosts, ...registrations.map(({ owner }) => owner)]).union(known);
  const unCloned = (claim: HostClaim): HostClaim => {
    const { clientUuids = [], clonedUuids = [] } = claim;
    const mine = clientUuids.filter((uuid) => cloned.has(uuid));
    return {
      ...claim,
      clientUuids: clientUuids.filter((uuid) => !cloned.has(uuid)),
      clonedUuids: [...clonedUuids, ...mine],
    };
  };
  const trusted = hosts.map(unCloned);
  const owned = registrations.map((each) => ({ ...each, owner: unCloned(each.owner) }));
  return {
    hosts: [...trusted, ...archiveHostClaims(owned, trusted)],
    archives: registrations.map(({ urls, source }) => ({ urls, sources: [source] })),
    cloned,
  };
}

/** A machine that registered anew, or once per address family, is met as so many hosts at most. */
const MOST_REGISTRATIONS = 4;

/**
 * Client-uuids that tell nothing: machines made from one image have the same. A uuid is taken for cloned when more
 * than four hosts have it that share neither name nor address nor record with each other. Counted are those with a
 * name or a host record: many interfaces alone, or many services of one host record, are one machine.
 */
export function clonedUuids(claims: readonly HostClaim[]): Set<string> {
  const components = new UnionFind();
  const tokenLists = claims.map((claim) => hostTokens({ ...claim, clientUuids: [] }));
  for (const tokens of tokenLists) components.join(tokens);
  const rootOf = ([token]: string[]) => (token === undefined ? undefined : components.root(token));
  const roots = tokenLists.map(rootOf);
  const addressed = new Set<number | undefined>();
  const registered = new Set<number | undefined>();
  tokenLists.forEach((tokens, index) => {
    if (tokens.some((token) => /^(name|address) /.test(token))) addressed.add(roots[index]);
    if (tokens.some((token) => /^(name |link lookup\/host\/)/.test(token))) registered.add(roots[index]);
  });
  const machines = addressed.intersection(registered);
  const holders = new Map<string, Set<number | undefined>>();
  claims.forEach(({ clientUuids = [] }, index) => {
    if (!machines.has(roots[index])) return;
    for (const uuid of clientUuids) holders.set(uuid, (holders.get(uuid) ?? new Set()).add(roots[index]));
  });
  return new Set([...holders].flatMap(([uuid, { size }]) => (size > MOST_REGISTRATIONS ? [uuid] : [])));
}

function hostClaim(record: LookupRecord, source: string): HostClaim {
  return {
    ...description(record, source),
    ...identifiersOf(record['host-name']),
    links: [...uriOf(record), ...record['host-net-interfaces'].map(link)],
  };
}

function interfaceClaim(record: LookupRecord, source: string): HostClaim {
  const capacities = record['interface-capacity'].map(Number).filter((bitsPerSecond) => bitsPerSecond > 0);
  return {
    ...description(record, source),
    ...identifiersOf(record['interface-addresses']),
    ...(capacities.length > 0 && { capacityMbps: Math.max(...capacities) / 1e6 }),
    links: uriOf(record),
  };
}

/** What answers tests runs on the host it speaks of: its locator identifies the host where no host record does. */
function responderClaim(record: LookupRecord, source: string): HostClaim {
  return {
    ...ownerClaim(record, source),
    ...identifiersOf(record['service-locator'].map(locatorHost)),
    ...(record['service-type'].includes('pscheduler') && {
      pschedulerUrls: record['service-locator'].flatMap((locator) => pschedulerLocator(locator) ?? []),
    }),
  };
}

/**
 * A pScheduler's URL without final slash; undefined for what cannot be one. Whoever registers a host says where tasks
 * are posted to, so the path must be pScheduler's own.
 */
export function pschedulerLocator(locator: string): string | undefined {
  const url = /^https?:\/\//i.test(locator) ? URL.parse(locator) : null;
  if (!url || !/^\/pscheduler\/*$/i.test(url.pathname)) return undefined;
  const host = identifier(url.hostname);
  return host && host.scope !== 'none' ? `${url.protocol}//${url.host}/pscheduler` : undefined;
}

function ownerClaim(record: LookupRecord, source: string): HostClaim {
  return { ...description(record, source), links: record['service-host'].map(link) };
}

/** An archive as a host registered it. */
interface Registration {
  urls: string[];
  owner: HostClaim;
  source: string;
}

/**
 * The hosts that archives run on. An archive may be a central one that other hosts register as theirs: then its
 * address must not make them one host. So locators speak for the registering host only where a single host
 * registers the archive, and that host either has no identity of its own (its host record is missing) or is found
 * at one of the locators. All decisions are taken before any is applied, so that order cannot matter.
 */
function archiveHostClaims(registrations: Registration[], hosts: HostClaim[]): HostClaim[] {
  const components = new UnionFind();
  const tokensOfHosts = hosts.map(hostTokens);
  const tokensOfOwners = new Map(registrations.map(({ owner }) => [owner, hostTokens(owner)]));
  for (const tokens of [...tokensOfHosts, ...tokensOfOwners.values()]) components.join(tokens);
  const rootOf = (tokens: string[] = []) =>
    tokens[0] === undefined ? undefined : components.root(tokens[0]);

  /** Names and addresses of each component. Private addresses too: here they are seen within one registration. */
  const identities = new Map<number | undefined, Set<string>>();
  hosts.forEach(({ names = [], addresses = [] }, index) => {
    const root = rootOf(tokensOfHosts[index]);
    identities.set(root, (identities.get(root) ?? new Set()).union(new Set([...names, ...addresses])));
  });

  return groupByUrl(registrations).flatMap((group) => {
    // Each once: an archive of a whole community is registered by thousands.
    const locators = identifiersOf([...new Set(group.flatMap(({ urls }) => urls.map(hostOf)))]);
    const roots = new Set(group.map(({ owner }) => rootOf(tokensOfOwners.get(owner))));
    const [root] = roots;
    const identity = identities.get(root) ?? new Set();
    const isFoundThere = [...locators.names, ...locators.addresses].some((text) => identity.has(text));
    const runsOnOwner = roots.size === 1 && root !== undefined && (identity.size === 0 || isFoundThere);
    return group.flatMap(({ owner, source }) =>
      runsOnOwner ? [{ ...owner, ...locators }] : [owner, { ...locators, sources: [source] }],
    );
  });
}

/** Registrations that share a URL, whatever its scheme, are of one archive. */
function groupByUrl(registrations: Registration[]): Registration[][] {
  const components = new UnionFind();
  const tokenLists = registrations.map(({ urls }) => urlTokens(urls));
  for (const tokens of tokenLists) components.join(tokens);
  const groups = Map.groupBy(registrations, (_, index) => components.root(tokenLists[index]![0]!));
  return [...groups.values()];
}

/**
 * Tokens that tie the URLs of one archive together: host, port and path without the scheme. Private hosts only
 * where there is no better one.
 */
export function urlTokens(urls: readonly string[]): string[] {
  const parsed = urls.map((url) => new URL(url));
  const best = parsed.filter((url) => identifier(url.hostname)?.scope === 'global');
  return (best.length > 0 ? best : parsed).map((url) => `url ${url.host}${url.pathname}`);
}

/** The usable base URLs among an archive's locators: no SOAP-era archive, no address that every host has. */
export function archiveUrls(locators: readonly string[]): string[] {
  return locators.flatMap((locator) => {
    const url = archiveUrl(locator);
    if (url === undefined || /\/services\/pSB\/$/i.test(url)) return [];
    const host = identifier(new URL(url).hostname);
    return host && host.scope !== 'none' ? [url] : [];
  });
}

/**
 * A base URL in the form in which archives are known: canonical host, final `/`, nothing after the path. Where results
 * are written to (`/logstash`) and what they are stored in (`/opensearch`) stand for the archive that is read.
 */
export function archiveUrl(locator: string): string | undefined {
  if (!/^https?:\/\//i.test(locator) || !URL.canParse(locator)) return undefined;
  const url = new URL(locator);
  const path = url.pathname
    .replace(/\/*$/, '/')
    .replace(/^\/(logstash|opensearch)\/$/, '/esmond/perfsonar/archive/');
  return `${url.protocol}//${url.host}${path}`;
}

/** `https://HOST/…`, `tcp://HOST:861` or a bare address. */
function locatorHost(locator: string): string {
  return URL.canParse(locator) && locator.includes('://') ? hostOf(locator) : locator;
}

/** Sorts what records give as names and addresses; what says nothing (localhost, ::1, empty) is left out. */
export function identifiersOf(values: readonly string[]): { names: string[]; addresses: string[] } {
  const found = values.flatMap((text) => identifier(text) ?? []).filter(({ scope }) => scope !== 'none');
  const of = (kind: Identifier['kind']) => found.filter((each) => each.kind === kind).map(({ text }) => text);
  return { names: of('name'), addresses: of('address') };
}

function uriOf(record: LookupRecord): string[] {
  return record.uri === undefined ? [] : [link(record.uri)];
}

/** Servers write `lookup/host/<uuid>`, some clients with a slash before it. */
function link(uri: string): string {
  return uri.replace(/^\/+/, '').toLowerCase();
}

function description(record: LookupRecord, source: string): HostClaim {
  return {
    clientUuids: record['client-uuid'].map((uuid) => uuid.toLowerCase()),
    siteNameHint: record['location-sitename'],
    city: record['location-city'],
    countryCode: countryCode(record['location-country']),
    ...coordinates(record['location-latitude'], record['location-longitude']),
    communities: [...record['group-communities']],
    domains: record['group-domains'].map((domain) => domain.toLowerCase()),
    roles: [...record['pshost-role']],
    accessPolicy: record['pshost-access-policy'],
    toolkitVersion: record['pshost-toolkitversion'] ?? record['pshost-bundle-version'],
    sources: [source],
    freshness: record.registered.getTime(),
  };
}

export function countryCode(text: string | undefined): string | undefined {
  return text && /^[a-z]{2}$/i.test(text) ? text.toUpperCase() : undefined;
}

/** Coordinates that an unconfigured host registers; they occur word for word on hosts in Brazil. */
const DEFAULT_LATITUDE = 37.5;
const DEFAULT_LONGITUDE = 121.7469;

/** Degrees; nothing where the texts are no place, or the default one. */
export function coordinates(
  latitudeText = '',
  longitudeText = '',
): { latitude?: number; longitude?: number } {
  const latitude = Number.parseFloat(latitudeText);
  const longitude = Number.parseFloat(longitudeText);
  const isPlace =
    Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 && (latitude !== 0 || longitude !== 0);
  const isDefault = latitude === DEFAULT_LATITUDE && Math.abs(longitude) === DEFAULT_LONGITUDE;
  return isPlace && !isDefault ? { latitude, longitude } : {};
}
