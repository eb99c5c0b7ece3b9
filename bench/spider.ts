import { availableParallelism, loadavg } from 'node:os';
import { type Child, startChild } from './spider/child.ts';
import { type Concurrency, fetchAgain, readNaively } from './spider/readers.ts';
import type { ServiceHandlers, ServiceOptions } from './spider/service-process.ts';
import type { WorldHandlers, WorldSize } from './spider/world-process.ts';

/**
 * The spider at the size of the world: a first harvest and then steady cycles of the real service, each against a
 * floor: the requests of that very cycle, sent again by Node's own client, as many at once, each body parsed and
 * dropped. World, service and reader are processes of their own. `docs/bench.md` says how to read the result.
 *
 * BENCH_HOSTS, BENCH_ARCHIVES, BENCH_PEERS, BENCH_HOURS and BENCH_RTT_MS change the size; BENCH_ONLY=main leaves out
 * the scaling; BENCH_PROFILE names a folder that gets a CPU profile of the service.
 */
const HOSTS = fromEnvironment('BENCH_HOSTS', 2400);
const ARCHIVES = fromEnvironment('BENCH_ARCHIVES', 300);
/** Sites that each site measures towards: makes some 40,000 series. */
const PEERS = fromEnvironment('BENCH_PEERS', 4);
/** What the first harvest covers. */
const HOURS = fromEnvironment('BENCH_HOURS', 24);
/** Between a spider and the world's archives: from next door to the antipodes. */
const RTT_MS = fromEnvironment('BENCH_RTT_MS', 40);
const FAULTY_ONE_IN = 20;
const SLOW_SECONDS = 0.25;
const STEADY_CYCLES = 2;
const CYCLE_MS = 5 * 60_000;

/** Worlds for the growth of a cycle's cost: archives grow with the hosts, nobody is dead or slow. */
const SCALING_HOSTS = [300, 600, 1200, 2400];
const SCALING_PEERS = 3;
const HOSTS_PER_ARCHIVE = 8;
const SCALING_HOURS = 0.5;
const NAIVE_LIMIT_SECONDS = fromEnvironment('BENCH_NAIVE_SECONDS', 60);

/** The configuration's own defaults, named here since the floor must keep to the same. */
const LIMIT: Concurrency = { all: 64, perHost: 2 };
const OVERLAP_MINUTES = 60;

type Cycle = Awaited<ReturnType<ServiceHandlers['cycle']>>;

interface Measured {
  /** The spider's part of the cycle, by the wall: discovery, harvest, judging and storing. */
  seconds: number;
  floorSeconds: number;
  ratio: number;
  /** The whole cycle, with estimates, breakers and ads; and that to the floor. */
  cycleSeconds: number;
  cycleRatio: number;
  /** All that reached the world, and those of them that were answered with a body: the floor's. */
  requests: number;
  bodies: number;
  /** Read, those of the overlap again; and rows that are new in the store. */
  samples: number;
  rows: number;
  rowsPerSecond: number;
  /** Processor time of the service, of the world while the service read, and of the world for the floor. */
  cpuSeconds: { service: number; world: number; worldForFloor: number };
  phases: Cycle['phases'];
  /** Archives by how their harvest ended. */
  archives: Cycle['outcomes'];
  longestDeadSeconds: number;
  slowest: Cycle['slowest'];
}

interface Scaling {
  hosts: number[];
  archives: number[];
  series: number[];
  /** Steady cycle by the wall, and the service's processor time for it. */
  seconds: number[];
  cpuSeconds: number[];
  /** Slopes of log cost over log hosts: 1 is linear. */
  exponent: number;
  cpuExponent: number;
}

