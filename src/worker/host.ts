import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { isServer } from './addresses.ts';
import { runCommand } from './commands.ts';
import type { WorkerConfig } from './config.ts';
import { takeSnapshot } from './inventory/snapshot.ts';
import { uplinkSpeed } from './inventory/uplink.ts';
import { type HostFacts, JOB_NAME } from './types.ts';

const links = z.array(
  z.object({
    ifname: z.string(),
    mtu: z.number(),
    addr_info: z.array(z.object({ local: z.string().optional(), scope: z.string().optional() })),
  }),
);
const routes = z.array(
  z.object({
    dev: z.string().optional(),
    metric: z.number().default(0),
    nexthops: z.array(z.object({ dev: z.string() })).optional(),
  }),
);

/** Reads what the plan has to know of this machine. @throws UserError when it has no uplink */
export async function readHostFacts(config: Pick<WorkerConfig, 'host' | 'shaping'>): Promise<HostFacts> {
  const json = async (...args: string[]) => JSON.parse((await runCommand('ip', ['-j', ...args])) || '[]');
  const [all, route4, route6] = await Promise.all([
    json('addr').then(links.parse),
    json('-4', 'route', 'show', 'default').then(routes.parse),
    json('-6', 'route', 'show', 'default').then(routes.parse),
  ]);
  const defaults = [...route4.sort(byMetric), ...route6.sort(byMetric)];
  const uplink =
    config.host.uplink === 'auto'
      ? defaults.flatMap(({ dev, nexthops = [] }) => dev ?? nexthops.map((hop) => hop.dev))[0]
      : config.host.uplink;
  if (!uplink) throw new UserError('this machine has no default route: set host.uplink in worker.yaml');
  const link = all.find(({ ifname }) => ifname === uplink);
  if (!link) throw new UserError(`there is no interface ${uplink}: correct host.uplink in worker.yaml`);
  const addresses = [link, ...all.filter((other) => other !== link)].flatMap(({ addr_info }) =>
    addr_info.flatMap(({ local, scope }) => (local && scope === 'global' ? [local] : [])),
  );
  const { uplinkMbps } = config.shaping;
  const speed = uplinkMbps === 'auto' ? uplinkSpeed(await takeSnapshot(), uplink).mbps : uplinkMbps;
  return {
    uplink,
    uplinkMtu: link.mtu,
    ...(speed !== undefined && { uplinkMbps: speed }),
    ipv4: addresses.filter((address) => !address.includes(':')),
    ipv6: addresses.filter((address) => address.includes(':')),
    hostname: hostname(),
    hasFqCodel: await hasFqCodel(),
    hasConnectionCount: await hasConnectionCount(),
    uplinkPort: portOf(uplink),
    ...readResolver(),
  };
}

const byMetric = (a: { metric: number }, b: { metric: number }): number => a.metric - b.metric;

/** The device of a bridge that is no job's. */
function portOf(uplink: string): string {
  const ports = `/sys/class/net/${uplink}/brif`;
  if (!existsSync(ports)) return uplink;
  return readdirSync(ports).find((port) => !JOB_NAME.test(port)) ?? uplink;
}

async function hasFqCodel(): Promise<boolean> {
  if (textOf('/proc/sys/net/core/default_qdisc').trim() === 'fq_codel') return true;
  await runCommand('modprobe', ['-q', 'sch_fq_codel']).catch(() => '');
  return existsSync('/sys/module/sch_fq_codel');
}

const COUNTED =
  'table inet lark-trial { set s { type ifname; flags dynamic; }\n chain c { add @s { iifname ct count over 9 } drop\n }\n }\n';

/** Asked of the kernel, which changes nothing. */
function hasConnectionCount(): Promise<boolean> {
  return runCommand('nft', ['-c', '-f', '-'], { input: COUNTED }).then(
    () => true,
    () => false,
  );
}

function readResolver(): Pick<HostFacts, 'nameservers' | 'resolverOptions'> {
  const own = parseResolver(textOf('/etc/resolv.conf'));
  if (own.nameservers.length > 0) return own;
  // Behind systemd-resolved's stub stand the servers that it asks.
  return { ...own, nameservers: parseResolver(textOf('/run/systemd/resolve/resolv.conf')).nameservers };
}

/** Name servers that can be reached from elsewhere than the host itself, and what else the file says. */
export function parseResolver(text: string): Pick<HostFacts, 'nameservers' | 'resolverOptions'> {
  const lines = text.split('\n').map((line) => line.trim());
  return {
    nameservers: lines.flatMap((line) => {
      const address = /^nameserver\s+(\S+)/.exec(line)?.[1];
      return address !== undefined && isServer(address) ? [address] : [];
    }),
    resolverOptions: lines.filter((line) => /^(search|domain|options)\s/.test(line)),
  };
}

function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
