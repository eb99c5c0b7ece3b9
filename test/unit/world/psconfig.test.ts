import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { get, NOW } from './wire.ts';

let world: World;
// biome-ignore lint/suspicious/noExplicitAny: tests look at foreign JSON and assert its shape.
let templates: any[];
let urls: string[];

beforeAll(async () => {
  world = await startWorld({ hosts: 22, seed: 2, clock: () => NOW, silentPaths: 2 });
  urls = (await get(world.psconfig.url)).json()[0].include;
  const answers = await Promise.all(urls.map((url) => get(url)));
  templates = answers.filter(({ status }) => status === 200).map((answer) => answer.json());
});
afterAll(() => world.close());

interface Named {
  name: string;
}

/** A plain reading of one template: which address is to test towards which. */
// biome-ignore lint/suspicious/noExplicitAny: as above.
function read(template: any): string[] {
  const found: string[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  for (const [name, task] of Object.entries<any>(template.tasks)) {
    if (task.disabled) continue;
    const group = template.groups[task.group];
    const { type } = template.tests[task.test];
    const labels = (list: Named[]) => list.map((entry) => entry.name);
    const pairs: [string, string][] = [];
    if (group.type === 'mesh') {
      for (const a of labels(group.addresses)) for (const b of labels(group.addresses)) pairs.push([a, b]);
    } else if (group.type === 'disjoint') {
      for (const a of labels(group['a-addresses'])) {
        for (const b of labels(group['b-addresses'])) pairs.push([a, b], [b, a]);
      }
    }
    const excluded = new Set(
      (group.excludes ?? []).flatMap((rule: { 'local-address': Named; 'target-addresses': Named[] }) =>
        rule['target-addresses'].map((target) => `${rule['local-address'].name}>${target.name}`),
      ),
    );
    const off = (label: string) => {
      const address = template.addresses[label];
      return address.disabled || template.hosts[address.host]?.disabled;
    };
    for (const [a, b] of pairs) {
      if (a === b || off(a) || off(b) || excluded.has(`${a}>${b}`)) continue;
      const { repeat } = template.schedules[task.schedule] ?? { repeat: null };
      found.push(
        `${name} ${type} ${template.addresses[a].address} ${template.addresses[b].address} ${repeat}`,
      );
    }
  }
  return found;
}

describe('pSConfig', () => {
  test('lists its meshes, one of which is gone', async () => {
    const statuses = await Promise.all(urls.map(async (url) => (await get(url)).status));
    expect(statuses.filter((status) => status === 404)).toHaveLength(1);
    expect(templates.length).toBeGreaterThan(2);
    const auto = await get(world.psconfig.url.replace('config', `auto/${world.hosts[0]!.name}`));
    expect(auto.json()[0].include).toContain(urls[0]);
    expect((await get(world.psconfig.url.replace('config', 'auto/nobody.example'))).status).toBe(404);
  });

  test('the templates ask for exactly the pairs that expectedPairs names', () => {
    const repeats: Record<string, string> = { 21600: 'PT6H', 600: 'PT10M', 300: 'PT5M' };
    const expected = world
      .expectedPairs()
      .map(
        (pair) =>
          `${pair.task} ${pair.testType} ${pair.source} ${pair.destination} ${repeats[String(pair.intervalSeconds)] ?? null}`,
      );
    expect(templates.flatMap(read).toSorted()).toEqual(expected.toSorted());
    expect(new Set(expected).size).toBe(expected.length);
  });

  test('what is expected and not silent is measured, and the silent is not', () => {
    const { series } = world.books({
      from: new Date(NOW.getTime() - 2 * 86_400_000),
      to: NOW,
      eventTypes: ['throughput', 'packet-count-sent', 'path-mtu'],
      summaries: ['base'],
    });
    const measured = new Set(series.map((s) => `${s.testType} ${s.source} ${s.destination}`));
    const pairs = world.expectedPairs();
    for (const pair of pairs) {
      const key = `${pair.testType} ${pair.sourceHost} ${pair.destinationHost}`;
      expect([key, measured.has(key)]).toEqual([key, !pair.silent]);
    }
    const silent = pairs.filter((pair) => pair.silent);
    expect(silent.length).toBeGreaterThan(10);
    expect(silent.length).toBeLessThan(pairs.length / 2);
    expect(silent.some((pair) => pair.sourceHost === null)).toBe(true);
  });

  test('paths can be made silent in all their tests', () => {
    expect(world.silent).toHaveLength(2);
    const { series } = world.books({
      from: new Date(NOW.getTime() - 86_400_000),
      to: NOW,
      eventTypes: ['throughput', 'packet-count-sent', 'path-mtu'],
    });
    for (const { source, destination } of world.silent) {
      expect(series.some((s) => s.sourceSite === source && s.destinationSite === destination)).toBe(false);
      expect(series.some((s) => s.sourceSite === destination && s.destinationSite === source)).toBe(true);
      const expected = world
        .expectedPairs()
        .filter((pair) => pair.sourceSite === source && pair.destinationSite === destination);
      expect(expected.length).toBeGreaterThan(0);
      expect(expected.every((pair) => pair.silent)).toBe(true);
    }
  });

  test('archives come in all the forms that there are', async () => {
    const common = (await get(templates[0].include[0])).json();
    // biome-ignore lint/suspicious/noExplicitAny: as above.
    const archives: any[] = [...templates, common].flatMap((template) => Object.values(template.archives));
    expect(archives.some((a) => a.archiver === 'esmond' && /\/esmond\//.test(a.data.url))).toBe(true);
    expect(archives.some((a) => a.archiver === 'http' && a.data._meta?.esmond_url)).toBe(true);
    expect(archives.some((a) => a.archiver === 'http' && a._meta?.esmond_url)).toBe(true);
    expect(archives.some((a) => a.archiver === 'http' && !a._meta && !a.data._meta)).toBe(true);
    expect(archives.some((a) => a.archiver === 'rabbitmq')).toBe(true);
    expect(archives.some((a) => a.data._url?.includes('{% scheduled_by_address %}'))).toBe(true);
    for (const archive of archives) {
      const esmond = archive.data.url ?? archive.data._meta?.esmond_url ?? archive._meta?.esmond_url;
      if (esmond) expect((await get(`${esmond.replace(/\/$/, '')}/?limit=1`)).status).toBe(200);
    }
    for (const template of templates) {
      const defined = new Set(Object.keys({ ...template.archives, ...common.archives }));
      // biome-ignore lint/suspicious/noExplicitAny: as above.
      const used = [...Object.values<any>(template.hosts), ...Object.values<any>(template.tasks)];
      expect(used.flatMap((user) => user.archives ?? []).filter((name) => !defined.has(name))).toEqual([]);
    }
  });

  test('meshconfig: the same in the form of old, without excludes', async () => {
    const found: string[] = [];
    for (const url of urls) {
      const answer = await get(`${url}?format=meshconfig`);
      if (answer.status !== 200) continue;
      const config = answer.json();
      const known = config.organizations.flatMap((o: { sites: { hosts: { addresses: string[] }[] }[] }) =>
        o.sites.flatMap((site) => site.hosts.flatMap((host) => host.addresses)),
      );
      for (const { description, disabled, members } of config.tests) {
        const all: string[] = members.members ?? [...members.a_members, ...members.b_members];
        expect(all.filter((address) => !known.includes(address))).toEqual([]);
        if (disabled) continue;
        const pairs: [string, string][] =
          members.type === 'mesh'
            ? all.flatMap((a) => all.map((b): [string, string] => [a, b]))
            : members.a_members.flatMap((a: string) =>
                members.b_members.flatMap((b: string) => [
                  [a, b],
                  [b, a],
                ]),
              );
        found.push(...pairs.filter(([a, b]) => a !== b).map(([a, b]) => `${description} ${a} ${b}`));
      }
    }
    const expected = world
      .expectedPairs('meshconfig')
      .map((pair) => `${pair.task} ${pair.source} ${pair.destination}`);
    expect(found.toSorted()).toEqual(expected.toSorted());
  });

  test('a world without silent paths is the world it was', async () => {
    const plain = await startWorld({ hosts: 22, seed: 2, clock: () => NOW });
    const pairs = plain.expectedPairs();
    const broken = pairs.filter((pair) => pair.silent && pair.testType !== 'rtt' && pair.sourceHost !== null);
    await plain.close();
    expect(broken.every((pair) => pair.destinationHost === null)).toBe(true);
  });
});