interface Result {
  machine: { cores: number; loadBefore: number; loadAfter: number };
  world: {
    hosts: number;
    archives: number;
    /** Of each kind. */
    kinds: Record<string, number>;
    tests: number;
    /** Of them in aggregated indices. */
    aggregatedTests: number;
    series: number;
    refusing: number;
    unreachable: number;
    slow: number;
    slowSeconds: number;
    rttMs: number;
    firstHarvestHours: number;
  };
  firstHarvest: Measured;
  /** That of the steady cycles whose ratio is the worst. */
  steadyCycle: Measured;
  /** In the same world, of the same window as the last steady cycle; the factor is to that cycle's harvest. */
  naive: {
    seconds: number;
    larkSeconds: number;
    factor: number;
    /** Had it gone on at its pace to the last test. */
    factorProjected: number;
    requests: number;
    testsRead: number;
    /** Whether it came to its end before its time was over: if not, the factor is at least this. */
    complete: boolean;
  };
  /** Of the service's process, as the kernel has it. */
  peakRssMb: number;
  /** The heap, buffers, and what lies outside the heap (PGlite's memory), at the highest that a look met. */
  memoryAtPeak: Awaited<ReturnType<ServiceHandlers['usage']>>['peak'];
  scaling: Scaling | null;
}

/** @param progress gets one line for each step, and every few seconds while one goes on */
export async function run(progress: (line: string) => void): Promise<Result> {
  const loadBefore = loadavg()[0]!;
  const startMs = Math.floor(Date.now() / 60_000) * 60_000;
  const big = {
    hosts: HOSTS,
    archives: ARCHIVES,
    peersPerSite: PEERS,
    rttMs: RTT_MS,
    faultyOneIn: FAULTY_ONE_IN,
  };
  const main = await withLark(
    { ...big, slowSeconds: SLOW_SECONDS, startMs },
    HOURS,
    progress,
    async (lark) => {
      const firstHarvest = await measure(lark, 'first harvest', startMs, progress);
      const steady: Measured[] = [];
      for (let turn = 1; turn <= STEADY_CYCLES; turn++) {
        const cycle = await measure(lark, `steady cycle ${turn}`, startMs + turn * CYCLE_MS, progress);
        steady.push(cycle.measured);
      }
      const { archives, aggregates, faults } = lark.described;
      const { phases } = steady.at(-1)!;
      const naive = await measureNaive(lark, startMs + STEADY_CYCLES * CYCLE_MS, phases, progress);
      return {
        world: {
          hosts: firstHarvest.counts.hosts,
          archives: archives.length + aggregates.length,
          kinds: kindsOf(lark.described),
          tests: testsIn([...archives, ...aggregates]),
          aggregatedTests: testsIn(aggregates),
          series: firstHarvest.counts.series,
          refusing: faults.refusing.length,
          unreachable: faults.unreachable.length,
          slow: faults.slow.length,
          slowSeconds: SLOW_SECONDS,
          rttMs: RTT_MS,
          firstHarvestHours: HOURS,
        },
        firstHarvest: firstHarvest.measured,
        steadyCycle: steady.toSorted((a, b) => a.ratio - b.ratio).at(-1)!,
        naive,
        memory: await lark.service.ask('usage'),
      };
    },
  );
  const scaling = process.env.BENCH_ONLY === 'main' ? null : await measureScaling(startMs, progress);
  return rounded({
    machine: { cores: availableParallelism(), loadBefore, loadAfter: loadavg()[0]! },
    world: main.world,
    firstHarvest: main.firstHarvest,
    steadyCycle: main.steadyCycle,
    naive: main.naive,
    peakRssMb: main.memory.peakRssMb,
    memoryAtPeak: main.memory.peak,
    scaling,
  });
}

interface Lark {
  world: Child<WorldHandlers>;
  service: Child<ServiceHandlers>;
  described: ReturnType<WorldHandlers['describe']>;
}

