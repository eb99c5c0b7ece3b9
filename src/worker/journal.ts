import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { leaseRecord, processId, removeFile, replaceFile, requestRecord } from './records.ts';
import { JOB_NAME, type JobNetworkRequest, type Lease, type ProcessId } from './types.ts';

/**
 * What Lark is about to do for a job, written before it is done: RUN/journal/NAME. The kernel is the truth of what there
 * is, the journal of whose it is. The folder is as short-lived as the kernel's state.
 */
export interface JournalEntry {
  name: string;
  request: JobNetworkRequest;
  /** Absent until it is held. */
  lease?: Lease;
  /** The step that is begun; `up`: all of the set-up is done. */
  step: string;
  /** Who does it. An entry that is neither `up` nor in the hands of a living process is half-done. */
  by: ProcessId;
  /** Number of the job's network namespace. */
  netns?: number;
  startedAt: Date;
  /** The job's end is not up, and never was: it sent and received nothing. */
  isSilent?: boolean;
}

const entryRecord: z.ZodType<JournalEntry, unknown> = z.strictObject({
  name: z.string().regex(JOB_NAME),
  request: requestRecord,
  lease: leaseRecord.optional(),
  step: z.string(),
  by: processId,
  netns: z.int().optional(),
  startedAt: z.coerce.date(),
  isSilent: z.boolean().optional(),
});

export function writeEntry(folder: string, entry: JournalEntry): void {
  replaceFile(join(folder, entry.name), JSON.stringify(entry), 0o600);
}

/** @returns undefined where there is none, or none that can be understood */
export function readEntry(folder: string, name: string): JournalEntry | undefined {
  try {
    const entry = entryRecord.safeParse(JSON.parse(readFileSync(join(folder, name), 'utf8')));
    return entry.success && entry.data.name === name ? entry.data : undefined;
  } catch {
    return undefined;
  }
}

export function removeEntry(folder: string, name: string): void {
  removeFile(join(folder, name));
}

/** All entries, and the names of files that are none. */
export function readJournal(folder: string): { entries: JournalEntry[]; debris: string[] } {
  const journal: { entries: JournalEntry[]; debris: string[] } = { entries: [], debris: [] };
  let files: string[];
  try {
    files = readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return journal;
    throw error;
  }
  for (const file of files) {
    const entry = JOB_NAME.test(file) ? readEntry(folder, file) : undefined;
    if (entry) journal.entries.push(entry);
    else journal.debris.push(file);
  }
  return journal;
}
