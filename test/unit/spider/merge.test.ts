import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { identifier } from '../../../src/address.ts';
import { claimsOf, type HostClaim, recordClaims } from '../../../src/spider/claims.ts';
import { mergeArchives, mergeHosts } from '../../../src/spider/merge.ts';
import { readRecords } from '../../../src/spider/records.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
const LATER = '2026-03-01T13:00:00.000Z';

/** Merges records as they come from lookup servers; `source` is the server. */
function found(records: Record<string, unknown>[], source = 'http://ls/') {
  const read = readRecords(
    records.map((record, index) => ({
      uri: `lookup/x/${index}`,
      expires: LATER,
      state: 'renewed',
      ...record,
    })),
    NOW,
  );
  const claims = claimsOf([recordClaims(read.records, source)]);
  const hosts = mergeHosts(claims.hosts);
  return { ...read, hosts, archives: mergeArchives(claims.archives, hosts) };
}

const host = (names: string[], more: Record<string, unknown> = {}) => ({
  type: ['host'],
  'host-name': names,
  ...more,
});
const ma = (locators: string[], more: Record<string, unknown> = {}) => ({
  type: ['service'],
  'service-type': ['ma'],
  'service-locator': locators,
  ...more,
});

describe('identifiers', () => {
  it.each([
    ['PS1.Example.ORG.', 'name', 'ps1.example.org', 'global'],
    ['192.0.2.7', 'address', '192.0.2.7', 'global'],
    ['[2001:DB8:0:0::0007]', 'address', '2001:db8::7', 'global'],
    ['::ffff:192.0.2.7', 'address', '192.0.2.7', 'global'],
    ['127.10.0.7', 'address', '127.10.0.7', 'global'],
    ['10.1.1.1', 'address', '10.1.1.1', 'site'],
    ['fd2c:465:655a:0:f24d:a2ff:fedc:8bbf', 'address', 'fd2c:465:655a:0:f24d:a2ff:fedc:8bbf', 'site'],
    ['::1', 'address', '::1', 'none'],
    ['127.0.0.1', 'address', '127.0.0.1', 'none'],
    ['fe80::1%eth0', 'address', 'fe80::1', 'none'],
    ['169.254.3.4', 'address', '169.254.3.4', 'none'],
    ['0.0.0.0', 'address', '0.0.0.0', 'none'],
    ['localhost.localdomain', 'name', 'localhost.localdomain', 'none'],
  ])('%s', (text, kind, canonical, scope) => {
    expect(identifier(text)).toEqual({ kind, text: canonical, scope });
  });

  it.each(['', ' ', 'localhost', 'perfsonar', '1.2.3', '300.1.1.1', 'a b.org', '-x.org'])(
    '%j is none',
    (text) => {
      expect(identifier(text)).toBeUndefined();
    },
  );
});

describe('where a host’s pScheduler is', () => {
  const registered = (...locators: string[]) =>
    found([
      host(['ps.a.org', '192.0.2.1'], { uri: 'lookup/host/a' }),
      {
        type: ['service'],
        'service-type': ['pscheduler'],
        'service-host': ['lookup/host/a'],
        'service-locator': locators,
      },
    ]).hosts.map(({ pschedulerUrls }) => pschedulerUrls);

  it('as registered, the name before addresses', () => {
    expect(
      registered(
        'https://[2001:db8::1]:8443/pscheduler/',
        'https://192.0.2.1:8443/pscheduler',
        'https://PS.a.org/pscheduler',
      ),
    ).toEqual([
      [
        'https://ps.a.org/pscheduler',
        'https://192.0.2.1:8443/pscheduler',
        'https://[2001:db8::1]:8443/pscheduler',
      ],
    ]);
  });

  it('is nowhere but at pScheduler’s own path: nobody can have tasks sent to something else', () => {
    expect(
      registered('https://ps.a.org/admin?do=it', 'ftp://ps.a.org/pscheduler', 'https://localhost/pscheduler'),
    ).toEqual([[]]);
  });
});

