import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LookupRecord } from '../../../testbed/world/records.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { get, NOW, post, send } from './wire.ts';

let world: World;
let url: string;

interface Hit {
  _id: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at foreign JSON and assert its shape.
  _source: any;
  sort?: unknown[];
}

const find = async (body: unknown): Promise<{ total: { value: number; relation: string }; hits: Hit[] }> => {
  const answer = await post(url, body);
  expect(answer.status).toBe(200);
  return answer.json().hits;
};
const term = (field: string, value: unknown) => ({ query: { term: { [field]: value } }, size: 10_000 });

beforeAll(async () => {
  world = await startWorld({
    hosts: 60,
    seed: 3,
    clock: () => NOW,
    lookupForms: ['sls', 'elasticsearch'],
    v2Share: 0,
  });
  url = world.searchLookup!.url;
});
afterAll(() => world.close());

describe('the Elasticsearch form of the lookup service', () => {
  test('holds exactly the records of all sLS servers together', async () => {
    const parts = await Promise.all(
      world.lookups.map(
        async (key): Promise<LookupRecord[]> =>
          (await get(`http://${key}:${world.ports.http}/lookup/records`)).json(),
      ),
    );
    const merged = new Map(parts.flat().map((record) => [record.uri, record]));
    const { hits, total } = await find({ size: 10_000 });
    expect(new Map(hits.map(({ _source }) => [_source.uri, _source]))).toEqual(merged);
    expect(hits).toHaveLength(merged.size);
    expect(total).toEqual({ value: merged.size, relation: 'eq' });
    expect(new Set(hits.map(({ _id }) => _id)).size).toBe(hits.length);
  });

  test('sends ten unless asked for more', async () => {
    expect((await find({ query: { match_all: {} } })).hits).toHaveLength(10);
    expect((await find({})).hits).toHaveLength(10);
  });

  test('takes the documented query: type, service type, still valid', async () => {
    const { hits } = await find({
      query: {
        bool: {
          must: [{ term: { type: 'service' } }, { term: { 'service-type.keyword': 'ma' } }],
          filter: [{ range: { expires: { gt: 'now' } } }],
        },
      },
      size: 10_000,
    });
    expect(hits.length).toBeGreaterThan(5);
    for (const { _source } of hits) {
      expect(_source['service-type']).toEqual(['ma']);
      expect(Date.parse(_source.expires)).toBeGreaterThan(NOW.getTime());
    }
  });

  test('text is analysed: a term on it finds nothing, a term on its keyword does; for others it is the reverse', async () => {
    expect((await find(term('service-type', 'ma'))).hits).toHaveLength(0);
    expect((await find(term('service-type.keyword', 'ma'))).hits.length).toBeGreaterThan(0);
    expect((await find(term('type', 'host'))).hits.length).toBeGreaterThan(0);
    expect((await find(term('type.keyword', 'host'))).hits).toHaveLength(0);
    const name = world.hosts.find(({ dirt }) => dirt === 'clean')!.name;
    expect((await find(term('host-name', name))).hits).toHaveLength(1);
  });

  test('terms, ranges by ISO time, must_not, exists', async () => {
    const types = await find({ query: { terms: { type: ['host', 'interface'] } }, size: 10_000 });
    expect(new Set(types.hits.map(({ _source }) => _source.type[0]))).toEqual(new Set(['host', 'interface']));
    const expired = await find({ query: { range: { expires: { lt: NOW.toISOString() } } }, size: 10_000 });
    expect(expired.hits.length).toBeGreaterThan(0);
    expect(expired.hits.every(({ _source }) => Date.parse(_source.expires) < NOW.getTime())).toBe(true);
    const rest = await find({
      query: { bool: { must_not: [{ exists: { field: 'service-type' } }] } },
      size: 10_000,
    });
    expect(rest.hits.every(({ _source }) => _source['service-type'] === undefined)).toBe(true);
  });

  test('search_after walks through everything once, in order', async () => {
    const all = await find({ size: 10_000, _source: ['uri'] });
    const uris: string[] = [];
    let after: unknown[] | undefined;
    for (;;) {
      const page = await find({
        size: 97,
        sort: [{ uri: 'asc' }],
        ...(after ? { search_after: after } : {}),
      });
      if (page.hits.length === 0) break;
      uris.push(...page.hits.map(({ _source }) => _source.uri));
      after = page.hits.at(-1)!.sort;
    }
    expect(uris).toEqual(uris.toSorted());
    expect(uris).toEqual(all.hits.map(({ _source }) => _source.uri).toSorted());
    expect(Object.keys(all.hits[0]!._source)).toEqual(['uri']);
  });

  test('refuses in its own words: window, unknown query, sorting by text, what is no JSON', async () => {
    const refusal = async (body: unknown) => {
      const answer = await post(url, body);
      expect(answer.status).toBe(400);
      return answer.json().error;
    };
    expect((await refusal({ size: 10_001 })).reason).toMatch(/Result window is too large/);
    expect((await refusal({ size: 10, from: 9991 })).reason).toMatch(/\[10001\]/);
    expect((await refusal({ query: { fuzzy: { type: 'x' } } })).type).toBe('parsing_exception');
    expect((await refusal({ sort: ['service-type'] })).reason).toMatch(/Text fields are not optimised/);
    expect((await refusal({ sort: ['uri'], search_after: ['a', 'b'] })).reason).toMatch(/search_after/);
    expect((await refusal({ query: { range: { expires: { gt: 'soon' } } } })).type).toBe('parse_exception');
  });

  test('GET of the old address is 405; PUT, DELETE and registration are 403', async () => {
    const { key } = world.searchLookup!;
    const records = `http://${key}:${world.ports.http}/lookup/records`;
    expect((await get(records)).status).toBe(405);
    for (const method of ['PUT', 'DELETE']) expect((await send(url, { method, body: {} })).status).toBe(403);
    expect((await post(records, {})).status).toBe(403);
  });

  test('_mapping says which fields are keywords', async () => {
    const answer = await get(url.replace('_search', '_mapping'));
    const { properties } = answer.json().lookup.mappings;
    expect(properties['host-name']).toEqual({ type: 'keyword' });
    expect(properties['service-type'].fields.keyword.type).toBe('keyword');
    expect(properties.expires).toEqual({ type: 'date' });
  });

  test('has the faults that all have', async () => {
    const { key } = world.searchLookup!;
    await world.setFault(key, 'wrongTypes');
    expect((await post(url, {})).json().hits.total).toBe(5);
    await world.setFault(key, 'http500');
    expect((await post(url, {})).status).toBe(500);
    await world.setFault(key, null);
  });
});

