import { identifier } from '../address.ts';
import type { Archive, MeasurementHost } from '../domain.ts';
import { type ArchiveClaim, type HostClaim, hostTokens, identifiersOf, urlTokens } from './claims.ts';
import { UnionFind } from './union-find.ts';

/**
 * Merges claims into hosts: one host per connected component over names, addresses, client-uuids and record links.
 * Claims without any name or address make no host. The result does not depend on the order of the claims, and
 * merging it again changes nothing. A host that shares an identifier with a known one takes its key.
 */
export function mergeHosts(
  claims: readonly HostClaim[],
  known: readonly MeasurementHost[] = [],
): MeasurementHost[] {
  const components = toldNow(componentsOf(claims, hostTokens)).flatMap(({ members, tokens }) => {
    const host = mergedHost(members);
    const proposedKey = host.names[0] ?? host.addresses[0];
    return proposedKey === undefined ? [] : [{ tokens, proposedKey, host }];
  });
  const keys = assignKeys(
    components,
    known.map((host) => ({ key: host.key, tokens: hostTokens(host) })),
  );
  return sortedByKey(components.map(({ host }, index) => ({ key: keys[index]!, ...host })));
}

function mergedHost(claims: HostClaim[]): Omit<MeasurementHost, 'key'> {
  const all = (field: ListField) => sortedUnique(claims.flatMap((claim) => claim[field] ?? []));
  const { names, addresses } = identifiersOf([...all('names'), ...all('addresses')]);
  const newest = (field: TextField) => believed(claims, (claim) => claim[field], compare);
  const place = believed(
    claims,
    ({ latitude, longitude }) =>
      latitude === undefined || longitude === undefined ? undefined : { latitude, longitude },
    (a, b) => a.latitude - b.latitude || a.longitude - b.longitude,
  );
  const capacities = claims.flatMap((claim) => claim.capacityMbps ?? []);
  return {
    names: sortedUnique(names),
    addresses: sortedUnique(addresses),
    clientUuids: all('clientUuids'),
    clonedUuids: all('clonedUuids'),
    ...present({
      siteNameHint: newest('siteNameHint'),
      city: newest('city'),
      countryCode: newest('countryCode'),
      ...place,
    }),
    communities: all('communities'),
    domains: all('domains'),
    roles: all('roles'),
    ...present({
      accessPolicy: newest('accessPolicy'),
      toolkitVersion: newest('toolkitVersion'),
      capacityMbps: capacities.length > 0 ? Math.max(...capacities) : undefined,
    }),
    pschedulerUrls: all('pschedulerUrls').toSorted(byPreference),
    sources: all('sources'),
  };
}

type ListField =
  | 'names'
  | 'addresses'
  | 'clientUuids'
  | 'clonedUuids'
  | 'communities'
  | 'domains'
  | 'roles'
  | 'pschedulerUrls'
  | 'sources';
type TextField = 'siteNameHint' | 'city' | 'countryCode' | 'accessPolicy' | 'toolkitVersion';

/** Of what the claims say, that of the claim that expires last; the least of those that expire together. */
function believed<T>(
  claims: readonly HostClaim[],
  saying: (claim: HostClaim) => T | undefined,
  order: (a: T, b: T) => number,
): T | undefined {
  let best: { value: T; freshness: number } | undefined;
  for (const claim of claims) {
    const value = saying(claim);
    if (value === undefined) continue;
    const freshness = claim.freshness ?? 0;
    if (!best || freshness > best.freshness || (freshness === best.freshness && order(value, best.value) < 0))
      best = { value, freshness };
  }
  return best?.value;
}

/**
 * Merges claims into archives: one archive per connected component over URLs (whatever their scheme), and over
 * the same path on the same host. Known archives hand on their key and what was found out about them.
 */
export function mergeArchives(
  claims: readonly ArchiveClaim[],
  hosts: readonly MeasurementHost[],
  known: readonly Archive[] = [],
): Archive[] {
  const hostKeyOf = hostKeyLookup(hosts);
  const tokensOf = (claim: { urls: readonly string[] }) => [
    ...urlTokens(claim.urls),
    ...claim.urls.flatMap((url) => {
      const hostKey = hostKeyOf(url);
      const { port, pathname } = new URL(url);
      return hostKey === undefined ? [] : [`host ${hostKey} ${port} ${pathname}`];
    }),
  ];
  const components = toldNow(componentsOf(claims, tokensOf)).map(({ members, tokens }) => {
    const urls = sortedUnique(members.flatMap((claim) => claim.urls)).toSorted(byPreference);
    const { host, pathname } = new URL(urls[0]!);
    return { tokens, proposedKey: `${host}${pathname.replace(/\/$/, '')}`, urls, members };
  });
  const keys = assignKeys(
    components,
    known.map((archive) => ({ key: archive.key, tokens: tokensOf(archive) })),
  );
  const kinds = new Map(known.map(({ key, kind }) => [key, kind]));
  return sortedByKey(
    components.map(({ urls, members }, index) => {
      const key = keys[index]!;
      const hostKey = urls.map(hostKeyOf).find((found) => found !== undefined);
      return {
        key,
        urls,
        ...present({ hostKey, kind: kinds.get(key) }),
        sources: sortedUnique(members.flatMap(({ sources }) => sources)),
      };
    }),
  );
}

