/** Whether Lark's settings are in force in the daemons that run, and what is missing where they are not. */

import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseJsonAds } from 'classad-parser';
import { messageOf } from '../errors.ts';
import type { Htcondor } from './htcondor.ts';
import { PATH_AD_TYPE } from './path-ad.ts';
import { PATH_MAP } from './path-map.ts';
import { type PoolRole, readIfThere } from './pool-files.ts';
import { machinesOfAd, SITE_AD_TYPE } from './site-ad.ts';
import { LARK_SLOT_ATTRIBUTES } from './slot-attributes.ts';
import { userMapFile } from './user-map.ts';

/** One thing that was looked at. */
export interface PoolCheck {
  ok: boolean;
  /** One sentence; where it is not ok, with what to do. */
  message: string;
}

/** What `lark sync` leaves beside its maps, as far as it is looked at. */
interface LastRound {
  at: string;
  heardAt: string | null;
  problems: string[];
}

export interface CheckDeps {
  htcondor: Htcondor;
  /** Where the maps are written, and the file in which a round says how it went. */
  directory: string;
  roundFile: string;
  siteMap: string;
  /** A round that is older than this is none any more. */
  freshSeconds: number;
  /** The job transform of access-point-requirements.conf is expected, too. */
  requirements: boolean;
  now: Date;
}

/** Looks at everything that the role needs. Never throws: what cannot be asked is missing. */
export async function checkPool(role: PoolRole, deps: CheckDeps): Promise<PoolCheck[]> {
  if (role === 'execution-point') return [...(await startd(deps)), ...(await siteHere('startd', deps))];
  const daemon = role === 'central-manager' ? 'negotiator' : 'schedd';
  const checks = [...(await maps(daemon, role, deps)), ...(await syncing(role, deps))];
  if (daemon === 'negotiator') return [...checks, ...(await preference(deps)), ...(await pathsThere(deps))];
  return [...checks, ...(await transforms(deps)), ...(await siteHere('schedd', deps))];
}

const install = (role: PoolRole): string =>
  `run "lark pool-config install --role ${role}" and then condor_reconfig`;

/** A setting as the running daemon has it, or why it cannot be told. */
async function setting(
  deps: CheckDeps,
  daemon: string,
  name: string,
): Promise<{ value?: string; why?: string }> {
  try {
    return { value: await deps.htcondor.settingOf(daemon, name) };
  } catch (error) {
    return {
      why: `the ${daemon} cannot be asked (${messageOf(error)}): start HTCondor, and run this as root`,
    };
  }
}

const words = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== '');

async function maps(daemon: string, role: PoolRole, deps: CheckDeps): Promise<PoolCheck[]> {
  const { value, why } = await setting(deps, daemon, `${daemon}_CLASSAD_USER_MAP_NAMES`);
  if (value === undefined) return [{ ok: false, message: why! }];
  const missing = [PATH_MAP, deps.siteMap].filter((name) => !words(value).includes(name));
  if (missing.length > 0)
    return [
      {
        ok: false,
        message: `the ${daemon} does not know the map ${missing.join(' and ')}: ${install(role)}`,
      },
    ];
  const checks: PoolCheck[] = [
    { ok: true, message: `the ${daemon} knows the maps ${PATH_MAP} and ${deps.siteMap}` },
  ];
  for (const name of [PATH_MAP, deps.siteMap]) {
    const file = (await setting(deps, daemon, `CLASSAD_USER_MAPFILE_${name}`)).value ?? '';
    const ours = userMapFile(deps.directory, name);
    // Through a prefix the same folder may go by another name from here.
    if (file === '' || !ours.endsWith(file))
      checks.push({
        ok: false,
        message: `the ${daemon} reads ${name} from "${file}" and lark sync writes ${ours}: set LARK_MAPS and sync.directory to the same folder`,
      });
    else checks.push(await readable(ours));
  }
  return checks;
}

async function readable(file: string): Promise<PoolCheck> {
  try {
    const uid = await condorUid();
    for (let path = file; ; path = dirname(path)) {
      const { mode, uid: owner } = await stat(path);
      const needed = path === file ? 0o4 : 0o1;
      if ((mode & needed) === 0 && !(owner === uid && (mode & (needed << 6)) !== 0))
        return {
          ok: false,
          message: `HTCondor's user may not read ${file}: chmod ${path === file ? 'o+r' : 'o+x'} ${path}`,
        };
      if (path === dirname(path)) break;
    }
    return { ok: true, message: `${file} is there and may be read` };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      return { ok: false, message: `${file} is not there: is lark sync running on this machine?` };
    return { ok: false, message: `${file} cannot be looked at: ${messageOf(error)}` };
  }
}

async function condorUid(): Promise<number | undefined> {
  const line = /^condor:[^:]*:(\d+):/m.exec(await readFile('/etc/passwd', 'utf8'));
  return line ? Number(line[1]) : undefined;
}

