import { constants } from 'node:fs';
import { appendFile, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { JOB_NAME } from '../types.ts';
import type { UsageRecord } from './record.ts';

const count = z.object({ bytes: z.number(), packets: z.number() });
const counts = z.record(z.string(), z.object({ in: count, out: count }));
const recordSchema = z.object({
  name: z.string().regex(JOB_NAME),
  jobId: z.string(),
  owner: z.string(),
  slot: z.string().optional(),
  starter: z.strictObject({ pid: z.int(), startTicks: z.int() }).optional(),
  earlier: counts.optional(),
  seq: z.int(),
  epoch: z.int().optional(),
  carried: counts,
  counted: counts,
  hasGap: z.boolean(),
  startedAt: z.coerce.date(),
  updatedAt: z.coerce.date(),
  readMs: z.number().optional(),
  endedAt: z.coerce.date().optional(),
});

const LIVE = /^lk[0-9a-z]{8}\.json$/;
const ENDED = /^ended-\d{4}-\d{2}\.jsonl$/;

/**
 * Records on disk, below `accounting` of the data directory: a file for each job that runs, replaced at every
 * checkpoint, and a file for each month with a line for each job that ended. Written by the agent alone; read by anyone.
 */
export class UsageStore {
  readonly #directory: string;

  constructor(dataDirectory: string) {
    this.#directory = join(dataDirectory, 'accounting');
  }

  async save(record: UsageRecord): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const file = this.#liveFile(record.name);
    // Flushed before it is renamed: a power cut leaves the version before, not an empty file.
    await writeFlushed(`${file}.new`, 'w', `${JSON.stringify(record)}\n`);
    await rename(`${file}.new`, file);
  }

  /**
   * Moves a closed record to the history. A stop between the two steps leaves both, and the next call, or `live` with
   * `history`, shows it once.
   */
  async finish(record: UsageRecord): Promise<void> {
    if (record.endedAt === undefined) throw new Error(`${record.name} is not closed`);
    await mkdir(this.#directory, { recursive: true });
    const file = join(this.#directory, `ended-${record.endedAt.toISOString().slice(0, 7)}.jsonl`);
    // A line that a power cut tore stays a line of its own.
    const isTorn = !(await endsWithNewline(file));
    await writeFlushed(file, 'a', `${isTorn ? '\n' : ''}${JSON.stringify(record)}\n`);
    await this.discard(record.name);
  }

  async discard(name: string): Promise<void> {
    const file = this.#liveFile(name);
    await rm(file, { force: true });
    await rm(`${file}.new`, { force: true });
  }

  /**
   * After a crash: removes what a writer left half-made for jobs that are gone, and puts what cannot be read out of the
   * way.
   * @returns the files that could not be read, or not to their end
   */
  async mend(isLive: (name: string) => boolean): Promise<string[]> {
    const unreadable: string[] = [];
    for (const file of await this.#files(/^lk[0-9a-z]{8}\.json\.new$/)) {
      if (!isLive(basename(file, '.json.new'))) await rm(file, { force: true });
    }
    for (const file of await this.#files(LIVE)) {
      if (parse(await textOf(file))) continue;
      await rename(file, `${file}.unreadable`);
      unreadable.push(`${file}.unreadable`);
    }
    for (const file of await this.#files(ENDED)) {
      if (await endsWithNewline(file)) continue;
      // The line that a power cut tore stays a line of its own.
      const torn = (await textOf(file)).split('\n').at(-1)!;
      await appendFile(file, '\n');
      if (!parse(torn)) unreadable.push(file);
    }
    return unreadable;
  }

  /** Of the job, while it runs; undefined also where it cannot be read. */
  async find(name: string): Promise<UsageRecord | undefined> {
    return parse(await textOf(this.#liveFile(name)));
  }

  /** Of jobs that run. */
  async names(): Promise<Set<string>> {
    return new Set((await this.#files(LIVE)).map((file) => basename(file, '.json')));
  }

  async hasEnded({ name, startedAt }: UsageRecord): Promise<boolean> {
    return (await this.history(startedAt)).some((record) => record.name === name);
  }

  /** Of jobs that run, or ran when the agent died. What cannot be read is left out. */
  async live(): Promise<UsageRecord[]> {
    const records: UsageRecord[] = [];
    for (const file of await this.#files(LIVE)) {
      const record = parse(await textOf(file));
      if (record) records.push(record);
    }
    return records.sort(byStart);
  }

  /** Of jobs that ended at or after `since`, each once. */
  async history(since: Date): Promise<UsageRecord[]> {
    const newest = new Map<string, UsageRecord>();
    for (const file of await this.#files(ENDED)) {
      if (file.slice(-'2026-01.jsonl'.length, -'.jsonl'.length) < since.toISOString().slice(0, 7)) continue;
      for (const line of (await readFile(file, 'utf8')).split('\n')) {
        const record = parse(line);
        if (!record?.endedAt || record.endedAt < since) continue;
        if ((newest.get(record.name)?.seq ?? -1) < record.seq) newest.set(record.name, record);
      }
    }
    return [...newest.values()].sort(byStart);
  }

  #liveFile(name: string): string {
    return join(this.#directory, `${name}.json`);
  }

  async #files(pattern: RegExp): Promise<string[]> {
    const names = await readdir(this.#directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return names
      .filter((name) => pattern.test(name))
      .sort()
      .map((name) => join(this.#directory, name));
  }
}

function parse(text: string): UsageRecord | undefined {
  try {
    const { epoch, endedAt, slot, ...rest } = recordSchema.parse(JSON.parse(text));
    return {
      ...rest,
      ...(slot !== undefined && { slot }),
      ...(epoch !== undefined && { epoch }),
      ...(endedAt && { endedAt }),
    };
  } catch {
    return undefined;
  }
}

/** Empty where it cannot be read. */
const textOf = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');

async function writeFlushed(file: string, flags: 'a' | 'w', text: string): Promise<void> {
  const handle = await open(file, flags, 0o644);
  try {
    await handle.writeFile(text);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function endsWithNewline(file: string): Promise<boolean> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file, constants.O_RDONLY);
  } catch {
    return true;
  }
  try {
    const { size } = await handle.stat();
    if (size === 0) return true;
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    return buffer.toString() === '\n';
  } finally {
    await handle.close();
  }
}

function byStart(a: UsageRecord, b: UsageRecord): number {
  return a.startedAt.getTime() - b.startedAt.getTime() || (a.name < b.name ? -1 : 1);
}
