import { hash } from 'node:crypto';
import { shareValues } from './archetypes.ts';
import type {
  Archive,
  Dirt,
  Host,
  Model,
  NotablePath,
  PathModel,
  SilentPath,
  Site,
  Test,
  TestType,
} from './model.ts';
import { hash32, pick, round, unit, uuid } from './rng.ts';

export interface GenerateOptions {
  /** Measurement hosts, 5 to 2400; two at most sites, one at some. */
  hosts: number;
  seed: number;
  anchorSeconds: number;
  /** Sites each site measures towards; capped at all others. */
  peersPerSite: number;
  /** Directed pairs of sites that are expected to be measured and are not. */
  silentPaths?: number;
  /** Default: none. mixed: most elmond archives can be searched by anybody, the others are closed in all ways. */
  openSearch?: 'none' | 'mixed' | 'anonymous';
  /** Half of the hosts whose clock is off have no estimate of its error. */
  untoldClockErrors?: boolean;
  /** So many hosts were made from one image and have its client-uuid. */
  clones?: number;
  /** How many hosts there are of each kind of trouble. */
  troubledHosts?: number;
  /** Latency hosts whose clock is off by some ms up to seconds, and that have no estimate of its error. */
  wrongClocks?: number;
  /** Latency hosts that were down for two hours, up to an hour before those that stopped did so. */
  outages?: number;
  /** IPv6 takes another way than IPv4: slower and longer. */
  unevenFamilies?: boolean;
  /** So many archives hold all tests; the central one holds none. Default: as the sites' styles have it. */
  ownArchives?: number;
  /** Tests of each kind whose values are their own; the others share them. Default: all. */
  archetypes?: number;
}

const DAY = 86_400;

const CITIES = [
  ['GENEVA', 'CH', 46.23, 6.05],
  ['MADISON', 'US', 43.07, -89.4],
  ['SANDIEGO', 'US', 32.88, -117.23],
  ['LINCOLN', 'US', 40.82, -96.7],
  ['KARLSRUHE', 'DE', 49.1, 8.43],
  ['AMSTERDAM', 'NL', 52.36, 4.95],
  ['LYON', 'FR', 45.78, 4.87],
  ['BOLOGNA', 'IT', 44.5, 11.34],
  ['CHICAGO', 'US', 41.79, -87.6],
  ['GAINESVILLE', 'US', 29.64, -82.35],
  ['CAMBRIDGE', 'US', 42.36, -71.09],
  ['BARCELONA', 'ES', 41.5, 2.11],
  ['DIDCOT', 'GB', 51.57, -1.31],
  ['TAIPEI', 'TW', 25.04, 121.61],
  ['TOKYO', 'JP', 35.71, 139.76],
  ['MELBOURNE', 'AU', -37.8, 144.96],
  ['SAOPAULO', 'BR', -23.55, -46.73],
  ['VANCOUVER', 'CA', 49.25, -123.23],
  ['PRAGUE', 'CZ', 50.1, 14.39],
  ['BUDAPEST', 'HU', 47.48, 18.95],
  ['CAPETOWN', 'ZA', -33.95, 18.46],
  ['MUMBAI', 'IN', 18.91, 72.81],
  ['HELSINKI', 'FI', 60.2, 24.96],
  ['WARSAW', 'PL', 52.21, 20.98],
] as const;

const DIRT: readonly Dirt[] = [
  'clean',
  'clean',
  'clean',
  'ipOnly',
  'clean',
  'noHostRecord',
  'noClientUuid',
  'registeredTwice',
  'defaultCoordinates',
  'staleDuplicate',
];

const FREE_TEXT = [
  (n: string) => `${n} Tier 2 (perfSONAR)`,
  (n: string) => n.toLowerCase(),
  (n: string) => `Univ. of ${n[0]}${n.slice(1).toLowerCase()}, Physics Dept.`,
  (n: string) => `${n}-LHCONE / please do not reboot`,
  () => '',
  () => 'My Site',
];

