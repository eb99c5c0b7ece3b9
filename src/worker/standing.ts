import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkerConfig } from './config.ts';
import type { Parts } from './plan.ts';
import type { HostFacts, Operation } from './types.ts';

/**
 * What stands while Lark does, whatever the number of jobs: forwarding, and what the parts need. Can be
 * applied any number of times without harm to jobs that run.
 */
export async function standingOperations(
  config: WorkerConfig,
  host: HostFacts,
  { parts }: Parts,
  readSysctl = readSysctlFile,
): Promise<Operation[]> {
  return [
    ...forwardingOperations(config, host, readSysctl),
    ...(await Promise.all(parts.map((part) => part.standing(config, host)))).flat(),
  ];
}

/** Nothing where the machine forwards as it should. */
export function forwardingOperations(
  config: WorkerConfig,
  host: HostFacts,
  readSysctl = readSysctlFile,
): Operation[] {
  const set = (path: string, value: string): Operation[] =>
    readSysctl(path) === value ? [] : [{ kind: 'sysctl', path, value }];
  const v6: Operation[] = [];
  if (config.nat.ipv6Pool !== 'none' && readSysctl('net/ipv6/conf/all/forwarding') !== undefined) {
    // A host that forwards takes no more router advertisements, and with the next expiry loses its default route,
    // unless it is told to take them even so.
    const acceptRa = `net/ipv6/conf/${host.uplink}/accept_ra`;
    if (readSysctl(acceptRa) === '1') v6.push(...set(acceptRa, '2'));
    v6.push(...set('net/ipv6/conf/all/forwarding', '1'));
  }
  return [...set('net/ipv4/ip_forward', '1'), ...v6];
}

/** Takes it away. Forwarding stays as it is: others may have come to rely on it. */
export async function standingDownOperations(
  config: WorkerConfig,
  host: HostFacts,
  { parts }: Parts,
): Promise<Operation[]> {
  return (await Promise.all(parts.map((part) => part.standingDown(config, host)))).flat();
}

function readSysctlFile(path: string): string | undefined {
  const file = join('/proc/sys', path);
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}
