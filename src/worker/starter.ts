import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { endianness } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { allPids, argumentsOf, namespaceOf, processStat, programOf, uidsOf } from './proc.ts';
import type { ProcessId } from './types.ts';

/** What is believed of a job: only what the kernel and the starter say of it. */
export interface JobFacts {
  /** Texts of the ads. */
  job: string;
  machine: string;
  /** Whether both belong to somebody else than the job's user, who then cannot have written them. */
  isStarters: boolean;
  /** The job's user. */
  uid: number;
  starter: ProcessId;
  /** As the startd told the starter; absent where it did not. */
  slot?: string;
}

/**
 * The condor_starter above a process. Its name alone proves nothing, nor does its file: any user can run that, with a
 * library of his own in it, and with user namespaces as one of several users. But no job is root.
 */
export function starterOf(pid: number): ProcessId | undefined {
  let child = { pid, stat: processStat(pid) };
  while (child.stat && child.stat.parent > 1) {
    const at = { pid: child.stat.parent, stat: processStat(child.stat.parent) };
    const isStarter = isRootsStarter(at.pid);
    // As long as it is still the parent, it was no other process that took its pid meanwhile.
    const now = processStat(child.pid);
    if (now?.parent !== at.pid || now.startTicks !== child.stat.startTicks) return undefined;
    if (isStarter && at.stat) return { pid: at.pid, startTicks: at.stat.startTicks };
    child = at;
  }
  return undefined;
}

/** Started by root, a starter keeps 0 as its real or saved user while it goes about as somebody else. */
function isRootsStarter(pid: number): boolean {
  const program = programOf(pid);
  if (!program || basename(program.path) !== 'condor_starter' || !program.isRoots) return false;
  return uidsOf(pid)?.includes(0) ?? false;
}

/**
 * The ads that the starter wrote into the job's scratch folder, which is the starter's working folder: nothing that the
 * caller says leads there.
 * @throws UserError where they cannot be read
 */
export function readJobFacts(pid: number, starter: ProcessId): JobFacts {
  const cwd = cwdOf(starter);
  try {
    const scratch = scratchOf(starter);
    // HTCondor 25 has the job's files one folder deeper.
    const folder = basename(scratch) === 'scratch' ? dirname(scratch) : scratch;
    if (basename(folder) !== `dir_${starter.pid}`) {
      throw new UserError(`the starter's working folder ${scratch} is not the job's scratch folder`);
    }
    const job = readAd(cwd, '.job.ad');
    const machine = readAd(cwd, '.machine.ad');
    const uid = uidsOf(pid)?.[0];
    if (uid === undefined) throw new UserError('the job ended');
    const slot = slotAmong(argumentsOf(starter.pid));
    return {
      job: job.text,
      machine: machine.text,
      isStarters: job.uid !== uid && machine.uid !== uid,
      uid,
      starter,
      ...(slot && { slot }),
    };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read the ads of the job: ${(error as Error).message}`);
  }
}

/**
 * The slot, as the startd told the starter: by name, or as what the name of its log ends with (`-a`), which it does unless
 * STARTER_LOG_NAME_APPEND says otherwise.
 */
export function slotAmong(args: readonly string[]): string | undefined {
  const after = (option: string): string | undefined => {
    const at = args.indexOf(option);
    return at < 0 ? undefined : args[at + 1];
  };
  const appended = after('-a');
  return after('-slot-name') ?? (appended && /^slot\d+(_\d+)?$/.test(appended) ? appended : undefined);
}

export function hasAds(starter: ProcessId): boolean {
  return existsSync(join(cwdOf(starter), '.job.ad'));
}

/** The job's scratch folder, in which the starter works. @throws Error when it is gone */
export function scratchOf(starter: ProcessId): string {
  return readlinkSync(cwdOf(starter));
}

const cwdOf = ({ pid }: ProcessId): string => `/proc/${pid}/cwd`;

/** Twice what the environment of a process can hold, which is the largest part of an ad. */
const LONGEST_AD_BYTES = 4 * 2 ** 20;

/**
 * The scratch folder is the job's own: instead of the ad there may be a link to somebody else's, or a pipe that nobody
 * writes to.
 */
function readAd(folder: string, name: string): { text: string; uid: number } {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const fd = openSync(join(folder, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const file = fstatSync(fd);
    if (!file.isFile() || file.nlink !== 1)
      throw new UserError(`${name} of the job is not the starter's file`);
    if (file.size > LONGEST_AD_BYTES) {
      throw new UserError(`${name} of the job is larger than ${LONGEST_AD_BYTES / 2 ** 20} MiB`);
    }
    return { text: readFileSync(fd, 'utf8'), uid: file.uid };
  } finally {
    closeSync(fd);
  }
}

/** Whether a process is in a network namespace of its own, seen from this process. */
export function hasOwnNetwork(pid: number): boolean {
  return namespaceOf(pid, 'net') !== namespaceOf('self', 'net');
}

/** A process of the job that is in this network namespace. */
export function memberOf(netns: number, starter: ProcessId): number | undefined {
  return allPids().find((pid) => {
    if (namespaceOf(pid, 'net') !== netns) return false;
    const own = starterOf(pid);
    return own?.pid === starter.pid && own.startTicks === starter.startTicks;
  });
}

/** 127.0.0.1, and the state of a socket that listens, as /proc/net/tcp has them on this machine's kind of processor. */
const LOOPBACK = endianness() === 'LE' ? '0100007F' : '7F000001';
const LISTENS = '0A';

/**
 * The port of the machine's loopback on which a starter listens, as it does for condor_chirp. Of the kernel, not of the
 * job's .chirp.config: who could write that would reach whatever listens there.
 */
export function loopbackPortOf({ pid }: ProcessId): number | undefined {
  const held = new Set(socketsOf(pid));
  const line = readSome(`/proc/${pid}/net/tcp`)
    .split('\n')
    .map((text) => text.trim().split(/\s+/))
    .find(
      ([, local, , state, , , , , , inode]) =>
        state === LISTENS && local?.startsWith(`${LOOPBACK}:`) && inode !== undefined && held.has(inode),
    );
  return line && Number.parseInt(line[1]!.split(':')[1]!, 16);
}

/** Numbers of the sockets that a process has open. */
function socketsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(join(folder, fd)))?.[1] ?? [];
      } catch {
        // Closed meanwhile.
        return [];
      }
    });
  } catch {
    return [];
  }
}

/** The first lines: those of sockets that listen come first, and connections may be a hundred thousand. */
function readSome(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch {
    return '';
  }
  try {
    const chunk = Buffer.alloc(65_536);
    let text = '';
    for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk)) {
      text += chunk.toString('latin1', 0, length);
      // Without the head, and without a line that is not whole yet.
      const lines = text.split('\n').slice(1, -1);
      if (lines.some((line) => line.trim().split(/\s+/)[3] !== LISTENS)) break;
    }
    return text;
  } finally {
    closeSync(fd);
  }
}
