import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { WorkerConfig } from '../config.ts';
import { processId, removeFile, replaceFile } from '../records.ts';
import { deviceStateSchema } from './state.ts';

const schema = deviceStateSchema.extend({
  isMoving: z.boolean().optional(),
  guard: processId.optional(),
});

/** What is written down of a bridge that Lark made, and of what it was made: RUN/bridge.json. */
export type BridgeRecord = z.infer<typeof schema> & {
  /** Its making or its removal has begun, and nobody said that it is done. */
  isMoving?: boolean | undefined;
};

type Config = Pick<WorkerConfig, 'state'>;

export function recordFile(config: Config): string {
  return join(config.state.runDirectory, 'bridge.json');
}

/** Undefined where Lark made no bridge. */
export function readRecord(config: Config): BridgeRecord | 'unreadable' | undefined {
  let text: string;
  try {
    text = readFileSync(recordFile(config), 'utf8');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : 'unreadable';
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return 'unreadable';
  }
}

export function writeRecord(config: Config, record: BridgeRecord): void {
  replaceFile(recordFile(config), `${JSON.stringify(record)}\n`);
}

export function removeRecord(config: Config): void {
  removeFile(recordFile(config));
}
