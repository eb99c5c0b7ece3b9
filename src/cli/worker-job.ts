import { UserError } from '../errors.ts';
import type { JournalEntry } from '../worker/journal.ts';

/**
 * The networks of one job on this machine, the newest first; more than one where a job began anew.
 * @param job the network's name, the job's id, or its cluster and process, e.g. 12.0
 * @throws UserError where several jobs have that number: two access points may have sent one each
 */
export function networksOf(job: string, entries: readonly JournalEntry[]): JournalEntry[] {
  const found = entries.filter(
    ({ name, request: { jobId } }) => name === job || jobId === job || jobId.split('#').includes(job),
  );
  const jobs = [...new Set(found.map(({ request }) => request.jobId))];
  if (jobs.length > 1) throw new UserError(`${job} is several jobs here: name one of ${jobs.join(', ')}`);
  return found.toSorted((a, b) => b.startedAt.getTime() - a.startedAt.getTime());
}

export function noNetworkOf(job: string): UserError {
  return new UserError(
    `no network is called ${job} or belongs to a job of that id ("lark worker lease" lists them)`,
  );
}
