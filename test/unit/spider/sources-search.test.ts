import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { discover } from '../../../src/spider/discover.ts';
import { HttpFailure } from '../../../src/spider/http.ts';
import { readRecords } from '../../../src/spider/records.ts';
import { searchUrlsOf } from '../../../src/spider/sources/search.ts';
import { fakeHttp, quietLog } from './helpers.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
const NOTHING = { hosts: [], archives: [] };
const SEARCH = 'http://ls.example.org/lookup/_search';
const expires = '2026-03-01T13:00:00.000Z';

type Fields = Record<string, unknown>;
interface Posted {
  query: { bool: { filter: { term?: { type: string }; exists?: object; range?: object }[] } };
  size: number;
  sort: object[];
  search_after?: unknown[];
  _source: string[];
}

const run = (answer: Parameters<typeof fakeHttp>[0], searchUrls = [SEARCH], more = {}) => {
  const http = fakeHttp(answer);
  return discover({ searchUrls, ...more }, NOTHING, { http, now: NOW, log: quietLog }).then((found) => ({
    ...found,
    asked: http.asked.map(({ href }) => href),
  }));
};

/** The value at a dotted path. */
const fieldOf = (record: object, path: string): unknown =>
  path.split('.').reduce<unknown>((value, key) => (value as Fields)[key], record);

/** What a query is for: a type of record, or the second version. */
const kindOf = (posted: unknown) => {
  const { filter } = (posted as Posted).query.bool;
  return filter.flatMap(({ term }) => term?.type ?? [])[0] ?? 'v2';
};

const page = (records: Fields[], more: Fields = {}) => ({
  hits: { hits: records.map((_source) => ({ _source, sort: [_source.uri ?? _source['@timestamp']] })) },
  ...more,
});

/** A server with these records. */
const holding =
  (records: Fields[]) =>
  (url: URL, _: unknown, posted: unknown): unknown => {
    if (!url.pathname.endsWith('/_search'))
      throw new HttpFailure('http-error', url.href, 'answered 405', 405);
    const after = (posted as Posted).search_after;
    const kind = kindOf(posted);
    return page(after ? [] : records.filter(({ type }) => (type ?? ['v2'])[0 as never] === kind));
  };

const RECORDS: Fields[] = [
  {
    type: ['host'],
    uri: 'lookup/host/h',
    expires,
    'host-name': ['192.0.2.1'],
    'host-net-interfaces': ['lookup/interface/i'],
  },
  {
    type: ['interface'],
    uri: 'lookup/interface/i',
    expires,
    'interface-addresses': ['2001:db8::1'],
    'interface-capacity': ['10000000000'],
  },
  {
    type: ['service'],
    uri: 'lookup/service/s',
    expires,
    'service-type': ['ma'],
    'service-host': ['lookup/host/h'],
    'service-locator': ['https://192.0.2.1/esmond/perfsonar/archive'],
  },
];

