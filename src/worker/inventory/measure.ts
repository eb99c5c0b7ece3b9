import { execa } from 'execa';
import { z } from 'zod';
import { messageOf, UserError } from '../../errors.ts';

const SECONDS = 3;
const STREAMS = 4;
const LIMIT_MS = 20_000;

const reportSchema = z.object({
  end: z.object({ sum_received: z.object({ bits_per_second: z.number().positive() }) }),
});

/** Mb/s that arrived, of the text that `iperf3 --json` prints. @throws where it is no report */
export function receivedMbps(report: string): number {
  return reportSchema.parse(JSON.parse(report)).end.sum_received.bits_per_second / 1e6;
}

/**
 * Some seconds of iperf3 to a server outside, each direction in turn; the slower one counts. What arrives is payload:
 * on the wire it is some 5 % more.
 *
 * @param server `HOST` or `HOST:PORT`, an IPv6 address in brackets
 * @throws UserError
 */
export async function measureUplink(server: string): Promise<{ mbps: number; steps: string[] }> {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(server);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || host.startsWith('-')) {
    throw new UserError(`--measure: "${server}" is no server; write HOST, HOST:PORT or [ADDRESS]:PORT`);
  }
  const args = [
    '-c',
    host,
    '-p',
    match?.[3] ?? '5201',
    '-t',
    String(SECONDS),
    '-P',
    String(STREAMS),
    '--json',
  ];
  const run = async (more: string[]): Promise<number> => {
    const result = await execa('iperf3', [...args, '--connect-timeout', '3000', ...more], {
      timeout: LIMIT_MS,
      stdin: 'ignore',
      reject: false,
    });
    try {
      return receivedMbps(result.stdout);
    } catch (error) {
      const words = /"error":\s*"([^"]*)"/.exec(result.stdout)?.[1] ?? result.stderr;
      throw new UserError(`iperf3 to ${server} gave no result: ${words || messageOf(error)}`);
    }
  };
  const upMbps = await run([]);
  const downMbps = await run(['--reverse']);
  return {
    mbps: Math.min(upMbps, downMbps),
    steps: [
      `measured with iperf3 to ${server}: ${upMbps.toFixed(0)} Mb/s out, ${downMbps.toFixed(0)} Mb/s in; the slower one counts`,
    ],
  };
}
