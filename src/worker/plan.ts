import { UserError } from '../errors.ts';
import type { WorkerConfig } from './config.ts';
import { identityFiles, jobFolder } from './identity.ts';
import { planNat } from './nat/plan.ts';
import { planNone } from './none/plan.ts';
import { isSomething } from './operations.ts';
import type {
  Connection,
  HostFacts,
  JobNetwork,
  Lease,
  NetworkMode,
  Operation,
  Pieces,
  Plan,
} from './types.ts';

/** What gives a mode's jobs their connection. */
export type Connector = (network: JobNetwork, host: HostFacts, config: WorkerConfig) => Connection;

/** What a part sees of the machine when it plans for a job. */
export interface PlanContext {
  config: WorkerConfig;
  host: HostFacts;
  /** Other networks of the same owner, where shares are by user. */
  siblings: readonly JobNetwork[];
}

/** A capability that is the same in every mode: accounting, isolation, shaping. */
export interface Part {
  name: string;
  /** What has to stand before the first job; can be applied any number of times without harm to jobs. */
  standing(config: WorkerConfig, host: HostFacts): Promise<Operation[]>;
  /** Whether what stands is still there in the kernel; absent: the sweep finds out by itself. */
  isStanding?(config: WorkerConfig, host: HostFacts): Promise<boolean>;
  /** Takes away what is there of it, and nothing that is not Lark's. */
  standingDown(config: WorkerConfig, host: HostFacts): Promise<Operation[]>;
  /** Pure. */
  forJob(network: JobNetwork, context: PlanContext): Pieces;
  /** Before the job's first packet. */
  begin?(network: JobNetwork, config: WorkerConfig): Promise<void>;
  /** After the job's last packet and before its counters are deleted; the device may be gone, they are not its own. */
  collect?(name: string): Promise<void>;
  /** In its place, where there was no packet. */
  discard?(name: string): Promise<void>;
  /**
   * Looks for what is in the kernel for no job, and gives what removes it.
   * @param living to be called after looking
   */
  leftovers?(living: () => readonly Lease[], host: HostFacts): Promise<Operation[]>;
}

export interface Parts {
  connectors: Partial<Record<NetworkMode, Connector>>;
  /** What a mode does when all stands, and the job has not begun. */
  announce?: Partial<Record<NetworkMode, (network: JobNetwork, netns: string) => Promise<void>>>;
  parts: readonly Part[];
}

/** Of whose machine a plan is, and what makes it. */
interface MachineParts {
  config: WorkerConfig;
  host: HostFacts;
  parts: Parts;
}

export const CORE_CONNECTORS: Partial<Record<NetworkMode, Connector>> = { none: planNone, nat: planNat };

/**
 * All that is done for one job, and all that undoes it. A pure function: the same arguments give the same operations.
 * @throws UserError when nothing here makes networks of this mode
 */
export function planFor(
  network: JobNetwork,
  machine: MachineParts,
  siblings: readonly JobNetwork[] = [],
): Plan {
  const { config, host, parts } = machine;
  const { request } = network;
  const connect = parts.connectors[request.mode];
  if (!connect) throw new UserError(`mode ${request.mode} is not set up on this machine`);
  const link = connect(network, host, config);
  const pieces = piecesOf(network, machine, siblings);
  const files = identityFiles(network, config, host);
  return {
    up: stages([
      [ip('host', link.hostUp), ...files.map((file): Operation => ({ kind: 'file', ...file }))],
      // Counters and classes stand before the first packet can: the job's end comes up last.
      [
        nft(pieces.nftUp),
        tc(pieces.tcUp),
        ...link.sysctls.map(({ path, value }): Operation => ({ kind: 'sysctl', path, value })),
      ],
      [ip('job', link.jobUp)],
    ]),
    down: downFor(network, machine, siblings),
  };
}

/** The half of the plan that undoes it: of any job, also of a mode that this machine has no longer. */
export function downFor(
  network: JobNetwork,
  machine: MachineParts,
  siblings: readonly JobNetwork[] = [],
): Operation[] {
  const { name } = network.lease;
  const { nftDown, tcDown } = piecesOf(network, machine, siblings);
  const folder: Operation = { kind: 'remove', path: jobFolder(machine.config, name) };
  const link = network.request.mode === 'none' ? [] : [`link del ${name}`];
  return [ip('host', link), nft(nftDown), tc(tcDown), folder].filter(isSomething);
}

/** Of all parts. A job of mode none has no device to count or shape. */
function piecesOf(
  network: JobNetwork,
  { config, host, parts }: MachineParts,
  siblings: readonly JobNetwork[],
): Pieces {
  const pieces =
    network.request.mode === 'none'
      ? []
      : parts.parts.map((part) => part.forJob(network, { config, host, siblings }));
  return {
    nftUp: pieces.flatMap(({ nftUp }) => nftUp),
    nftDown: pieces.flatMap(({ nftDown }) => nftDown),
    tcUp: pieces.flatMap(({ tcUp }) => tcUp),
    tcDown: pieces.flatMap(({ tcDown }) => tcDown),
  };
}

const stages = (all: Operation[][]): Operation[][] =>
  all.map((stage) => stage.filter(isSomething)).filter((stage) => stage.length > 0);
const ip = (where: 'host' | 'job', lines: string[]): Operation => ({ kind: 'ip', where, lines });
const tc = (lines: string[]): Operation => ({ kind: 'tc', lines });
const nft = (lines: string[]): Operation => ({
  kind: 'nft',
  text: lines.length === 0 ? '' : `${lines.join('\n')}\n`,
});