describe('the Elasticsearch form of the lookup service', () => {
  it('is asked in bulk for what is live, and joined by URIs', async () => {
    const queries: Posted[] = [];
    const { hosts, archives, sources } = await run((url, signal, posted) => {
      queries.push(posted as Posted);
      return holding(RECORDS)(url, signal, posted);
    });
    expect(hosts).toMatchObject([
      { key: '192.0.2.1', addresses: ['192.0.2.1', '2001:db8::1'], capacityMbps: 10_000 },
    ]);
    expect(archives).toMatchObject([{ hostKey: '192.0.2.1', sources: [SEARCH] }]);
    expect(sources).toEqual([{ source: SEARCH, ok: true, records: 3 }]);
    expect(new Set(queries.map(kindOf))).toEqual(new Set(['host', 'service', 'interface', 'v2']));
    for (const { query, size, _source } of queries) {
      expect(query.bool.filter).toContainEqual({ range: { expires: { gt: 'now' } } });
      expect(size).toBeLessThanOrEqual(10_000);
      expect(_source.join(' ')).not.toMatch(/person|administrator/);
    }
  });

  it('goes on behind 10,000 records', async () => {
    const hosts = Array.from({ length: 20_001 }, (_, n) => ({
      type: ['host'],
      uri: `lookup/host/${String(n).padStart(6, '0')}`,
      expires,
      'host-name': [`ps${n}.example.org`],
    }));
    const from: unknown[] = [];
    const found = await run((_, __, posted) => {
      if (kindOf(posted) !== 'host') return page([]);
      const after = (posted as Posted).search_after?.[0] as string | undefined;
      from.push(after);
      const start = after === undefined ? 0 : hosts.findIndex(({ uri }) => uri === after) + 1;
      return page(hosts.slice(start, start + (posted as Posted).size));
    });
    expect(found.hosts).toHaveLength(20_001);
    expect(from.length).toBeGreaterThanOrEqual(3);
    expect(new Set(from).size).toBe(from.length);
  });

  it('goes on through interfaces of one host that were written at one moment', async () => {
    // The border of a page of 2,000 is between the last two.
    const interfaces = Array.from({ length: 2001 }, (_, n) => {
      const host = String(Math.min(n, 1999)).padStart(4, '0');
      const addresses = [`198.18.${n >> 8}.${n & 255}`];
      const alone = { archive_service: null, pscheduler_service: null };
      return v2(
        { name: `eth${n === 2000 ? 1 : 0}`, addresses },
        { ...alone, client_uuid: host, name: [`ps${host}.example.org`] },
      );
    });
    const { sources } = await run((_, __, posted) => {
      const { sort, search_after: after, size } = posted as Posted;
      if (kindOf(posted) !== 'v2') return page([]);
      const keyOf = (record: ReturnType<typeof v2>) =>
        sort
          .flatMap((each) => Object.keys(each))
          .map((field) => fieldOf(record, field.replace('.keyword', '')));
      const behind = interfaces.filter((record) => !after || keyOf(record).join() > after.join());
      const hits = behind.slice(0, size).map((_source) => ({ _source, sort: keyOf(_source) }));
      return { hits: { hits, total: interfaces.length } };
    });
    // Of each: its host and its interface.
    expect(sources).toMatchObject([{ ok: true, records: 2 * interfaces.length }]);
  });

  it('goes on where a server sends fewer at once than it was asked for', async () => {
    const found = await run((_, __, posted) => {
      if (kindOf(posted) !== 'host') return page([]);
      const start = (posted as Posted).search_after ? 1 : 0;
      const host = {
        type: ['host'],
        expires,
        uri: `lookup/host/${start}`,
        'host-name': [`ps${start}.example.org`],
      };
      const answer = page([host]);
      return { ...answer, hits: { ...answer.hits, total: { value: 2, relation: 'eq' } } };
    });
    expect(found.hosts).toHaveLength(2);
    expect(found.asked).toHaveLength(5);
  });

  it.each([
    ['truncated', 'a part of its index', page(RECORDS.slice(0, 1), { timed_out: true })],
    [
      'truncated',
      'a part of its index',
      page(RECORDS.slice(0, 1), { _shards: { total: 5, successful: 4, failed: 1 } }),
    ],
    ['bad-data', 'no list `hits.hits`', { error: 'no such index' }],
  ])('%s: %s', async (fault, message, answer) => {
    const { hosts, sources } = await run((_, __, posted) => (kindOf(posted) === 'host' ? answer : page([])));
    expect(sources).toMatchObject([{ ok: false, fault, message: expect.stringContaining(message) }]);
    // What came is used.
    expect(hosts).toHaveLength(fault === 'truncated' ? 1 : 0);
  });

  it('a server that sends the same page for ever is left', async () => {
    const full = page(Array.from({ length: 10_000 }, () => RECORDS[0]!));
    const { sources, asked } = await run((_, __, posted) => (kindOf(posted) === 'host' ? full : page([])));
    expect(sources).toMatchObject([{ ok: false, fault: 'bad-data' }]);
    expect(asked).toHaveLength(5);
  });
});

