import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { userInfo } from 'node:os';
import { UserError } from '../errors.ts';
import { apply } from '../worker/apply.ts';
import { useLauncher } from '../worker/commands.ts';
import { openContext } from '../worker/context.ts';
import { inboundVariables } from '../worker/identity.ts';
import { setUp, tearDown } from '../worker/network.ts';
import { namespaceOf, processId } from '../worker/proc.ts';
import { requestByHand } from '../worker/request.ts';
import { standingOperations } from '../worker/standing.ts';

interface ExecOptions {
  mode: string;
  port?: string[];
  bandwidth?: string;
  quiet?: boolean;
}

/**
 * `lark worker exec`: the network that a job would get, for a command. This process stands for the job: when it ends,
 * however it ends, the network goes, at the latest with the agent's next sweep.
 * @returns the command's exit code
 */
export async function exec(
  configFile: string | undefined,
  command: string[],
  options: ExecOptions,
): Promise<number> {
  // As the agent does: how long each step takes is what it takes there.
  await useLauncher();
  const context = await openContext(configFile);
  const request = requestByHand(options, userInfo().username, processId(process.pid)!, context.config);
  await apply(await standingOperations(context.config, context.host, context.parts));
  // A process that only holds the namespace, until its standard input ends.
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; read _'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    holder.stdout.once('data', () => resolve());
    holder.once('close', () => reject(new UserError('a network namespace could not be made')));
  });
  const fd = openSync(`/proc/${holder.pid}/ns/net`, 'r');
  const path = `/proc/${process.pid}/fd/${fd}`;
  const begun = performance.now();
  try {
    const { lease, timings } = await setUp(
      request,
      { path, number: namespaceOf(holder.pid!, 'net')! },
      context,
    );
    const upMs = performance.now() - begun;
    try {
      const variables = inboundVariables({ request, lease }, context.host);
      const code = await runInNamespace(path, command, variables);
      const downBegun = performance.now();
      await tearDown(lease.name, context);
      if (!options.quiet) {
        const steps = timings
          .filter(({ ms }) => ms >= 0.05)
          .map(({ step, ms }) => `${step} ${ms.toFixed(1)}`);
        const addresses = [lease.ipv4, lease.ipv6].filter(Boolean).join(' and ') || 'no address';
        process.stderr.write(
          `lark: ${lease.name}, ${addresses}: up in ${upMs.toFixed(1)} ms (${steps.join(', ')}), ` +
            `down in ${(performance.now() - downBegun).toFixed(1)} ms\n`,
        );
      }
      return code;
    } catch (error) {
      await tearDown(lease.name, context);
      throw error;
    }
  } finally {
    closeSync(fd);
    holder.stdin.end();
  }
}

/**
 * Signals of the terminal reach the command too; this process stays, for what is to be done afterwards.
 * @returns the command's exit code
 */
export function runInNamespace(
  path: string,
  command: readonly string[],
  variables: Record<string, string> = {},
): Promise<number> {
  const env = { ...process.env, ...variables };
  const child = spawn('nsenter', [`--net=${path}`, '--', ...command], { stdio: 'inherit', env });
  const ignore = (): void => {};
  const pass = (): void => void child.kill('SIGTERM');
  process.on('SIGINT', ignore).on('SIGTERM', pass);
  return new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? (signal ? 128 : 1)));
  }).finally(() => process.off('SIGINT', ignore).off('SIGTERM', pass));
}