/** Which host a URL is on. A private address that several hosts have says nothing. */
function hostKeyLookup(hosts: readonly MeasurementHost[]): (url: string) => string | undefined {
  const keys = new Map<string, string | undefined>();
  for (const host of hosts)
    for (const text of [...host.names, ...host.addresses])
      keys.set(text, keys.has(text) ? undefined : host.key);
  return (url) => keys.get(identifier(new URL(url).hostname)?.text ?? '');
}

/**
 * https before http: newer archives refuse http. Then names before addresses (only names can have a certificate),
 * IPv4 before IPv6 (a spider may have no IPv6), private addresses last.
 */
function byPreference(a: string, b: string): number {
  return preference(a) - preference(b) || compare(a, b);
}

function preference(text: string): number {
  const url = new URL(text);
  const host = identifier(url.hostname);
  const isPrivate = host?.scope !== 'global';
  const family = host?.kind !== 'address' ? 0 : host.text.includes(':') ? 2 : 1;
  return (isPrivate ? 8 : 0) + (url.protocol === 'https:' ? 0 : 4) + family;
}

interface Component<C> {
  members: C[];
  tokens: string[];
}

/** Groups claims that share a token, directly or over others. Claims without tokens are left out. */
function componentsOf<C>(claims: readonly C[], tokensOf: (claim: C) => string[]): Component<C>[] {
  const tokenLists = claims.map(tokensOf);
  const union = new UnionFind();
  for (const tokens of tokenLists) union.join(tokens);
  const components = new Map<number, { members: C[]; tokens: Set<string> }>();
  claims.forEach((claim, index) => {
    const tokens = tokenLists[index]!;
    if (tokens.length === 0) return;
    const root = union.root(tokens[0]!)!;
    const component = components.get(root) ?? { members: [], tokens: new Set() };
    components.set(root, component);
    component.members.push(claim);
    for (const token of tokens) component.tokens.add(token);
  });
  return [...components.values()].map(({ members, tokens }) => ({ members, tokens: [...tokens] }));
}

/** Without those of which nobody tells any more. */
function toldNow<C extends { isRemembered?: true }>(components: Component<C>[]): Component<C>[] {
  return components.filter(({ members }) => members.some(({ isRemembered }) => !isRemembered));
}

interface Keyed {
  key: string;
  tokens: string[];
}

/**
 * A key for each component: that of the known thing with which it shares most tokens (the smaller key where two
 * share as many), each known key once; the proposed key, made unique, for what is new. A key of a known thing
 * that was not met now is not given to another.
 */
function assignKeys(
  components: readonly { tokens: string[]; proposedKey: string }[],
  known: readonly Keyed[],
): string[] {
  const holders = new Map<string, number[]>();
  known.forEach(({ tokens }, index) => {
    for (const token of tokens) {
      const list = holders.get(token);
      if (list) list.push(index);
      else holders.set(token, [index]);
    }
  });
  const matches = components.flatMap(({ tokens }, component) => {
    const shared = new Map<number, number>();
    for (const token of tokens)
      for (const holder of holders.get(token) ?? []) shared.set(holder, (shared.get(holder) ?? 0) + 1);
    return [...shared].map(([holder, count]) => ({ component, holder, count }));
  });
  matches.sort(
    (a, b) =>
      b.count - a.count ||
      compare(known[a.holder]!.key, known[b.holder]!.key) ||
      compare(components[a.component]!.proposedKey, components[b.component]!.proposedKey),
  );
  const keys: (string | undefined)[] = components.map(() => undefined);
  const given = new Set<number>();
  for (const { component, holder } of matches) {
    if (keys[component] !== undefined || given.has(holder)) continue;
    keys[component] = known[holder]!.key;
    given.add(holder);
  }
  const taken = new Set(known.map(({ key }) => key));
  const newOnes = components
    .map(({ proposedKey, tokens }, index) => ({ proposedKey, tokens, index }))
    .filter(({ index }) => keys[index] === undefined)
    .toSorted(
      (a, b) => compare(a.proposedKey, b.proposedKey) || compare(leastOf(a.tokens), leastOf(b.tokens)),
    );
  for (const { proposedKey, index } of newOnes) {
    let key = proposedKey;
    for (let number = 2; taken.has(key); number++) key = `${proposedKey}~${number}`;
    taken.add(key);
    keys[index] = key;
  }
  return keys.map((key) => key!);
}

const leastOf = (tokens: string[]) => tokens.toSorted()[0] ?? '';

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

const sortedUnique = (list: string[]) => [...new Set(list)].sort();

const sortedByKey = <T extends { key: string }>(list: T[]) => list.toSorted((a, b) => compare(a.key, b.key));

/** Without the fields that are undefined. */
function present<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}
