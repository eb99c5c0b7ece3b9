import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { lark, larkFolder, serve } from '../../support/lark.ts';

/** `lark serve` as a process, and the commands beside it. */

let world: World;
const cleanUp: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  world = await startWorld({ hosts: 8, seed: 2 });
});
afterAll(() => world.close());
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

async function running(more: Record<string, object> = {}) {
  const place = await larkFolder(world, { harvest: { lookbackHours: 2 }, ...more });
  cleanUp.push(place.remove);
  const service = serve(place.configFile);
  cleanUp.push(async () => {
    service.child.kill('SIGKILL');
    await service.ended;
  });
  const { api } = (await service.said(/^serving$/)) as { api: string };
  return { ...place, ...service, api };
}
const get = async (url: string) => {
  const response = await fetch(url);
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
};

describe('a running service', () => {
  test('answers on every route, as its OpenAPI document says', async () => {
    const { api, said } = await running();
    await said(/^cycle done$/);
    expect(new URL(api).hostname).toBe('127.0.0.1');
    expect(await get(`${api}/healthz`)).toMatchObject({ status: 200 });
    const document = JSON.parse((await get(`${api}/api/v1/openapi.json`)).text);
    expect(document.openapi).toMatch(/^3\./);
    const routes = Object.keys(document.paths);
    expect(routes).toEqual(
      expect.arrayContaining([
        '/api/v1/hosts',
        '/api/v1/archives',
        '/api/v1/sites',
        '/api/v1/paths',
        '/healthz',
        '/metrics',
      ]),
    );
    // One never ends, two want to know about what: they have tests of their own.
    const others = ['/api/v1/events', '/api/v1/sites/why', '/api/v1/why'];
    const plain = routes.filter((route) => document.paths[route].get && !others.includes(route));
    for (const route of plain) expect((await get(`${api}${route}`)).status, route).toBe(200);

    const paths = JSON.parse((await get(`${api}/api/v1/paths`)).text) as {
      srcSite: string;
      dstSite: string;
    }[];
    expect(paths.length).toBeGreaterThan(0);
    const properties =
      document.paths['/api/v1/paths'].get.responses['200'].content['application/json'].schema.items
        .properties;
    expect(Object.keys(paths[0]!).sort()).toEqual(Object.keys(properties).sort());
    const { srcSite, dstSite } = paths[0]!;
    const one = JSON.parse((await get(`${api}/api/v1/paths?src=${srcSite}&dst=${dstSite}`)).text);
    expect(one).toEqual([paths[0]]);
    expect(JSON.parse((await get(`${api}/api/v1/paths?src=nowhere`)).text)).toEqual([]);

    const metrics = await get(`${api}/metrics`);
    expect(metrics.type).toMatch(/^text\/plain/);
    for (const name of [
      'lark_cycles_total{outcome="ok"} 1',
      'lark_cycle_phase_seconds{phase="harvest"}',
      'lark_objects{kind="hosts"}',
      'lark_samples{verdict="good",reason=""}',
      'lark_ads_published',
      'lark_archives{kind="esmond",outcome="ok",fault=""}',
    ]) {
      expect(metrics.text).toContain(name);
    }
  });

  test('read commands ask it over the API; a second process is refused the store', async () => {
    const { api, configFile, said, child } = await running();
    await said(/^cycle done$/);
    for (const command of ['hosts', 'archives', 'sites', 'paths', 'quality', 'ads']) {
      const { stdout, exitCode, stderr } = await lark(['--config', configFile, command, '--json']);
      expect(exitCode, stderr).toBe(0);
      const fromApi = JSON.parse((await get(`${api}/api/v1/${command}`)).text);
      expect(JSON.parse(stdout), command).toEqual(fromApi);
      const forPeople = await lark(['--config', configFile, command]);
      expect(forPeople.exitCode).toBe(0);
      expect(forPeople.stdout.length).toBeGreaterThan(30);
      expect(forPeople.stdout).not.toMatch(/undefined|NaN|\[object/);
    }
    const second = await lark(['--config', configFile, 'cycle']);
    expect(second.exitCode).toBe(1);
    expect(second.stderr).toContain(String(child.pid));
    expect(second.stderr.trim().split('\n')).toHaveLength(1);

    const paths = JSON.parse((await lark(['--config', configFile, 'paths', '--json'])).stdout) as {
      path: string;
    }[];
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
    // The same from the store itself.
    const afterwards = await lark(['--config', configFile, 'paths', '--json']);
    expect((JSON.parse(afterwards.stdout) as { path: string }[]).map(({ path }) => path)).toEqual(
      paths.map(({ path }) => path),
    );
  });

  test('SIGTERM in mid-harvest ends it in order within 5 s', async () => {
    const slow = world.archives[0]!.key;
    await world.setFault(slow, { kind: 'slow', seconds: 60 });
    cleanUp.push(() => world.setFault(slow, null));
    const { child, ended, said } = await running({ http: { bodyTimeoutSeconds: 50 } });
    while (world.counters(slow).total === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const asked = performance.now();
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(performance.now() - asked).toBeLessThan(5000);
    await expect(said(/did not end/)).rejects.toThrow();
  });

  test('a harvest under way tells how far it is, in the log and in the metrics', async () => {
    const slow = world.archives[0]!.key;
    await world.setFault(slow, { kind: 'slow', seconds: 60 });
    cleanUp.push(() => world.setFault(slow, null));
    const { api, child, ended, said } = await running({
      http: { connectTimeoutSeconds: 20, bodyTimeoutSeconds: 50 },
    });
    const told = await said(/^harvest: \d+ of \d+ archives, \d+ samples/);
    expect(told.msg).toMatch(
      new RegExp(`longest under way: .*${slow.replaceAll('.', '\\.')}\\S* for \\d+ s`),
    );
    let text = '';
    const value = (name: string) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
    // The line may come before the others are done.
    const others = async () => {
      ({ text } = await get(`${api}/metrics`));
      return value('lark_harvest_archives') - value('lark_harvest_archives_done');
    };
    await expect.poll(others, { timeout: 30_000 }).toBe(1);
    expect(value('lark_harvest_samples')).toBeGreaterThan(0);
    expect(value('lark_harvest_longest_seconds')).toBeGreaterThan(1);
    child.kill('SIGTERM');
    await ended;
  });

  test('SIGHUP takes a new configuration, and keeps the old one when the new one is wrong', async () => {
    const { child, configFile, write, log, said, folder } = await running();
    await said(/^cycle done$/);
    const good = await readFile(configFile, 'utf8');
    await writeFile(configFile, `${good}\nharvets: {}\n`);
    let from = log.length;
    child.kill('SIGHUP');
    expect((await said(/was not taken/, from)).msg).toContain('did you mean "harvest"');

    await write({ publish: { directory: join(folder, 'elsewhere') }, service: { schedule: '* * * * * *' } });
    from = log.length;
    child.kill('SIGHUP');
    await said(/read again/, from);
    await said(/^cycle done$/, from);
    expect(child.exitCode).toBeNull();
  });

  test('/healthz fails when the last good cycle is too old', async () => {
    for (const key of world.lookups) {
      await world.setFault(key, 'blackhole');
      cleanUp.push(() => world.setFault(key, null));
    }
    const { api } = await running({ api: { healthyMinutes: 0.005 }, http: { bodyTimeoutSeconds: 30 } });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const { status, text } = await get(`${api}/healthz`);
    expect(status).toBe(503);
    expect(JSON.parse(text)).toMatchObject({ healthy: false, lastGoodCycle: null });
  });
});

describe('mistakes are one clear sentence, without a stack', () => {
  test.each([
    ['no store yet', {}, ['hosts'], /there is no store in .*store yet: run "lark cycle"/],
    [
      'a sites file that is not there',
      { sites: { file: '/nowhere/sites.yaml' } },
      ['cycle'],
      /cannot read the sites file/,
    ],
    [
      'a schedule that is none',
      { service: { schedule: 'now and then' } },
      ['serve'],
      /service.schedule: "now and then"/,
    ],
    [
      'a port that is taken',
      { api: { port: 1, host: '203.0.113.1' } },
      ['serve'],
      /cannot listen on 203.0.113.1:1/,
    ],
    [
      'a database that is not there',
      { store: { databaseUrl: 'postgres://u:pw@127.0.0.1:9/x' } },
      ['cycle'],
      /127.0.0.1/,
    ],
    ['an unknown command', {}, ['hots'], /unknown command 'hots'/],
  ])('%s', async (_what, more, args, message) => {
    const place = await larkFolder(world, more as Record<string, object>);
    cleanUp.push(place.remove);
    const { exitCode, stderr, stdout } = await lark(['--config', place.configFile, ...args]);
    expect(exitCode).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at |pw@/);
  });
});

test('config check and show', async () => {
  const place = await larkFolder(world, { store: { databaseUrl: 'postgres://lark:secret@db/lark' } });
  cleanUp.push(place.remove);
  const check = await lark(['--config', place.configFile, 'config', 'check']);
  expect(check.stdout).toMatch(/is right; \d+ sites in .*, 3 policies in/);
  const show = await lark(['--config', place.configFile, 'config', 'show'], { LARK_HTTP_CONCURRENCY: '3' });
  expect(show.stdout).toContain('concurrency: 3');
  expect(show.stdout).toContain('environment LARK_HTTP_CONCURRENCY');
  expect(show.stdout).not.toContain('secret');
  const json = await lark(['--config', place.configFile, 'config', 'show', '--json']);
  expect(JSON.parse(json.stdout)).toMatchObject({ harvest: { lookbackHours: 6 } });
});
