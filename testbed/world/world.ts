import { type Books, type BooksQuery, books } from './books.ts';
import { elmond } from './elmond.ts';
import { esmond } from './esmond.ts';
import type { View } from './events.ts';
import { generate, makePath } from './generate.ts';
import { lookup } from './lookup.ts';
import { type ExpectedPair, expectedPairs } from './meshes.ts';
import type { Archive, Host, Json, Model, NotablePath, OpenSearchAccess, SilentPath } from './model.ts';
import { openSearch } from './openSearch.ts';
import { PScheduler, type PSchedulerOptions, type RunEnd } from './pscheduler.ts';
import { psconfigServer } from './psconfig.ts';
import { ARCHIVE_PATH, type Reply, type Resolver, resolverOf } from './query.ts';
import { archiveLocators, type LookupRecord, type Ports, recordsOf } from './records.ts';
import { v2Records, v2StyleOf } from './recordsV2.ts';
import { ReplyCache } from './replyCache.ts';
import { type BookRun, bookRuns, type RunsQuery } from './runDocuments.ts';
import { searchLookup } from './searchLookup.ts';
import {
  type Fault,
  type LoggedRequest,
  type NodeRequest,
  type RequestCounters,
  type ServerNode,
  Servers,
} from './servers.ts';
import { siteBooksServer } from './siteBooks.ts';
import { type SiteMap, siteMapOf, siteMapYaml } from './siteMap.ts';
import { type Collectors, type Credentials, collect, wlcgServer } from './wlcg.ts';

export interface WorldOptions {
  /** Measurement hosts, 5 to 2400. Default 20. */
  hosts?: number;
  /** Default 1. The same seed and anchor give the same world. */
  seed?: number;
  /** World time; results exist up to it. Default: the real clock. */
  clock?: () => Date;
  /** What ended tests and stale records are dated from. Default: the start of the day (UTC) the clock shows. */
  anchor?: Date;
  /** A late run is visible only this long after its timestamp. Default 0: none is late. */
  lateSeconds?: number;
  /** Which part of the runs is late, 0..1. Default 1. */
  lateShare?: number;
  /** Sites that each site measures towards. Default 12, or all where there are fewer. */
  peersPerSite?: number;
  /** So many archives hold all tests, one for several sites; the shared one stays empty. Default: most hosts have one. */
  ownArchives?: number;
  /**
   * For worlds that must answer fast: of each kind of test only so many have values of their own, which the others
   * share (with their keys and ends as they are), and bodies made once are sent again while the clock stands still.
   */
  archetypes?: number;
  /**
   * Round-trip time of the network, in the mean; each address has its own, from half of it to one and a half. Every
   * answer takes one, and a connection one (http) or two (https) more. Default 0.
   */
  rttMs?: number;
  /** Live lookup servers. Default 3. */
  lookups?: number;
  /**
   * How the lookup service can be read: by GET from the sLS servers (default), by POST from one Elasticsearch as in
   * 2026, or both. Without 'sls' the bootstrap server names the Elasticsearch machine alone, where GET is refused.
   */
  lookupForms?: readonly ('sls' | 'elasticsearch')[];
  /** Which part of the hosts is registered per interface (version 2) in the Elasticsearch index, 0..1. Default 0.2. */
  v2Share?: number;
  /** Directed pairs of mapped sites that the meshes ask for and nobody measures. Default 0. */
  silentPaths?: number;
  /**
   * The OpenSearch behind the elmond archives. none (default): 404 everywhere. mixed: half of them are open to
   * anybody, the others say 401, 403 or 404. anonymous: all are open.
   */
  openSearch?: 'none' | 'mixed' | 'anonymous';
  /**
   * Half of the hosts whose clock is off have no estimate of its error: their runs carry a clock error of 0.
   * Default: false, all have one.
   */
  untoldClockErrors?: boolean;
  /** So many hosts, the first ones, were made from one image and have its client-uuid. Default 0. */
  clones?: number;
  /**
   * So many latency hosts stand behind a firewall that lets no probe in, and so many more stopped testing a day
   * before the anchor (see `trouble` of hosts). Default 0.
   */
  troubledHosts?: number;
  /**
   * Latency hosts whose clock is off by 35 ms up to 2.5 s, ahead or behind (see `clockOffsetMs` of hosts), and that
   * say nothing of it. Default 0.
   */
  wrongClocks?: number;
  /**
   * Latency hosts that were down for two hours, from 27 to 25 hours before the anchor: their own tests have a
   * gap, and the others' tests towards them lost every packet (see `outage` of hosts). Default 0.
   */
  outages?: number;
  /** IPv6 is half as fast as IPv4 between the same hosts, and a third longer. Default: the same. */
  unevenFamilies?: boolean;
  /** The aggregated WLCG/OSG Elasticsearch exists, and wants this user and password. Default: there is none. */
  wlcg?: Credentials;
  /** More aggregated indices; what they hold is in no archive that others could read. Default: none. */
  collectors?: Collectors;
  /**
   * Every measurement host answers at https://ADDRESS:PORT/pscheduler, also those without an archive, and the lookup
   * records say so. Default: none does.
   */
  pScheduler?: PSchedulerOptions;
  /** One port for all addresses; 0 (default) takes a free one. */
  httpPort?: number;
  httpsPort?: number;
}

