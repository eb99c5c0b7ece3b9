import { z } from 'zod';
import type { AttachedPool } from './pool.ts';

/** Real iperf3 between hosts of a pool. */
export interface Iperf {
  /**
   * One second of TCP from one host to another; how much of it arrived, in Mb/s. Undefined where the run failed.
   */
  measure(from: string, to: string): Promise<number | undefined>;
}

const firstPort = 5201;
/** A run on a full link takes its time; one that takes longer has failed. */
const runTimeoutMs = 15_000;
/** As perfSONAR's tests do where others use the link too. */
const streams = 2;

const report = z.object({ end: z.object({ sum_received: z.object({ bits_per_second: z.number() }) }) });

/**
 * Starts a server on each of the `to` hosts for each of the `from` hosts, since one serves one run at a time. They end
 * with the pool.
 */
export async function startIperf(
  pool: AttachedPool,
  from: readonly string[],
  to: readonly string[],
): Promise<Iperf> {
  const portOf = (source: string): string => {
    const index = from.indexOf(source);
    if (index < 0) throw new Error(`No iperf3 server waits for ${source}`);
    return String(firstPort + index);
  };
  for (const host of to)
    for (const source of from) await pool.run(host, ['iperf3', '-s', '-D', '-p', portOf(source)]);
  return {
    async measure(source, destination) {
      const { address } = pool.hosts.find(({ name }) => name === destination)!;
      const args = ['-c', address, '-p', portOf(source), '-t', '1', '-P', String(streams), '-J'];
      const { exitCode, stdout } = await pool
        .exec(source, ['iperf3', ...args, '--connect-timeout', '3000'], { timeoutMs: runTimeoutMs })
        .catch(() => ({ exitCode: 1, stdout: '' }));
      // It writes a report of failed runs as well, without that figure.
      const parsed = exitCode === 0 ? report.safeParse(JSON.parse(stdout)) : undefined;
      return parsed?.success ? parsed.data.end.sum_received.bits_per_second / 1e6 : undefined;
    },
  };
}