describe('one host is one host', () => {
  it('over addresses, names and client-uuids, and over chains of them', () => {
    const { hosts } = found([
      host(['192.0.2.1', 'ps.example.org'], { 'client-uuid': ['AAAA-1'] }),
      host(['PS.example.org', '2001:db8::1']),
      { type: ['interface'], 'interface-addresses': ['2001:0db8::0001', '192.0.2.2'] },
      {
        type: ['service'],
        'service-type': ['pscheduler'],
        'service-locator': ['https://192.0.2.3/pscheduler'],
        'client-uuid': ['aaaa-1'],
      },
      host(['192.0.2.99']),
    ]);
    expect(hosts).toHaveLength(2);
    expect(hosts.find(({ names }) => names.length > 0)).toMatchObject({
      key: 'ps.example.org',
      names: ['ps.example.org'],
      addresses: ['192.0.2.1', '192.0.2.2', '192.0.2.3', '2001:db8::1'],
      clientUuids: ['aaaa-1'],
    });
  });

  it('over the URIs by which records point at each other', () => {
    const { hosts } = found([
      host(['192.0.2.1'], { uri: 'lookup/host/h', 'host-net-interfaces': ['lookup/interface/i'] }),
      {
        type: ['interface'],
        uri: 'lookup/interface/i',
        'interface-addresses': ['2001:db8::1'],
        'interface-capacity': ['10000000000'],
      },
      {
        type: ['service'],
        'service-type': ['pscheduler'],
        'service-host': ['/lookup/host/h'],
        'service-locator': ['https://ps.example.org/pscheduler'],
      },
    ]);
    expect(hosts).toHaveLength(1);
    expect(hosts[0]).toMatchObject({
      names: ['ps.example.org'],
      addresses: ['192.0.2.1', '2001:db8::1'],
      capacityMbps: 10_000,
    });
  });

  it('names that all hosts have, and private addresses, join nothing', () => {
    const { hosts } = found([
      host([
        'ps.a.example.org',
        'localhost',
        'localhost.localdomain',
        '::1',
        '127.0.0.1',
        '192.168.1.10',
        '',
      ]),
      host([
        'ps.b.example.org',
        'localhost',
        'localhost.localdomain',
        '::1',
        '127.0.0.1',
        '192.168.1.10',
        ' ',
      ]),
    ]);
    expect(hosts.map(({ names, addresses }) => ({ names, addresses }))).toEqual([
      { names: ['ps.a.example.org'], addresses: ['192.168.1.10'] },
      { names: ['ps.b.example.org'], addresses: ['192.168.1.10'] },
    ]);
  });

  it('hosts that have nothing but a private address are known by it', () => {
    expect(found([host(['10.0.0.5']), host(['10.0.0.5']), host(['10.0.0.6'])]).hosts).toHaveLength(2);
  });

  it('an archive without host record gives the host at its locator what it says of its own', () => {
    const said = { 'service-host': ['lookup/host/gone'], 'client-uuid': ['u'], 'location-sitename': ['A'] };
    expect(found([ma(['https://192.0.2.5/esmond/perfsonar/archive'], said)]).hosts).toMatchObject([
      { addresses: ['192.0.2.5'], clientUuids: ['u'], siteNameHint: 'A' },
    ]);
  });

  it('a service without host record falls back to its locator', () => {
    const { hosts, archives } = found([
      ma(['http://192.0.2.8/esmond/perfsonar/archive', 'https://[2001:db8::8]/esmond/perfsonar/archive'], {
        'service-host': ['lookup/host/gone'],
      }),
    ]);
    expect(hosts).toMatchObject([{ addresses: ['192.0.2.8', '2001:db8::8'] }]);
    expect(archives[0]!.hostKey).toBe(hosts[0]!.key);
  });
});

