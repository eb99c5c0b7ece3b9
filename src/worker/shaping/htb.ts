import type { WorkerConfig } from '../config.ts';
import { type HostFacts, type JobNetwork, type Pieces, SHARED_IFB } from '../types.ts';
import { classIdOf, HTB_MAJOR, LINK_MINOR, REST_MINOR } from './classid.ts';
import { bitRate, bytesIn, type LeafKind, leafQueue } from './rates.ts';

export type ShapingConfig = Pick<WorkerConfig, 'shaping'>;

/** What shaping has to know of the machine. */
export interface ShapingFacts {
  /** The device that upload leaves by: the uplink, or the bridge's port where the uplink is a bridge. */
  device: string;
  mtu: number;
  /** Of the link; absent: not known, so nothing can be guaranteed and nothing is shaped. */
  linkMbps?: number;
  leaf: LeafKind;
}

/** The rest's share where the site keeps no headroom: HTB needs one, and HTCondor itself must not starve. */
const LEAST_REST_SHARE = 0.01;
/** Ethernet's header: HTB counts frames. */
const FRAME_OVERHEAD_BYTES = 14;
/** Of a class's own rate, so that what is left over is shared in proportion to what was guaranteed. */
const QUANTUM_MS = 10;
/**
 * More than a timer comes late on a busy machine: what a class could not send meanwhile and its burst does not hold is lost
 * to it, with 1 ms up to 4 % in one second. And so little that no measurement of some seconds sees it.
 */
const BURST_MS = 10;
/**
 * A queue is as long as its job's ceiling needs, up to this multiple of the guarantee: one that fits the guarantee alone
 * costs a job that borrows the link a quarter of its throughput.
 */
const LEAF_RATIO = 4;
/** HTB keeps deficits in 32 bits with a sign. */
const MAX_QUANTUM_BYTES = 2 ** 30;

/** `auto` takes what the kernel tells. */
export function linkMbps(config: ShapingConfig, host: Pick<HostFacts, 'uplinkMbps'>): number | undefined {
  const { uplinkMbps } = config.shaping;
  return uplinkMbps === 'auto' ? host.uplinkMbps : uplinkMbps;
}

/** Lines of `ip -batch` that make the ifb; once, if `ip link show` does not find it. */
export function ifbSetup(): string[] {
  return [
    // Its default of 32 packets halves the throughput of a shaped download.
    `link add name ${SHARED_IFB} txqueuelen 1000 type ifb`,
    `link set dev ${SHARED_IFB} up`,
  ];
}

/**
 * Lines of `tc -batch` that make the trees on uplink and ifb, the same on both: a class that holds the link, and below it
 * one for the rest; jobs come beside that. `standing` are the devices whose tree is there already (see `hasTree`): a tree
 * is never made anew while jobs hang on it, its rates are set again. Empty where the link's rate is not known.
 */
export function treeSetup(
  config: ShapingConfig,
  facts: ShapingFacts,
  standing: readonly string[] = [],
): string[] {
  const { linkMbps } = facts;
  if (linkMbps === undefined) return [];
  const restMbps = linkMbps * Math.max(config.shaping.headroomShare, LEAST_REST_SHARE);
  return [facts.device, SHARED_IFB].flatMap((device) => [
    ...(standing.includes(device)
      ? []
      : [`qdisc replace dev ${device} root handle ${HTB_MAJOR}: htb default 0x${REST_MINOR}`]),
    classLine(device, `${HTB_MAJOR}:`, `${HTB_MAJOR}:${LINK_MINOR}`, {
      minMbps: linkMbps,
      maxMbps: linkMbps,
      quantumBytes: quantumOf(linkMbps, facts),
      mtu: facts.mtu,
    }),
    classLine(device, `${HTB_MAJOR}:${LINK_MINOR}`, `${HTB_MAJOR}:${REST_MINOR}`, {
      minMbps: restMbps,
      maxMbps: linkMbps,
      quantumBytes: quantumOf(restMbps, facts),
      mtu: facts.mtu,
    }),
    leafLine(device, `${HTB_MAJOR}:${REST_MINOR}`, linkMbps, config, facts),
  ]);
}

/** Lines that give the uplink back its own queue; run with `tc -force`, as it may be gone. */
export function treeRemoval(device: string): string[] {
  return [`qdisc del dev ${device} root`];
}

/** Whether `tc -j qdisc show dev DEVICE` tells of Lark's tree. */
export function hasTree(qdiscsJson: string): boolean {
  const qdiscs = JSON.parse(qdiscsJson) as { kind?: string; handle?: string; root?: boolean }[];
  return qdiscs.some(
    ({ kind, handle, root }) => kind === 'htb' && root === true && handle === `${HTB_MAJOR}:`,
  );
}