/** The world of this seed: the same options give the same model, to the last key. */
export function generate(options: GenerateOptions): Model {
  const { seed, anchorSeconds } = options;
  if (!Number.isInteger(options.hosts) || options.hosts < 5 || options.hosts > 2400) {
    throw new RangeError(`hosts must be a whole number from 5 to 2400, not ${options.hosts}`);
  }
  const sites = makeSites(seed, options.hosts);
  const hosts: Host[] = [];
  for (const site of sites) {
    const left = options.hosts - hosts.length;
    const single = left === 1 || (site.index % 5 === 4 && left > sites.length - site.index);
    const roles: Host['role'][] = single ? ['both'] : ['throughput', 'latency'];
    for (const role of roles) hosts.push(makeHost(seed, site, role, hosts.length));
    if (hosts.length === options.hosts) break;
  }
  const used = sites.filter((site) => hosts.some((host) => host.site === site));
  // A world of few hosts must have an unmapped site as well.
  if (used.every((site) => site.mapped)) used.at(-1)!.mapped = false;

  if (options.untoldClockErrors) {
    for (const [i, host] of hosts.filter((each) => each.clockOffsetMs !== 0).entries()) {
      host.clockErrorTold = i % 2 === 1;
    }
  }
  for (const host of hosts.slice(0, options.clones ?? 0)) host.clientUuid = hosts[0]!.clientUuid;
  troubleHosts(hosts, options.troubledHosts ?? 0);
  hurtHosts(options, hosts);
  const central = makeCentralArchive(seed, used.length);
  const { archives, archivesOf } =
    options.ownArchives === undefined
      ? makeArchives(seed, used, hosts, central)
      : spreadArchives(seed, used, hosts, central, options.ownArchives);
  openArchives(archives, options.openSearch ?? 'none');
  const notable = notablePaths(used);
  const silent = silentPaths(options, used, notable);
  makeTests(options, used, hosts, archivesOf, notable, silent);
  if (options.archetypes !== undefined) shareValues(archives, options.archetypes);
  for (const archive of archives) {
    archive.tests = new Map([...archive.tests].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  return { seed, anchorSeconds, sites: used, hosts: [...hosts, central.host], archives, notable, silent };
}

function makeSites(seed: number, hostCount: number): Site[] {
  const sites: Site[] = [];
  for (let index = 0; index < hostCount; index++) {
    const city = CITIES[index];
    const label = city ? city[0] : `SITE${String(index).padStart(4, '0')}`;
    const tier = index % 6 === 0 ? 'T1' : index % 4 === 3 ? 'T3' : 'T2';
    const mapped = index % 7 !== 5;
    const mappedBy = index % 5 === 3 ? 'domain' : 'prefix';
    // Some sites live in a corner of their neighbour's network: only the longest prefix is right.
    const nested = index % 8 === 7 && mapped && mappedBy === 'prefix';
    const net = nested ? index - 1 : index;
    const prefix4 = `127.${10 + (net >> 8)}.${net & 255}.${nested ? 64 : 0}/${nested ? 26 : 24}`;
    const net6 = (0x10 + net).toString(16);
    sites.push({
      index,
      name: `${label}-${tier}`,
      mapped,
      domain: `${tier.toLowerCase()}.${label.toLowerCase()}.example`,
      freeTextName: pick(FREE_TEXT, seed, 100 + index)(label),
      city: label,
      country: city ? city[1] : 'ZZ',
      latitude: city ? city[2] : round(unit(seed, 2000 + index) * 120 - 50, 2),
      longitude: city ? city[3] : round(unit(seed, 5000 + index) * 340 - 170, 2),
      prefix4,
      prefix6: nested ? `2001:db8:${net6}:40::/60` : `2001:db8:${net6}::/48`,
      mappedBy,
    });
  }
  return sites;
}

function makeHost(seed: number, site: Site, role: Host['role'], index: number): Host {
  const nested = site.prefix4.endsWith('/26');
  const last = (nested ? 64 : 0) + (role === 'latency' ? 11 : 10);
  const address4 = site.prefix4.replace(/\d+\/\d+$/, String(last));
  const net6 = site.prefix6.replace(/::\/\d+$/, '');
  const id = hash32(seed, 'host', index);
  return {
    key: address4,
    id,
    site,
    role,
    name: `${role === 'latency' ? 'ps-lat' : 'ps-bw'}.${site.domain}`,
    address4,
    address6: unit(id, 1) < 0.6 ? `${net6}::${role === 'latency' ? 'b' : 'a'}` : null,
    clientUuid: uuid(`client ${seed} ${index}`),
    dirt: DIRT[index % DIRT.length]!,
    clockOffsetMs: unit(id, 2) < 0.07 ? round((unit(id, 3) - 0.5) * 60, 2) : 0,
    clockErrorTold: true,
    trouble: null,
    outage: null,
    nicBps: pick([1e9, 10e9, 10e9, 10e9, 40e9, 100e9], id, 4),
  };
}

function makeCentralArchive(seed: number, siteCount: number): Archive {
  const site: Site = {
    index: siteCount,
    name: 'CENTRAL-ARCHIVE',
    mapped: false,
    domain: 'archive.example',
    freeTextName: 'Community archive',
    city: 'Nowhere',
    country: 'ZZ',
    latitude: 0,
    longitude: 0,
    prefix4: '127.9.1.0/24',
    prefix6: '2001:db8:9::/48',
    mappedBy: 'prefix',
  };
  const host: Host = {
    key: '127.9.1.10',
    id: hash32(seed, 'central'),
    site,
    role: 'archive',
    name: 'pmp-archive.archive.example',
    address4: '127.9.1.10',
    address6: null,
    clientUuid: uuid(`client ${seed} central`),
    dirt: 'clean',
    clockOffsetMs: 0,
    clockErrorTold: true,
    trouble: null,
    outage: null,
    nicBps: 10e9,
  };
  return makeArchive(host, seed % 2 === 0 ? 'esmond' : 'elmond');
}

function makeArchive(host: Host, kind: Archive['kind']): Archive {
  const newer = unit(host.id, 11) < 0.7;
  return {
    key: host.key,
    host,
    kind,
    version: kind === 'esmond' ? (newer ? '2.1' : '1.0') : newer ? '5.1.4' : '5.0.8',
    defaultLimit: kind === 'esmond' && !newer ? 1500 : 1000,
    retentionSeconds: kind === 'elmond' ? 180 * DAY : Number.POSITIVE_INFINITY,
    keepsFailures: kind === 'esmond' || unit(host.id, 12) < 0.2,
    openSearch: 'absent',
    certificate: unit(host.id, 13) < 0.3 ? 'ca' : 'selfSigned',
    tests: new Map(),
  };
}

/**
 * Where a host's results go: to its own archive, to the one on the site's throughput host, to the shared
 * central archive, or to its own and the central one.
 */
function makeArchives(seed: number, sites: Site[], hosts: Host[], central: Archive) {
  const archives: Archive[] = [central];
  const archivesOf = new Map<Host, Archive[]>();
  for (const site of sites) {
    const mine = hosts.filter((host) => host.site === site);
    const style = (['own', 'site', 'own', 'central', 'both'] as const)[site.index % 5]!;
    const kind = unit(hash32(seed, 'archive', site.index), 1) < 0.5 ? 'esmond' : 'elmond';
    let shared: Archive | undefined;
    for (const host of mine) {
      if (style === 'central') {
        archivesOf.set(host, [central]);
        continue;
      }
      let archive = style === 'site' ? shared : undefined;
      if (!archive) {
        archive = makeArchive(host, kind);
        archives.push(archive);
        shared = archive;
      }
      archivesOf.set(host, style === 'both' ? [archive, central] : [archive]);
    }
  }
  // Both kinds must be there, whatever the seed says.
  const own = archives.slice(1);
  for (const kind of ['esmond', 'elmond'] as const) {
    if (own.every((archive) => archive.kind !== kind)) {
      Object.assign(own.at(-1)!, makeArchive(own.at(-1)!.host, kind));
    }
  }
  return { archives, archivesOf };
}

/** One site in so many has an archive, for itself and for its neighbours that have none. */
function spreadArchives(seed: number, sites: Site[], hosts: Host[], central: Archive, wanted: number) {
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > sites.length) {
    throw new RangeError(`${sites.length} sites have 1 to ${sites.length} archives, not ${wanted}`);
  }
  const archives: Archive[] = [central];
  const archivesOf = new Map<Host, Archive[]>();
  for (const [i, site] of sites.entries()) {
    const mine = hosts.filter((host) => host.site === site);
    if (Math.floor((i * wanted) / sites.length) === archives.length - 1) {
      const kind = unit(hash32(seed, 'archive', site.index), 1) < 0.5 ? 'esmond' : 'elmond';
      archives.push(makeArchive(mine[0]!, kind));
    }
    for (const host of mine) archivesOf.set(host, [archives.at(-1)!]);
  }
  return { archives, archivesOf };
}

const ACCESS = ['anonymous', 'anonymous', 'unauthorized', 'anonymous', 'forbidden', 'absent'] as const;

function openArchives(archives: Archive[], wanted: 'none' | 'mixed' | 'anonymous'): void {
  if (wanted === 'none') return;
  const elmonds = archives.filter(({ kind }) => kind === 'elmond');
  for (const [i, archive] of elmonds.entries()) {
    archive.openSearch = wanted === 'anonymous' ? 'anonymous' : ACCESS[i % ACCESS.length]!;
  }
}

/** A few paths whose state is known beforehand, so that a demonstration shows something. */
function notablePaths(sites: Site[]): NotablePath[] {
  const mapped = sites.filter((site) => site.mapped).map((site) => site.name);
  const notable: NotablePath[] = [{ source: mapped[0]!, destination: mapped[1]!, kind: 'slow' }];
  notable.push({ source: mapped[1]!, destination: mapped[2] ?? mapped[0]!, kind: 'lossy' });
  if (mapped.length > 2) notable.push({ source: mapped[2]!, destination: mapped[0]!, kind: 'fast' });
  return notable;
}

/** Latency hosts of mapped sites, from the end of the world, so that the notable paths stay as they are. */
function troubleHosts(hosts: Host[], wanted: number): void {
  const candidates = hosts.filter((host) => host.site.mapped && host.role === 'latency').reverse();
  if (candidates.length < 2 * wanted) {
    throw new RangeError(`a world of ${hosts.length} hosts has no ${2 * wanted} hosts to be in trouble`);
  }
  for (const [i, host] of candidates.slice(0, 2 * wanted).entries()) {
    host.trouble = i % 2 === 0 ? 'firewall' : 'stopped';
  }
}

/** How far wrong clocks are off, in ms. */
const WRONG_BY_MS = [35, -60, 900, -2500];

/** Latency hosts of mapped sites that are in no other trouble, from the end of the world as well. */
function hurtHosts({ wrongClocks = 0, outages = 0, anchorSeconds }: GenerateOptions, hosts: Host[]): void {
  const candidates = hosts
    .filter((host) => host.site.mapped && host.role === 'latency' && host.trouble === null)
    .reverse();
  if (candidates.length < wrongClocks + outages) {
    throw new RangeError(`a world of ${hosts.length} hosts has no ${wrongClocks + outages} hosts to be hurt`);
  }
  for (const [i, host] of candidates.slice(0, wrongClocks).entries()) {
    host.clockOffsetMs = WRONG_BY_MS[i % WRONG_BY_MS.length]!;
    host.clockErrorTold = false;
  }
  for (const host of candidates.slice(wrongClocks, wrongClocks + outages)) {
    host.outage = { from: anchorSeconds - 27 * 3600, to: anchorSeconds - 25 * 3600 };
  }
}

/** Between mapped sites that stand in one mesh, and none of the notable ones. */
function silentPaths(options: GenerateOptions, sites: Site[], notable: NotablePath[]): SilentPath[] {
  const mapped = sites.filter((site) => site.mapped);
  const silent: SilentPath[] = [];
  const wanted = options.silentPaths ?? 0;
  for (let step = 1; step <= 3; step++) {
    for (const [i, site] of mapped.entries()) {
      if (silent.length >= wanted) return silent;
      const peer = mapped[i + step];
      if (!peer || Math.floor(peer.index / 10) !== Math.floor(site.index / 10)) continue;
      const known = notable.some((path) => path.source === site.name && path.destination === peer.name);
      if (!known) silent.push({ source: site.name, destination: peer.name });
    }
  }
  if (silent.length < wanted) {
    throw new RangeError(`a world of ${options.hosts} hosts has ${silent.length} paths to be silent`);
  }
  return silent;
}

function makeTests(
  options: GenerateOptions,
  sites: Site[],
  hosts: Host[],
  archivesOf: Map<Host, Archive[]>,
  notable: NotablePath[],
  silent: SilentPath[],
): void {
  const isSilent = new Set(silent.map((path) => `${path.source} ${path.destination}`));
  const bySite = new Map(sites.map((site) => [site, hosts.filter((host) => host.site === site)]));
  for (const source of sites) {
    for (const destination of peersOf(options, sites, source)) {
      if (isSilent.has(`${source.name} ${destination.name}`)) continue;
      const from = endpoints(bySite.get(source)!);
      const to = endpoints(bySite.get(destination)!);
      const path = makePath(options.seed, from.throughput, to.throughput, notable);
      for (const test of testsBetween(options, path, from, to)) {
        for (const archive of archivesOf.get(test.source)!) {
          // BWCTL was gone before elmond came.
          if (archive.kind === 'elmond' && test.tool.startsWith('bwctl/')) continue;
          const key = metadataKey(options.seed, archive, test);
          // A host that stopped did so a day before the anchor.
          const stopped = test.source.trouble === 'stopped';
          const endSeconds = stopped
            ? Math.min(test.endSeconds, options.anchorSeconds - DAY)
            : test.endSeconds;
          archive.tests.set(key, { ...test, key, endSeconds });
        }
      }
    }
  }
}

function peersOf(options: GenerateOptions, sites: Site[], site: Site): Site[] {
  const others = sites.filter((other) => other !== site);
  if (others.length <= options.peersPerSite) return others;
  const chosen = new Set<Site>();
  const at = sites.indexOf(site);
  for (let step = 1; step <= 3 && chosen.size < options.peersPerSite; step++) {
    chosen.add(sites[(at + step) % sites.length]!);
  }
  // The first few sites stand for the well connected ones that everybody measures against.
  for (let i = 0; chosen.size < options.peersPerSite; i++) {
    const reach = i % 2 === 0 ? Math.min(40, sites.length) : sites.length;
    const peer = sites[Math.floor(unit(hash32(options.seed, 'peer', site.index), i) * reach)]!;
    if (peer !== site) chosen.add(peer);
  }
  return [...chosen];
}

function endpoints(hosts: Host[]): { throughput: Host; latency: Host } {
  return {
    throughput: hosts.find((host) => host.role !== 'latency')!,
    latency: hosts.find((host) => host.role !== 'throughput') ?? hosts[0]!,
  };
}

/** What every test from one host to the other has in common. */
export function makePath(seed: number, from: Host, to: Host, notable: NotablePath[]): PathModel {
  const id = hash32(seed, 'path', from.site.index, to.site.index);
  const kilometres = greatCircleKm(from.site, to.site);
  const special = notable.find((path) => path.source === from.site.name && path.destination === to.site.name);
  return {
    id,
    capacityBps: special?.kind === 'fast' ? 10e9 : Math.min(from.nicBps, to.nicBps),
    // Light in fibre covers 200 km/ms; cables make detours, and the last mile costs a little.
    oneWayMs: round((kilometres / 200) * (1.2 + unit(id, 1) * 0.5) + 0.3 + unit(id, 2), 2),
    dailyAmplitude: 0.03 + unit(id, 3) * 0.3,
    solarOffsetHours: from.site.longitude / 15,
    hopCount: 5 + Math.floor(unit(id, 4) * 9),
    notable: special?.kind ?? null,
  };
}

type TestSpec = Omit<Test, 'key'>;

function testsBetween(
  options: GenerateOptions,
  path: PathModel,
  from: { throughput: Host; latency: Host },
  to: { throughput: Host; latency: Host },
): TestSpec[] {
  const tests: TestSpec[] = [];
  const add = (
    type: TestType,
    tool: string,
    intervalSeconds: number,
    ipVersion: 4 | 6,
    over: Partial<TestSpec> = {},
  ) => {
    const bandwidth = type === 'throughput' || type === 'trace';
    const source = bandwidth ? from.throughput : from.latency;
    const destination = bandwidth ? to.throughput : to.latency;
    if (ipVersion === 6 && !(source.address6 && destination.address6)) return;
    const id = hash32(path.id, type, tool, ipVersion);
    // Operators type names or addresses, as they like.
    const byName = unit(id, 20) < 0.6;
    const sourceAddress = ipVersion === 6 ? source.address6! : source.address4;
    const destinationAddress = ipVersion === 6 ? destination.address6! : destination.address4;
    tests.push({
      id,
      type,
      tool,
      udp: false,
      source,
      destination,
      ipVersion,
      sourceAddress,
      destinationAddress,
      inputSource: byName ? source.name : sourceAddress,
      inputDestination: byName ? destination.name : destinationAddress,
      intervalSeconds,
      phaseSeconds: Math.floor(unit(id, 21) * intervalSeconds),
      startSeconds: options.anchorSeconds - 400 * DAY,
      endSeconds: Number.POSITIVE_INFINITY,
      path: ipVersion === 6 && options.unevenFamilies ? overIpv6(path) : path,
      ...over,
    });
  };
  const dual = unit(path.id, 30) < 0.35;
  add('throughput', 'pscheduler/iperf3', pick([7200, 14_400, 21_600], path.id, 31), 4);
  if (dual) add('throughput', 'pscheduler/iperf3', 21_600, 6);
  if (unit(path.id, 32) < 0.08) add('throughput', 'pscheduler/nuttcp', 21_600, 4, { udp: true });
  add('latencybg', 'pscheduler/powstream', 60, 4);
  if (dual) add('latencybg', 'pscheduler/powstream', 60, 6);
  if (unit(path.id, 33) < 0.4) add('rtt', 'pscheduler/ping', 300, 4);
  add('trace', 'pscheduler/traceroute', 600, 4);
  // What real archives are full of: tests that ended long ago and still have their metadata.
  if (unit(path.id, 34) < 0.3) {
    const endedDays = 10 + Math.floor(unit(path.id, 35) * 290);
    add('throughput', 'bwctl/iperf3', 21_600, 4, { endSeconds: options.anchorSeconds - endedDays * DAY });
  }
  return tests;
}

function overIpv6(path: PathModel): PathModel {
  return { ...path, capacityBps: path.capacityBps / 2, oneWayMs: round(path.oneWayMs * 1.3, 2) };
}

/**
 * esmond draws a random 32-hex key per metadata object. elmond hashes test spec and tool but not the observer
 * or the archive, so two archives that hold the same test share the key.
 */
function metadataKey(seed: number, archive: Archive, test: TestSpec): string {
  const spec = `${test.type} ${test.tool} ${test.udp} ${test.inputSource} ${test.inputDestination} ${test.ipVersion}`;
  return archive.kind === 'esmond'
    ? hash('md5', `${seed} ${archive.key} ${spec} ${test.endSeconds}`)
    : hash('sha256', `${seed} ${spec}`);
}

function greatCircleKm(a: Site, b: Site): number {
  const rad = Math.PI / 180;
  const h =
    Math.sin(((b.latitude - a.latitude) * rad) / 2) ** 2 +
    Math.cos(a.latitude * rad) *
      Math.cos(b.latitude * rad) *
      Math.sin(((b.longitude - a.longitude) * rad) / 2) ** 2;
  return 2 * 6371 * Math.asin(Math.min(1, Math.sqrt(h)));
}