export interface WorldHost {
  /** Address, and the key for setFault and counters. */
  key: string;
  name: string;
  address4: string;
  address6: string | null;
  /** The site it stands at, mapped or not. */
  site: string;
  mapped: boolean;
  role: Host['role'];
  dirt: Host['dirt'];
  trouble: Host['trouble'];
  /** Offset of its clock from UTC. */
  clockOffsetMs: number;
  /** When it was down, in a world with outages; the gaps that any host has now and then are not told. */
  outage: { from: Date; to: Date } | null;
}

/** All that the lookup servers say about one machine, in live and in stale records; person records not counted. */
export interface Identity {
  uris: string[];
  names: string[];
  clientUuids: string[];
}

export interface WorldArchive {
  key: string;
  kind: Archive['kind'];
  version: string;
  certificate: Archive['certificate'];
  /** As advertised: http and https, some also for an IPv6 address that nobody can reach. */
  urls: string[];
  testCount: number;
  openSearch: OpenSearchAccess;
  /** Where an elmond archive's OpenSearch is, or would be; null for esmond. */
  openSearchUrl: string | null;
}

export interface World {
  bootstrapUrl: string;
  ports: Ports;
  /** The CA behind the archives whose certificate is 'ca'. */
  caPem: string;
  /** The measurement hosts, and last the machine of the shared central archive. */
  hosts: WorldHost[];
  /** What answers HTTP; a host without an archive of its own does not listen. */
  archives: WorldArchive[];
  /** Keys of the live lookup servers, and of the bootstrap server. */
  lookups: string[];
  bootstrap: string;
  /** The Elasticsearch form of the lookup service, where there is one. */
  searchLookup: { key: string; url: string } | null;
  psconfig: {
    key: string;
    /** The list of all meshes. */
    url: string;
  };
  /**
   * CRIC, OSG Topology and GOCDB in one, about the mapped sites: `/api/core/rcsite/query/?json`, `/rgsummary/xml`,
   * `/miscresource/json` and `/gocdbpi/public/?method=get_service` below `url`.
   */
  siteBooks: { key: string; url: string };
  /** They tell only of the first part of the sites from now on, 0..1. */
  setSiteBooksShare(share: number): void;
  /** What the meshes ask for, and which of it is never measured. Default format: psconfig. */
  expectedPairs(format?: 'psconfig' | 'meshconfig'): ExpectedPair[];
  silent: SilentPath[];
  /** The aggregated WLCG/OSG Elasticsearch, where there is one; `url` is the base of its indices. */
  wlcg: { key: string; url: string } | null;
  collectors: { key: string; url: string; testCount: number }[];
  /** How runs end that are posted to the host from now on; null leaves it to chance, as in the beginning. */
  setRunEnd(hostKey: string, end: RunEnd | null): void;
  /** Paths whose state is known: one at about 40 Mb/s, one losing 3 %, one fast. */
  notable: NotablePath[];
  now(): Date;
  /** Which records are the same machine. */
  identity(hostKey: string): Identity;
  books(query: BooksQuery): Books;
  /**
   * The same truth run by run, whatever face it is read through: one entry per run and archive, archive by archive.
   * An entry here is a document in OpenSearch (some have a second copy with the same run id).
   */
  runs(query: RunsQuery): BookRun[];
  setFault(key: string, fault: Fault | Fault['kind'] | null): Promise<void>;
  counters(key: string): RequestCounters;
  requests(): readonly LoggedRequest[];
  resetCounters(): void;
  siteMap(): SiteMap;
  sitesYaml(): string;
  close(): Promise<void>;
}

