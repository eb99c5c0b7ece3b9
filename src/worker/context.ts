import { readFileSync } from 'node:fs';
import { UserError } from '../errors.ts';
import type { Log } from '../log.ts';
import { bridgeUp, mendBridge } from './bridge/bridge.ts';
import { readBridgeFacts } from './bridge/plan.ts';
import { checkAddresses } from './collisions.ts';
import { loadWorkerConfig, type WorkerConfig } from './config.ts';
import { checkHooks } from './hooks.ts';
import { readHostFacts } from './host.ts';
import type { NetworkContext } from './network.ts';
import { makeParts } from './parts.ts';
import { bootId, linkExists, processId } from './proc.ts';

export interface WorkerContext extends NetworkContext {
  parts: ReturnType<typeof makeParts>;
}

/**
 * All that this process needs to make and take away networks.
 * @param makesBridge whether the bridge is made if the site has addresses to give in mode bridge and it is absent
 * @throws UserError where it may not, or cannot
 */
export async function openContext(
  configFile: string | undefined,
  { makesBridge = false, log }: { makesBridge?: boolean; log?: Log } = {},
): Promise<WorkerContext> {
  const config = loadWorkerConfig(configFile);
  needRoot();
  const { bridge } = config;
  const givesAddresses =
    bridge.ipv4Ranges.length + bridge.ipv6Ranges.length + Object.keys(bridge.slotAddresses).length > 0;
  // Before anything of the machine is changed.
  checkHooks(config);
  const mended = makesBridge ? await mendBridge(config) : undefined;
  if (mended !== undefined) log?.warn({}, mended);
  const host = await readHostFacts(config);
  checkAddresses(config, host);
  if (makesBridge && givesAddresses) await bridgeUp(config, host.uplink);
  const { nat } = config;
  return contextFor(hasIpv6() ? config : { ...config, nat: { ...nat, ipv6Pool: 'none' } });
}

/** Where the kernel was started without IPv6, or new devices have none, there are no addresses of it to give. */
function hasIpv6(): boolean {
  const isOff = (which: string): boolean => {
    try {
      return readFileSync(`/proc/sys/net/ipv6/conf/${which}/disable_ipv6`, 'utf8').trim() === '1';
    } catch {
      return true;
    }
  };
  return !isOff('all') && !isOff('default');
}

export async function contextFor(config: WorkerConfig): Promise<WorkerContext> {
  const now = () => new Date();
  return {
    config,
    host: await readHostFacts(config),
    parts: makeParts(config, now, linkExists(config.bridge.name) ? await readBridgeFacts(config) : undefined),
    bootId: bootId(),
    by: processId(process.pid)!,
    now,
  };
}

export function needRoot(): void {
  if (process.getuid?.() !== 0)
    throw new UserError('the networks of jobs are root’s alone: run this as root');
}