describe('services that answer tests', () => {
  const responder = (type: string, locators: string[], more: Record<string, unknown> = {}) => ({
    type: ['service'],
    'service-type': [type],
    'service-locator': locators,
    ...more,
  });

  it('name a host whose own record has an address only, and are no archives', () => {
    const { hosts, archives } = found([
      host(['192.0.2.1'], { uri: 'lookup/host/h' }),
      responder('owamp', ['tcp://ps-owamp.example.org:861', 'tcp://[2001:db8::1]:861'], {
        'service-host': ['lookup/host/h'],
      }),
      responder('ping', ['192.0.2.7', 'ps.other.example.org']),
    ]);
    expect(hosts).toMatchObject([
      { key: 'ps-owamp.example.org', addresses: ['192.0.2.1', '2001:db8::1'] },
      { key: 'ps.other.example.org', addresses: ['192.0.2.7'] },
    ]);
    expect(archives).toEqual([]);
  });
});

describe('a client-uuid of cloned machines', () => {
  const clones = (count: number) =>
    Array.from({ length: count }, (_, n) =>
      host([`192.0.2.${n}`, `ps${n}.example.org`], {
        uri: `lookup/host/${n}`,
        'client-uuid': ['CLONED'],
      }),
    );

  it('joins nothing where more than four hosts have it', () => {
    const { hosts } = found(clones(5));
    expect(hosts).toHaveLength(5);
    expect(hosts.flatMap(({ clientUuids }) => clientUuids)).toEqual([]);
  });

  it('joins four: a machine that registered anew, and once per address family', () => {
    expect(found(clones(4)).hosts).toMatchObject([{ clientUuids: ['cloned'] }]);
  });

  it('is not taken for cloned because one machine has many interfaces, or many records of one address', () => {
    const interfaces = Array.from({ length: 9 }, (_, n) => ({
      type: ['interface'],
      uri: `lookup/interface/${n}`,
      'interface-addresses': [`192.0.2.${n}`],
      'client-uuid': ['uuid'],
    }));
    expect(found(interfaces).hosts).toHaveLength(1);
    const again = Array.from({ length: 9 }, (_, n) =>
      host(['192.0.2.1'], { uri: `lookup/host/${n}`, 'client-uuid': ['uuid'] }),
    );
    expect(found(again).hosts).toMatchObject([{ clientUuids: ['uuid'] }]);
  });

  it('does not put one clone’s archive on another', () => {
    const archiveOf = (n: number) =>
      ma([`https://192.0.2.${n}/esmond/perfsonar/archive`], {
        'client-uuid': ['cloned'],
        'service-host': [`lookup/host/${n}`],
      });
    const { hosts, archives } = found([...clones(6), archiveOf(3), archiveOf(4)]);
    expect(hosts).toHaveLength(6);
    expect(archives).toMatchObject([{ hostKey: 'ps3.example.org' }, { hostKey: 'ps4.example.org' }]);
  });

  it('the order of records does not matter, and merging again changes nothing', () => {
    const records = fc
      .record({ machines: fc.integer({ min: 3, max: 7 }), archives: fc.array(fc.nat(6), { maxLength: 4 }) })
      .map(({ machines, archives }) => [
        ...clones(machines),
        ...archives.map((n, index) =>
          ma([`https://192.0.2.${n}/esmond/perfsonar/archive`], {
            uri: `lookup/service/${index}`,
            'client-uuid': ['cloned'],
          }),
        ),
      ]);
    const orders = records.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
    );
    fc.assert(
      fc.property(orders, ([list, shuffled]) => {
        const { hosts, archives } = found(list);
        expect(found(shuffled)).toMatchObject({ hosts, archives });
        expect(mergeHosts(hosts, hosts)).toEqual(hosts);
      }),
    );
  });
});

