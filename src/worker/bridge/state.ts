import { z } from 'zod';
import { runCommand } from '../commands.ts';

const linkSchema = z.object({
  ifname: z.string(),
  mtu: z.number(),
  address: z.string(),
  master: z.string().optional(),
  addr_info: z.array(
    z.object({
      family: z.enum(['inet', 'inet6']),
      local: z.string(),
      prefixlen: z.number(),
      scope: z.string(),
      broadcast: z.string().optional(),
      noprefixroute: z.boolean().optional(),
      valid_life_time: z.number().optional(),
      preferred_life_time: z.number().optional(),
    }),
  ),
});
const routeSchema = z.object({
  dst: z.string(),
  gateway: z.string().optional(),
  via: z.object({ host: z.string() }).optional(),
  prefsrc: z.string().optional(),
  scope: z.string().optional(),
  protocol: z.string().optional(),
  metric: z.number().optional(),
  table: z.string().optional(),
  type: z.string().optional(),
  flags: z.array(z.string()).optional(),
});

export type Address = z.infer<typeof linkSchema>['addr_info'][number];
export type Route = z.infer<typeof routeSchema> & { family: 'inet' | 'inet6' };

/** What of a device has to move with it. */
export const deviceStateSchema = z.object({
  device: z.string(),
  mac: z.string(),
  mtu: z.number(),
  master: z.string().optional(),
  addresses: z.array(linkSchema.shape.addr_info.element),
  routes: z.array(routeSchema.extend({ family: z.enum(['inet', 'inet6']) })),
});
export type DeviceState = z.infer<typeof deviceStateSchema>;

/** @throws CommandError where there is no such device */
export async function readDevice(device: string): Promise<DeviceState> {
  const json = async (...args: string[]) => JSON.parse((await runCommand('ip', ['-j', ...args])) || '[]');
  const [links, routes4, routes6] = await Promise.all([
    json('addr', 'show', 'dev', device).then(z.array(z.unknown()).parse),
    json('-4', 'route', 'show', 'table', 'all', 'dev', device).then(z.array(routeSchema).parse),
    json('-6', 'route', 'show', 'table', 'all', 'dev', device).then(z.array(routeSchema).parse),
  ]);
  // Filtered by device, `ip` lists the others as empty objects.
  const link = linkSchema.parse(links.find((entry) => linkSchema.safeParse(entry).success));
  return {
    device,
    mac: link.address,
    mtu: link.mtu,
    ...(link.master !== undefined && { master: link.master }),
    addresses: link.addr_info,
    routes: [
      ...routes4.map((route) => ({ ...route, family: 'inet' as const })),
      ...routes6.map((route) => ({ ...route, family: 'inet6' as const })),
    ],
  };
}