/**
 * A job's classes, in both directions, and the road of its download through the ifb; nothing where the job has no share.
 * What comes down is redirected at the egress of the host's veth: a redirect at its ingress would take packets away
 * before they are counted.
 * @param siblings the living jobs of the same owner, where shares are by user: theirs are set again
 */
export function shapingPieces(
  { request, lease }: JobNetwork,
  config: ShapingConfig,
  facts: ShapingFacts,
  siblings: readonly JobNetwork[] = [],
): Pick<Pieces, 'tcUp' | 'tcDown'> {
  const { linkMbps } = facts;
  if (request.mode === 'none' || !request.bandwidth || linkMbps === undefined)
    return { tcUp: [], tcDown: [] };
  const { name } = lease;
  const devices = [facts.device, SHARED_IFB];
  const others = siblings.filter((sibling) => sibling.lease.name !== name);
  const own = { request, lease };
  const { minMbps, maxMbps = linkMbps } = request.bandwidth;
  const leafMbps = Math.min(LEAF_RATIO * minMbps, Math.max(minMbps, maxMbps), linkMbps);
  return {
    tcUp: [
      ...shareLines(config.shaping.shareBy === 'user' ? [...others, own] : [own], config, facts),
      ...devices.map((device) => leafLine(device, classIdOf(lease), leafMbps, config, facts)),
      `qdisc replace dev ${name} clsact`,
      `filter replace dev ${name} egress protocol all prio 1 handle 800::800 u32 match u32 0 0 action mirred egress redirect dev ${SHARED_IFB}`,
    ],
    // The veth takes its own queues and filters with it. Not `replace`: a sibling that goes at this moment stays gone.
    tcDown: [
      ...devices.map((device) => `class del dev ${device} classid ${classIdOf(lease)}`),
      ...(config.shaping.shareBy === 'user'
        ? shareLines(others, config, facts).map((line) => line.replace(/^class replace/, 'class change'))
        : []),
    ],
  };
}

/**
 * The classes of these jobs, made or set again. By job, what is left over is shared in proportion to what was guaranteed.
 * By user, every user's jobs together get the same share of it, so they must be passed together, and those that stay be
 * set again when one has gone.
 */
export function shareLines(
  jobs: readonly JobNetwork[],
  config: ShapingConfig,
  facts: ShapingFacts,
): string[] {
  const { linkMbps } = facts;
  if (linkMbps === undefined) return [];
  const shaped = jobs.flatMap(({ request, lease }) =>
    request.bandwidth && request.mode !== 'none' ? [{ lease, bandwidth: request.bandwidth }] : [],
  );
  const totalMbps = shaped.reduce((sum, { bandwidth }) => sum + bandwidth.minMbps, 0);
  return shaped.flatMap(({ lease, bandwidth }) => {
    const minMbps = Math.min(bandwidth.minMbps, linkMbps);
    const share = config.shaping.shareBy === 'user' ? (linkMbps * bandwidth.minMbps) / totalMbps : minMbps;
    return [facts.device, SHARED_IFB].map((device) =>
      classLine(device, `${HTB_MAJOR}:${LINK_MINOR}`, classIdOf(lease), {
        minMbps,
        maxMbps: Math.max(minMbps, Math.min(bandwidth.maxMbps ?? linkMbps, linkMbps)),
        quantumBytes: quantumOf(share, facts),
        mtu: facts.mtu,
      }),
    );
  });
}

interface HtbClass {
  minMbps: number;
  maxMbps: number;
  quantumBytes: number;
  mtu: number;
}

function classLine(device: string, parent: string, classId: string, htb: HtbClass): string {
  const burst = (mbps: number) => Math.max(bytesIn(mbps, BURST_MS), 2 * (htb.mtu + FRAME_OVERHEAD_BYTES));
  return [
    `class replace dev ${device} parent ${parent} classid ${classId} htb`,
    `rate ${bitRate(htb.minMbps)} ceil ${bitRate(htb.maxMbps)}`,
    `burst ${burst(htb.minMbps)}b cburst ${burst(htb.maxMbps)}b quantum ${htb.quantumBytes}`,
  ].join(' ');
}

function leafLine(
  device: string,
  classId: string,
  mbps: number,
  config: ShapingConfig,
  { leaf, mtu }: ShapingFacts,
): string {
  const queue = leafQueue(leaf, {
    mbps,
    queueMs: config.shaping.queueMs,
    frameBytes: mtu + FRAME_OVERHEAD_BYTES,
  });
  return `qdisc replace dev ${device} parent ${classId} ${queue}`;
}

function quantumOf(mbps: number, { mtu }: ShapingFacts): number {
  return Math.min(Math.max(bytesIn(mbps, QUANTUM_MS), mtu + FRAME_OVERHEAD_BYTES), MAX_QUANTUM_BYTES);
}
