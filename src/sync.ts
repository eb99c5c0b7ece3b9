/**
 * `lark sync`: makes the maps of a central manager or an access point of what stands in the collector. Nothing here
 * knows the store: it runs where no other part of Lark does.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClassAdSyntaxError, parseJsonAds } from 'classad-parser';
import {
  HEARD_ATTRIBUTES,
  type Heard,
  hear,
  heardConstraint,
  NOTHING_HEARD,
  siteMapEntries,
  stillCounting,
} from './collector/heard.ts';
import { type Htcondor, HtcondorError } from './collector/htcondor.ts';
import { limitsFile } from './collector/limits.ts';
import { PATH_MAP, pathMapEntries } from './collector/path-map.ts';
import { type PathUse, pathUse } from './collector/path-use.ts';
import { type DaemonFile, publishUserMaps, writeWhole } from './collector/user-map.ts';
import type { Config } from './config.ts';
import type { Withholding } from './domain.ts';
import { messageOf } from './errors.ts';
import type { Log } from './log.ts';

export const SITE_MAP = 'LARK_SITE';

/** What was heard, and how the last round went: both lie beside the maps. */
const HEARD_FILE = 'heard.json';
export const SYNC_FILE = 'sync.json';

/** How a round went; what `lark pool-config check` reads. */
export interface SyncRound {
  /** When it ended, and when the collector last answered; ISO 8601. */
  at: string;
  heardAt: string | null;
  paths: number;
  machines: number;
  /** One sentence each. */
  problems: string[];
}

/** What of HTCondor it uses. */
export type SyncHtcondor = Pick<Htcondor, 'setting' | 'ads' | 'jobs' | 'reconfigure'>;

export interface SyncDeps {
  config: Config['sync'];
  htcondor: SyncHtcondor;
  clock: () => Date;
  log: Log;
}

/** The daemons of this machine that read the maps. */
const READERS = ['NEGOTIATOR', 'SCHEDD'];

/** A count of the queues is used for so many rounds: one that does not come any more must not hold jobs back. */
const COUNT_ROUNDS = 6;

export interface Sync {
  /** Never throws: what could not be done is told, and tried again in the next round. */
  round(): Promise<SyncRound>;
  /** Rounds until the signal is given. */
  run(signal: AbortSignal): Promise<void>;
  /** The configuration of HTCondor, or ours, may have changed: the next round comes at once. */
  reload(config: Config['sync'], htcondor: SyncHtcondor): void;
}

