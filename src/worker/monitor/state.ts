import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { messageOf, UserError } from '../../errors.ts';

const seenJob = z.object({
  slot: z.string(),
  /** Since the job began. */
  inBytes: z.number(),
  outBytes: z.number(),
  /** Of the checkpoint, in ms since 1970. */
  at: z.number(),
});
/** What the last report said of one job. */
export type SeenJob = z.infer<typeof seenJob>;

const stateSchema = z.object({
  /** By the network's name. */
  jobs: z.record(z.string(), seenJob),
  /** All slots that ever had an ad. */
  slots: z.array(z.string()),
});
export type MonitorState = z.infer<typeof stateSchema>;

/** Undefined where there is none that can be understood: then this report is the first one. */
export function readState(file: string): MonitorState | undefined {
  try {
    return stateSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}

/** @throws UserError where the file cannot be written */
export function saveState(file: string, state: MonitorState): void {
  try {
    writeFileSync(`${file}.new`, `${JSON.stringify(state)}\n`);
    renameSync(`${file}.new`, file);
  } catch (error) {
    throw new UserError(
      `--state ${file} cannot be written by the user that HTCondor runs as: ${messageOf(error)}`,
    );
  }
}
