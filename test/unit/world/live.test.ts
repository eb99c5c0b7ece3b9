import { afterEach, expect, test } from 'vitest';
import { type LiveWorld, liveWorld } from '../../../testbed/world/live.ts';
import { get } from './wire.ts';

const HOSTS = [
  { name: 'ps1.example.org', address: '192.0.2.1' },
  { name: 'ps2.example.org', address: '192.0.2.2' },
  { name: 'ps3.example.org', address: '192.0.2.3' },
];
const NOW = new Date('2026-05-01T12:00:00Z');
const seconds = (text: string): number => Date.parse(text) / 1000;

let world: LiveWorld;
afterEach(() => world.close());

test('bootstrap leads to the lookup server, that to hosts and archive, and that to what was recorded', async () => {
  world = await liveWorld(HOSTS, () => NOW);
  world.record('ps1.example.org', 'ps2.example.org', 94.25, new Date('2026-05-01T11:59:00.700Z'));
  world.record('ps1.example.org', 'ps2.example.org', 17, new Date('2026-05-01T11:59:00.900Z'));
  world.record('ps1.example.org', 'ps3.example.org', 3.5, new Date('2026-05-01T11:59:30Z'));
  const [server] = (await get(world.bootstrapUrl)).json().hosts as { locator: string }[];
  const hosts = (await get(`${server!.locator}?type=host`)).json() as Record<string, string[]>[];
  expect(hosts.map((host) => host['host-name'])).toEqual(HOSTS.map(({ name, address }) => [name, address]));
  const [service] = (await get(`${server!.locator}?type=service`)).json() as Record<string, string[]>[];
  const archive = service!['service-locator']![0]!;

  const list = (await get(`${archive}?time-range=60`)).json();
  expect(list).toHaveLength(2);
  expect(list[0]).toMatchObject({
    source: '192.0.2.1',
    destination: '192.0.2.2',
    'input-destination': 'ps2.example.org',
    'metadata-count-total': 2,
  });
  expect((await get(`${archive}?time-range=40`)).json()).toHaveLength(1);
  const base = new URL(list[0]['event-types'][0]['base-uri'], archive).href;
  expect((await get(base)).json()).toEqual([{ ts: seconds('2026-05-01T11:59:00Z'), val: 94_250_000 }]);
  const late = `${base}?time-start=${seconds('2026-05-01T11:59:01Z')}&time-end=${seconds('2026-05-01T12:00:00Z')}`;
  expect((await get(late)).json()).toEqual([]);
});

test('a host that is not there is refused', async () => {
  world = await liveWorld(HOSTS);
  expect(() => world.record('ps1.example.org', 'ps9.example.org', 1, NOW)).toThrow(
    'no host "ps9.example.org"',
  );
});
