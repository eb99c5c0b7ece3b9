import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { addressAt, poolSize } from './addresses.ts';
import { type Claim, claimBridgeAddresses, claimPorts, slotFiles } from './claims.ts';
import type { WorkerConfig } from './config.ts';
import { filesIn, occupiedIn } from './occupied.ts';
import { claimFile, leaseRecord, processId, removeFile, replaceFile, UNFINISHED } from './records.ts';
import type { JobNetworkRequest, Lease, NetworkMode, ProcessId } from './types.ts';

/**
 * A lease is a set of files in RUN/leases, each made exclusively and whole: `name-lk…`, `slot-N`, and for some
 * `address-A` and `port-tcp-N`. The folder is as short-lived as the kernel's state: after a reboot both are gone.
 */
export interface LeaseHolder {
  lease: Lease;
  owner: string;
  /** Who took it; of no account once the journal knows of it. */
  by: ProcessId;
}

const holderRecord = z.strictObject({ lease: leaseRecord, owner: z.string(), by: processId });
/** The other files only point to the name. */
const pointer = z.object({ name: z.string(), by: processId });

export interface LeaseOptions {
  config: Pick<WorkerConfig, 'nat' | 'bridge' | 'agent'>;
  /** RUN/leases. */
  folder: string;
  bootId: string;
  now: Date;
  by: ProcessId;
}

/** `lk` and eight digits of the time in ms, base 36: increasing, and not used again until the year 2059. */
export function nameAt(ms: number): string {
  return `lk${ms.toString(36).padStart(8, '0')}`;
}

/** Of which a name can still be made. */
const LATEST_MS = 36 ** 8;

/** Where the time of the last name is kept: names are not used again although they were given back, or the clock set back. */
const LAST = 'last';

/** Claims a name that no job ever had. */
export function claimName(folder: string, by: ProcessId, now: Date, owner: string): string {
  for (let ms = Math.max(now.getTime(), lastMs(folder) + 1); ; ms++) {
    const name = nameAt(ms);
    if (!claimFile(join(folder, `name-${name}`), JSON.stringify({ name, by, owner }))) continue;
    replaceFile(join(folder, LAST), String(ms));
    return name;
  }
}

function lastMs(folder: string): number {
  try {
    const ms = Number(readFileSync(join(folder, LAST), 'utf8'));
    return ms < LATEST_MS ? ms : 0;
  } catch {
    return 0;
  }
}

/**
 * Takes for `name` a slot, addresses and ports that nobody else holds. The search starts at a place that the name tells,
 * so that what was given back is not given out again at once.
 * @throws UserError when nothing is free; then nothing is held but the name
 */