/** A world, and a service with an empty store that reads it; both end whatever happens to `work`. */
async function withLark<T>(
  size: WorldSize,
  lookbackHours: number,
  progress: (line: string) => void,
  work: (lark: Lark) => Promise<T>,
): Promise<T> {
  const world = startChild<WorldHandlers>('./world-process.ts', size);
  let service: Child<ServiceHandlers> | undefined;
  try {
    const described = await world.ask('describe');
    progress(`a world of ${size.hosts} hosts and ${size.archives} archives stands`);
    const options: ServiceOptions = {
      searchUrl: described.searchUrl,
      aggregates: described.aggregates.map(({ testCount: _, ...aggregate }) => aggregate),
      concurrency: LIMIT.all,
      perHostConcurrency: LIMIT.perHost,
      lookbackHours,
      overlapMinutes: OVERLAP_MINUTES,
      startMs: size.startMs,
    };
    const profile = process.env.BENCH_PROFILE;
    const nodeArgs = [...process.execArgv];
    if (profile) nodeArgs.push('--cpu-prof', `--cpu-prof-dir=${profile}`);
    service = startChild<ServiceHandlers>('./service-process.ts', options, nodeArgs);
    await service.ask('start', described.sitesYaml);
    return await work({ world, service, described });
  } finally {
    await Promise.allSettled([service?.close(), world.close()]);
  }
}

const testsIn = (archives: readonly { testCount: number }[]): number =>
  archives.reduce((sum, { testCount }) => sum + testCount, 0);

function kindsOf({ archives, aggregates }: Lark['described']): Record<string, number> {
  const kinds = archives.map(({ kind, openSearch }) => (openSearch === 'anonymous' ? 'opensearch' : kind));
  const counted = [...Map.groupBy(kinds, (kind) => kind)].map(
    ([kind, { length }]) => [kind, length] as const,
  );
  return { ...Object.fromEntries(counted), wlcg: aggregates.length };
}

/** One cycle at a time of the world's clock, and then its floor. */
async function measure(
  { world, service }: Lark,
  name: string,
  atMs: number,
  progress: (line: string) => void,
): Promise<{ measured: Measured; counts: Cycle['counts'] }> {
  await world.ask('setClock', atMs);
  const cpu0 = await world.ask('cpuSeconds');
  const started = performance.now();
  const ticker = setInterval(async () => {
    const seconds = (performance.now() - started) / 1000;
    const done = await world.ask('total').catch(() => 0);
    progress(`${name}: ${done} requests in ${seconds.toFixed(0)} s, ${(done / seconds).toFixed(0)}/s`);
  }, 10_000);
  const cycle = await service.ask('cycle', atMs).finally(() => clearInterval(ticker));
  const cpu1 = await world.ask('cpuSeconds');
  const { asked, total } = await world.ask('take');
  const floorStarted = performance.now();
  await fetchAgain(asked, LIMIT);
  const floorSeconds = (performance.now() - floorStarted) / 1000;
  const cpu2 = await world.ask('cpuSeconds');
  await world.ask('take');
  const { discover, harvest, clean } = cycle.phases;
  const seconds = discover + harvest + clean;
  progress(
    `${name}: ${seconds.toFixed(1)} s (whole cycle ${cycle.seconds.toFixed(1)} s), floor ${floorSeconds.toFixed(1)} s, ${total} requests, ${cycle.newRows} new rows`,
  );
  const measured: Measured = {
    seconds,
    floorSeconds,
    ratio: seconds / floorSeconds,
    cycleSeconds: cycle.seconds,
    cycleRatio: cycle.seconds / floorSeconds,
    requests: total,
    bodies: asked.length,
    samples: cycle.samplesRead,
    rows: cycle.newRows,
    rowsPerSecond: cycle.newRows / seconds,
    cpuSeconds: { service: cycle.cpuSeconds, world: cpu1 - cpu0, worldForFloor: cpu2 - cpu1 },
    phases: cycle.phases,
    archives: cycle.outcomes,
    longestDeadSeconds: cycle.longestDeadSeconds,
    slowest: cycle.slowest,
  };
  return { measured, counts: cycle.counts };
}

