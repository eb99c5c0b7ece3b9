import { mkdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import type { Htcondor } from './htcondor.ts';

/** A map for `userMap("NAME", key)`; keys and values as `isMapText` allows. */
export interface UserMapContent {
  /** As in HTCondor's setting CLASSAD_USER_MAPFILE_<NAME>. */
  name: string;
  entries: ReadonlyMap<string, string>;
}

/** Whether a map can carry it: a backslash means something in a value, and a line break would begin another line. */
export const isMapText = (text: string): boolean => text !== '' && !/[\\\p{Cc}]/u.test(text);

/** What stands as it is; whatever holds anything else goes between double quotes. */
const PLAIN = /^[A-Za-z0-9._:@>+,=-]+$/;
const field = (text: string): string => (PLAIN.test(text) ? text : `"${text.replaceAll('"', '\\"')}"`);

/**
 * The text of a map file (`* KEY VALUE` lines), sorted by key: the same entries give the same text.
 * @throws RangeError for a key or value that a map cannot carry
 */
export function userMapText(entries: ReadonlyMap<string, string>): string {
  const lines = [...entries]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => {
      for (const text of [key, value])
        if (!isMapText(text)) throw new RangeError(`a user map cannot carry ${JSON.stringify(text)}`);
      return `* ${field(key)} ${field(value)}\n`;
    });
  return `# Written by Lark: changes made here are lost.\n${lines.join('')}`;
}

export const userMapFile = (directory: string, name: string): string => join(directory, `${name}.map`);

/** A file that HTCondor's daemons read. */
export interface DaemonFile {
  /** Its name in the folder of the maps. */
  file: string;
  text: string;
}

/**
 * Writes a file where it differs from what stands there: beside it, then renamed, so that HTCondor never reads half of
 * one. HTCondor reads a map again only if its time has changed by whole seconds, so the time is moved forward where two
 * writes fall into the same second.
 * @returns whether there was anything to write
 * @throws what the file system says
 */
export async function writeDaemonFile(
  directory: string,
  { file, text }: DaemonFile,
  now: Date,
): Promise<boolean> {
  const path = join(directory, file);
  const seconds = await timeOf(path);
  if (seconds !== undefined && (await readFile(path, 'utf8')) === text) return false;
  await mkdir(directory, { recursive: true });
  await writeFile(`${path}.new`, text, { mode: 0o644 });
  const time = Math.max(Math.floor(now.getTime() / 1000), (seconds ?? 0) + 1);
  await utimes(`${path}.new`, time, time);
  await rename(`${path}.new`, path);
  return true;
}

/** @throws as writeDaemonFile and userMapText do */
export const writeUserMap = (directory: string, map: UserMapContent, now: Date): Promise<boolean> =>
  writeDaemonFile(directory, daemonFile(map), now);

const daemonFile = ({ name, entries }: UserMapContent): DaemonFile => ({
  file: `${name}.map`,
  text: userMapText(entries),
});

/** The time of a file in whole seconds; undefined where there is none. */
async function timeOf(file: string): Promise<number | undefined> {
  try {
    return Math.floor((await stat(file)).mtimeMs / 1000);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export interface UserMapOptions {
  /** Where the maps lie, on the machine of the daemons that read them. */
  directory: string;
  /** Which daemons read them, as `condor_reconfig -daemon` names them. */
  reconfigDaemons: readonly string[];
  /** A daemon is not told more often than this. */
  reconfigEverySeconds: number;
}

/** Which version of each file the daemons were last told of, and when: beside the maps, so that a restart knows too. */
interface Told {
  atSeconds: number;
  files: Record<string, number>;
}

const TOLD_FILE = 'reconfigured.json';

/**
 * Brings maps, and other files that the daemons read, up to date and has the daemons read what changed. One that changes
 * again too soon is told of later: the next call sees that it is still due.
 * @returns why not all of it could be done; undefined where it was, or has to wait
 */
export async function publishUserMaps(
  htcondor: Pick<Htcondor, 'reconfigure'>,
  maps: readonly UserMapContent[],
  options: UserMapOptions,
  now: Date,
  others: readonly DaemonFile[] = [],
): Promise<string | undefined> {
  const { directory, reconfigDaemons, reconfigEverySeconds } = options;
  try {
    const files = [...maps.map(daemonFile), ...others];
    for (const file of files) await writeDaemonFile(directory, file, now);
    const told = await readTold(directory);
    const times: Record<string, number> = { ...told?.files };
    for (const { file } of files) times[file] = (await timeOf(join(directory, file))) ?? 0;
    if (files.every(({ file }) => told?.files?.[file] === times[file])) return undefined;
    const nowSeconds = now.getTime() / 1000;
    const ageSeconds = nowSeconds - (told?.atSeconds ?? -Infinity);
    // Below zero: the clock was set back.
    if (ageSeconds >= 0 && ageSeconds < reconfigEverySeconds) return undefined;
    for (const daemon of reconfigDaemons) await htcondor.reconfigure(daemon);
    await writeWhole(join(directory, TOLD_FILE), JSON.stringify({ atSeconds: nowSeconds, files: times }));
    return undefined;
  } catch (error) {
    return `user maps: ${messageOf(error)}`;
  }
}

/** Written beside it, then renamed: whoever reads it has all of it or what stood there before. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

async function readTold(directory: string): Promise<Partial<Told> | undefined> {
  try {
    return JSON.parse(await readFile(join(directory, TOLD_FILE), 'utf8')) as Partial<Told>;
  } catch (error) {
    // Without it, or with half of it, the daemons are told once more than they need.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
