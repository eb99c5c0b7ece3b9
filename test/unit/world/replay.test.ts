import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ReplayWorld, replayWorld } from '../../../testbed/world/replay.ts';
import { get } from './wire.ts';

const samples = fileURLToPath(new URL('../../../../shared/samples/perfsonar', import.meta.url));
const absent = !existsSync(samples);

describe.skipIf(absent)(
  'replay of captured payloads (skipped where ../shared/samples/perfsonar is absent)',
  () => {
    let world: ReplayWorld;
    let now = new Date('2018-05-22T15:30:00Z');

    beforeAll(async () => {
      world = await replayWorld(samples, { clock: () => now });
    });
    afterAll(() => world.close());

    const alive = async (): Promise<string[]> =>
      (await get(world.bootstrapUrl)).json().hosts.map((host: { locator: string }) => host.locator);

    test('bootstrap leads to loopback only: to three servers that answer and two that do not', async () => {
      const locators = await alive();
      expect(locators).toHaveLength(5);
      expect(locators.every((locator) => new URL(locator).hostname.startsWith('127.8.'))).toBe(true);
      const results = await Promise.allSettled(locators.map((locator) => get(locator)));
      const counts = results.flatMap((r) => (r.status === 'fulfilled' ? [r.value.json().length] : []));
      expect(counts.toSorted((a, b) => a - b)).toEqual([50, 71, 72]);
    });

    test('records are as captured, but for where their http locators point', async () => {
      const lookup = world.lookups.find(({ original }) => original.includes('monipe'))!;
      const root = (await alive()).find((locator) => new URL(locator).hostname === lookup.key)!;
      const hosts = (await get(`${root}?type=host`)).json();
      expect(hosts).toHaveLength(8);
      expect(hosts.flatMap((host: Record<string, string[]>) => host['host-name'])).toContain(
        'thunder.cbmeg.unicamp.br',
      );
      const archives = (await get(`${root}?type=service&service-type=ma`)).json();
      const locators = archives.flatMap((record: Record<string, string[]>) => record['service-locator']);
      for (const locator of locators) expect(new URL(locator).hostname).toMatch(/^127\.8\./);
      expect(world.addressOf('thunder.cbmeg.unicamp.br')).toMatch(/^127\.8\./);
      const owamp = (await get(`${root}?service-type=owamp`)).json();
      expect(owamp.some((r: Record<string, string[]>) => /^tcp:\/\/\D/.test(r['service-locator']![0]!))).toBe(
        true,
      );
    });

    test('captured archives answer with their metadata, filtered by the time of the replay', async () => {
      const archive = world.archives.find(({ original }) => original.includes('64.106.40.252'))!;
      expect(archive.metadataCount).toBe(21);
      const before = (await get(`${archive.url}?time-range=86400`)).json();
      now = new Date('2018-11-29T12:00:00Z');
      const then = (await get(`${archive.url}?time-range=86400&limit=5`)).json();
      now = new Date('2026-01-01T00:00:00Z');
      const today = (await get(`${archive.url}?time-range=86400`)).json();
      now = new Date('2018-05-22T15:30:00Z');
      expect(before.length).toBeGreaterThan(0); // all of it lies ahead of the dumps, and time-range has no end
      expect(then).toHaveLength(5);
      expect(then[0]['metadata-count-total']).toBeGreaterThan(5);
      expect((await get(then[0]['metadata-next-page'])).json()[0]['metadata-key']).toBeTypeOf('string');
      expect(then[0].url).toContain(archive.key);
      expect(today).toEqual([]);
    });

    test('captured series come under the metadata that advertise them', async () => {
      const archive = world.archives.find(({ original }) => original.includes('64.106.40.252'))!;
      const [element] = (await get(`${archive.url}?event-type=throughput`)).json();
      const [summary] = element['event-types'].find(
        (t: { 'event-type': string }) => t['event-type'] === 'throughput',
      ).summaries;
      const points = (await get(new URL(`${summary.uri}?time-start=0`, archive.url).href)).json();
      expect(points.length).toBeGreaterThan(100);
      expect(points[0]).toEqual({ ts: 1467763200, val: 938020779.8 });
      const missing = await get(
        new URL(`/esmond/perfsonar/archive/${'0'.repeat(32)}/throughput/base`, archive.url).href,
      );
      expect([missing.status, missing.json()]).toEqual([404, { detail: 'Not found.' }]);
    });
  },
);

test('a directory without payloads is refused with its name', async () => {
  const here = fileURLToPath(new URL('.', import.meta.url));
  await expect(replayWorld(here)).rejects.toThrow(`${here} has no sls-activehosts`);
});
