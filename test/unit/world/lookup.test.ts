import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LookupRecord } from '../../../testbed/world/records.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { get, NOW } from './wire.ts';

let world: World;
let all: LookupRecord[][];

const base = (i: number): string => `http://${world.lookups[i]}:${world.ports.http}`;
const query = async (i: number, parameters: string): Promise<LookupRecord[]> =>
  (await get(`${base(i)}/lookup/records?${parameters}`)).json();

beforeAll(async () => {
  world = await startWorld({ hosts: 60, seed: 3, clock: () => NOW });
  all = await Promise.all(world.lookups.map((_, i) => query(i, '')));
});
afterAll(() => world.close());

describe('bootstrap', () => {
  test('lists live, dead and doubtful servers, with priorities and locators in all the ways they occur', async () => {
    const answer = await get(world.bootstrapUrl);
    expect(answer.type).toBe('application/json');
    const { hosts } = answer.json();
    expect(new Set(hosts.map((host: { status: string }) => host.status))).toEqual(
      new Set(['alive', 'unreachable', 'unknown']),
    );
    const kinds = new Set(hosts.map((host: { priority: unknown }) => typeof host.priority));
    expect(kinds).toEqual(new Set(['number', 'string']));
    const alive = hosts.filter((host: { status: string }) => host.status === 'alive');
    expect(alive.some(({ locator }: { locator: string }) => locator.endsWith('/records/'))).toBe(true);
    expect(alive.some(({ locator }: { locator: string }) => locator.endsWith('/records'))).toBe(true);
    const results = await Promise.allSettled(alive.map(({ locator }: { locator: string }) => get(locator)));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(3);
    const dead = results.find((result) => result.status === 'rejected');
    expect(dead?.reason).toMatchObject({ code: 'ECONNREFUSED' });
  });
});

