import { readdirSync, readFileSync } from 'node:fs';
import { execa } from 'execa';
import { z } from 'zod';
import { messageOf, UserError } from '../../errors.ts';

/** One link, as `ip -json -details link` tells. What is left out does not matter to its speed. */
const linkSchema = z.object({
  ifname: z.string(),
  flags: z.array(z.string()).default([]),
  operstate: z.string().default('UNKNOWN'),
  /** The bond or bridge that it belongs to. */
  master: z.string().optional(),
  /** The lower device of a VLAN or macvlan; absent where that is in another network namespace. */
  link: z.string().optional(),
  linkinfo: z
    .object({
      /** Absent for a device of a driver of its own: a real one, or virtio. */
      info_kind: z.string().optional(),
      info_data: z
        .object({
          mode: z.string().optional(),
          active_slave: z.string().optional(),
          ad_info: z.object({ aggregator: z.number() }).optional(),
        })
        .optional(),
      info_slave_data: z
        .object({
          state: z.string().optional(),
          mii_status: z.string().optional(),
          ad_aggregator_id: z.number().optional(),
        })
        .optional(),
    })
    .optional(),
});
export type Link = z.infer<typeof linkSchema>;

/** A default route, as `ip -json route show default` tells. */
const routeSchema = z.object({
  type: z.string().optional(),
  dev: z.string().optional(),
  metric: z.number().default(0),
  flags: z.array(z.string()).default([]),
  nexthops: z.array(z.object({ dev: z.string(), flags: z.array(z.string()).default([]) })).optional(),
});
export type DefaultRoute = z.infer<typeof routeSchema>;

/** What the kernel tells of the ways out of this machine, and all that the speed of the uplink is made of. */
export const snapshotSchema = z.object({
  ipv4Routes: z.array(routeSchema),
  ipv6Routes: z.array(routeSchema),
  links: z.array(linkSchema),
  /** /sys/class/net/NAME/speed in Mb/s, as it is there; absent where the kernel refuses to tell. */
  speedMbps: z.record(z.string(), z.number()),
});
export type Snapshot = z.infer<typeof snapshotSchema>;

const LIMIT_MS = 10_000;

/**
 * Needs no privilege: routes, links and speeds are everybody's to read.
 * @throws UserError where `ip` is missing or fails
 */
export async function takeSnapshot(): Promise<Snapshot> {
  const [ipv4Routes, ipv6Routes, links] = await Promise.all([
    ip(['-4', 'route', 'show', 'default'], z.array(routeSchema)),
    ip(['-6', 'route', 'show', 'default'], z.array(routeSchema)),
    ip(['-details', 'link', 'show'], z.array(linkSchema)),
  ]);
  return { ipv4Routes, ipv6Routes, links, speedMbps: readSpeeds('/sys/class/net') };
}

async function ip<T>(args: string[], schema: z.ZodType<T>): Promise<T> {
  try {
    const { stdout } = await execa('ip', ['-json', ...args], {
      timeout: LIMIT_MS,
      stdin: 'ignore',
      // Daemons have a short PATH; where ip is differs between distributions.
      env: { PATH: [process.env.PATH, '/usr/sbin:/sbin:/usr/bin:/bin'].filter(Boolean).join(':') },
    });
    // With no route at all, ip says nothing.
    return schema.parse(JSON.parse(stdout || '[]'));
  } catch (error) {
    throw new UserError(
      `"ip ${args.join(' ')}" could not be used (Debian package iproute2): ${messageOf(error)}`,
    );
  }
}

function readSpeeds(directory: string): Record<string, number> {
  const speeds: Record<string, number> = {};
  let names: string[] = [];
  try {
    names = readdirSync(directory);
  } catch {
    // No /sys here: nothing is known of any speed.
  }
  for (const name of names) {
    try {
      const speed = Number(readFileSync(`${directory}/${name}/speed`, 'utf8'));
      if (Number.isFinite(speed)) speeds[name] = speed;
    } catch {
      // EINVAL: the device is down or has no such notion.
    }
  }
  return speeds;
}
