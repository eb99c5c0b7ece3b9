import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ClassAd, unparseAd } from 'classad-parser';
import { messageOf, UserError } from '../errors.ts';
import { runCommand } from './commands.ts';
import type { WorkerConfig } from './config.ts';
import { jobFolder } from './identity.ts';
import { replaceFile } from './records.ts';
import { JOB_INTERFACE, type JobNetwork, type Lease, NAT_GATEWAY_IPV4 } from './types.ts';

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

/** Kept beside the job's files as long as the network, for `delete`; for root alone. */
const adsFile = (lease: Pick<Lease, 'name'>, config: Pick<WorkerConfig, 'state'>): string =>
  join(jobFolder(config, lease.name), 'ads');

/** @param ads a line of the job's ad and one of the machine's */
export function keepAds(lease: Pick<Lease, 'name'>, config: Pick<WorkerConfig, 'state'>, ads: string): void {
  replaceFile(adsFile(lease, config), ads, 0o600);
}

/** Of what was kept; where nothing was, as for a network made by hand, all that is known is the owner. */
function readAds({ request, lease }: JobNetwork, config: Pick<WorkerConfig, 'state'>): [string, string] {
  try {
    const [job = '', machine = ''] = readFileSync(adsFile(lease, config), 'utf8').split('\n');
    return [job, machine];
  } catch {
    return [unparseAd(ClassAd.from({ Owner: request.owner })), '[ ]'];
  }
}

/** What the first Lark put into the machine's ad, under the same names, and IPv6. */
function larkAttributes({ request, lease }: JobNetwork): string {
  const { ipv4, ipv6, name, mac, forwards } = lease;
  return unparseAd(
    ClassAd.from({
      LarkNetworkType: request.mode,
      LarkIptableName: name,
      LarkExternalInterface: name,
      LarkInternalInterface: JOB_INTERFACE,
      LarkInnerAddressIPv4: ipv4,
      LarkInnerAddressIPv6: ipv6,
      LarkInnerMacAddress: mac,
      LarkExternalAddressIPv4: request.mode === 'nat' ? NAT_GATEWAY_IPV4 : undefined,
      LarkNetworkAccounting: request.isAccounted,
      LarkInboundPorts: forwards.map(
        ({ protocol, jobPort, hostPort }) => `${jobPort}/${protocol}=${hostPort}`,
      ),
      LarkBandwidthMinMbps: request.bandwidth?.minMbps,
      LarkBandwidthMaxMbps: request.bandwidth?.maxMbps,
    }),
  );
}

const inside = (ad: string): string => ad.trim().slice(1, -1).trim();

/**
 * Runs the site's program, if it has one, as the first Lark ran NETWORK_NAMESPACE_CREATE_SCRIPT and …DELETE_SCRIPT:
 * `create EXTERNAL_IP INTERNAL_IP NAME DEVICE`, `delete NAME DEVICE INTERNAL_IP`; on standard input the job's ad, a line
 * `------`, and the machine's ad with what Lark gave the job, a line each in the new ClassAd language. NAME is what a chain
 * was called after. A removal that was cut short is begun again, with its `delete`.
 * @throws UserError when it fails or takes too long
 */
export async function runHook(
  kind: 'create' | 'delete',
  network: JobNetwork,
  config: Pick<WorkerConfig, 'hooks' | 'state'>,
): Promise<void> {
  const program = config.hooks[kind];
  if (!program) return;
  const { lease } = network;
  const [job, machine] = readAds(network, config);
  const withLark = [machine, larkAttributes(network)].map(inside).filter(Boolean).join('; ');
  const internal = lease.ipv4 ?? lease.ipv6 ?? '';
  const args =
    kind === 'create'
      ? [NAT_GATEWAY_IPV4, internal, lease.name, lease.name]
      : [lease.name, lease.name, internal];
  try {
    await runCommand(program, args, {
      input: `${job}\n------\n[ ${withLark} ]\n`,
      timeLimitMs: config.hooks.timeoutSeconds * 1000,
    });
  } catch (error) {
    throw new UserError(`the site's ${kind} hook failed: ${(error as Error).message}`);
  }
}
