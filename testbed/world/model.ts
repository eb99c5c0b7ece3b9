/** What the world consists of. Everything the servers answer is a function of this and of the clock. */

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

export interface Site {
  index: number;
  name: string;
  /** False: the site is left out of the site map, and Lark must list its hosts as unmapped. */
  mapped: boolean;
  domain: string;
  /** What an operator typed into the toolkit's form, e.g. 'GENEVA Tier 2 (perfSONAR)'. */
  freeTextName: string;
  city: string;
  country: string;
  latitude: number;
  longitude: number;
  prefix4: string;
  prefix6: string;
  /** How the site map finds the site: by prefix (and domain), or by domain and overrides alone. */
  mappedBy: 'prefix' | 'domain';
}

/**
 * What is wrong with a host's registration. The shares seen in captured lookup dumps are in
 * reference/perfsonar.md §1c; here each kind appears once in ten hosts, so that small worlds have most.
 */
export type Dirt =
  | 'clean'
  | 'ipOnly'
  | 'noHostRecord'
  | 'noClientUuid'
  | 'registeredTwice'
  | 'defaultCoordinates'
  | 'staleDuplicate';

export interface Host {
  /** The IPv4 address, unique in the world: what setFault and the request counters are keyed by. */
  key: string;
  id: number;
  site: Site;
  role: 'throughput' | 'latency' | 'both' | 'archive';
  name: string;
  address4: string;
  /** In records and as a test endpoint only: nothing listens there. */
  address6: string | null;
  clientUuid: string;
  dirt: Dirt;
  /** Offset of the host's clock from UTC in ms: what makes one-way delays negative. */
  clockOffsetMs: number;
  /** Whether the host's clock daemon says by how much it may be wrong; without, runs carry an error of 0. */
  clockErrorTold: boolean;
  /** firewall: no probe of a latency test reaches it. stopped: it tests no more, though it still stands. */
  trouble: 'firewall' | 'stopped' | null;
  /** Epoch seconds between which it was down, and whoever tested towards it lost every packet. */
  outage: { from: number; to: number } | null;
  nicBps: number;
}

export interface Archive {
  /** The key of the host that serves it. */
  key: string;
  host: Host;
  kind: 'esmond' | 'elmond';
  /** elmond: 5.0.8 answers on http and has a wrong next page; 5.1.4 refuses http and doubles `url`'s path. */
  version: string;
  /** esmond 1.x cuts at 1500, 2.x at 1000; elmond always at 1000. */
  defaultLimit: number;
  /** elmond keeps 180 days by default; an esmond operator keeps what he likes (here: everything). */
  retentionSeconds: number;
  /** elmond: whether the archiver is told to send failed runs as well (`runs: all`, off by default). */
  keepsFailures: boolean;
  /** Whether https shows a certificate of the world's CA, or a self-signed one as most real hosts do. */
  certificate: 'ca' | 'selfSigned';
  /** What /opensearch says to those without a password. Only an elmond archive can have one. */
  openSearch: OpenSearchAccess;
  /** By metadata key, in the order in which the archive lists them. */
  tests: Map<string, Test>;
}

export type OpenSearchAccess = 'anonymous' | 'unauthorized' | 'forbidden' | 'absent';

export type TestType = 'throughput' | 'latencybg' | 'rtt' | 'trace';

/** What every test between two sites has in common. */
export interface PathModel {
  id: number;
  capacityBps: number;
  oneWayMs: number;
  /** Depth of the daily dip, as a fraction of the level. */
  dailyAmplitude: number;
  /** Local solar time of the source in hours ahead of UTC. */
  solarOffsetHours: number;
  hopCount: number;
  notable: 'slow' | 'lossy' | 'fast' | null;
}

export interface Test {
  id: number;
  key: string;
  type: TestType;
  tool: string;
  udp: boolean;
  source: Host;
  destination: Host;
  ipVersion: 4 | 6;
  sourceAddress: string;
  destinationAddress: string;
  inputSource: string;
  inputDestination: string;
  intervalSeconds: number;
  phaseSeconds: number;
  /** First and last possible run, epoch seconds; a test that is still running ends at Infinity. */
  startSeconds: number;
  endSeconds: number;
  path: PathModel;
}

export interface NotablePath {
  source: string;
  destination: string;
  kind: 'slow' | 'lossy' | 'fast';
}

/** Sites by name. */
export interface SilentPath {
  source: string;
  destination: string;
}

export interface Model {
  seed: number;
  /** Epoch seconds that ended tests and stale records are placed against. */
  anchorSeconds: number;
  sites: Site[];
  hosts: Host[];
  archives: Archive[];
  notable: NotablePath[];
  /** Paths that the meshes ask for and nobody measures. */
  silent: SilentPath[];
}