async function measureNaive(
  { described }: Lark,
  atMs: number,
  phases: Cycle['phases'],
  progress: (line: string) => void,
): Promise<Result['naive']> {
  progress(`the naive reader has ${NAIVE_LIMIT_SECONDS} s`);
  const started = performance.now();
  const { requests, testsRead, isComplete } = await readNaively(described.archives, {
    concurrency: LIMIT.all,
    fromSeconds: (atMs - OVERLAP_MINUTES * 60_000 - CYCLE_MS) / 1000,
    toSeconds: atMs / 1000,
    timeLimitSeconds: NAIVE_LIMIT_SECONDS,
  });
  const seconds = (performance.now() - started) / 1000;
  const larkSeconds = phases.harvest + phases.clean;
  progress(`the naive reader took ${seconds.toFixed(1)} s for ${requests} requests`);
  const tests = testsIn(described.archives);
  return {
    seconds,
    larkSeconds,
    factor: seconds / larkSeconds,
    factorProjected: isComplete ? seconds / larkSeconds : (seconds * tests) / testsRead / larkSeconds,
    requests,
    testsRead,
    complete: isComplete,
  };
}

/** The first steady cycle in worlds of growing size. */
async function measureScaling(startMs: number, progress: (line: string) => void): Promise<Scaling> {
  const points: { hosts: number; archives: number; series: number; cycle: Cycle }[] = [];
  for (const hosts of SCALING_HOSTS) {
    const size = {
      hosts,
      archives: Math.round(hosts / HOSTS_PER_ARCHIVE),
      peersPerSite: SCALING_PEERS,
      rttMs: RTT_MS,
      faultyOneIn: null,
      slowSeconds: 0,
      startMs,
    };
    await withLark(size, SCALING_HOURS, progress, async (lark) => {
      const { world, service } = lark;
      await service.ask('cycle', startMs);
      const atMs = startMs + CYCLE_MS;
      await world.ask('setClock', atMs);
      const cycle = await service.ask('cycle', atMs);
      const point = { hosts, archives: size.archives, series: cycle.counts.series, cycle };
      points.push(point);
      progress(`${hosts} hosts: steady cycle ${cycle.seconds.toFixed(1)} s for ${point.series} series`);
    });
  }
  const hosts = points.map((point) => point.hosts);
  const seconds = points.map(({ cycle }) => cycle.seconds);
  const cpuSeconds = points.map(({ cycle }) => cycle.cpuSeconds);
  const scaling: Scaling = {
    hosts,
    archives: points.map((point) => point.archives),
    series: points.map((point) => point.series),
    seconds,
    cpuSeconds,
    exponent: slope(hosts, seconds),
    cpuExponent: slope(hosts, cpuSeconds),
  };
  return scaling;
}

/** Least squares of log y over log x. */
function slope(x: readonly number[], y: readonly number[]): number {
  const points = x.map((each, i) => ({ x: Math.log(each), y: Math.log(y[i]!) }));
  const mean = (of: 'x' | 'y') => points.reduce((sum, point) => sum + point[of], 0) / points.length;
  const [meanX, meanY] = [mean('x'), mean('y')];
  const covariance = points.reduce((sum, point) => sum + (point.x - meanX) * (point.y - meanY), 0);
  return covariance / points.reduce((sum, point) => sum + (point.x - meanX) ** 2, 0);
}

function fromEnvironment(name: string, standard: number): number {
  const number = Number(process.env[name] ?? standard);
  if (!(number > 0)) throw new RangeError(`${name} must be a number above 0, not "${process.env[name]}"`);
  return number;
}

/** Three significant digits say all that such a measurement can. */
function rounded<T>(value: T): T {
  return JSON.parse(
    JSON.stringify(value, (_, each: unknown) =>
      typeof each === 'number' && !Number.isInteger(each) ? Number(each.toPrecision(3)) : each,
    ),
  ) as T;
}
