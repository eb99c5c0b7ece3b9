import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { stringify } from 'yaml';
import { type LiveWorld, liveWorld } from '../world/live.ts';
import { poolDomain } from './config.ts';
import { type Iperf, startIperf } from './iperf.ts';
import { larkHosts } from './lark-hosts.ts';
import { type Links, linksOf } from './links.ts';
import { type MapWatch, watchMaps } from './map-watch.ts';
import { type Pool, startPool } from './pool.ts';

/**
 * All of Lark on a real pool: every path from an access point to an execution point has a link of its own, shaped in
 * the kernel and measured by iperf3 again and again; the results stand in an archive that Lark's service finds and
 * reads; what it decides goes to the collector, and from there by each host's `lark sync` to negotiator and schedds.
 */
export interface LarkPool {
  pool: Pool;
  links: Links;
  world: LiveWorld;
  maps: MapWatch;
  /** Each from an access point to an execution point. */
  paths: LarkPath[];
  measuring: Measuring;
  service: LarkService;
  stop(): Promise<void>;
}

export interface LarkPath {
  from: string;
  to: string;
  /** Of the two sites, as Lark names it. */
  name: string;
}

export interface LarkPoolOptions {
  /** What every link carries at the beginning, in Mb/s. */
  linkMbps: number;
  /** Text of the one policy. */
  policy: string;
  /** Sections of lark.yaml, over what stands here. */
  settings?: Record<string, Record<string, unknown>>;
  /** HTCondor configuration, by role or host. */
  condor?: Record<string, string>;
  progress?: (line: string) => void;
}

export interface Measuring {
  /** Every link is measured in turn, over and over, until `pause`. */
  begin(): void;
  /** Resolves when no run is under way any more. */
  pause(): Promise<void>;
  /** The newest result of a path, in Mb/s. */
  latest(path: LarkPath): number | undefined;
}

export interface LarkService {
  /** Starts `lark serve`; resolves when it answers. */
  start(): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** The newest lines of its log. */
  log(): string[];
  /** What the API answers under `/api/v1/`. @throws while the service does not run */
  get<T>(route: string): Promise<T>;
}

const ACCESS_POINTS = [
  { name: 'ap1', site: 'UNL' },
  { name: 'ap2', site: 'MIT' },
];
const EXECUTION_POINTS = [
  { name: 'ep1', site: 'UCSD' },
  { name: 'ep2', site: 'FNAL' },
  { name: 'ep3', site: 'BNL' },
];

/** Each execution point has one partitionable slot, so that leftovers are matched by the schedd; claims live long, so that they are used again. */
const CONDOR: Record<string, string> = {
  // More transfers at once than a test has streams would make every busy link look like a broken one.
  ap: 'MAX_CONCURRENT_UPLOADS = 2\nCLAIM_WORKLIFE = 1200\nCLAIM_PARTITIONABLE_LEFTOVERS = True',
  ep: [
    'NUM_CPUS = 5',
    'MEMORY = 4096',
    'SLOT_TYPE_1 = 100%',
    'SLOT_TYPE_1_PARTITIONABLE = True',
    'NUM_SLOTS_TYPE_1 = 1',
  ].join('\n'),
};

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');

