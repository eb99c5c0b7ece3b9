import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../src/errors.ts';
import { CNI_FOLDER } from './worker/cni.ts';

/**
 * Networks of jobs, made and taken away, beside CNI's (Debian's containernetworking-plugins: bridge with host-local and
 * ipMasq, then bandwidth), each on a machine of its own made of network namespaces. Neither counts the making of the
 * job's namespace.
 */
interface Result {
  /** Median of one network made or taken away while so many others are there. Target: 15 at 0 and 100. */
  lark: { upMs: BySize; downMs: BySize; processesPerUp: number };
  cni: { upMs: BySize; downMs: BySize };
  /** 50 networks, at most 8 at a time. */
  parallel50: { larkSeconds: number; cniSeconds: number };
  /** From a job to the outside, packets of one MTU each (no GSO); target: within 10 % from 0 to 1000. */
  packetPathGbps: { lark: BySize; cni: BySize };
  /** The same with packets as large as the kernel likes. */
  packetPathGsoGbps: { lark: BySize; cni: BySize };
}

/** By the number of networks present. */
export type BySize = Record<string, number>;

/** What is measured of one maker of networks. */
export interface Measured {
  upMs: BySize;
  downMs: BySize;
  processesPerUp: number;
  parallel50Seconds: number;
  gbps: BySize;
  gsoGbps: BySize;
}

const HOUR_MS = 3_600_000;

export async function run(progress: (line: string) => void): Promise<Result> {
  if (process.getuid?.() !== 0) throw new UserError('this benchmark needs root: it makes network namespaces');
  if (!existsSync(CNI_FOLDER))
    throw new UserError(`${CNI_FOLDER} is missing: install containernetworking-plugins`);
  const lark = await measure('lark', progress);
  const cni = await measure('cni', progress);
  return {
    lark: { upMs: lark.upMs, downMs: lark.downMs, processesPerUp: lark.processesPerUp },
    cni: { upMs: cni.upMs, downMs: cni.downMs },
    parallel50: { larkSeconds: lark.parallel50Seconds, cniSeconds: cni.parallel50Seconds },
    packetPathGbps: { lark: lark.gbps, cni: cni.gbps },
    packetPathGsoGbps: { lark: lark.gsoGbps, cni: cni.gsoGbps },
  };
}

function measure(which: 'lark' | 'cni', progress: (line: string) => void): Promise<Measured> {
  const inside = join(import.meta.dirname, 'worker/inside.ts');
  const child = spawn(
    'unshare',
    ['--net', '--mount', '--propagation', 'private', process.execPath, inside, which],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: HOUR_MS,
    },
  );
  let out = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  let err = '';
  child.stderr.on('data', (chunk) => {
    err += chunk;
    for (const line of String(chunk).trimEnd().split('\n')) progress(line);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(JSON.parse(out) as Measured);
      else reject(new Error(`the measurement of ${which} ended with ${code}: ${err}`));
    });
  });
}
