/** What the doctor knows of a machine. Absent: it could not be found out. */
export interface MachineFacts {
  isRoot: boolean;
  kernel: string;
  /** By KernelFeature's key: whether a trial in a namespace of its own went well, else the tool's words. */
  features: Partial<Record<FeatureName, Trial>>;
  /** By name: the version line, or undefined where it is not there. */
  tools: Record<string, string | undefined>;
  /** By path below /proc/sys, e.g. `net/ipv4/ip_forward`. */
  sysctls: Record<string, string | undefined>;
  /** Base chains at the forward hook with policy drop, and what else of them matters: `ip filter FORWARD`. */
  forwardDrops: string[] | undefined;
  /** Services that run and write rules: firewalld, docker, ufw, nftables. */
  services: string[];
  htcondor: HtcondorFacts | undefined;
  folders: Record<string, FolderState>;
  site: SiteFacts;
  socket: { path: string; answers: boolean; problem?: string };
}

/** What worker.yaml says, held against this machine. */
export interface SiteFacts {
  /** Why the agent would not start: a sentence each. */
  problems: string[];
  /** That jobs would see; absent where the machine has no uplink. */
  nameservers?: string[];
  /** Whether jobs can be shaped, or need not be. */
  isRateKnown?: boolean;
  /** Routes of the machine that lead into the pools of mode nat: `10.44.0.0/24 dev eth1`. */
  poolRoutes: string[];
  inboundPorts: { range: string; inUse: number[]; isEphemeral: boolean };
  /** What one job may have of the kernel's table of connections, and the table's size where the kernel tells. */
  connections: { perJob: number | 'none'; inTable?: number };
}

export const FEATURES = [
  'netns',
  'userNamespace',
  'veth',
  'bridge',
  'nft',
  'nftNetdev',
  'nftEgress',
  'masquerade',
  'connectionCount',
  'htb',
  'ifb',
  'clsact',
  'mirred',
  'fqCodel',
  'vlan',
] as const;
export type FeatureName = (typeof FEATURES)[number];

export interface Trial {
  works: boolean;
  words?: string;
}

export interface HtcondorFacts {
  version: string;
  /** Of the startd's configuration; empty where it is not set. */
  settings: Record<string, string>;
}

export type FolderState = 'writable' | 'missing' | 'not writable' | 'on a disk';