const BOOTSTRAP = '127.9.0.1';
const SEARCH_LOOKUP = '127.9.0.21';
const PSCONFIG = '127.9.0.31';
const SITE_BOOKS = '127.9.0.51';
const WLCG = '127.9.0.41';
const DEAD_LOOKUP = '127.9.0.99';
const collectorKey = (index: number): string => `127.9.2.${1 + index}`;

/** Starts the servers. Every address is in 127.0.0.0/8. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const clock = options.clock ?? (() => new Date());
  const nowSeconds = (): number => Math.floor(clock().getTime() / 1000);
  const anchorSeconds = options.anchor
    ? Math.floor(options.anchor.getTime() / 1000)
    : Math.floor(nowSeconds() / 86_400) * 86_400;
  const whole = generate({
    hosts: options.hosts ?? 20,
    seed: options.seed ?? 1,
    anchorSeconds,
    peersPerSite: options.peersPerSite ?? 12,
    silentPaths: options.silentPaths ?? 0,
    openSearch: options.openSearch ?? 'none',
    untoldClockErrors: options.untoldClockErrors ?? false,
    clones: options.clones ?? 0,
    troubledHosts: options.troubledHosts ?? 0,
    wrongClocks: options.wrongClocks ?? 0,
    outages: options.outages ?? 0,
    unevenFamilies: options.unevenFamilies ?? false,
    ...(options.ownArchives !== undefined && { ownArchives: options.ownArchives }),
    ...(options.archetypes !== undefined && { archetypes: options.archetypes }),
  });
  const { collectors } = options;
  const { model, collected } = collectors ? collect(whole, collectors) : { model: whole, collected: [] };
  const cache = options.archetypes === undefined ? undefined : new ReplyCache();
  const view = (): View => ({
    nowSeconds: nowSeconds(),
    lateSeconds: options.lateSeconds ?? 0,
    lateShare: options.lateShare ?? 1,
  });
  const forms = new Set(options.lookupForms ?? ['sls']);
  const lookupCount = options.lookups ?? 3;
  const lookups = forms.has('sls') ? Array.from({ length: lookupCount }, (_, i) => `127.9.0.${11 + i}`) : [];
  const archivesByKey = new Map(model.archives.map((archive) => [archive.key, archive]));
  const resolve = resolverOf(
    new Map(model.hosts.map((host) => [host.name, { v4: host.address4, v6: host.address6 }])),
  );

  const pScheduler =
    options.pScheduler &&
    new PScheduler({
      model,
      options: options.pScheduler,
      clock,
      pathBetween: (from, to) => makePath(model.seed, from, to, model.notable),
      isUnreachable: (key) => ['dead', 'blackhole'].includes(servers.fault(key)?.kind ?? ''),
    });
  const withPScheduler = (found: Ports): Ports =>
    pScheduler ? { ...found, pscheduler: found.https } : found;

  const siteBooks = { share: 1 };
  const servers = await Servers.start(
    { http: options.httpPort ?? 0, https: options.httpsPort ?? 0 },
    (found) => {
      const ports = withPScheduler(found);
      return [
        { address: BOOTSTRAP, certificate: 'selfSigned', answer: (r) => bootstrap(r, lookups, forms, ports) },
        ...lookups.map((address, number): ServerNode => {
          const held = () => heldBy(model, archivesByKey, number, lookupCount, ports, nowSeconds());
          return { address, certificate: 'selfSigned', answer: (r) => lookup(r.path, r.query, held) };
        }),
        ...measurementNodes(model, archivesByKey, pScheduler, (archive) =>
          archiveNode(archive, resolve, view, clock, cache),
        ),
        { address: PSCONFIG, certificate: 'ca', answer: psconfigServer(model, ports) },
        { address: SITE_BOOKS, certificate: 'ca', answer: siteBooksServer(model, siteBooks) },
        ...(options.wlcg ? [wlcgNode(WLCG, wlcgServer(model.archives, options.wlcg, view, clock))] : []),
        ...collected.map((held, i) => wlcgNode(collectorKey(i), wlcgServer(held, collectors!, view, clock))),
        ...(forms.has('elasticsearch')
          ? [searchLookupNode(model, archivesByKey, lookupCount, ports, options.v2Share ?? 0.2, clock)]
          : []),
      ];
    },
    options.rttMs ?? 0,
  );
  const ports = withPScheduler(servers.ports);

  return {
    bootstrapUrl: `http://${BOOTSTRAP}:${ports.http}/lookup/activehosts.json`,
    ports,
    caPem: servers.caPem,
    hosts: model.hosts.map(describe),
    archives: model.archives.map((archive) => ({
      key: archive.key,
      kind: archive.kind,
      version: archive.version,
      certificate: archive.certificate,
      urls: archiveLocators(archive, ports),
      testCount: archive.tests.size,
      openSearch: archive.openSearch,
      openSearchUrl: archive.kind === 'elmond' ? `https://${archive.key}:${ports.https}/opensearch` : null,
    })),
    lookups,
    bootstrap: BOOTSTRAP,
    searchLookup: forms.has('elasticsearch')
      ? { key: SEARCH_LOOKUP, url: `http://${SEARCH_LOOKUP}:${ports.http}/lookup/_search` }
      : null,
    psconfig: { key: PSCONFIG, url: `https://${PSCONFIG}:${ports.https}/pub/config` },
    siteBooks: { key: SITE_BOOKS, url: `https://${SITE_BOOKS}:${ports.https}` },
    setSiteBooksShare: (share) => {
      siteBooks.share = share;
    },
    expectedPairs: (format = 'psconfig') => expectedPairs(model, format),
    silent: model.silent,
    setRunEnd: (key, end) => {
      if (!pScheduler) throw new RangeError('this world was started without pScheduler');
      pScheduler.setRunEnd(key, end);
    },
    wlcg: options.wlcg ? { key: WLCG, url: `https://${WLCG}:${ports.https}` } : null,
    collectors: collected.map((held, i) => ({
      key: collectorKey(i),
      url: `https://${collectorKey(i)}:${ports.https}`,
      testCount: held.reduce((sum, { tests }) => sum + tests.size, 0),
    })),
    notable: model.notable,
    now: clock,
    identity: (key) => identityOf(model, archivesByKey, key, lookupCount, ports),
    books: (query) => books(model.archives, query, view()),
    runs: (query) => [...bookRuns(model.archives, query, view())],
    setFault: (key, fault) => servers.setFault(key, typeof fault === 'string' ? { kind: fault } : fault),
    counters: (key) => servers.counters(key),
    requests: () => servers.log(),
    resetCounters: () => servers.resetCounters(),
    siteMap: () => siteMapOf(model),
    sitesYaml: () => siteMapYaml(siteMapOf(model)),
    close: async () => {
      pScheduler?.close();
      await servers.close();
    },
  };
}

/** Live servers (one with a slash at the end, one with its priority as text), one that is dead all the same, and two that are known not to answer. */
function bootstrap(request: NodeRequest, lookups: string[], forms: ReadonlySet<string>, ports: Ports): Reply {
  if (request.path !== '/lookup/activehosts.json') {
    return { status: 404, contentType: 'text/html', body: '<html><body>404 Not Found</body></html>' };
  }
  const locator = (address: string, slash = ''): string =>
    `http://${address}:${ports.http}/lookup/records${slash}`;
  const hosts = lookups.map((address, i) => ({
    locator: locator(address, i % 2 === 1 ? '/' : ''),
    priority: i % 3 === 2 ? '50' : 100,
    status: 'alive',
  }));
  if (forms.has('elasticsearch')) {
    hosts.push({ locator: locator(SEARCH_LOOKUP), priority: 100, status: 'alive' });
  }
  if (!forms.has('sls')) return jsonReply({ hosts });
  hosts.push({ locator: locator(DEAD_LOOKUP), priority: 100, status: 'alive' });
  hosts.push({ locator: locator('127.9.0.98'), priority: '10', status: 'unreachable' });
  hosts.push({ locator: locator('127.9.0.97'), priority: 1, status: 'unknown' });
  return jsonReply({ hosts });
}

