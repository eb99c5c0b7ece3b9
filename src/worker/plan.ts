import { UserError } from '../errors.ts';
import type { WorkerConfig } from './config.ts';
import { identityFiles, jobFolder } from './identity.ts';
import { planNat } from './nat/plan.ts';
import { planNone } from './none/plan.ts';
import type { Connection, HostFacts, JobNetwork, NetworkMode, Operation, Pieces, Plan } from './types.ts';

/** What gives a mode's jobs their connection. */
export type Connector = (network: JobNetwork, host: HostFacts, config: WorkerConfig) => Connection;

/**
 * A capability that is the same in every mode: accounting, isolation, shaping. All functions are pure but `collect`.
 */
export interface Part {
  name: string;
  /** What has to stand before the first job; can be applied any number of times without harm to jobs. */
  standing(config: WorkerConfig, host: HostFacts): Operation[];
  /** Takes it away, whether it is there or not. */
  standingDown(config: WorkerConfig, host: HostFacts): Operation[];
  forJob(network: JobNetwork, config: WorkerConfig, host: HostFacts): Pieces;
  /** What has to be read while the job's network still stands, before it goes. */
  collect?(network: JobNetwork): Promise<void>;
}

export interface Parts {
  connectors: Partial<Record<NetworkMode, Connector>>;
  parts: readonly Part[];
}

export const CORE_CONNECTORS: Partial<Record<NetworkMode, Connector>> = { none: planNone, nat: planNat };

/**
 * All that is done for one job, and all that undoes it. A pure function: the same arguments give the same operations.
 * @throws UserError when nothing here makes networks of this mode
 */
export function planFor(
  network: JobNetwork,
  { config, host, parts }: { config: WorkerConfig; host: HostFacts; parts: Parts },
): Plan {
  const { request } = network;
  const connect = parts.connectors[request.mode];
  if (!connect) throw new UserError(`mode ${request.mode} is not set up on this machine`);
  const link = connect(network, host, config);
  // A job of mode none has no device to count or shape.
  const pieces = request.mode === 'none' ? [] : parts.parts.map((part) => part.forJob(network, config, host));
  const all = (pick: (pieces: Pieces) => string[]) => pieces.flatMap(pick);

  // Counters and classes stand before the first packet can: the job's end comes up last.
  const files = identityFiles(network, config, host);
  const up = [
    ...files.map((file): Operation => ({ kind: 'file', ...file })),
    ip('host', link.hostUp),
    ...link.sysctls.map(({ path, value }): Operation => ({ kind: 'sysctl', path, value })),
    nft([...link.nftUp, ...all(({ nftUp }) => nftUp)]),
    tc(all(({ tcUp }) => tcUp)),
    ip('job', link.jobUp),
  ];
  const down = [
    ip('host', link.hostDown),
    nft([...link.nftDown, ...all(({ nftDown }) => nftDown)]),
    tc(all(({ tcDown }) => tcDown)),
    { kind: 'remove', path: jobFolder(config, network.lease.name) } as const,
  ];
  const isSomething = (operation: Operation): boolean =>
    operation.kind === 'nft' ? operation.text !== '' : !('lines' in operation) || operation.lines.length > 0;
  return { up: up.filter(isSomething), down: down.filter(isSomething) };
}

const ip = (where: 'host' | 'job', lines: string[]): Operation => ({ kind: 'ip', where, lines });
const tc = (lines: string[]): Operation => ({ kind: 'tc', lines });
const nft = (lines: string[]): Operation => ({
  kind: 'nft',
  text: lines.length === 0 ? '' : `${lines.join('\n')}\n`,
});