test('more than 10,000 are counted as 10,000 or more', async () => {
  const big = await startWorld({
    hosts: 1500,
    clock: () => NOW,
    lookupForms: ['elasticsearch'],
    peersPerSite: 1,
  });
  try {
    const answer = await post(big.searchLookup!.url, { size: 1 });
    expect(answer.json().hits.total).toEqual({ value: 10_000, relation: 'gte' });
  } finally {
    await big.close();
  }
});

describe('a world of 2026', () => {
  let modern: World;
  beforeAll(async () => {
    modern = await startWorld({
      hosts: 60,
      seed: 3,
      clock: () => NOW,
      lookupForms: ['elasticsearch'],
      v2Share: 0.5,
    });
  });
  afterAll(() => modern.close());

  test('has no sLS server: the bootstrap names one machine that refuses GET', async () => {
    expect(modern.lookups).toEqual([]);
    const { hosts } = (await get(modern.bootstrapUrl)).json();
    expect(hosts).toHaveLength(1);
    expect((await get(hosts[0].locator)).status).toBe(405);
  });

  test('some hosts are documents per interface, with capacities of two kinds', async () => {
    const { hits } = (
      await post(modern.searchLookup!.url, { query: { exists: { field: 'host.client_uuid' } }, size: 10_000 })
    ).json().hits;
    const ratios = new Set<number>();
    const uuids = new Map<string, Set<string>>();
    for (const { _source: record } of hits) {
      expect(Date.parse(record.expires) - Date.parse(record['@timestamp'])).toBe(86_400_000);
      const [name] = record.host.name;
      if (!name) continue;
      uuids.set(name, (uuids.get(name) ?? new Set()).add(record.host.client_uuid));
    }
    const v1 = (
      await post(modern.searchLookup!.url, { query: { term: { type: 'interface' } }, size: 10_000 })
    ).json().hits.hits;
    const bits = new Map<string, number>(
      v1.map(({ _source: record }: Hit) => [
        record['interface-addresses'][0],
        Number(record['interface-capacity'][0]),
      ]),
    );
    let nativeOnly = 0;
    for (const { _source: record } of hits) {
      const known = bits.get(record.addresses[0]);
      if (known) ratios.add(record.capacity / known);
      else nativeOnly++;
    }
    // What v1 knows as well was migrated: the same unit. The rest was written by the hosts.
    expect(ratios).toEqual(new Set([1]));
    expect(nativeOnly).toBeGreaterThan(0);
    expect(
      hits.some(({ _source }: Hit) => _source.capacity === 1e9 / 8 || _source.capacity === 10e9 / 8),
    ).toBe(true);
    expect([...uuids.values()].some((set) => set.size > 1)).toBe(true);
    const expired = hits.filter(({ _source }: Hit) => Date.parse(_source.expires) < NOW.getTime());
    expect(expired.length).toBeGreaterThan(0);
    expect(expired.length).toBeLessThan(hits.length / 2);
  });
});