/** Everything of it ends with `stop`, or with this process. */
export async function startLarkPool(options: LarkPoolOptions): Promise<LarkPool> {
  const { linkMbps, policy, settings = {}, condor = {}, progress = () => {} } = options;
  const lark = larkHosts(
    { LARK_SYNC_EVERY_SECONDS: '1', LARK_SYNC_RECONFIG_EVERY_SECONDS: '1' },
    Object.fromEntries(
      ['cm', 'ap', 'ep'].map((role) => [role, [CONDOR[role], condor[role]].filter(Boolean).join('\n')]),
    ),
  );
  const cleanUp: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (const each of cleanUp.splice(0).reverse()) {
      try {
        await each();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  };
  try {
    const pool = await startPool({
      accessPoints: ACCESS_POINTS,
      executionPoints: EXECUTION_POINTS,
      ...lark,
      progress,
    });
    cleanUp.push(pool.stop);
    const paths = ACCESS_POINTS.flatMap((from) =>
      EXECUTION_POINTS.map((to) => ({ from: from.name, to: to.name, name: `${from.site}>${to.site}` })),
    );
    const links = linksOf(pool);
    for (const { from, to } of paths) await links.shape(from, to, linkMbps);
    const iperf = await startIperf(
      pool,
      ACCESS_POINTS.map(({ name }) => name),
      EXECUTION_POINTS.map(({ name }) => name),
    );
    const fullName = (name: string): string => `${name}.${poolDomain}`;
    const measured = pool.hosts.filter(({ role }) => role !== 'cm');
    const world = await liveWorld(measured.map(({ name, address }) => ({ name: fullName(name), address })));
    cleanUp.push(world.close);
    const measuring = measure(iperf, paths, ({ from, to }, mbps) =>
      world.record(fullName(from), fullName(to), mbps, new Date()),
    );
    cleanUp.push(measuring.pause);
    const maps = watchMaps(
      pool,
      paths.map(({ name }) => name),
    );
    cleanUp.push(maps.stop);

    const folder = await mkdtemp(join(tmpdir(), 'lark-pool-'));
    cleanUp.push(() => rm(folder, { recursive: true, force: true }));
    await mkdir(join(folder, 'policies'));
    await writeFile(join(folder, 'policies/slow-path.ad'), policy);
    const sites = measured.map(({ name, site }) => ({ name: site, hosts: [fullName(name)] }));
    await writeFile(join(folder, 'sites.yaml'), stringify({ sites }));
    const file = join(folder, 'lark.yaml');
    await writeFile(file, stringify(withSettings(baseSettings(folder, world, pool), settings)));
    const service = serviceOf(file);
    cleanUp.push(service.kill);
    return { pool, links, world, maps, paths, measuring, service, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Settings = Record<string, Record<string, unknown>>;

const baseSettings = (folder: string, world: LiveWorld, pool: Pool): Settings => ({
  store: { directory: join(folder, 'store') },
  discover: { bootstrapUrls: [world.bootstrapUrl], searchUrls: [], everyMinutes: 60 },
  http: { connectTimeoutSeconds: 1, bodyTimeoutSeconds: 5 },
  harvest: { lookbackHours: 1, overlapMinutes: 1 },
  sites: { file: join(folder, 'sites.yaml'), sources: [] },
  breaker: { policies: join(folder, 'policies') },
  htcondor: { commandPrefix: pool.commandPrefix('cm') },
  service: { schedule: '*/2 * * * * *' },
  api: { port: 0 },
});

function withSettings(base: Settings, more: Settings): Settings {
  const sections = new Set([...Object.keys(base), ...Object.keys(more)]);
  return Object.fromEntries([...sections].map((name) => [name, { ...base[name], ...more[name] }]));
}

/** Measures the paths in turn, those of different access points side by side. */
function measure(
  iperf: Iperf,
  paths: readonly LarkPath[],
  record: (path: LarkPath, mbps: number) => void,
): Measuring {
  const latest = new Map<string, number>();
  let isOn = false;
  let running: Promise<unknown> = Promise.resolve();
  const ofOneSource = async (own: readonly LarkPath[]): Promise<void> => {
    while (isOn) {
      for (const path of own) {
        if (!isOn) return;
        const mbps = await iperf.measure(path.from, path.to);
        if (mbps === undefined) continue;
        latest.set(path.name, mbps);
        record(path, mbps);
      }
      await sleep(300);
    }
  };
  return {
    begin() {
      if (isOn) return;
      isOn = true;
      running = Promise.all(
        Map.groupBy(paths, ({ from }) => from)
          .values()
          .map(ofOneSource),
      );
    },
    async pause() {
      isOn = false;
      await running;
    },
    latest: ({ name }) => latest.get(name),
  };
}

function serviceOf(configFile: string): LarkService {
  let child: ReturnType<typeof spawn> | undefined;
  let api = '';
  const said: string[] = [];
  const spawn = () =>
    execa(process.execPath, [MAIN, '--config', configFile, 'serve'], {
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'pipe',
      buffer: false,
      reject: false,
      extendEnv: false,
      env: Object.fromEntries(
        Object.entries(process.env).filter(([name]) => !/^(LARK_|DATABASE_URL$)/.test(name)),
      ),
    });
  return {
    async start() {
      const started = spawn();
      child = started;
      const serving = Promise.withResolvers<string>();
      void (async () => {
        for await (const line of started.iterable({ from: 'stderr' })) {
          said.push(line);
          if (!line.startsWith('{')) continue;
          const { msg, api: url } = JSON.parse(line) as { msg?: string; api?: string };
          if (msg === 'serving' && url) serving.resolve(url);
        }
        serving.reject(new Error(`lark serve ended before it served:\n${said.slice(-5).join('\n')}`));
      })();
      api = await serving.promise;
    },
    log: () => said.slice(-20),
    async kill() {
      child?.kill('SIGKILL');
      await child;
      child = undefined;
    },
    async get<T>(route: string) {
      const response = await fetch(`${api}/api/v1/${route}`, { signal: AbortSignal.timeout(10_000) });
      if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
      return (await response.json()) as T;
    },
  };
}