async function syncing(role: PoolRole, deps: CheckDeps): Promise<PoolCheck[]> {
  const { value, why } = await setting(deps, 'master', 'DAEMON_LIST');
  const isChild = value !== undefined && words(value).includes('LARK_SYNC');
  const started: PoolCheck = isChild
    ? { ok: true, message: 'condor_master keeps lark sync running' }
    : {
        ok: false,
        message:
          value === undefined
            ? why!
            : `condor_master does not start lark sync: ${install(role)}, or run "lark sync --once" by a timer`,
      };
  const text = await readIfThere(join(deps.directory, deps.roundFile)).catch(() => undefined);
  if (text === undefined)
    return [
      started,
      {
        ok: false,
        message: `lark sync has not left ${deps.roundFile} in ${deps.directory}: look for its words in MasterLog, or run "lark sync --once"`,
      },
    ];
  const round = JSON.parse(text) as LastRound;
  const age = (at: string | null): number =>
    at === null ? Infinity : (deps.now.getTime() - Date.parse(at)) / 1000;
  // Where a timer runs it, condor_master has no part in it.
  const checks = isChild || age(round.at) > deps.freshSeconds ? [started] : [];
  if (age(round.at) > deps.freshSeconds)
    checks.push({
      ok: false,
      message: `the last round of lark sync ended ${round.at}: start it again, for the maps are not kept fresh`,
    });
  else if (age(round.heardAt) > deps.freshSeconds)
    checks.push({
      ok: false,
      message: `the collector has not answered lark sync since ${round.heardAt ?? 'its start'}: paths are released as their time ends`,
    });
  else checks.push({ ok: true, message: `lark sync heard the collector at ${round.heardAt}` });
  for (const problem of round.problems) checks.push({ ok: false, message: `lark sync says: ${problem}` });
  return checks;
}

async function preference(deps: CheckDeps): Promise<PoolCheck[]> {
  const { value } = await setting(deps, 'negotiator', 'NEGOTIATOR_PRE_JOB_RANK');
  if (value?.includes(PATH_MAP)) return [{ ok: true, message: 'the negotiator prefers the better path' }];
  return [
    {
      ok: false,
      message:
        'NEGOTIATOR_PRE_JOB_RANK does not look at paths: a later file sets it anew; add $(LARK_RANK) to it there',
    },
  ];
}

async function transforms(deps: CheckDeps): Promise<PoolCheck[]> {
  const { value, why } = await setting(deps, 'schedd', 'JOB_TRANSFORM_NAMES');
  if (value === undefined) return [{ ok: false, message: why! }];
  const needed = ['Lark', ...(deps.requirements ? ['LarkRequirements'] : [])];
  return needed.map((name) =>
    words(value).includes(name)
      ? { ok: true, message: `jobs go through the transform ${name}` }
      : {
          ok: false,
          message: `jobs do not go through the transform ${name}: ${install('access-point')}${name === 'Lark' ? '' : ' (with --requirements)'}`,
        },
  );
}

async function startd(deps: CheckDeps): Promise<PoolCheck[]> {
  const { value, why } = await setting(deps, 'startd', 'START');
  if (value === undefined) return [{ ok: false, message: why! }];
  const lacks = ['LarkWithholdsIn', 'LarkWithholdsOut'].filter((name) => !value.includes(name));
  if (lacks.length > 0)
    return [
      {
        ok: false,
        message: `START does not ask for ${lacks.join(' and ')}: ${install('execution-point')}; a file that sets START must come before Lark's`,
      },
    ];
  const attributes = words((await setting(deps, 'startd', 'STARTD_ATTRS')).value ?? '');
  const unpublished = LARK_SLOT_ATTRIBUTES.filter((name) => !attributes.includes(name));
  if (unpublished.length > 0)
    return [
      {
        ok: false,
        message: `STARTD_ATTRS lacks ${unpublished.join(', ')}: a file after Lark's sets it anew; write STARTD_ATTRS = $(STARTD_ATTRS) … there`,
      },
    ];
  return [{ ok: true, message: 'START holds back what a path withholds' }];
}

/** Whether this machine's site is known, and whether there are paths to it. */
async function siteHere(daemon: 'schedd' | 'startd', deps: CheckDeps): Promise<PoolCheck[]> {
  const { htcondor } = deps;
  const said = (await setting(deps, daemon, 'LarkSite')).value ?? '';
  try {
    const host = await htcondor.setting('FULL_HOSTNAME');
    const ads = parseJsonAds(
      await htcondor.ads(`MyType == "${SITE_AD_TYPE}"`, ['MyType', 'Name', 'Machines']),
    );
    const located = ads.find((ad) => machinesOfAd(ad).includes(host))?.getString('Name');
    const site = /^"(.+)"$/.exec(said)?.[1] ?? located;
    if (site === undefined)
      return [
        {
          ok: false,
          message: `nobody knows the site of ${host}: set LarkSite = "NAME" (--site NAME), or pin it in sites.yaml of the service`,
        },
      ];
    return [{ ok: true, message: `${host} is at ${site}` }, ...(await pathsThere(deps, site))];
  } catch (error) {
    return [{ ok: false, message: `the collector cannot be asked for sites: ${messageOf(error)}` }];
  }
}

async function pathsThere({ htcondor }: CheckDeps, site?: string): Promise<PoolCheck[]> {
  const ends = site === undefined ? '' : ` && (SrcSite == "${site}" || DstSite == "${site}")`;
  try {
    const count = parseJsonAds(await htcondor.ads(`MyType == "${PATH_AD_TYPE}"${ends}`, ['Name'])).length;
    if (count > 0)
      return [{ ok: true, message: `the collector has ${count} paths${site ? ` of ${site}` : ''}` }];
    return [
      {
        ok: false,
        message: site
          ? `no path in the collector begins or ends at ${site}: is it spelt as "lark sites" does?`
          : 'there are no paths in the collector: is "lark serve" running, and does it publish to this collector?',
      },
    ];
  } catch (error) {
    return [{ ok: false, message: `the collector cannot be asked for paths: ${messageOf(error)}` }];
  }
}