describe('archives', () => {
  it('all locators of one host are one archive: https first, names before addresses, IPv4 before IPv6', () => {
    const path = '/esmond/perfsonar/archive';
    const { archives } = found([
      host(['192.0.2.8', '2001:db8::8', 'ps.example.org']),
      ma([`http://[2001:db8::8]${path}`, `http://192.0.2.8${path}`, `https://[2001:DB8::8]${path}/`]),
      ma([`http://ps.example.org${path}`, `https://[::1]${path}`]),
      ma([`https://192.0.2.8${path}/`]),
      ma(['http://192.0.2.8/other/archive']),
    ]);
    expect(archives).toMatchObject([
      { key: '192.0.2.8/esmond/perfsonar/archive' },
      { key: '192.0.2.8/other/archive' },
    ]);
    expect(archives[0]!.urls).toEqual([
      `https://192.0.2.8${path}/`,
      `https://[2001:db8::8]${path}/`,
      `http://ps.example.org${path}/`,
      `http://192.0.2.8${path}/`,
      `http://[2001:db8::8]${path}/`,
    ]);
  });

  it('a central archive is one, and does not make its registrants one host', () => {
    const central = ['http://central.example.org/esmond/perfsonar/archive'];
    const { hosts, archives } = found([
      host(['192.0.2.1', 'ps.a.example.org'], { uri: 'lookup/host/a', 'client-uuid': ['uuid-a'] }),
      host(['192.0.2.2', 'ps.b.example.org'], { uri: 'lookup/host/b' }),
      ma(central, { 'service-host': ['lookup/host/a'] }),
      ma(central, { 'service-host': ['lookup/host/b'] }),
      ma(central, { 'client-uuid': ['uuid-c'] }),
    ]);
    expect(hosts.map(({ key }) => key)).toEqual([
      'central.example.org',
      'ps.a.example.org',
      'ps.b.example.org',
    ]);
    expect(archives).toMatchObject([{ hostKey: 'central.example.org' }]);
  });

  it('one that a whole community registers says where it is once in each claim: no work that grows by squares', () => {
    const { records } = readRecords(
      Array.from({ length: 50 }, (_, n) =>
        ma(['http://central.example.org/a', 'https://central.example.org/a'], {
          uri: `lookup/service/${n}`,
          expires: LATER,
          'client-uuid': [`uuid-${n}`],
        }),
      ),
      NOW,
    );
    const { hosts } = claimsOf([recordClaims(records, 'http://ls/')]);
    expect(Math.max(...hosts.map(({ names = [] }) => names.length))).toBe(1);
  });

  it('a central archive that only one host registers is not on that host', () => {
    const { hosts } = found([
      host(['192.0.2.1', 'ps.a.example.org'], { 'client-uuid': ['uuid-a'] }),
      ma(['http://central.example.org/esmond/perfsonar/archive'], { 'client-uuid': ['uuid-a'] }),
    ]);
    expect(hosts.map(({ key }) => key)).toEqual(['central.example.org', 'ps.a.example.org']);
  });

  it('a private address is enough to find the archive of a host that registers it', () => {
    const { hosts, archives } = found([
      host(['10.1.1.1', 'ps.a.example.org'], { uri: 'lookup/host/a' }),
      host(['10.1.1.1', 'ps.b.example.org'], { uri: 'lookup/host/b' }),
      ma(['http://10.1.1.1/esmond/perfsonar/archive', 'http://ps.a.example.org/esmond/perfsonar/archive'], {
        'service-host': ['lookup/host/a'],
      }),
    ]);
    expect(hosts.map(({ key }) => key)).toEqual(['ps.a.example.org', 'ps.b.example.org']);
    expect(archives).toMatchObject([{ hostKey: 'ps.a.example.org' }]);

    const alone = found([
      host(['10.1.1.1', 'ps.a.example.org'], { uri: 'lookup/host/a' }),
      ma(['http://10.1.1.1/esmond/perfsonar/archive'], { 'service-host': ['lookup/host/a'] }),
    ]);
    expect(alone.hosts).toHaveLength(1);
    expect(alone.archives).toMatchObject([{ hostKey: 'ps.a.example.org' }]);
  });

  it('SOAP-era archives are left out', () => {
    expect(found([ma(['http://192.0.2.1:8086/perfSONAR_PS/services/pSB'])]).archives).toEqual([]);
  });

  it('keep their key and what was found out about them while a URL stays', () => {
    const urls = ['https://192.0.2.1/esmond/perfsonar/archive/'];
    const known = [{ key: 'old key', urls, kind: 'elmond' as const, sources: [] }];
    const claims = [{ urls: [...urls, 'https://new.example.org/esmond/perfsonar/archive/'], sources: ['s'] }];
    expect(mergeArchives(claims, [], known)).toMatchObject([{ key: 'old key', kind: 'elmond' }]);
  });
});