export function createSync({ config, htcondor, clock, log }: SyncDeps): Sync {
  let heard: Heard | undefined;
  let heardAt: Date | undefined;
  let place: Place | undefined;
  let use: { paths: Map<string, PathUse>; at: Date } | undefined;
  let counting: Promise<string | undefined> | undefined;
  let countProblem: string | undefined;
  let told: string | undefined;
  let wake = new AbortController();

  /** Counts beside the rounds: a queue that takes its time must not keep a breaker from being heard of. */
  function count(siteOf: ReadonlyMap<string, string>): Promise<string | undefined> {
    counting ??= pathUse(htcondor, place!.isCentral, siteOf)
      .then((paths) => {
        use = { paths, at: clock() };
        return undefined;
      }, messageOf)
      .finally(() => {
        counting = undefined;
      });
    return counting;
  }

  async function work(isOnce: boolean): Promise<SyncRound> {
    const problems: string[] = [];
    await mkdir(config.directory, { recursive: true });
    const before = heard ?? (await readHeard(config.directory));
    place ??= await placeOf(htcondor);
    let next = before;
    try {
      const ads = parseJsonAds(await htcondor.ads(heardConstraint(place.site), HEARD_ATTRIBUTES));
      next = hear(before, ads);
      heardAt = clock();
    } catch (error) {
      problems.push(`the collector could not be read: ${unlessBug(error)}`);
    }
    const now = clock();
    next = stillCounting(next, now);
    const text = JSON.stringify(next);
    if (heard === undefined || text !== JSON.stringify(heard))
      await writeWhole(join(config.directory, HEARD_FILE), text);
    heard = next;

    const siteOf = siteMapEntries(next);
    const paths = Object.values(next.paths);
    if (paths.some(({ entry }) => needsCount(entry.withholds))) {
      const counted = count(siteOf).then((problem) => {
        countProblem = problem && `the queue could not be counted: ${problem}`;
      });
      if (isOnce) await counted;
    } else {
      use = undefined;
      countProblem = undefined;
    }
    if (countProblem) problems.push(countProblem);
    const usable =
      use && now.getTime() - use.at.getTime() < COUNT_ROUNDS * config.everySeconds * 1000
        ? use.paths
        : undefined;
    const entries = paths.map(({ entry, untilSeconds }) => ({
      ...entry,
      ...usable?.get(`${entry.srcSite}>${entry.dstSite}`),
      until: new Date(untilSeconds * 1000),
    }));
    const others: DaemonFile[] = place.isCentral
      ? [limitsFile(entries, config.limits, config.limitMbpsPerJob)]
      : [];
    const untold = await publishUserMaps(
      htcondor,
      [
        { name: PATH_MAP, entries: pathMapEntries(entries) },
        { name: SITE_MAP, entries: siteOf },
      ],
      { ...config, reconfigDaemons: place.readers },
      now,
      others,
    );
    if (untold) problems.push(untold);
    const result: SyncRound = {
      at: clock().toISOString(),
      heardAt: heardAt?.toISOString() ?? null,
      paths: paths.length,
      machines: siteOf.size,
      problems,
    };
    await writeWhole(join(config.directory, SYNC_FILE), JSON.stringify(result));
    return result;
  }

  async function round(isOnce: boolean): Promise<SyncRound> {
    let result: SyncRound;
    try {
      result = await work(isOnce);
    } catch (error) {
      const problems = [messageOf(error)];
      result = { at: clock().toISOString(), heardAt: null, paths: 0, machines: 0, problems };
    }
    // Every few seconds the same words are no news.
    const words = result.problems.join('; ');
    if (words !== '' && words !== told) log.warn({}, words);
    if (words === '' && told) log.info({}, 'all is well again');
    told = words;
    return result;
  }

  return {
    round: () => round(true),
    async run(signal) {
      while (!signal.aborted) {
        await round(false);
        const either = AbortSignal.any([signal, wake.signal]);
        await sleep(config.everySeconds * 1000, undefined, { signal: either }).catch(() => {});
      }
    },
    reload(newConfig, newHtcondor) {
      if (newConfig.directory !== config.directory) heard = undefined;
      config = newConfig;
      htcondor = newHtcondor;
      place = undefined;
      wake.abort();
      wake = new AbortController();
    },
  };
}

const needsCount = (withholds: Withholding | undefined): boolean =>
  withholds?.maxJobs !== undefined || withholds?.maxTransferSeconds !== undefined;

/** What this machine is to the pool. */
interface Place {
  /** As `condor_reconfig -daemon` names them. */
  readers: string[];
  /** It has the negotiator. */
  isCentral: boolean;
  /** Where only the paths of one site matter: that site, in quotes. */
  site: string | undefined;
}

async function placeOf(htcondor: SyncHtcondor): Promise<Place> {
  const daemons = (await htcondor.setting('DAEMON_LIST')).toUpperCase().split(/[\s,]+/);
  const readers = READERS.filter((daemon) => daemons.includes(daemon));
  const isCentral = readers.includes('NEGOTIATOR');
  const site = isCentral ? '' : await htcondor.setting('LarkSite');
  return {
    readers: readers.map((daemon) => daemon.toLowerCase()),
    isCentral,
    site: /^"[^"\\\s]+"$/.test(site) ? site : undefined,
  };
}

async function readHeard(directory: string): Promise<Heard> {
  try {
    return {
      ...NOTHING_HEARD,
      ...(JSON.parse(await readFile(join(directory, HEARD_FILE), 'utf8')) as Heard),
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError)
      return NOTHING_HEARD;
    throw error;
  }
}

/** The message of what HTCondor could not do. @throws whatever else it is */
function unlessBug(error: unknown): string {
  if (error instanceof HtcondorError || error instanceof ClassAdSyntaxError) return error.message;
  throw error;
}
