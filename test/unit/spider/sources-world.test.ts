import { describe, expect, it, onTestFinished } from 'vitest';
import type { Discovery } from '../../../src/domain.ts';
import { type DiscoverOptions, discover } from '../../../src/spider/discover.ts';
import { startWorld, type World, type WorldOptions } from '../../../testbed/world/world.ts';
import { httpClient } from '../../support/loopback.ts';
import { quietLog } from './helpers.ts';

/** All sources against real servers on loopback, held against what the world knows of itself. */

const NOW = new Date('2026-03-01T12:00:00Z');
async function worldOf(options: Partial<WorldOptions>) {
  const world = await startWorld({ clock: () => NOW, ...options });
  onTestFinished(() => world.close());
  const http = httpClient();
  const find = (sources: DiscoverOptions) =>
    discover(sources, { hosts: [], archives: [] }, { http, now: world.now(), log: quietLog });
  return { world, find };
}

/** How often each machine of the world was found, and hosts that hold more than one machine. */
function machines(world: World, { hosts }: Discovery) {
  const found = (address: string, name: string) =>
    hosts.filter(({ names, addresses }) => addresses.includes(address) || names.includes(name));
  return {
    times: world.hosts.map(({ address4, name }) => found(address4, name).length),
    mixed: hosts.filter(
      ({ names, addresses }) =>
        world.hosts.filter(({ address4, name }) => addresses.includes(address4) || names.includes(name))
          .length > 1,
    ),
  };
}

describe('the lookup service of 2026', () => {
  it('is found over a bootstrap document that points at what takes no GET; every machine is one host', async () => {
    const { world, find } = await worldOf({ hosts: 60, lookupForms: ['elasticsearch'], v2Share: 0.5 });
    const found = await find({ bootstrapUrls: [world.bootstrapUrl] });
    const { times, mixed } = machines(world, found);
    expect(new Set(times)).toEqual(new Set([1]));
    expect(mixed).toEqual([]);
    expect(found.sources.every(({ ok }) => ok)).toBe(true);
    // Each tells where its pScheduler is, which is on no usual port here.
    expect(found.hosts.filter(({ pschedulerUrls }) => pschedulerUrls.length === 0)).toEqual([]);
    expect(JSON.stringify(found)).not.toMatch(/192\.0\.2\.|121\.7469|Invented Person|person\.invalid|pSB/);
    expect(await find({ searchUrls: [world.searchLookup!.url] })).toMatchObject({
      hosts: found.hosts.map(({ key, addresses, names }) => ({ key, addresses, names })),
      archives: found.archives.map(({ key, urls }) => ({ key, urls })),
    });
  });

  it('says the same in both forms', async () => {
    const { world, find } = await worldOf({ hosts: 40, lookupForms: ['sls', 'elasticsearch'], v2Share: 0 });
    const merged = await find({ bootstrapUrls: [world.bootstrapUrl] });
    const searched = await find({ searchUrls: [world.searchLookup!.url] });
    const bare = ({ hosts, archives }: Discovery) => [
      hosts.map((host) => ({ ...host, sources: [] })),
      archives.map((archive) => ({ ...archive, sources: [] })),
    ];
    expect(bare(searched)).toEqual(bare(merged));
  });

  it('capacities are those of the machines, whoever registered them', async () => {
    const { world, find } = await worldOf({ hosts: 60, lookupForms: ['elasticsearch'], v2Share: 1 });
    const { hosts } = await find({ searchUrls: [world.searchLookup!.url] });
    const capacities = new Set(hosts.flatMap(({ capacityMbps }) => capacityMbps ?? []));
    expect([...capacities].filter((capacity) => ![1000, 10_000, 40_000, 100_000].includes(capacity))).toEqual(
      [],
    );
  });
});

describe('pSConfig', () => {
  it.each(['psconfig', 'meshconfig'] as const)(
    '%s: what the meshes ask for, by the world’s books',
    async (format) => {
      const { world, find } = await worldOf({ hosts: 30, silentPaths: 2 });
      const { psconfig } = world;
      const books = world.expectedPairs(format);
      const urls =
        format === 'psconfig'
          ? [psconfig.url]
          : [...new Set(books.map(({ mesh }) => mesh))].map(
              (mesh) => `${psconfig.url}/${mesh}?format=meshconfig`,
            );
      const found = await find({ psconfigUrls: urls });
      const key = (
        mesh: string,
        test: string,
        from: string,
        to: string,
        seconds: number | null | undefined,
      ) => [mesh, test, from, to, seconds ?? '-'].join(' ');
      const meshOf = (url: string) => new URL(url).pathname.split('/').at(-1)!;
      expect(
        found.expected
          .map((test) =>
            key(meshOf(test.template), test.testType, test.source, test.destination, test.intervalSeconds),
          )
          .sort(),
      ).toEqual(
        books
          .map((pair) => key(pair.mesh, pair.testType, pair.source, pair.destination, pair.intervalSeconds))
          .sort(),
      );
      expect(books.filter(({ silent }) => silent).length).toBeGreaterThan(0);
      // Every archive it names exists.
      const archives = new Set(world.archives.map(({ key: host }) => host));
      expect(found.archives.length).toBeGreaterThan(5);
      for (const {
        urls: [url],
      } of found.archives)
        expect(archives).toContain(new URL(url!).hostname);
      const failed = found.sources.filter(({ ok }) => !ok).map(({ source }) => source);
      expect(failed).toEqual(format === 'psconfig' ? [psconfig.url, `${psconfig.url}/gone`] : []);
    },
  );

  it('joins what the lookup service knows: no machine is two hosts', async () => {
    const { world, find } = await worldOf({ hosts: 40 });
    const found = await find({ bootstrapUrls: [world.bootstrapUrl], psconfigUrls: [world.psconfig.url] });
    const { times, mixed } = machines(world, found);
    expect(new Set(times)).toEqual(new Set([1]));
    expect(mixed).toEqual([]);
  });
});