describe('a lookup server that takes no GET', () => {
  const BOOTSTRAP = 'http://bootstrap.example.org/activehosts.json';
  const locator = 'http://ls.example.org:8090/lookup/records';
  const named = (answer: (url: URL, posted: unknown) => unknown) => (url: URL, _: unknown, posted: unknown) =>
    url.href === BOOTSTRAP ? { hosts: [{ locator, status: 'alive' }] } : answer(url, posted);
  const refused = (url: URL, status: number) =>
    new HttpFailure('http-error', url.href, `answered ${status}`, status);

  it.each([
    [locator, ['http://ls.example.org:8090/lookup/_search', SEARCH]],
    ['http://ls.example.org/lookup/records/', [SEARCH]],
    ['https://ls.example.org/pool', ['https://ls.example.org/pool/_search']],
  ])('%s has its _search at %j', (url, expected) => {
    expect(searchUrlsOf(url)).toEqual(expected);
  });

  it('is read by _search, on its own port or on that of the scheme, and not reported as failed', async () => {
    const answer = named((url, posted) => {
      if (url.port === '8090') throw refused(url, 405);
      return holding(RECORDS)(url, undefined, posted);
    });
    const { hosts, sources } = await run(answer, [], { bootstrapUrls: [BOOTSTRAP] });
    expect(hosts).toMatchObject([{ key: '192.0.2.1', sources: [locator] }]);
    expect(sources).toEqual([
      { source: BOOTSTRAP, ok: true, records: 1 },
      { source: locator, ok: true, records: 3 },
    ]);
  });

  it('is asked once, if its _search is configured too', async () => {
    const answer = named((url, posted) => {
      if (url.port === '8090') throw refused(url, 405);
      return holding(RECORDS)(url, undefined, posted);
    });
    const { asked } = await run(answer, [SEARCH], { bootstrapUrls: [BOOTSTRAP] });
    expect(asked.filter((url) => url === SEARCH)).toHaveLength(4);
  });

  it('is used as far as its _search answered', async () => {
    const answer = named((url, posted) => {
      if (!url.pathname.endsWith('_search')) throw refused(url, 405);
      if (kindOf(posted) === 'service') throw refused(url, 500);
      return holding(RECORDS)(url, undefined, posted);
    });
    const { hosts, sources } = await run(answer, [], { bootstrapUrls: [BOOTSTRAP] });
    expect(hosts).toHaveLength(1);
    expect(sources[1]).toMatchObject({ source: locator, ok: false, records: 2, fault: 'http-error' });
  });

  it('may be given as a _search itself, also more than once', async () => {
    const { asked, sources } = await run(holding(RECORDS), [SEARCH, SEARCH], { lookupUrls: [SEARCH] });
    expect(asked).toHaveLength(4);
    expect(sources).toEqual([{ source: SEARCH, ok: true, records: 3 }]);
  });

  it('has both failures in its report', async () => {
    const answer = named((url) => {
      throw refused(url, url.pathname.endsWith('_search') ? 404 : 405);
    });
    const { sources } = await run(answer, [], { bootstrapUrls: [BOOTSTRAP] });
    expect(sources[1]).toEqual({
      source: locator,
      ok: false,
      records: 0,
      fault: 'http-error',
      message:
        `${locator}?type=host answered 405; nor by _search: ` +
        'http://ls.example.org:8090/lookup/_search answered 404; http://ls.example.org/lookup/_search answered 404',
    });
  });

  it('one that fails in another way is not tried', async () => {
    const answer = named((url) => {
      throw refused(url, 503);
    });
    const { asked } = await run(answer, [], { bootstrapUrls: [BOOTSTRAP] });
    expect(asked).toHaveLength(4);
  });
});

const v2 = (more: Fields = {}, host: Fields = {}) => ({
  name: 'eth0',
  addresses: ['192.0.2.1', '2001:db8::1'],
  capacity: 1_250_000_000,
  meta: {},
  '@timestamp': '2026-03-01T11:30:00.000Z',
  expires: '2026-03-02T11:30:00.000Z',
  host: {
    client_uuid: 'uuid-192.0.2.1',
    name: ['ps.example.org'],
    location: { sitename: 'A Site', city: 'Geneva', country: 'CH', latitude: 46.2, longitude: 6.1 },
    group_communities: ['LHCONE'],
    group_domains: ['example.org'],
    role: 'science-dmz',
    access_policy: 'public',
    perfsonar_version: '5.2.0',
    pscheduler_service: { urls: ['https://192.0.2.1/pscheduler'], tools: [], tests: [] },
    archive_service: {
      urls: ['https://192.0.2.1/esmond/perfsonar/archive/'],
      archiver_type: 'opensearch',
    },
    administrators: [{ emails: ['other@example.org'], meta: { name: 'A. N. Other' } }],
    ...host,
  },
  ...more,
});