function jsonReply(body: Json): Reply {
  return { status: 200, contentType: 'application/json', body: JSON.stringify(body, null, 1) };
}

/** A server's part of the records, made anew for each query: 2,400 hosts' records need no memory between queries. */
function* heldBy(
  model: Model,
  archives: ReadonlyMap<string, Archive>,
  number: number,
  lookupCount: number,
  ports: Ports,
  nowSeconds: number,
): Generator<LookupRecord> {
  for (const host of model.hosts) {
    for (const placed of recordsOf(model, host, archives, lookupCount, ports, nowSeconds)) {
      if (placed.lookups.includes(number)) yield placed.record;
    }
  }
}

/** All servers' records merged, those that expired as well, and the documents of version 2. */
function searchLookupNode(
  model: Model,
  archives: ReadonlyMap<string, Archive>,
  lookupCount: number,
  ports: Ports,
  v2Share: number,
  clock: () => Date,
): ServerNode {
  function* documents(nowSeconds: number): Generator<LookupRecord | Record<string, Json>> {
    for (const host of model.hosts) {
      const style = v2StyleOf(host, v2Share);
      if (style) yield* v2Records(model, host, style, archives.get(host.key), ports, nowSeconds);
      if (style === 'native') continue;
      for (const { record } of recordsOf(model, host, archives, lookupCount, ports, nowSeconds)) yield record;
    }
  }
  return {
    address: SEARCH_LOOKUP,
    certificate: 'selfSigned',
    accepts: (method) => ['GET', 'POST', 'PUT', 'DELETE'].includes(method),
    answer: (request) => {
      const nowMs = clock().getTime();
      return searchLookup(request, nowMs, () => documents(Math.floor(nowMs / 1000)));
    },
  };
}

