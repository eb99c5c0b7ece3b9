import { expect, test } from 'vitest';
import { startWorld } from '../../../testbed/world/world.ts';
import { get, NOW } from './wire.ts';

test('a world of 2,400 hosts stands and answers', async () => {
  const before = { at: performance.now(), rss: process.memoryUsage.rss() };
  const world = await startWorld({ hosts: 2400, clock: () => NOW });
  const seconds = (performance.now() - before.at) / 1000;
  const tests = world.archives.reduce((sum, archive) => sum + archive.testCount, 0);
  const megabytes = (process.memoryUsage.rss() - before.rss) / 1e6;
  console.log(
    `2,400 hosts, ${world.archives.length} archives, ${tests} tests: ${seconds.toFixed(2)} s to start, ${megabytes.toFixed(0)} MB more memory`,
  );
  try {
    expect(world.hosts).toHaveLength(2401);
    const records = await Promise.all(
      world.lookups.map(async (key) =>
        (await get(`http://${key}:${world.ports.http}/lookup/records?type=service&service-type=ma`)).json(),
      ),
    );
    const locators = new Set(records.flat().flatMap((record) => record['service-locator']));
    expect(world.archives.every((archive) => archive.urls.every((url) => locators.has(url)))).toBe(true);
    const last = world.archives.at(-1)!;
    const list = (
      await get(`https://${last.key}:${world.ports.https}/esmond/perfsonar/archive/?time-range=86400`)
    ).json();
    expect(list.length).toBeGreaterThan(0);
  } finally {
    await world.close();
  }
});