describe('lookup servers', () => {
  test('each holds a part of its own, and some records are held by two', () => {
    const uris = all.map((records) => new Set(records.map((record) => record.uri)));
    expect(uris).toHaveLength(3);
    for (const [i, mine] of uris.entries()) {
      const others = uris.filter((_, j) => j !== i);
      expect([...mine].some((uri) => others.every((other) => !other.has(uri)))).toBe(true);
    }
    expect([...uris[0]!].some((uri) => uris[1]!.has(uri) || uris[2]!.has(uri))).toBe(true);
  });

  test('all values are arrays of strings, except uri, expires and state', () => {
    for (const record of all.flat()) {
      for (const [key, value] of Object.entries(record)) {
        if (['uri', 'expires', 'state'].includes(key)) expect(value).toBeTypeOf('string');
        else expect(value).toSatisfy((v) => Array.isArray(v) && v.every((item) => typeof item === 'string'));
      }
      expect(record.expires).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(record.uri).toMatch(/^lookup\/[a-z]+\/[0-9a-f-]{36}$/);
    }
  });

  test('holds every type of record, and empty values in all three forms', () => {
    const types = new Set(all.flat().flatMap((record) => record.type));
    expect(types).toEqual(new Set(['host', 'service', 'interface', 'person', 'psmetadata']));
    const values = all.flat().flatMap((record) => Object.values(record));
    for (const empty of [[], [''], [' ']]) expect(values).toContainEqual(empty);
  });

  test('still sends records that expired long ago', () => {
    const expired = all.flat().filter((record) => new Date(String(record.expires)) < NOW);
    expect(expired.length).toBeGreaterThan(0);
    expect(expired.length).toBeLessThan(all.flat().length / 5);
  });

  test('commas list values of one key, and keys are joined by all', async () => {
    const found = await query(0, 'type=service&service-type=ma,pscheduler');
    expect(new Set(found.flatMap((record) => record['service-type']))).toEqual(new Set(['ma', 'pscheduler']));
    const expected = all[0]!.filter((record) =>
      ['ma', 'pscheduler'].includes(String((record['service-type'] ?? [])[0])),
    );
    expect(found).toHaveLength(expected.length);
  });

  test('operator=any joins keys the other way', async () => {
    const found = await query(0, 'type=host&service-type=ma&operator=any');
    const hosts = all[0]!.filter((record) => record.type!.includes('host'));
    const archives = all[0]!.filter((record) => record['service-type']?.includes('ma'));
    expect(found).toHaveLength(hosts.length + archives.length);
  });

  test('<key>-operator=all asks for all values of one key', async () => {
    const any = await query(0, 'type=host&group-communities=LHCONE,nothing');
    const both = await query(0, 'type=host&group-communities=LHCONE,OSG&group-communities-operator=all');
    const none = await query(0, 'type=host&group-communities=LHCONE,nothing&group-communities-operator=all');
    expect(any.length).toBeGreaterThan(0);
    expect(both).toHaveLength(any.length);
    expect(none).toEqual([]);
  });

  test('* is a wildcard at either end', async () => {
    const names = all[0]!.flatMap((record) => record['host-name'] ?? []);
    const name = names.find((candidate) => candidate.startsWith('ps-bw.'))!;
    for (const pattern of [`${name.slice(0, -4)}*`, `*${name.slice(3)}`, `*${name.slice(3, -3)}*`]) {
      const found = await query(0, `type=host&host-name=${pattern}`);
      expect(found.flatMap((record) => record['host-name'])).toContain(name);
    }
    expect(await query(0, 'type=host&host-name=no-such*')).toEqual([]);
  });

  test('of a repeated parameter the first counts, and nothing pages', async () => {
    const hosts = await query(0, 'type=host');
    expect(await query(0, 'type=host&type=person')).toEqual(hosts);
    expect(await query(0, 'type=host&skip=2&maxresults=1')).toEqual(hosts);
  });

  test('gives one record, and one key of it', async () => {
    const record = all[0]!.find((candidate) => candidate['host-name'])!;
    expect((await get(`${base(0)}/${record.uri}`)).json()).toEqual(record);
    const key = await get(`${base(0)}/${record.uri}/host-name`);
    expect(key.json()).toEqual({ 'host-name': record['host-name'] });
  });

  test('errors are plain text', async () => {
    const bad = await get(`${base(0)}/lookup/records?type=host&operator=maybe`);
    const missing = await get(`${base(0)}/lookup/host/00000000-0000-0000-0000-000000000000`);
    expect([bad.status, missing.status]).toEqual([400, 404]);
    expect([bad.type, missing.type]).toEqual(['text/plain', 'text/plain']);
  });
});