describe('what records say', () => {
  it('default and impossible coordinates are none', () => {
    const place = (latitude: string, longitude: string) =>
      found([host(['192.0.2.1'], { 'location-latitude': [latitude], 'location-longitude': [longitude] })])
        .hosts[0];
    expect(place('37.5', '121.7469')?.latitude).toBeUndefined();
    expect(place('0', '0')?.latitude).toBeUndefined();
    expect(place('95', '10')?.latitude).toBeUndefined();
    expect(place('', '')?.latitude).toBeUndefined();
    expect(place('46.2', '6.1')).toMatchObject({ latitude: 46.2, longitude: 6.1 });
  });

  it('what is over, deleted, malformed or about persons is dropped and counted', () => {
    const read = found([
      host(['192.0.2.1'], { expires: '2026-03-01T12:00:00.000Z' }),
      host(['192.0.2.2'], { state: 'deleted' }),
      host(['192.0.2.3'], { state: 'expired' }),
      host(['192.0.2.4'], { expires: undefined }),
      host(['192.0.2.5'], { type: undefined }),
      { type: ['person'], 'person-name': ['A. N. Other'], 'person-emails': ['other@example.org'] },
      { type: ['service'], 'service-type': ['ndt'], 'service-locator': ['http://192.0.2.6:7123'] },
      host(['192.0.2.7'], { 'host-administrators': ['lookup/person/p'], 'person-name': ['A. N. Other'] }),
    ]);
    expect(read).toMatchObject({ expired: 3, malformed: 2, unwanted: 2 });
    expect(read.hosts.map(({ addresses }) => addresses)).toEqual([['192.0.2.7']]);
    expect(JSON.stringify([read.records, read.hosts])).not.toMatch(/other|person/i);
  });

  it('bare texts, numbers, null and empty values are taken as they are meant', () => {
    const { hosts } = found([
      {
        type: 'host',
        'host-name': 'ps.example.org',
        'location-sitename': [' '],
        'location-latitude': 46.2,
        'location-longitude': [6.1],
        'group-communities': null,
        'pshost-role': [''],
        'interface-capacity': ['unknown'],
      },
    ]);
    expect(hosts).toMatchObject([{ key: 'ps.example.org', latitude: 46.2, communities: [], roles: [] }]);
    expect(hosts[0]).not.toHaveProperty('siteNameHint');
  });

  it('of two records the one that expires later is believed', () => {
    const records = [
      host(['192.0.2.1'], { 'location-city': ['Old Town'], expires: '2026-03-01T12:30:00Z' }),
      host(['192.0.2.1'], { 'location-city': ['New Town'], expires: '2026-03-01T13:30:00Z' }),
    ];
    expect(found(records).hosts[0]!.city).toBe('New Town');
    expect(found(records.toReversed()).hosts[0]!.city).toBe('New Town');
  });
});

describe('keys', () => {
  it('stay when names come and go, as long as one identifier is shared', () => {
    const [first] = mergeHosts([{ names: ['ps.example.org'], addresses: ['192.0.2.1'] }]);
    const [second] = mergeHosts([{ names: ['aaa.example.org'], addresses: ['192.0.2.1'] }], [first!]);
    expect(second!.key).toBe('ps.example.org');
  });

  it('two known hosts that turn out to be one: the key of the one that shares more', () => {
    const known = mergeHosts([
      { names: ['a.example.org'] },
      { names: ['b.example.org'], addresses: ['192.0.2.1'] },
    ]);
    const claim = { names: ['a.example.org', 'b.example.org'], addresses: ['192.0.2.1'] };
    expect(mergeHosts([claim], known).map(({ key }) => key)).toEqual(['b.example.org']);
  });

  it('one known host that turns out to be two: one has the key, the other a new one', () => {
    const known = mergeHosts([{ names: ['x.example.org'], addresses: ['192.0.2.1', '192.0.2.2'] }]);
    const claims = [{ names: ['x.example.org'], addresses: ['192.0.2.1'] }, { addresses: ['192.0.2.2'] }];
    expect(mergeHosts(claims, known).map(({ key }) => key)).toEqual(['192.0.2.2', 'x.example.org']);
  });

  it('the key of a known host that is not met is not given to another', () => {
    const known = mergeHosts([{ names: ['x.example.org'], addresses: ['192.0.2.1'] }]).map((host) => ({
      ...host,
      names: [],
    }));
    expect(mergeHosts([{ names: ['x.example.org'] }], known)[0]!.key).toBe('x.example.org~2');
  });
});

