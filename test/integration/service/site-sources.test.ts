import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { SiteSourceView } from '../../../src/api/site-sources.ts';
import { loadConfig } from '../../../src/config.ts';
import { type Service, startService } from '../../../src/service.ts';
import { canonicalHost } from '../../../src/sites/sites-file.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { lark, quietLog, worldSettings } from '../../support/lark.ts';

/** Sites known from CRIC, OSG Topology and GOCDB alone: fetched, judged, stored, and used to locate hosts. */

let world: World;
let folder: string;
let configFile: string;
let service: Service;
let now = new Date('2026-05-05T12:00:00Z');
const FORMS = {
  cric: { format: 'cric', path: '/api/core/rcsite/query/?json' },
  osg: { format: 'osg-xml', path: '/rgsummary/xml' },
  gocdb: { format: 'gocdb', path: '/gocdbpi/public/?method=get_service' },
};

beforeAll(async () => {
  world = await startWorld({ hosts: 40, clock: () => now, anchor: new Date('2026-05-05T00:00:00Z') });
  // What archives hold is of no interest here.
  for (const { key } of world.archives) await world.setFault(key, 'dead');
  folder = await mkdtemp(join(tmpdir(), 'lark-site-sources-'));
  configFile = join(folder, 'lark.yaml');
  await writeFile(join(folder, 'sites.yaml'), '');
  await writeFile(join(folder, 'ca.pem'), world.caPem);
  const sources = Object.entries(FORMS).map(([name, { format, path }]) => ({
    name,
    format,
    url: `${world.siteBooks.url}${path}`,
    refreshHours: 6,
    caFile: 'ca.pem',
  }));
  const more = { sites: { sources } };
  await writeFile(configFile, stringify(worldSettings(world, folder, more)));
  const { config } = loadConfig(configFile, {});
  service = await startService(config, { log: quietLog, clock: () => now, version: 'test' });
  await service.listen();
});
afterAll(async () => {
  await service?.close();
  await world?.close();
  await rm(folder, { recursive: true, force: true });
});

const later = (hours: number): void => {
  now = new Date(now.getTime() + hours * 3_600_000);
};
/** One cycle; what it warned of site sources. */
const warned = async (): Promise<string[]> =>
  (await service.cycle()).warnings.filter((warning) => warning.startsWith('site source'));
const sources = async (): Promise<Record<string, SiteSourceView>> => {
  const { stdout } = await lark(['sites', 'sources', '--json', '--config', configFile]);
  return Object.fromEntries((JSON.parse(stdout) as SiteSourceView[]).map((one) => [one.source, one]));
};
const asked = () => world.requests().filter(({ host }) => host === world.siteBooks.key).length;

/** How the hosts of sites that the documents tell of were placed. */
async function placed(): Promise<{ right: number; wrong: string[]; none: string[] }> {
  const hosts = await service.store.hosts();
  const siteOf = new Map((await service.store.assignments()).map(({ subject, site }) => [subject, site]));
  const result = { right: 0, wrong: [] as string[], none: [] as string[] };
  for (const { key, name, address4, site, mapped } of world.hosts) {
    const known = hosts.find(({ names, addresses }) =>
      [...names, ...addresses].some((id) => [name, address4].includes(canonicalHost(id))),
    );
    if (!mapped || !known) continue;
    const found = siteOf.get(known.key);
    if (found === site) result.right += 1;
    else if (found === undefined) result.none.push(key);
    else result.wrong.push(`${name}: ${found}, not ${site}`);
  }
  return result;
}

test('hosts get their sites from documents alone', async () => {
  expect(await warned()).toEqual([]);
  const { right, wrong, none } = await placed();
  expect(wrong).toEqual([]);
  // Hosts that no document names, at a site without prefixes, have no site: they are not guessed at.
  expect(none.length).toBeLessThan(right / 5);
  const { cric, osg, gocdb } = await sources();
  for (const source of [cric, osg, gocdb])
    expect(source).toMatchObject({ version: 1, failure: null, refusal: null, checkedAt: now.toISOString() });
  expect(cric!.counts!.prefixes).toBeGreaterThan(0);
  const mapped = new Set(world.hosts.filter((host) => host.mapped).map(({ site }) => site)).size;
  for (const { counts } of [cric!, osg!, gocdb!]) {
    expect(counts!.sites).toBeGreaterThan(mapped / 2);
    expect(counts!.sites).toBeLessThan(mapped);
  }
});

