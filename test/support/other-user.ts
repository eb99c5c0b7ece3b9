import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';

const ROOT = resolve(import.meta.dirname, '../..');

/** Runs its arguments as a user without rights. */
export const AS_NOBODY = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'] as const;

/** Why nothing can be run as another user here; undefined where it can. */
export const cannotChangeUser: string | undefined =
  process.getuid?.() !== 0 ? 'not root' : existsSync('/usr/bin/setpriv') ? undefined : 'no setpriv';

/**
 * A copy of this checkout and of the running Node that every user can read: the checkout itself may lie where nobody
 * else can look, in root's home for example.
 */
export async function readableCheckout() {
  const folder = await mkdtemp(join(tmpdir(), 'lark-readable-'));
  await chmod(folder, 0o755);
  for (const name of [
    'src',
    'test',
    'testbed',
    'packages',
    'config',
    'sql',
    'package.json',
    'node_modules',
  ]) {
    await execa('cp', ['-a', join(ROOT, name), join(folder, name)]);
  }
  await execa('cp', [process.execPath, join(folder, 'node')]);
  return {
    folder,
    node: join(folder, 'node'),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