describe('laws', () => {
  const text = (options: string[]) => fc.array(fc.constantFrom(...options), { maxLength: 3 });
  const claim: fc.Arbitrary<HostClaim> = fc.record(
    {
      names: text(['a.org', 'b.org', 'c.org', 'localhost', 'd.org']),
      addresses: text(['192.0.2.1', '192.0.2.2', '2001:db8::1', '10.0.0.1', '10.0.0.2', '::1', '']),
      clientUuids: text(['u1', 'u2', 'u3']),
      links: text(['l1', 'l2', 'l3']),
      city: fc.constantFrom('Geneva', 'Chicago'),
      latitude: fc.constantFrom(1, 2),
      longitude: fc.constantFrom(3, 4),
      capacityMbps: fc.constantFrom(1000, 10_000),
      sources: text(['s1', 's2']),
      freshness: fc.constantFrom(1, 2),
    },
    { requiredKeys: [] },
  );
  const claims = fc.array(claim, { maxLength: 12 });

  it('the order of claims does not matter', () => {
    fc.assert(
      fc.property(
        claims.chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }), claims),
        ),
        ([list, shuffled, before]) => {
          const known = mergeHosts(before);
          expect(mergeHosts(shuffled, known)).toEqual(mergeHosts(list, known));
        },
      ),
    );
  });

  it('merging again changes nothing, and keys are unique', () => {
    fc.assert(
      fc.property(claims, claims, (list, before) => {
        const hosts = mergeHosts(list, mergeHosts(before));
        expect(mergeHosts(hosts, hosts)).toEqual(hosts);
        expect(new Set(hosts.map(({ key }) => key)).size).toBe(hosts.length);
      }),
    );
  });

  it('no two hosts share a name, a public address or a client-uuid', () => {
    fc.assert(
      fc.property(claims, (list) => {
        const all = mergeHosts(list).flatMap(({ names, addresses, clientUuids }) => [
          ...names,
          ...addresses.filter((address) => identifier(address)?.scope === 'global'),
          ...clientUuids,
        ]);
        expect(new Set(all).size).toBe(all.length);
      }),
    );
  });

  it('the order of records does not matter, nor which server holds them', () => {
    const archive = 'http://central.org/esmond/perfsonar/archive';
    const record = fc.oneof(
      fc
        .record({ names: text(['a.org', '192.0.2.1', '192.0.2.2']), uuid: text(['u1', 'u2']) })
        .map(({ names, uuid }) => host(names, { uri: `lookup/host/${uuid[0] ?? 'x'}`, 'client-uuid': uuid })),
      fc
        .record({
          at: fc.constantFrom(archive, 'http://192.0.2.1/x', 'http://a.org/x'),
          uuid: text(['u1', 'u2']),
          of: fc.constantFrom('u1', 'u2', 'x'),
        })
        .map(({ at, uuid, of }) => ma([at], { 'client-uuid': uuid, 'service-host': [`lookup/host/${of}`] })),
    );
    fc.assert(
      fc.property(
        fc
          .array(record, { maxLength: 10 })
          .map((list) => list.map((each, index) => ({ uri: `lookup/service/${index}`, ...each })))
          .chain((list) =>
            fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
          ),
        ([list, shuffled]) => {
          const { hosts, archives } = found(list);
          expect(found(shuffled)).toMatchObject({ hosts, archives });
        },
      ),
    );
  });
});
