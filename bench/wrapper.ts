import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UserError } from '../src/errors.ts';
import { finished, startJob, WorkerHost } from '../test/support/worker-host.ts';

/**
 * What the job wrapper adds to the start of a job, in ms: medians of rounds that take turns, so that whatever else the
 * machine does meets all. Target: 20 of its own.
 */
interface Result {
  /** For a job that is left as it is: Perl's start, the agent's questions and its answer. */
  untouchedMs: number;
  /** For a job that gets its network, without what the agent took to make that. */
  ownMs: number;
  /** What the agent took. */
  networkMs: number;
}

const ROOT = resolve(import.meta.dirname, '..');
const ROUNDS = 30;
/** Not counted. */
const WARM_UP_ROUNDS = 5;

export async function run(progress: (line: string) => void): Promise<Result> {
  if (process.getuid?.() !== 0) throw new UserError('this benchmark needs root: it makes network namespaces');
  const host = await WorkerHost.start();
  const config = join(host.folder, 'worker.yaml');
  const policy = join(ROOT, 'config/worker/policy.ad');
  writeFileSync(
    config,
    `policy: ${policy}\nshaping: {uplinkMbps: 100}\nstate: {dataDirectory: ${host.folder}/data}\n`,
  );
  const [program, ...prefix] = host.prefix;
  const lark = [process.execPath, join(ROOT, 'src/cli/main.ts'), 'worker', 'agent', '--config', config];
  const agent = spawn(program!, [...prefix, ...lark], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  try {
    await new Promise<void>((resolve, reject) => {
      agent.once('close', () => reject(new Error(`the agent ended: ${log}`)));
      agent.stderr.on('data', (chunk) => {
        log += chunk;
        if (log.includes('agent listens')) resolve();
      });
    });
    const job = async (jobAd: string, wrapper: boolean): Promise<number> => {
      const begun = performance.now();
      const { code, err } = await finished(startJob(host, { jobAd, wrapper, command: ['/bin/true'] }));
      const ms = performance.now() - begun;
      if (code !== 0) throw new Error(`the job failed: ${err}`);
      return ms;
    };
    const untouched: number[] = [];
    const own: number[] = [];
    const network: number[] = [];
    for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
      const plainMs = await job('LarkNetwork = "host"', false);
      const untouchedMs = (await job('LarkNetwork = "host"', true)) - plainMs;
      log = '';
      const totalMs = (await job('RequestBandwidth = 1', true)) - plainMs;
      const networkMs = Number(/"ms":(\d+)/.exec(log)?.[1]);
      if (round < 0) continue;
      untouched.push(untouchedMs);
      own.push(totalMs - networkMs);
      network.push(networkMs);
    }
    const result = { untouchedMs: median(untouched), ownMs: median(own), networkMs: median(network) };
    progress(
      `the wrapper: ${result.untouchedMs} ms where a job is left alone, ${result.ownMs} ms of its own else`,
    );
    return result;
  } finally {
    if (agent.exitCode === null) {
      agent.kill('SIGTERM');
      await once(agent, 'close');
    }
    await host.stop();
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[sorted.length >> 1]! * 10) / 10;
}
