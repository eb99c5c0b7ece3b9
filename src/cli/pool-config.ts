import { existsSync } from 'node:fs';
import { chown, mkdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createHtcondor, type Htcondor } from '../collector/htcondor.ts';
import { checkPool } from '../collector/pool-check.ts';
import { installPoolFile, type PoolRole, poolFile, poolFilePath } from '../collector/pool-files.ts';
import { messageOf, UserError } from '../errors.ts';
import { siteName } from '../sites/name.ts';
import { SITE_MAP, SYNC_FILE } from '../sync.ts';
import { configOrDefaults } from './sync.ts';

interface Options {
  role: PoolRole;
  requirements?: boolean;
  limits?: boolean;
  site?: string;
  force?: boolean;
  json?: boolean;
}

/** `lark pool-config install`: Lark's files for a role into HTCondor's configuration folder. */
export async function poolConfigInstall(configFile: string | undefined, options: Options): Promise<void> {
  const { config } = configOrDefaults(configFile);
  const htcondor = createHtcondor(config.htcondor);
  const { role, site } = options;
  if (site !== undefined && siteName(site) !== site)
    throw new UserError(`"${site}" cannot be a site's name here; Lark would call it "${siteName(site)}"`);
  if (site !== undefined && role === 'central-manager')
    throw new UserError('a central manager has no site: --site is for access points and execution points');
  if ((options.requirements || options.limits) && role !== 'access-point')
    throw new UserError('--requirements and --limits are for access points');
  const directory = await configDirectory(htcondor);
  const choices = {
    site,
    program: launcher(),
    args: configFile === undefined ? 'sync' : `sync --config ${resolve(configFile)}`,
  };
  const additions = [options.requirements && 'requirements', options.limits && 'limits'];
  const files: { file: string; done: string }[] = [];
  const put = async (file: string, text: string): Promise<void> => {
    files.push({ file, done: await installPoolFile(file, text, options.force === true) });
  };
  await put(poolFilePath(directory, role), await poolFile(role, choices));
  for (const addition of additions.filter((one) => typeof one === 'string'))
    await put(poolFilePath(directory, role, addition), await poolFile(`${role}-${addition}`, {}));
  const folder = role === 'execution-point' ? undefined : await mapsFolder(htcondor);
  const next = [
    'condor_reconfig',
    `lark pool-config check --role ${role}${options.requirements ? ' --requirements' : ''}`,
  ];
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ role, files, mapsFolder: folder ?? null, next })}\n`);
    return;
  }
  for (const { file, done } of files) process.stdout.write(`${file}: ${done}\n`);
  if (folder) process.stdout.write(`${folder}: the folder of the maps is there\n`);
  process.stdout.write(`Now run: ${next[0]}\nAnd after a minute: ${next[1]}\n`);
}

/** `lark pool-config check`: exits 1 when something is missing. */
export async function poolConfigCheck(configFile: string | undefined, options: Options): Promise<void> {
  const { config } = configOrDefaults(configFile);
  const checks = await checkPool(options.role, {
    htcondor: createHtcondor(config.htcondor),
    directory: config.sync.directory,
    roundFile: SYNC_FILE,
    siteMap: SITE_MAP,
    freshSeconds: Math.max(60, 6 * config.sync.everySeconds),
    requirements: options.requirements === true,
    now: new Date(),
  });
  const ok = checks.every((check) => check.ok);
  if (options.json) process.stdout.write(`${JSON.stringify({ role: options.role, ok, checks })}\n`);
  else
    for (const check of checks)
      process.stdout.write(`${check.ok ? 'ok     ' : 'MISSING'}  ${check.message}\n`);
  if (!ok) process.exitCode = 1;
}

/** The last of HTCondor's configuration folders: what stands in it counts most. */
async function configDirectory(htcondor: Htcondor): Promise<string> {
  const directories = (await htcondor.setting('LOCAL_CONFIG_DIR'))
    .split(/[\s,]+/)
    .filter((text) => text !== '');
  const directory = directories.findLast((one) => existsSync(one));
  if (directory === undefined)
    throw new UserError(
      'HTCondor has no configuration folder here: set LOCAL_CONFIG_DIR, and make the folder',
    );
  return directory;
}

/** The Lark that runs is the one that condor_master is to start. */
function launcher(): string {
  const installed = '/usr/bin/lark';
  return existsSync(installed) ? installed : resolve(import.meta.dirname, '../../lark');
}

/** Makes the folder that LARK_MAPS names, for the user that HTCondor's daemons run as. */
async function mapsFolder(htcondor: Htcondor): Promise<string | undefined> {
  const folder = await htcondor.setting('LARK_MAPS');
  if (folder === '') return undefined;
  try {
    await mkdir(folder, { recursive: true });
    const { uid, gid } = await stat(await htcondor.setting('SPOOL'));
    await chown(folder, uid, gid);
  } catch (error) {
    throw new UserError(`the folder of the maps could not be made (${messageOf(error)}): run this as root`);
  }
  return folder;
}