describe('the dirt in the records', () => {
  const live = (): LookupRecord[] => all.flat().filter((record) => new Date(String(record.expires)) > NOW);
  const hostsWith = (dirt: string) => world.hosts.filter((host) => host.dirt === dirt);
  const recordsAbout = (key: string): LookupRecord[] => {
    const { uris } = world.identity(key);
    return [...new Map(all.flat().map((record) => [record.uri, record])).values()].filter((record) =>
      uris.includes(String(record.uri)),
    );
  };

  test('the truth of identity covers every record once', () => {
    const known = world.hosts.flatMap((host) => world.identity(host.key).uris);
    expect(new Set(known).size).toBe(known.length);
    const seen = new Set(
      all
        .flat()
        .filter((r) => !r.type!.includes('person'))
        .map((r) => String(r.uri)),
    );
    expect(new Set(known)).toEqual(seen);
  });

  test('hosts whose only name is an address', () => {
    for (const host of hostsWith('ipOnly')) {
      const record = recordsAbout(host.key).find((r) => r.type!.includes('host'))!;
      expect(record['host-name']).not.toContain(host.name);
      expect(record['host-name']).toContain(host.address4);
    }
    expect(hostsWith('ipOnly').length).toBeGreaterThan(0);
  });

  test('services whose host record is missing', () => {
    const uris = new Set(all.flat().map((record) => record.uri));
    for (const host of hostsWith('noHostRecord')) {
      const service = recordsAbout(host.key).find((r) => r.type!.includes('service'))!;
      expect(uris.has(String((service['service-host'] as string[])[0]))).toBe(false);
    }
    expect(hostsWith('noHostRecord').length).toBeGreaterThan(0);
  });

  test('records without client-uuid', () => {
    for (const host of hostsWith('noClientUuid')) {
      expect(recordsAbout(host.key).every((record) => record['client-uuid'] === undefined)).toBe(true);
    }
    expect(hostsWith('noClientUuid').length).toBeGreaterThan(0);
  });

  test('one machine under two uuids and two host URIs, both live', () => {
    for (const host of hostsWith('registeredTwice')) {
      const { clientUuids } = world.identity(host.key);
      expect(clientUuids).toHaveLength(2);
      const hosts = live().filter((r) => r['host-name']?.includes(host.address4));
      expect(new Set(hosts.map((record) => record.uri)).size).toBe(2);
    }
    expect(hostsWith('registeredTwice').length).toBeGreaterThan(0);
  });

  test("the default configuration's coordinates", () => {
    for (const host of hostsWith('defaultCoordinates')) {
      const record = recordsAbout(host.key).find((r) => r.type!.includes('host'))!;
      expect(record['location-latitude']).toEqual(['37.5']);
      expect(record['location-longitude']).toEqual(['121.7469']);
    }
    expect(hostsWith('defaultCoordinates').length).toBeGreaterThan(0);
  });

  test('stale duplicates under an old address', () => {
    for (const host of hostsWith('staleDuplicate')) {
      const stale = recordsAbout(host.key).filter((record) => new Date(String(record.expires)) < NOW);
      expect(stale.some((record) => record['host-name']?.includes(host.name))).toBe(true);
      expect(stale.every((record) => !record['host-name']?.includes(host.address4))).toBe(true);
    }
    expect(hostsWith('staleDuplicate').length).toBeGreaterThan(0);
  });

  test('interface records that hosts point at are missing here and there', () => {
    const uris = new Set(all.flat().map((record) => record.uri));
    const pointers = live().flatMap((record) => record['host-net-interfaces'] ?? []);
    expect(pointers.some((uri) => !uris.has(uri))).toBe(true);
    expect(pointers.some((uri) => uris.has(uri))).toBe(true);
  });

  test('archives are advertised by address, with http and https, some by an IPv6 address too', () => {
    const locators = live()
      .filter((record) => record['service-type']?.includes('ma'))
      .flatMap((record) => record['service-locator'] as string[])
      .filter((locator) => locator.includes('/esmond/'));
    const advertised = new Set(locators);
    expect(advertised).toEqual(new Set(world.archives.flatMap((archive) => archive.urls)));
    expect(locators.some((locator) => locator.includes('[2001:db8:'))).toBe(true);
    expect(locators.some((locator) => locator.endsWith('/'))).toBe(true);
  });

  test('archives of another age are still registered', () => {
    const old = live().filter((record) => String(record['service-locator']).includes('/services/pSB'));
    expect(old.length).toBeGreaterThan(0);
  });

  test('person records carry invented data, to be found nowhere in Lark', () => {
    const persons = all.flat().filter((record) => record.type!.includes('person'));
    expect(persons.length).toBeGreaterThan(0);
    for (const person of persons) expect(String(person['person-emails'])).toMatch(/@person\.invalid$/);
  });
});

test('leases move with the clock', async () => {
  let now = NOW;
  const moving = await startWorld({ hosts: 5, clock: () => now, anchor: NOW });
  const url = `http://${moving.lookups[0]}:${moving.ports.http}/lookup/records?type=host`;
  const before: LookupRecord[] = (await get(url)).json();
  now = new Date(NOW.getTime() + 5 * 3_600_000);
  const after: LookupRecord[] = (await get(url)).json();
  await moving.close();
  expect(after.map((record) => record.uri)).toEqual(before.map((record) => record.uri));
  for (const record of after)
    expect(new Date(String(record.expires)).getTime()).toBeGreaterThan(now.getTime());
});