function wlcgNode(address: string, answer: ServerNode['answer']): ServerNode {
  const accepts = (method: string): boolean => method === 'GET' || method === 'POST';
  return { address, certificate: 'ca', accepts, answer };
}

/** The archives; with pScheduler all measurement hosts, each with its archive if it has one. */
function measurementNodes(
  model: Model,
  archives: ReadonlyMap<string, Archive>,
  pScheduler: PScheduler | undefined,
  nodeOf: (archive: Archive) => ServerNode,
): ServerNode[] {
  if (!pScheduler) return model.archives.map(nodeOf);
  return model.hosts.map((host): ServerNode => {
    const archive = archives.get(host.key);
    const node = archive && nodeOf(archive);
    if (host.role === 'archive') return node!;
    const isMine = (path: string): boolean => /^\/pscheduler(\/|$)/.test(path);
    return {
      address: host.key,
      certificate: archive?.certificate ?? 'selfSigned',
      accepts: (method, path) =>
        isMine(path) ? pScheduler.accepts(method, path) : (node?.accepts?.(method, path) ?? method === 'GET'),
      answer: (request) => {
        if (isMine(request.path)) return pScheduler.answer(host, request);
        return node ? node.answer(request) : notFound();
      },
    };
  });
}

function notFound(): Reply {
  return { status: 404, contentType: 'text/html', body: '<html><body><h1>Not Found</h1></body></html>' };
}

function archiveNode(
  archive: Archive,
  resolve: Resolver,
  view: () => View,
  clock: () => Date,
  cache: ReplyCache | undefined,
): ServerNode {
  const answer = (request: NodeRequest): Reply => {
    if (request.path.startsWith('/opensearch/')) {
      return openSearch(archive, request, view(), clock().getTime());
    }
    if (request.path !== ARCHIVE_PATH && !request.path.startsWith(`${ARCHIVE_PATH}/`)) {
      return notFound();
    }
    const below = { ...request, path: request.path.slice(ARCHIVE_PATH.length) };
    const face = archive.kind === 'esmond' ? esmond : elmond;
    const make = (): Reply => face(archive, below, view(), resolve);
    return cache ? cache.get(archive, below, view().nowSeconds, make) : make();
  };
  return {
    address: archive.key,
    certificate: archive.certificate,
    accepts: (method, path) => method === 'GET' || (method === 'POST' && path.startsWith('/opensearch/')),
    answer,
  };
}

function describe(host: Host): WorldHost {
  const { key, name, address4, address6, role, dirt, trouble, clockOffsetMs, outage, site } = host;
  return {
    key,
    name,
    address4,
    address6,
    site: site.name,
    mapped: site.mapped,
    role,
    dirt,
    trouble,
    clockOffsetMs,
    outage: outage && { from: new Date(outage.from * 1000), to: new Date(outage.to * 1000) },
  };
}

function identityOf(
  model: Model,
  archives: ReadonlyMap<string, Archive>,
  key: string,
  lookupCount: number,
  ports: Ports,
): Identity {
  const host = model.hosts.find((candidate) => candidate.key === key);
  if (!host) throw new RangeError(`the world has no host ${key}`);
  const records = recordsOf(model, host, archives, lookupCount, ports, model.anchorSeconds)
    .map((placed) => placed.record)
    .filter((record) => !record.type!.includes('person'));
  const all = (name: string): string[] => [...new Set(records.flatMap((record) => record[name] ?? []))];
  return { uris: all('uri'), names: all('host-name'), clientUuids: all('client-uuid') };
}
