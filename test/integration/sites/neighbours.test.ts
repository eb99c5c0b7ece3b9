import { afterAll, beforeAll, expect, it } from 'vitest';
import { whyOf } from '../../../src/api/why.ts';
import { parseConfig } from '../../../src/config.ts';
import type { CycleDeps } from '../../../src/cycle.ts';
import type { Hop, TraceRead } from '../../../src/domain.ts';
import { parseSites } from '../../../src/sites/sites-file.ts';
import { locateEverything } from '../../../src/steps/locate.ts';
import { SiteFactsCache } from '../../../src/steps/refresh-sites.ts';
import { tracedNeighbours } from '../../../src/steps/traced-neighbours.ts';
import { openStore, type Store, type StoreLocation } from '../../../src/store/store.ts';
import { describeOnBoth } from '../store/databases.ts';
import { archive, daysBefore, discovery, host, minutesBefore, NOON } from '../store/examples.ts';

const { config } = parseConfig('sites: { sources: [] }', '/nowhere/lark.yaml', {});
const sites = parseSites(
  'sites: [{ name: Alpha, prefixes: [192.0.2.0/24], latitude: 48.2, longitude: 16.4 }]',
  'sites.yaml',
);

await describeOnBoth('neighbours on traces', (newLocation) => {
  let location: StoreLocation;
  let store: Store;

  beforeAll(async () => {
    location = await newLocation();
    store = await openStore(location);
    const near = host('h', {
      names: ['ps.nowhere.test'],
      addresses: ['9.9.9.9'],
      latitude: 48.2,
      longitude: 16.4,
    });
    await store.saveDiscovery(discovery({ hosts: [near], archives: [archive('a')] }), NOON);
  });
  afterAll(() => store.close());

  const trace = (minutesAgo: number, ...between: Hop[]): Promise<unknown> => {
    const route = { hops: [...between, { address: '7.7.7.7' }], isReached: true };
    const read: TraceRead = {
      test: {
        archiveKey: 'a',
        metadataKey: 'k',
        source: '9.9.9.9',
        destination: '7.7.7.7',
        tool: 'traceroute',
      },
      runs: [{ at: minutesBefore(minutesAgo), route }],
      checkpoint: minutesBefore(minutesAgo),
    };
    return store.saveTraces([read], NOON);
  };
  const far: Hop[] = ['8.0.0.1', '8.0.0.2', '8.0.0.3'].map((address) => ({ address }));

  it('locates a host by them and its coordinates, tells why, and lets go of it when its way is another', async () => {
    // No source is to be fetched, and there is no pool.
    const deps = { http: {}, store, config, sites, siteFacts: new SiteFactsCache() } as unknown as CycleDeps;
    const located = async () =>
      (await locateEverything(deps, await store.hosts(), NOON)).assignments.find(
        ({ subject }) => subject === 'h',
      );
    expect((await located())?.site).toBeUndefined();

    await trace(20, { address: '192.0.2.1' }, ...far);
    expect(await located()).toMatchObject({ site: 'Alpha', method: 'hints' });
    const told = await whyOf('9.9.9.9', store, config.sites, sites, NOON);
    expect(told).toMatchObject({ subject: 'h', site: 'Alpha' });
    expect(told.found[0]?.text).toContain('on traces, the router next to it is 192.0.2.1');
    const later = new Date(2 * NOON.getTime() - daysBefore(8).getTime());
    expect((await whyOf('h', store, config.sites, sites, later)).site).toBeNull();

    await trace(10, { address: '8.1.1.1' }, ...far);
    expect((await located())?.site).toBeUndefined();
  });

  it('derives them again only when the ways, or what is known of them, are others', async () => {
    await trace(10, { address: '8.1.1.1' }, ...far);
    const first = await tracedNeighbours(store, NOON);
    await trace(9, { address: '8.1.1.1' }, ...far);
    expect(await tracedNeighbours(store, NOON)).toBe(first);
    await trace(8, { address: '8.1.1.1', name: 'gw.nowhere.test' }, ...far);
    const named = await tracedNeighbours(store, NOON);
    const [router] = named.ends.get('9.9.9.9')![0]!.routers.keys();
    expect(router?.names).toEqual(new Set(['gw.nowhere.test']));
    await trace(7, { address: '8.1.1.2' }, ...far);
    expect(await tracedNeighbours(store, NOON)).not.toBe(named);
  });
});
