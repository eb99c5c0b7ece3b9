import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * What a running pool says of itself, so that another process can look into it. One folder per pool; it lies
 * in /run and not in XDG_RUNTIME_DIR because all pools are root's, whether root logged in or came by sudo.
 */
export const poolsDir = '/run/lark/pools';

/** A process that cannot be mistaken for a later one with the same id: start is in clock ticks since boot. */
const processSchema = z.object({ pid: z.int().positive(), startTicks: z.int().nonnegative() });
export type ProcessIdentity = z.infer<typeof processSchema>;

const hostSchema = z.object({
  name: z.string(),
  role: z.enum(['cm', 'ap', 'ep']),
  site: z.string().optional(),
  address: z.string(),
  initPid: z.int().positive(),
});
/** One host of a pool. `initPid` is its first process as this machine counts; `address` is IPv4. */
export type PoolHost = z.infer<typeof hostSchema>;

const stateSchema = z.object({
  id: z.string(),
  owner: processSchema,
  /** The process whose end is the pool's end; absent while the pool is being started. */
  switch: processSchema.optional(),
  subnet: z.string(),
  rootTree: z.string(),
  hosts: z.array(hostSchema),
});
export type PoolState = z.infer<typeof stateSchema>;

/** Long enough for a starting pool to have written its state. */
const unwrittenGraceMs = 60_000;

export function poolDir(id: string): string {
  return join(poolsDir, id);
}

/** Written beside and renamed, so a reader never sees half of it. The pool's folder must exist. */
export function writeState(state: PoolState): void {
  const dir = poolDir(state.id);
  const file = join(dir, 'state.json');
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/**
 * The pools that stand or are being started. Folders of pools whose processes are all gone (a supervisor
 * that was killed could not clean up) are removed on the way.
 */
export function readStates(nowMs: number, dir: string = poolsDir): PoolState[] {
  const states: PoolState[] = [];
  for (const id of listDir(dir)) {
    const folder = join(dir, id);
    const state = readState(folder);
    if (state !== undefined && isAlive(state, readStartTicks)) states.push(state);
    else if (state !== undefined || ageMs(folder, nowMs) > unwrittenGraceMs) {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return states;
}

/** A pool lives while its switch lives; before there is a switch, while its owner lives. */
export function isAlive(
  state: Pick<PoolState, 'owner' | 'switch'>,
  startTicksOf: (pid: number) => number | undefined,
): boolean {
  const subject = state.switch ?? state.owner;
  return startTicksOf(subject.pid) === subject.startTicks;
}

/** Start of a process in clock ticks since boot, undefined when there is no such process. */
export function readStartTicks(pid: number): number | undefined {
  try {
    return parseStartTicks(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Field 22 of /proc/PID/stat (proc(5)); the second field, the command's name, may hold spaces and brackets.
 * A zombie counts as gone.
 */
export function parseStartTicks(stat: string): number | undefined {
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[18]);
  return state === 'Z' || !Number.isInteger(ticks) ? undefined : ticks;
}

export function identify(pid: number): ProcessIdentity {
  const startTicks = readStartTicks(pid);
  if (startTicks === undefined) throw new Error(`Process ${pid} ended too early`);
  return { pid, startTicks };
}

function readState(folder: string): PoolState | undefined {
  try {
    const parsed = stateSchema.safeParse(JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')));
    return parsed.data;
  } catch {
    return undefined;
  }
}

function listDir(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function ageMs(path: string, nowMs: number): number {
  try {
    return nowMs - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}
