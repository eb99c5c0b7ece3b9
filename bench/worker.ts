import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { UserError } from '../src/errors.ts';
import { CNI_FOLDER } from './worker/cni.ts';
import { MAKERS, Machine, type Which } from './worker/machine.ts';

/**
 * Networks of jobs, made and taken away, beside CNI's (Debian's containernetworking-plugins: bridge with host-local and
 * ipMasq, then bandwidth), each on a machine of its own made of network namespaces. Neither counts the making of the
 * job's namespace. The two take turns, so that whatever else the machine does meets both.
 */
interface Result {
  /** One network made or taken away while so many others are there: medians. Target: 15 up at 0 and 100. */
  lark: Times & { processesPerUp: number };
  cni: Times;
  /** 50 networks, at most 8 at a time. */
  parallel50: { larkSeconds: number; cniSeconds: number };
  /** From a job to the outside, packets of one MTU each (no GSO), best of five; target: within 10 % from 0 to 1000. */
  packetPathGbps: Record<Which, BySize>;
  /** The same with packets as large as the kernel likes. */
  packetPathGsoGbps: Record<Which, BySize>;
}

interface Times {
  upMs: BySize;
  downMs: BySize;
  upP90Ms: BySize;
  downP90Ms: BySize;
}

/** By the number of networks present. */
type BySize = Record<string, number>;

const SIZES = [0, 100, 500, 1000];
const PACKET_SIZES = [0, 100, 1000];
const ROUNDS = 20;
/** Of each size, not counted. */
const WARM_UP_ROUNDS = 5;
const PARALLEL_ROUNDS = 3;
const PACKET_ROUNDS = 5;
/** What the kernel gets for cleaning up behind deleted namespaces. */
const TIDY_MS = 2000;

export async function run(progress: (line: string) => void): Promise<Result> {
  if (process.getuid?.() !== 0) throw new UserError('this benchmark needs root: it makes network namespaces');
  if (!existsSync(CNI_FOLDER))
    throw new UserError(`${CNI_FOLDER} is missing: install containernetworking-plugins`);
  const most = Number(process.env.BENCH_NETWORKS ?? SIZES.at(-1));
  const machines = { lark: new Machine('lark'), cni: new Machine('cni') };
  try {
    return await measure(
      machines,
      SIZES.filter((size) => size <= most),
      progress,
    );
  } finally {
    await Promise.all(MAKERS.map((which) => machines[which].stop()));
  }
}

async function measure(
  machines: Record<Which, Machine>,
  sizes: readonly number[],
  progress: (line: string) => void,
): Promise<Result> {
  const times = (): Times => ({ upMs: {}, downMs: {}, upP90Ms: {}, downP90Ms: {} });
  const result: Result = {
    lark: { ...times(), processesPerUp: Number.POSITIVE_INFINITY },
    cni: times(),
    parallel50: { larkSeconds: 0, cniSeconds: 0 },
    packetPathGbps: { lark: {}, cni: {} },
    packetPathGsoGbps: { lark: {}, cni: {} },
  };
  for (const size of sizes) {
    for (const which of MAKERS) await machines[which].grow(size);
    const rounds = await inTurn(WARM_UP_ROUNDS + ROUNDS, (which) => machines[which].round());
    for (const which of MAKERS) {
      const counted = rounds[which].slice(WARM_UP_ROUNDS);
      const [ups, downs] = [counted.map(({ upMs }) => upMs), counted.map(({ downMs }) => downMs)];
      result[which].upMs[size] = quantile(ups, 0.5);
      result[which].upP90Ms[size] = quantile(ups, 0.9);
      result[which].downMs[size] = quantile(downs, 0.5);
      result[which].downP90Ms[size] = quantile(downs, 0.9);
      progress(
        `${which}, ${size} present: up ${result[which].upMs[size]} ms, down ${result[which].downMs[size]} ms`,
      );
    }
    // What else happens on the machine can only add to it.
    const processes = rounds.lark.map((round) => round.processes);
    result.lark.processesPerUp = Math.min(result.lark.processesPerUp, ...processes);
    if (size === 0) {
      const seconds = await inTurn(PARALLEL_ROUNDS, (which) => machines[which].parallel());
      const median = (which: Which) => quantile(seconds[which], 0.5, 1000);
      result.parallel50 = { larkSeconds: median('lark'), cniSeconds: median('cni') };
      progress(`50 in parallel: ${result.parallel50.larkSeconds} s, CNI ${result.parallel50.cniSeconds} s`);
    }
    if (PACKET_SIZES.includes(size)) await measurePaths(machines, size, result, progress);
    for (const which of MAKERS) await machines[which].tidy();
    await setTimeout(TIDY_MS);
  }
  return result;
}

async function measurePaths(
  machines: Record<Which, Machine>,
  size: number,
  result: Result,
  progress: (line: string) => void,
): Promise<void> {
  for (const which of MAKERS) await machines[which].openPath();
  for (const path of ['packetPathGbps', 'packetPathGsoGbps'] as const) {
    const isGso = path === 'packetPathGsoGbps';
    for (const which of MAKERS) await machines[which].setGso(isGso);
    const gbps = await inTurn(PACKET_ROUNDS, (which) => machines[which].throughput());
    // What else happens on the machine can only take from it.
    for (const which of MAKERS) result[path][which][size] = quantile(gbps[which], 1, 100);
    const { lark, cni } = result[path];
    progress(`${size} present, ${isGso ? 'GSO' : 'per MTU'}: ${lark[size]} Gb/s, CNI ${cni[size]} Gb/s`);
  }
  for (const which of MAKERS) await machines[which].closePath();
}

async function inTurn<T>(rounds: number, task: (which: Which) => Promise<T>): Promise<Record<Which, T[]>> {
  const results: Record<Which, T[]> = { lark: [], cni: [] };
  for (let round = 0; round < rounds; round++) {
    for (const which of MAKERS) results[which].push(await task(which));
  }
  return results;
}

function quantile(values: readonly number[], share: number, precision = 10): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)]!;
  return Math.round(value * precision) / precision;
}
