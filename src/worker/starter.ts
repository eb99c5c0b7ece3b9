import { existsSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type ClassAd, parseAds } from 'classad-parser';
import { UserError } from '../errors.ts';
import { namespaceOf, processId, processStat, programOf, uidsOf } from './proc.ts';
import type { ProcessId } from './types.ts';

/** What is believed of a job: only what the kernel and the starter say of it. */
export interface JobFacts {
  job: ClassAd;
  machine: ClassAd;
  starter: ProcessId;
}

/**
 * The condor_starter above a process. Its name alone proves nothing: the program's file is root's, and the starter runs
 * as a user that the job cannot be.
 */
export function starterOf(pid: number): ProcessId | undefined {
  const jobUid = uidsOf(pid)?.[0];
  for (let at = processStat(pid)?.parent; at !== undefined && at > 1; at = processStat(at)?.parent) {
    const program = programOf(at);
    if (!program || basename(program.path) !== 'condor_starter' || !program.isRoots) continue;
    const uids = uidsOf(at);
    // Started by root, a starter keeps 0 as its real or saved user while it goes about as somebody else.
    if (uids?.includes(0) || (uids !== undefined && jobUid !== undefined && !uids.includes(jobUid))) {
      return processId(at);
    }
  }
  return undefined;
}

/**
 * The ads that the starter wrote into the job's scratch folder, which is the starter's working folder: nothing that the
 * caller says leads there. LarkAdIsStarters tells the policy whether the file is the starter's own, or one that the job's
 * user could have written.
 * @throws UserError where they cannot be read
 */
export function readJobFacts(pid: number, starter: ProcessId): JobFacts {
  const cwd = `/proc/${starter.pid}/cwd`;
  try {
    const scratch = readlinkSync(cwd);
    // HTCondor 25 has the job's files one folder deeper.
    const folder = basename(scratch) === 'scratch' ? dirname(scratch) : scratch;
    if (basename(folder) !== `dir_${starter.pid}`) {
      throw new UserError(`the starter's working folder ${scratch} is not the job's scratch folder`);
    }
    const uid = uidsOf(pid)?.[0];
    const job = readAd(join(cwd, '.job.ad'));
    job.setBoolean('LarkAdIsStarters', statSync(join(cwd, '.job.ad')).uid !== uid);
    return { job, machine: readAd(join(cwd, '.machine.ad')), starter };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read the ads of the job: ${(error as Error).message}`);
  }
}

export function hasAds(starter: ProcessId): boolean {
  return existsSync(`/proc/${starter.pid}/cwd/.job.ad`);
}

function readAd(file: string): ClassAd {
  const ad = parseAds(readFileSync(file, 'utf8'))[0];
  if (!ad) throw new UserError(`${file} is empty`);
  return ad;
}

/** Whether a process is in a network namespace of its own, seen from this process. */
export function hasOwnNetwork(pid: number): boolean {
  return namespaceOf(pid, 'net') !== namespaceOf('self', 'net');
}
