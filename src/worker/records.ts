import { linkSync, mkdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { JOB_NAME, type JobNetworkRequest, type Lease, MODES, PROTOCOLS } from './types.ts';

/** What the files of the run directory hold. They are checked when read: a crash or a person may have touched them. */

export const processId = z.strictObject({ pid: z.int().positive(), startTicks: z.int().nonnegative() });

const port = z.int().min(1).max(65_535);
const protocol = z.enum(PROTOCOLS);

export const leaseRecord: z.ZodType<Lease, unknown> = z.strictObject({
  name: z.string().regex(JOB_NAME),
  slotIndex: z.int().min(1).max(65_000),
  ipv4: z.ipv4().optional(),
  ipv6: z.ipv6().optional(),
  mac: z.string().optional(),
  forwards: z.array(z.strictObject({ protocol, jobPort: port, hostPort: port })),
  createdAt: z.coerce.date(),
  jobId: z.string(),
  bootId: z.string(),
});

export const requestRecord: z.ZodType<JobNetworkRequest, unknown> = z.strictObject({
  mode: z.enum(MODES),
  inbound: z.array(z.strictObject({ protocol, jobPort: port })),
  bandwidth: z.strictObject({ minMbps: z.number(), maxMbps: z.number().optional() }).optional(),
  isAccounted: z.boolean(),
  owner: z.string(),
  jobId: z.string(),
  starter: processId,
  slot: z.string().optional(),
});

let written = 0;
const besideOf = (path: string): string => `${path}.${process.pid}.${written++}.tmp`;

/** Names of files that a writer left behind when it was killed. */
export const UNFINISHED = /\.(\d+)\.\d+\.tmp$/;

/** Removes a file that holds nothing that can be understood, unless its writer is still at it. */
export function removeDebris(folder: string, file: string, isRunning: (pid: number) => boolean): void {
  const writer = UNFINISHED.exec(file)?.[1];
  if (writer === undefined || !isRunning(Number(writer))) {
    rmSync(join(folder, file), { recursive: true, force: true });
  }
}

/** Writes beside and renames: a reader sees the old text or the new one. */
export function replaceFile(path: string, text: string, mode = 0o644): void {
  renameSync(writeBeside(path, text, mode), path);
}

function writeBeside(path: string, text: string, mode: number): string {
  const beside = besideOf(path);
  try {
    writeFileSync(beside, text, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      // As where the disk is full: what was written of it is nobody's.
      rmSync(beside, { force: true });
      throw error;
    }
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(beside, text, { mode });
  }
  return beside;
}

/**
 * Makes a file that was not there, with its text from the first moment on; of several that try, one succeeds.
 * @returns whether it was this one
 */
export function claimFile(path: string, text: string): boolean {
  const beside = writeBeside(path, text, 0o600);
  try {
    linkSync(beside, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    unlinkSync(beside);
  }
}

/** Removes a file, which may be gone already. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
