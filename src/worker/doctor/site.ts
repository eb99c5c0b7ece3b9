import { readFileSync } from 'node:fs';
import { messageOf } from '../../errors.ts';
import { checkAddresses, routesInto } from '../collisions.ts';
import { runCommand } from '../commands.ts';
import { portsOf, type WorkerConfig } from '../config.ts';
import { checkHooks } from '../hooks.ts';
import { readHostFacts } from '../host.ts';
import { loadPolicy } from '../policy.ts';
import type { HostFacts } from '../types.ts';
import type { SiteFacts } from './facts.ts';

/** What worker.yaml says, held against this machine. */
export async function gatherSite(config: WorkerConfig): Promise<SiteFacts> {
  const problems: string[] = [];
  const attempt = <T>(what: () => T): T | undefined => {
    try {
      return what();
    } catch (error) {
      problems.push(messageOf(error));
      return undefined;
    }
  };
  attempt(() => loadPolicy(config.policyFile));
  attempt(() => checkHooks(config));
  let host: HostFacts | undefined;
  try {
    host = await readHostFacts(config);
  } catch (error) {
    problems.push(messageOf(error));
  }
  if (host) attempt(() => checkAddresses(config, host));
  const { nameservers } = config.resolver;
  const inTable = Number(textOf('/proc/sys/net/netfilter/nf_conntrack_max'));
  const { ipv4Pool, ipv6Pool, inboundPorts } = config.nat;
  return {
    problems,
    ...(host && {
      nameservers: nameservers === 'auto' ? host.nameservers : nameservers,
      isRateKnown: !config.shaping.enabled || host.uplinkMbps !== undefined,
    }),
    poolRoutes: routesInto([ipv4Pool, ...(ipv6Pool === 'none' ? [] : [ipv6Pool])], await routes()),
    inboundPorts: {
      range: inboundPorts,
      inUse: portsInUse(portsOf(inboundPorts)!),
      isEphemeral: isEphemeral(portsOf(inboundPorts)!),
    },
    connections: { perJob: config.isolation.maxConnections, ...(inTable > 0 && { inTable }) },
  };
}

async function routes(): Promise<{ dst: string; dev?: string }[]> {
  const listed = await Promise.all(
    ['-4', '-6'].map((family) =>
      runCommand('ip', ['-j', family, 'route', 'show', 'table', 'all'])
        .then((text) => JSON.parse(text || '[]'))
        .catch(() => []),
    ),
  );
  return listed.flat();
}

interface Ports {
  first: number;
  last: number;
}

/** State of a TCP socket that listens, and of a UDP socket that is bound and not connected; of /proc/net. */
const LISTENS: Readonly<Record<string, string>> = { tcp: '0A', tcp6: '0A', udp: '07', udp6: '07' };

function portsInUse({ first, last }: Ports): number[] {
  const ports = Object.entries(LISTENS).flatMap(([file, state]) =>
    textOf(`/proc/net/${file}`)
      .split('\n')
      .slice(1)
      .flatMap((line) => {
        const [, local = '', , at] = line.trim().split(/\s+/);
        return at === state ? [Number.parseInt(local.split(':')[1] ?? '', 16)] : [];
      }),
  );
  return [...new Set(ports)].filter((port) => port >= first && port <= last).sort((a, b) => a - b);
}

/** Whether the kernel gives one of these ports to connections of the machine's own. */
function isEphemeral({ first, last }: Ports): boolean {
  const [from = 0, to = 0] = textOf('/proc/sys/net/ipv4/ip_local_port_range').trim().split(/\s+/).map(Number);
  const reserved = textOf('/proc/sys/net/ipv4/ip_local_reserved_ports').trim().split(',').map(portsOf);
  if (last < from || first > to) return false;
  return !reserved.some(
    (range) => range && range.first <= Math.max(first, from) && range.last >= Math.min(last, to),
  );
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
