import { closeSync, fstatSync, openSync } from 'node:fs';
import { UserError } from '../errors.ts';
import { loadWorkerConfig } from '../worker/config.ts';
import { needRoot } from '../worker/context.ts';
import { readJournal } from '../worker/journal.ts';
import { journalFolder } from '../worker/network.ts';
import { allPids, namespaceOf } from '../worker/proc.ts';
import { runInNamespace } from './worker-exec.ts';
import { networksOf, noNetworkOf } from './worker-job.ts';

/**
 * `lark worker enter JOB [-- CMD]`: a command, else a shell, in the network of a job that runs. HTCondor's own
 * condor_nsenter enters no network namespace.
 * @param job the network's name, the job's id, or its cluster and process, e.g. 12.0
 * @returns the command's exit code
 */
export async function enter(
  configFile: string | undefined,
  job: string,
  command: readonly string[],
): Promise<number> {
  const config = loadWorkerConfig(configFile);
  needRoot();
  const [network] = networksOf(job, readJournal(journalFolder(config)).entries);
  if (!network) throw noNetworkOf(job);
  const { name, netns } = network;
  const fd = netns === undefined ? undefined : openNamespace(netns);
  if (fd === undefined) throw new UserError(`nobody is in the network ${name} any more`);
  try {
    const shell = process.env.SHELL ?? '/bin/sh';
    return await runInNamespace(`/proc/${process.pid}/fd/${fd}`, command.length > 0 ? command : [shell]);
  } finally {
    closeSync(fd);
  }
}

/** By any process that is in it; what is open is it, whatever became of the process. */
function openNamespace(netns: number): number | undefined {
  for (const pid of allPids()) {
    if (namespaceOf(pid, 'net') !== netns) continue;
    try {
      const fd = openSync(`/proc/${pid}/ns/net`, 'r');
      if (fstatSync(fd).ino === netns) return fd;
      closeSync(fd);
    } catch {
      // It ended meanwhile; there may be others.
    }
  }
  return undefined;
}
