import ipaddr from 'ipaddr.js';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import type { SiteMap } from '../../../testbed/world/siteMap.ts';
import { startWorld } from '../../../testbed/world/world.ts';
import { NOW } from './wire.ts';

/** The rule of the site map in its plainest form: override, exact name, longest prefix, domain. */
function siteOf(map: SiteMap, names: string[], addresses: string[]): string | null {
  const all = [...names, ...addresses];
  const override = map.overrides.find(({ host }) => all.includes(host));
  if (override) return override.site;
  const exact = map.sites.find(({ hosts }) => hosts?.some((host) => names.includes(host)));
  if (exact) return exact.name;
  let best: { length: number; name: string } | null = null;
  for (const { name, prefixes = [] } of map.sites) {
    for (const prefix of prefixes) {
      const [network, length] = ipaddr.parseCIDR(prefix);
      for (const address of addresses.map((text) => ipaddr.parse(text))) {
        if (address.kind() !== network.kind() || !address.match([network, length])) continue;
        if (!best || length > best.length) best = { length, name };
      }
    }
  }
  if (best) return best.name;
  return (
    map.sites.find(({ domains }) => domains?.some((d) => names.some((n) => n.endsWith(`.${d}`))))?.name ??
    null
  );
}

test('the site map finds the site of every mapped host, and none for the others', async () => {
  for (const [hosts, seed] of [
    [5, 1],
    [20, 1],
    [300, 2],
  ] as const) {
    const world = await startWorld({ hosts, seed, clock: () => NOW });
    const map: SiteMap = parse(world.sitesYaml());
    expect(map).toEqual(world.siteMap());
    for (const host of world.hosts) {
      // Only what the lookup service says of the host, not what the world knows of it.
      const { names: registered } = world.identity(host.key);
      const names = registered.filter((name) => !ipaddr.isValid(name));
      const addresses = [host.address4, ...(host.address6 ? [host.address6] : [])];
      expect([host.key, siteOf(map, names, addresses)]).toEqual([host.key, host.mapped ? host.site : null]);
    }
    expect(world.hosts.some((host) => !host.mapped)).toBe(true);
    expect(
      new Set(world.hosts.filter((host) => host.mapped).map((host) => host.site)).size,
    ).toBeGreaterThanOrEqual(2);
    await world.close();
  }
});

test('sites of a world of some size overlap, so that only the longest prefix is right', async () => {
  const world = await startWorld({ hosts: 60, clock: () => NOW });
  const prefixes = world
    .siteMap()
    .sites.flatMap((site) =>
      (site.prefixes ?? []).map((p) => ({ site: site.name, cidr: ipaddr.parseCIDR(p) })),
    );
  const nested = prefixes.some(({ site, cidr: [network, length] }) =>
    prefixes.some(
      (outer) =>
        outer.site !== site &&
        outer.cidr[0].kind() === network.kind() &&
        outer.cidr[1] < length &&
        network.match(outer.cidr as never),
    ),
  );
  expect(nested).toBe(true);
  await world.close();
});
