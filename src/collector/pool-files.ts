/** Lark's files in HTCondor's configuration folder. */
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { writeWhole } from './user-map.ts';

export const ROLES = ['central-manager', 'access-point', 'execution-point'] as const;
export type PoolRole = (typeof ROLES)[number];

const SHIPPED = resolve(import.meta.dirname, '../../config/htcondor');

/** What of the shipped file depends on the machine. */
export interface FileChoices {
  /** Written as LarkSite. */
  site?: string | undefined;
  /** The program that condor_master starts, and its arguments. */
  program?: string;
  args?: string;
}

/** The text that is installed, with a mark at its end by which a later version tells whether somebody changed it. */
export async function poolFile(name: string, { site, program, args }: FileChoices): Promise<string> {
  const shipped = await readFile(join(SHIPPED, `${name}.conf`), 'utf8');
  const text = shipped
    .replace(/^LARK_SYNC = .*$/m, (line) => (program ? `LARK_SYNC = ${program}` : line))
    .replace(/^LARK_SYNC_ARGS = .*$/m, (line) => (args ? `LARK_SYNC_ARGS = ${args}` : line));
  return marked(site === undefined ? text : `LarkSite = "${site}"\n\n${text}`);
}

const MARK = '# As written by lark pool-config: ';
const marked = (text: string): string => `${text}\n${MARK}${hash('sha256', text, 'base64')}\n`;

/** Whether the text is as Lark wrote it, in this version or another. */
function isUntouched(text: string): boolean {
  const at = text.lastIndexOf(`\n${MARK}`);
  return at >= 0 && marked(text.slice(0, at)) === text;
}

/** Later than what an administrator sets, since START and lists are added to; what adds to a role comes after it. */
export const poolFilePath = (directory: string, role: PoolRole, addition?: string): string =>
  join(directory, addition ? `96-lark-${role}-${addition}.conf` : `95-lark-${role}.conf`);

/**
 * Puts a file in its place, unless somebody changed the one that stands there.
 * @throws UserError
 */
export async function installPoolFile(
  path: string,
  text: string,
  isForced: boolean,
): Promise<'written' | 'as it was'> {
  const before = await readIfThere(path);
  if (before === text) return 'as it was';
  if (before !== undefined && !isForced && !isUntouched(before)) {
    throw new UserError(
      `${path} is there and is not as Lark wrote it: move your changes to a file of their own, or give --force to overwrite it`,
    );
  }
  try {
    await writeWhole(path, text);
  } catch (error) {
    throw new UserError(`${path} could not be written (${(error as Error).message}): run this as root`);
  }
  return 'written';
}

export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