describe('records of the second version', () => {
  const found = (...records: Fields[]) => run(holding(records));

  it('say of host, interface, archive and pScheduler what those of the first say, and nothing of persons', async () => {
    const all = await found(v2());
    expect(all.hosts).toEqual([
      {
        key: 'ps.example.org',
        names: ['ps.example.org'],
        addresses: ['192.0.2.1', '2001:db8::1'],
        clientUuids: ['uuid-192.0.2.1'],
        clonedUuids: [],
        siteNameHint: 'A Site',
        city: 'Geneva',
        countryCode: 'CH',
        latitude: 46.2,
        longitude: 6.1,
        communities: ['LHCONE'],
        domains: ['example.org'],
        roles: ['science-dmz'],
        pschedulerUrls: ['https://192.0.2.1/pscheduler'],
        accessPolicy: 'public',
        toolkitVersion: '5.2.0',
        capacityMbps: 10_000,
        sources: [SEARCH],
      },
    ]);
    expect(all.archives).toMatchObject([
      { urls: ['https://192.0.2.1/esmond/perfsonar/archive/'], hostKey: 'ps.example.org' },
    ]);
    expect(JSON.stringify(all)).not.toMatch(/Other|other@/);
  });

  it.each([
    ['an agent of its own writes bytes a second', 1_250_000_000, {}, 10_000],
    [
      'a record that was migrated has bits a second',
      1_250_000_000,
      { record_uri: 'lookup/interface/i' },
      1250,
    ],
    ['what is a link’s rate in bits only is in bits', 10_000_000_000, {}, 10_000],
    ['node_exporter writes -125000 where it knows no speed', -125_000, {}, undefined],
    ['text', '12500000000', {}, 100_000],
    ['nothing', null, {}, undefined],
  ])('capacity: %s', async (_, capacity, meta, capacityMbps) => {
    expect((await found(v2({ capacity, meta }))).hosts[0]!.capacityMbps).toBe(capacityMbps);
  });

  it('two interfaces of one host are one host, though their client-uuids differ with their addresses', async () => {
    const { hosts } = await found(
      v2({ addresses: ['192.0.2.1'] }, { client_uuid: 'uuid-1', name: [] }),
      v2({ name: 'eth1', addresses: ['2001:db8::1'] }, { client_uuid: 'uuid-2', name: [] }),
    );
    expect(hosts).toMatchObject([{ addresses: ['192.0.2.1', '2001:db8::1'] }]);
  });

  it('an address that was given up is not of the host any more, though its document lives for a day', async () => {
    const old = v2(
      { addresses: ['198.51.100.9'], '@timestamp': '2026-03-01T06:00:00Z', expires: '2026-03-02T06:00:00Z' },
      { client_uuid: 'uuid-198.51.100.9' },
    );
    const heir = v2(
      { addresses: ['198.51.100.9'] },
      {
        client_uuid: 'heir',
        name: ['heir.example.net'],
        pscheduler_service: undefined,
        archive_service: undefined,
      },
    );
    const { hosts } = await found(old, v2(), heir);
    expect(hosts.map(({ names, addresses }) => [names, addresses])).toEqual([
      [['heir.example.net'], ['198.51.100.9']],
      [['ps.example.org'], ['192.0.2.1', '2001:db8::1']],
    ]);
    // While nothing newer speaks of the interface, it stands.
    expect((await found(old)).hosts[0]!.addresses).toContain('198.51.100.9');
  });

  it('documents without any name do not supersede each other', async () => {
    const bare = (address: string, hour: string) =>
      v2(
        { addresses: [address], '@timestamp': `2026-03-01T${hour}:00:00Z` },
        { client_uuid: address, name: ['localhost'], pscheduler_service: {}, archive_service: {} },
      );
    const { hosts } = await found(bare('192.0.2.1', '05'), bare('192.0.2.2', '11'));
    expect(hosts).toHaveLength(2);
  });

  it('their lease of a day does not make them fresher than a record of the first version', async () => {
    const { hosts } = await found(
      v2({ '@timestamp': '2026-03-01T09:00:00Z', expires: '2026-03-02T09:00:00Z' }),
      {
        type: ['host'],
        uri: 'lookup/host/h',
        expires: '2026-03-01T13:45:00Z',
        'host-name': ['ps.example.org'],
        'location-city': ['New Town'],
      },
    );
    expect(hosts).toMatchObject([{ city: 'New Town' }]);
  });

  it('expired, malformed and of hosts without identity', async () => {
    const read = readRecords([v2({ expires: '2026-03-01T12:00:00Z' }), { host: 'none' }], NOW);
    expect(read).toEqual({ records: [], expired: 4, malformed: 1, unwanted: 0 });
  });

  const SAMPLE = new URL('../../../../shared/samples/perfsonar/pslookup-v2-record.json', import.meta.url);
  const present = existsSync(SAMPLE);
  it.skipIf(!present)(
    `upstream’s own example names no host: loopback and a bare name${present ? '' : ' (skipped: no ../shared/samples/perfsonar)'}`,
    async () => {
      const document = { ...JSON.parse(readFileSync(SAMPLE, 'utf8')), expires };
      const read = readRecords([document], NOW);
      expect(read.records.map(({ type }) => type[0])).toEqual(['host', 'interface', 'service', 'service']);
      const all = await found(document);
      expect([all.hosts, all.archives]).toEqual([[], []]);
      expect(JSON.stringify(read)).not.toMatch(/random[a-z]*@|randomPerson|notrandom/);
    },
  );
});
