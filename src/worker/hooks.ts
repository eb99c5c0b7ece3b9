import { accessSync, constants, statSync } from 'node:fs';
import { messageOf, UserError } from '../errors.ts';
import { runCommand } from './commands.ts';
import type { WorkerConfig } from './config.ts';
import { type JobNetwork, NAT_GATEWAY_IPV4 } from './types.ts';

/** @throws UserError where one of the site's programs cannot be run, or is anybody's to write: it would run as root */
export function checkHooks({ hooks }: Pick<WorkerConfig, 'hooks'>): void {
  for (const kind of ['create', 'delete'] as const) {
    const program = hooks[kind];
    if (program === undefined) continue;
    try {
      accessSync(program, constants.X_OK);
    } catch (error) {
      throw new UserError(`hooks.${kind}: ${program} cannot be run: ${messageOf(error)}`);
    }
    const { uid, mode } = statSync(program);
    if (uid !== 0 || (mode & 0o022) !== 0) {
      throw new UserError(
        `hooks.${kind}: ${program} is run as root, so it must be root's, and nobody else may write it`,
      );
    }
  }
}

/**
 * Runs the site's program, if it has one. As with the first Lark's NETWORK_NAMESPACE_CREATE_SCRIPT and …DELETE_SCRIPT:
 * `create EXTERNAL_IP INTERNAL_IP NAME DEVICE`, `delete NAME DEVICE INTERNAL_IP`, what is known of the job on standard
 * input; here as one line of JSON, and NAME is what a chain was called after. A removal that was cut short is begun again,
 * with its `delete`.
 * @throws UserError when it fails or takes too long
 */
export async function runHook(
  kind: 'create' | 'delete',
  { request, lease }: JobNetwork,
  config: Pick<WorkerConfig, 'hooks'>,
): Promise<void> {
  const program = config.hooks[kind];
  if (!program) return;
  const internal = lease.ipv4 ?? lease.ipv6 ?? '';
  const args =
    kind === 'create'
      ? [NAT_GATEWAY_IPV4, internal, lease.name, lease.name]
      : [lease.name, lease.name, internal];
  try {
    await runCommand(program, args, {
      input: `${JSON.stringify({ request, lease })}\n`,
      timeLimitMs: config.hooks.timeoutSeconds * 1000,
    });
  } catch (error) {
    throw new UserError(`the site's ${kind} hook failed: ${(error as Error).message}`);
  }
}