test('they are asked when they are due, and then only for what has changed', async () => {
  const before = asked();
  later(1);
  await service.cycle();
  expect(asked()).toBe(before);
  later(6);
  expect(await warned()).toEqual([]);
  expect(asked()).toBe(before + 3);
  const { cric } = await sources();
  expect(cric).toMatchObject({ version: 1, checkedAt: now.toISOString() });
  expect(cric!.fetchedAt).not.toBe(cric!.checkedAt);
});

test.each([
  ['truncatedJson', /: https:\S+ is no JSON \(.*; version 1 of .* stays in force$/],
  ['htmlError', /: https:\S+ is a page \("Database connection failed"\), not JSON; version 1/],
  ['http500', /: https:\S+ answered 500 .*; version 1/],
  ['hugeBody', /: https:\S+ answered more than the 64 MB allowed; version 1/],
  ['dead', /: https:\S+ could not be reached .*; version 1/],
] as const)('%s: what is known stays, and it is said', async (fault, message) => {
  const { right } = await placed();
  // Changed, so that the server does not say that nothing has.
  world.setSiteBooksShare(0.5);
  await world.setFault(world.siteBooks.key, fault);
  later(6);
  try {
    const warnings = await warned();
    expect(warnings).toHaveLength(3);
    expect(warnings.find((warning) => warning.startsWith('site source cric'))).toMatch(message);
    expect((await placed()).right).toBe(right);
    const { cric } = await sources();
    expect(cric!.version).toBe(1);
    expect(cric!.failure).not.toBeNull();
  } finally {
    await world.setFault(world.siteBooks.key, null);
    world.setSiteBooksShare(1);
  }
});

test('after a failure they are asked again within the hour', async () => {
  const before = asked();
  later(0.5);
  await service.cycle();
  expect(asked()).toBe(before);
  later(0.5);
  expect(await warned()).toEqual([]);
  expect((await sources()).cric).toMatchObject({ version: 1, failure: null });
});

test('a document that has shrunk is kept out, with the numbers, until a person accepts it', async () => {
  const { right } = await placed();
  world.setSiteBooksShare(0.5);
  later(6);
  const warnings = await warned();
  expect(warnings).toHaveLength(3);
  for (const warning of warnings)
    expect(warning).toMatch(
      /has lost \d+ of \d+ sites, .*\(20 % are allowed\); version 1 of .* stays in force/,
    );
  expect((await placed()).right).toBe(right);

  const shown = await lark(['sites', 'sources', '--config', configFile]);
  expect(shown.stdout).toMatch(/cric +cric +1 .* kept out/);
  expect(shown.stdout).toContain('"lark sites sources accept cric" takes it');

  const accepted = await lark(['sites', 'sources', 'accept', 'cric', '--config', configFile]);
  expect(accepted.stderr).toBe('');
  expect(accepted.stdout).toMatch(/^cric is accepted with \d+ sites, \d+ hosts/);
  const { cric, osg } = await sources();
  expect(cric).toMatchObject({ version: 2, refusal: null });
  expect(osg).toMatchObject({ version: 1, refusal: { reason: expect.stringMatching(/^has lost/) } });

  const again = await lark(['sites', 'sources', 'accept', 'cric', '--config', configFile]);
  expect(again.exitCode).toBe(1);
  expect(again.stderr).toContain('nothing of site source "cric" is kept out');
  const unknown = await lark(['sites', 'sources', 'accept', 'oim', '--config', configFile]);
  expect(unknown.stderr).toContain(
    'there is no site source "oim" in sites.sources (there are: cric, osg, gocdb)',
  );
});

test('when the old document is back, nothing is kept out any more', async () => {
  world.setSiteBooksShare(1);
  later(6);
  expect(await warned()).toEqual([]);
  const { cric, osg } = await sources();
  expect(cric).toMatchObject({ version: 3, refusal: null });
  expect(osg).toMatchObject({ version: 1, refusal: null });
  expect((await placed()).wrong).toEqual([]);
});
