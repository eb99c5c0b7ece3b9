import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { pathsView, sitesView } from '../../src/api/views.ts';
import { loadConfig } from '../../src/config.ts';
import type { CycleResult } from '../../src/cycle.ts';
import { createLog } from '../../src/log.ts';
import { type Service, startService } from '../../src/service.ts';
import { parseSites } from '../../src/sites/sites-file.ts';
import { type Pool, startPool } from '../pool/pool.ts';
import { type Demo, summary } from './summary.ts';
import { startWorldProcess, type WorldProcess } from './world-process.ts';

export interface DemoOptions {
  once?: boolean;
  json?: boolean;
  pool: boolean;
  hosts: number;
  seed: number;
  version: string;
  /** One line for each step of getting ready. */
  progress: (line: string) => void;
  print: (text: string) => void;
  /** Whether `print` goes to a terminal: then each cycle replaces the last one's text. */
  terminal: boolean;
  /** Ends the demo. */
  signal: AbortSignal;
}

/** A new cycle starts so often, seconds. */
const EVERY_SECONDS = 10;

/**
 * Lark's main job on real parts. Everything is torn down before this returns or throws; pool and world also end by
 * themselves when this process dies.
 */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { progress, signal } = options;
  await sweepFolders();
  const folder = await mkdtemp(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`));
  let world: WorldProcess | undefined;
  let pool: Pool | undefined;
  let service: Service | undefined;
  try {
    progress(`starting a perfSONAR world of ${options.hosts} hosts on loopback`);
    world = await startWorldProcess(options);
    signal.throwIfAborted();
    if (options.pool) pool = await startPoolAtSites(world, options);
    signal.throwIfAborted();

    const configFile = join(folder, 'lark.yaml');
    await writeFile(configFile, stringify(demoSettings(world, pool, folder)));
    // The demo's file alone decides: an environment made for another Lark must not reach into it.
    const { config } = loadConfig(configFile, {});
    const turns = { number: 0 };
    const log = createLog(config.log.level);
    const onCycle = (result: CycleResult): void => {
      if (!options.once) void show(result).catch((error) => log.error({}, String(error)));
    };
    service = await startService(config, { log, clock: () => new Date(), version: options.version, onCycle });
    const running = service;
    const standingIn = pool ? "the pool's collector" : config.publish.directory;
    const condorVersion = pool ? await pool.condorVersion() : null;
    const demo: Demo = {
      pool: pool
        ? `HTCondor ${condorVersion} in namespaces: ${pool.hosts.map(({ name, site }) => (site ? `${name} (${site})` : name)).join(', ')}`
        : `none (--no-pool): ads are files in ${standingIn}`,
      world: `${world.hosts} hosts, ${world.archives} archives on loopback, seed ${options.seed}`,
      store: running.store.describe(),
      apiUrl: options.once ? undefined : await running.listen(),
      configFile,
      standingIn,
      withPool: pool !== undefined,
    };
    const show = async (result: CycleResult): Promise<void> => {
      turns.number++;
      const text = summary(demo, {
        number: turns.number,
        result,
        adsStanding: await settledAds(running, result.counts.adsPublished),
        paths: await pathsView(running.store, {}),
        sites: await sitesView(running.store, result.finishedAt),
      });
      options.print(options.terminal && !options.once ? `\x1b[H\x1b[2J${text}` : `${text}\n`);
    };

    if (options.once) {
      const result = await running.cycle();
      if (!options.json) return await show(result);
      for (const warning of result.warnings) progress(warning);
      const { adsPublished, ...counts } = result.counts;
      const report = {
        ...counts,
        adsPublished,
        adsInCollector: await settledAds(running, adsPublished),
        store: running.store.kind,
        condorVersion,
        phases: result.phases,
        cycleSeconds: (result.finishedAt.getTime() - result.startedAt.getTime()) / 1000,
      };
      options.print(`${JSON.stringify(report)}\n`);
      return;
    }
    running.schedule();
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  } finally {
    if (!options.once) progress('ending pool, world and service');
    // Each is ended whatever happens to the others.
    await Promise.allSettled([service?.close(), pool?.stop(), world?.stop()]);
    await rm(folder, { recursive: true, force: true });
  }
}

/** condor_advertise does not wait until the collector has worked through what it sent; so long may that take. */
const SETTLE_MS = 10_000;

/** How many ads really stand, asked again until it is as many as were sent or the time is over. */
async function settledAds(service: Service, sent: number): Promise<number> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const standing = (await service.standing()).length;
    if (standing === sent || performance.now() > deadline) return standing;
    await setTimeout(100);
  }
}

const FOLDER_PREFIX = 'lark-demo-';

/** Removes the folders of demos that were killed; a live one's is named by a process that is there. */
async function sweepFolders(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(FOLDER_PREFIX) && /^(\d+)-/.exec(name.slice(FOLDER_PREFIX.length))?.[1];
    if (pid && !existsSync(`/proc/${pid}`)) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** The access point and the two execution points stand at sites of the world, so that paths mean something. */
async function startPoolAtSites(world: WorldProcess, { progress, signal }: DemoOptions): Promise<Pool> {
  const { sites } = parseSites(await readFile(world.sitesFile, 'utf8'), world.sitesFile);
  const [home, first, second] = sites.map(({ name }) => name);
  return startPool({
    ...(home && { accessPointSite: home }),
    executionPoints: [
      { name: 'ep1', site: first ?? 'SITE1' },
      { name: 'ep2', site: second ?? 'SITE2' },
    ],
    progress,
    signal,
  });
}

function demoSettings(world: WorldProcess, pool: Pool | undefined, folder: string): object {
  return {
    store: { directory: join(folder, 'store') },
    discover: { bootstrapUrls: [world.bootstrapUrl], searchUrls: [], everyMinutes: 1 },
    // Enough to see, and to read while somebody waits.
    harvest: { lookbackHours: 8 },
    // The world's dead hosts refuse at once; whatever is slow should not make a newcomer wait.
    http: { connectTimeoutSeconds: 2, bodyTimeoutSeconds: 10 },
    sites: { file: world.sitesFile, sources: [] },
    // Policies as shipped: what the demo shows is what an administrator gets.
    breaker: { policies: fileURLToPath(new URL('../../config/policies', import.meta.url)) },
    publish: pool ? {} : { directory: join(folder, 'ads') },
    htcondor: pool ? { commandPrefix: pool.commandPrefix('cm') } : {},
    service: { schedule: `*/${EVERY_SECONDS} * * * * *` },
    api: { port: 0 },
    log: { level: 'error' },
  };
}
