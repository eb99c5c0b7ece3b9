import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseSource } from '../../../src/sites/sources/parse.ts';
import { createHttp, type Http } from '../../../src/spider/http.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { HTTP_OPTIONS } from '../../support/loopback.ts';

let world: World;
let http: Http;
beforeAll(async () => {
  world = await startWorld({ hosts: 60 });
  http = createHttp(HTTP_OPTIONS);
});
afterAll(async () => {
  http.close();
  await world.close();
});

const fetched = async (path: string) => {
  const found = await http.getDocument(`${world.siteBooks.url}${path}`, {}, { ca: world.caPem });
  if (found.isUnchanged) throw new Error('nothing was known, so nothing can be unchanged');
  return found;
};

test.each([
  ['cric', '/api/core/rcsite/query/?json'],
  ['cric-domains', '/api/core/rcsite/query/?json&preset=domains'],
  ['osg-xml', '/rgsummary/xml'],
  ['osg-json', '/miscresource/json'],
  ['gocdb', '/gocdbpi/public/?method=get_service'],
] as const)('%s: every entry can be read, and is true', async (format, path) => {
  const { facts, skipped } = parseSource(format, (await fetched(path)).text, path);
  // The world lives on loopback, and a prefix there is no site's.
  expect(skipped.filter((line) => !/"127\.[\d./]+" of netroute .* is no usable prefix$/.test(line))).toEqual(
    [],
  );
  expect(facts.sites.length).toBeGreaterThan(5);
  const siteOf = new Map(world.hosts.map(({ name, site }) => [name, site]));
  for (const { name, hosts } of facts.sites)
    for (const { host } of hosts) expect(siteOf.get(host)).toBe(name);
});

test('CRIC and OSG Topology mean the same sites by their numbers', async () => {
  const cric = parseSource('cric', (await fetched('/api/core/rcsite/query/?json')).text, '').facts.sites;
  const osg = parseSource('osg-xml', (await fetched('/rgsummary/xml')).text, '').facts.sites;
  const byId = new Map(osg.map((site) => [site.oimGroupId, site.name]));
  const joined = cric.filter(({ oimGroupId }) => oimGroupId !== undefined && byId.has(oimGroupId));
  expect(joined.length).toBeGreaterThan(2);
  for (const { oimGroupId, name } of joined) expect(byId.get(oimGroupId)).toBe(name);
});

test('what has not changed is said so; half of the sites are another document', async () => {
  const path = '/rgsummary/xml';
  const { etag, text } = await fetched(path);
  const again = () => http.getDocument(`${world.siteBooks.url}${path}`, { etag: etag! }, { ca: world.caPem });
  expect(await again()).toEqual({ isUnchanged: true });
  world.setSiteBooksShare(0.5);
  const half = await again();
  expect(half.isUnchanged).toBe(false);
  const count = (document: string) => parseSource('osg-xml', document, '').facts.sites.length;
  expect(count(half.isUnchanged ? '' : half.text)).toBeLessThan(count(text) * 0.7);
  world.setSiteBooksShare(1);
  expect(await again()).toEqual({ isUnchanged: true });
});
