import { join } from 'node:path';
import type { WorkerConfig } from './config.ts';
import type { HostFacts, JobNetwork, JobNetworkRequest } from './types.ts';

/** Where the files lie that a job sees in place of the host's. */
export function jobFolder(config: Pick<WorkerConfig, 'state'>, name: string): string {
  return join(config.state.runDirectory, 'jobs', name);
}

/** Without a network there is nothing to look up, and nobody to be. */
export function identityMatters({ mode }: Pick<JobNetworkRequest, 'mode'>): boolean {
  return mode !== 'none';
}

/**
 * What the job's environment tells of the ports on which it is reached: `LARK_INBOUND_PORTS=8080/tcp=20455,5000/udp=20456`,
 * the job's own first and then the one that the outside connects to, and the addresses. Empty without ports.
 */
export function inboundVariables(
  { request, lease }: JobNetwork,
  host: Pick<HostFacts, 'ipv4' | 'ipv6'>,
): Record<string, string> {
  if (lease.forwards.length === 0) return {};
  const isOwn = request.mode === 'bridge';
  const ipv4 = isOwn ? lease.ipv4 : lease.ipv4 && host.ipv4[0];
  const ipv6 = isOwn ? lease.ipv6 : lease.ipv6 && host.ipv6[0];
  return {
    LARK_INBOUND_PORTS: lease.forwards
      .map(({ protocol, jobPort, hostPort }) => `${jobPort}/${protocol}=${hostPort}`)
      .join(','),
    ...(ipv4 && { LARK_INBOUND_IPV4: ipv4 }),
    ...(ipv6 && { LARK_INBOUND_IPV6: ipv6 }),
  };
}

/**
 * The job's own /etc/hosts and /etc/resolv.conf. A wrapper with a mount view of its own lays them over the host's: names
 * are looked up where the job can reach, and the machine's name is the job's address, on which it can listen.
 */
export function identityFiles(
  { request, lease }: JobNetwork,
  config: Pick<WorkerConfig, 'resolver' | 'state'>,
  host: Pick<HostFacts, 'hostname' | 'nameservers' | 'resolverOptions'>,
): { path: string; text: string }[] {
  if (!identityMatters(request)) return [];
  const folder = jobFolder(config, lease.name);
  const files: { path: string; text: string }[] = [];
  const { nameservers, etcHosts } = config.resolver;
  const servers = nameservers === 'auto' ? host.nameservers : nameservers;
  if (servers.length > 0) {
    const lines = [...servers.map((server) => `nameserver ${server}`), ...host.resolverOptions];
    files.push({ path: join(folder, 'resolv.conf'), text: `${lines.join('\n')}\n` });
  }
  if (etcHosts) {
    const short = host.hostname.split('.')[0]!;
    const names = short === host.hostname ? short : `${host.hostname} ${short}`;
    const lines = ['127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback'];
    for (const address of [lease.ipv4, lease.ipv6]) if (address) lines.push(`${address} ${names}`);
    files.push({ path: join(folder, 'hosts'), text: `${lines.join('\n')}\n` });
  }
  return files;
}
