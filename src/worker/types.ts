/**
 * The shapes that the worker's parts speak. Bandwidth is in Mb/s (10^6 bits), addresses are in canonical text form,
 * times are `Date`; files of /run/lark hold them as ISO text.
 */

/** `none`: loopback only. `nat`: a routed veth behind one masquerade. `bridge`: an address of the site's own network. */
export const MODES = ['none', 'nat', 'bridge'] as const;
export type NetworkMode = (typeof MODES)[number];

export const PROTOCOLS = ['tcp', 'udp'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** A process, told from a later one with the same pid. */
export interface ProcessId {
  pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  startTicks: number;
}

/** A port on which the job wants to be reached from outside. */
export interface PortWish {
  protocol: Protocol;
  /** On which the job listens. */
  jobPort: number;
}

/** A granted one: what arrives at `hostPort` of the uplink goes to `jobPort` of the job. In bridge mode both are equal. */
export interface PortForward extends PortWish {
  hostPort: number;
}

/** A job's share of the uplink, the same in both directions. */
export interface Bandwidth {
  /** Guaranteed. */
  minMbps: number;
  /** Never exceeded; absent: all that nobody else uses. */
  maxMbps?: number;
}

/** What one job gets: made of its ad, the machine's ad and the site's policy, and of nothing else. */
export interface JobNetworkRequest {
  mode: NetworkMode;
  /** Empty unless granted. */
  inbound: PortWish[];
  /** Absent: not shaped, or the job asked for nothing and the policy gives it nothing. */
  bandwidth?: Bandwidth;
  isAccounted: boolean;
  /** `alice@cs.wisc.edu` where the ad tells, otherwise the system's user. */
  owner: string;
  /** `ClusterId.ProcId`, with the access point's name where the ad tells: `ap.example.org#12.0`. */
  jobId: string;
  /** Who stands for the job: when this process is gone, so is the network. */
  starter: ProcessId;
  /** As the startd names it, e.g. `slot1_3`; names a per-slot address of bridge mode. */
  slot?: string;
}

/**
 * What is held exclusively for one job, from before the first kernel operation until after the last. Everything that a
 * job has in the kernel is found by `name` or by `slotIndex`.
 */
export interface Lease {
  /**
   * `lk` and 8 digits or letters, never used twice: the host's end of the veth, and the job's key in every nft set and
   * map. Matches JOB_NAME.
   */
  name: string;
  /** 1 to 65000: minor number of the job's HTB class, and its place in the address pools. */
  slotIndex: number;
  /** The job's address; absent in mode none. */
  ipv4?: string;
  /** Absent in mode none, and where the site has no IPv6 pool. */
  ipv6?: string;
  /** Of the job's end: in bridge mode, where neighbours see it. Derived from `name`. */
  mac?: string;
  /** Granted ports, one for each wish of the request. */
  forwards: PortForward[];
  createdAt: Date;
  jobId: string;
  /** /proc/sys/kernel/random/boot_id when it was made. */
  bootId: string;
}

/** Names of jobs, and of nothing else that Lark makes (its own devices are called `lark-…`). */
export const JOB_NAME = /^lk[0-9a-z]{8}$/;

/** What the plan has to know of the machine; read when the agent starts, and on SIGHUP. */
export interface HostFacts {
  /** The interface of the default route. */
  uplink: string;
  uplinkMtu: number;
  /** Absent where neither the kernel nor the configuration tells. */
  uplinkMbps?: number;
  /** The machine's own addresses; global ones of every interface, those of the uplink first. */
  ipv4: string[];
  ipv6: string[];
  hostname: string;
  /** Name servers that a job can reach: those of the host, without a stub on the loopback. */
  nameservers: string[];
  /** The other lines of /etc/resolv.conf: `search …`, `options …`. */
  resolverOptions: string[];
  /** Whether queues can be fq_codel. */
  hasFqCodel: boolean;
  /** Whether nftables can count the connections of a job (nft_connlimit). */
  hasConnectionCount: boolean;
  /** Where upload leaves: the uplink, or its port where it is a bridge. */
  uplinkPort: string;
}

/**
 * A class of traffic for accounting. The longest prefix of all classes decides, whatever the order of the list;
 * what none of them holds is in the default class.
 */
export interface TrafficClass {
  /** A word that can end a ClassAd attribute's name, e.g. `Campus`. */
  name: string;
  /** IPv4 and IPv6, in CIDR notation. */
  cidrs: string[];
}

/** Destinations that jobs may or may not reach: a CIDR, with ports of one protocol or wholly. */
export interface Destination {
  cidr: string;
  protocol?: Protocol;
  /** `443` or `50000-51000`; needs a protocol. */
  ports?: string;
}

/**
 * One step of a plan. Lines of `ip` and `tc` are those of their -batch mode; consecutive operations of a kind and place
 * are run by one process. Whatever a line holds was checked before: nothing here goes through a shell.
 */
export type Operation =
  | { kind: 'ip'; where: 'host' | 'job'; lines: string[] }
  | { kind: 'nft'; text: string }
  | { kind: 'tc'; lines: string[] }
  /** `path` below /proc/sys, e.g. `net/ipv4/conf/lk00000001/rp_filter`. */
  | { kind: 'sysctl'; path: string; value: string }
  /** Written beside and renamed. */
  | { kind: 'file'; path: string; text: string }
  /** A file or folder with all that is in it; gone already is no error. */
  | { kind: 'remove'; path: string };

/**
 * What is done for a job, and what undoes it. `down` needs nothing of what `up` did: it is idempotent, survives everything
 * missing, and is the same for a job that stands, one that half stands and one that is gone.
 */
export interface Plan {
  /** Stages, one after another; the operations of one need nothing of each other and are done at the same time. */
  up: Operation[][];
  /** All at the same time. Deletes of elements in their idempotent form (`add X; delete X`). */
  down: Operation[];
}

/**
 * What a part of the worker (accounting, isolation, shaping, forwarding) gives to the plan of one job. Texts are
 * commands of `nft -f`, one a line, that assume the static ruleset.
 */
export interface Pieces {
  /** `add element …` and `add chain …` lines. */
  nftUp: string[];
  nftDown: string[];
  /** Lines for `tc -batch`; run after the veth stands and before the job's end comes up. */
  tcUp: string[];
  tcDown: string[];
}

/** What a part sees of one job. */
export interface JobNetwork {
  request: JobNetworkRequest;
  lease: Lease;
}

/** The device to which downloads of all jobs are redirected for shaping. */
export const SHARED_IFB = 'lark-ifb0';
/** The bridge that Lark makes where the site names none. */
export const DEFAULT_BRIDGE = 'lark-br0';
/** The host's end of every routed veth; jobs know it as their gateway. */
export const NAT_GATEWAY_IPV4 = '169.254.1.1';
export const NAT_GATEWAY_IPV6 = 'fe80::1';
/** The interface's name inside the job. */
export const JOB_INTERFACE = 'eth0';

/**
 * How one mode connects a job: what src/worker/{none,nat,bridge} give to its plan; to undo it the veth is deleted. The host's lines run first, then the
 * sysctls, the nft and tc texts of all parts, and last the job's lines, which bring its end up.
 */
export interface Connection {
  /** `ip -batch` lines; JOB_NETNS stands for the job's network namespace. */
  hostUp: string[];
  sysctls: { path: string; value: string }[];
  /** `ip -batch` lines inside the job's namespace. */
  jobUp: string[];
}

/** In the host's lines, the job's network namespace: `… netns @job`. */
export const JOB_NETNS = '@job';