export function acquireLease(name: string, request: JobNetworkRequest, options: LeaseOptions): Lease {
  const { config, folder, bootId, now, by } = options;
  const { agent } = config;
  const occupied = occupiedIn(folder);
  if (agent.maxJobsPerUser < agent.maxJobs) {
    const held = occupied.namesOf(request.owner).filter((other) => other !== name).length;
    if (held >= agent.maxJobsPerUser) {
      throw new UserError(
        `${request.owner} holds ${held} networks on this machine, as many as agent.maxJobsPerUser allows`,
      );
    }
  }
  const spread = createHash('sha256').update(name).digest();
  const start = spread.readUInt32BE(0);
  const pointing = JSON.stringify({ name, by });
  const claim: Claim = (files) => occupied.claimFirst(files, start, () => pointing);
  try {
    const addresses = request.mode === 'bridge' ? claimBridgeAddresses(request, config.bridge, claim) : {};
    const forwards = claimPorts(request, config.nat.inboundPorts, claim);
    const mac = `02:6c:${[...spread.subarray(4, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
    const slots = slotFiles(slotCount(config));
    const leaseAt = (place: number): Lease => ({
      name,
      slotIndex: place + 1,
      ...(request.mode === 'nat' && natAddresses(config.nat, place + 1)),
      ...addresses,
      mac,
      forwards,
      createdAt: now,
      jobId: request.jobId,
      bootId,
    });
    const place = occupied.claimFirst(slots, start, (at) => {
      const holder: LeaseHolder = { lease: leaseAt(at), owner: request.owner, by };
      return JSON.stringify(holder);
    });
    if (place !== undefined) return leaseAt(place);
    throw new UserError(
      `all ${slots.length} networks of this machine are in use (agent.maxJobs, nat.ipv4Pool)`,
    );
  } catch (error) {
    releaseAll(folder, name);
    throw error;
  }
}

function slotCount({ agent, nat }: LeaseOptions['config']): number {
  const v6 = nat.ipv6Pool === 'none' ? Number.POSITIVE_INFINITY : poolSize(nat.ipv6Pool);
  return Math.min(agent.maxJobs, poolSize(nat.ipv4Pool), v6);
}

function natAddresses(nat: WorkerConfig['nat'], slotIndex: number): Pick<Lease, 'ipv4' | 'ipv6'> {
  return {
    ipv4: addressAt(nat.ipv4Pool, slotIndex),
    ...(nat.ipv6Pool !== 'none' && { ipv6: addressAt(nat.ipv6Pool, slotIndex) }),
  };
}

/**
 * Gives back all that `name` holds; what is gone already is no error.
 * @param lease where it is known, its files need not be searched for
 */
export function releaseLease(folder: string, name: string, lease?: Lease): void {
  if (lease) for (const file of filesFor(lease)) releaseFile(folder, file, name);
  else releaseAll(folder, name);
  // The name goes last: while anything is held, it is told by its name.
  removeFile(join(folder, `name-${name}`));
}

/** All but that of the name; of the mode alone, where it is known. */
function filesFor({ slotIndex, ipv4, ipv6, forwards }: Lease, mode?: NetworkMode): string[] {
  const addresses = [ipv4, ipv6].flatMap((address) => (address ? [`address-${address}`] : []));
  const ports = forwards.map(({ protocol, hostPort }) => `port-${protocol}-${hostPort}`);
  return [
    `slot-${slotIndex}`,
    ...(mode === undefined || mode === 'bridge' ? addresses : []),
    ...(mode === 'bridge' ? [] : ports),
  ];
}

function releaseAll(folder: string, name: string): void {
  for (const file of namesIn(folder)) if (file !== `name-${name}`) releaseFile(folder, file, name);
}

/** Removes a file if it is `name`'s: a lease may have been released before, and its slot be somebody else's by now. */
function releaseFile(folder: string, file: string, name: string): void {
  const holder = readHolder(folder, file);
  if (holder?.name === name) removeFile(join(folder, file));
  if (holder === undefined || holder?.name === name) occupiedIn(folder).given(file);
}

export interface LeaseList {
  holders: LeaseHolder[];
  /** Every name that any file belongs to, also those that were never complete, with who took it. */
  names: Map<string, ProcessId>;
  /** By file, the name it belongs to. */
  files: Map<string, string>;
  /** Files that hold nothing that can be understood, and those that a killed process left half-made. */
  debris: string[];
}

export function listLeases(folder: string): LeaseList {
  const list: LeaseList = { holders: [], names: new Map(), files: new Map(), debris: [] };
  for (const file of namesIn(folder)) {
    const holder = readHolder(folder, file);
    if (holder === undefined) continue;
    if (holder === null) {
      list.debris.push(file);
      continue;
    }
    list.names.set(holder.name, holder.by);
    list.files.set(file, holder.name);
    const whole = file.startsWith('slot-') ? holderRecord.safeParse(holder.raw) : undefined;
    if (whole?.success) list.holders.push(whole.data);
  }
  return list;
}

/**
 * Writes again what of a running job's lease is gone or cannot be read, before somebody else takes it.
 * @param held what was found just now
 * @returns the files that were written, and those that somebody else has
 */
export function restoreLease(
  folder: string,
  held: Pick<LeaseList, 'files'>,
  { lease, owner, by }: LeaseHolder,
  mode: NetworkMode,
): { restored: string[]; lost: string[] } {
  const { name, slotIndex } = lease;
  const pointing = JSON.stringify({ name, by });
  const texts = new Map(filesFor(lease, mode).map((file) => [file, pointing]));
  texts.set(`name-${name}`, JSON.stringify({ name, by, owner }));
  texts.set(`slot-${slotIndex}`, JSON.stringify({ lease, owner, by }));
  const result: { restored: string[]; lost: string[] } = { restored: [], lost: [] };
  for (const [file, text] of texts) {
    const holder = held.files.get(file);
    if (holder === name) continue;
    if (holder === undefined) rmSync(join(folder, file), { recursive: true, force: true });
    const isBack = holder === undefined && claimFile(join(folder, file), text);
    (isBack ? result.restored : result.lost).push(file);
  }
  return result;
}

/** Whose the file is; null where that cannot be told, undefined where the file is gone. */
function readHolder(
  folder: string,
  file: string,
): { name: string; by: ProcessId; raw: unknown } | null | undefined {
  if (UNFINISHED.test(file)) return null;
  let raw: { name?: unknown; lease?: { name?: unknown } };
  try {
    raw = JSON.parse(readFileSync(join(folder, file), 'utf8'));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : null;
  }
  const held = pointer.safeParse({ ...raw, name: raw?.lease?.name ?? raw?.name });
  return held.success ? { ...held.data, raw } : null;
}

const namesIn = (folder: string): string[] => filesIn(folder).filter((file) => file !== LAST);
