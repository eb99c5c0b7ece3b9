import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { discover } from '../../../src/spider/discover.ts';
import { HttpFailure } from '../../../src/spider/http.ts';
import { durationSeconds } from '../../../src/spider/sources/contents.ts';
import { fakeHttp, quietLog } from './helpers.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
const URL_ = 'https://psconfig.example.org/pub/config/mesh';

type Fields = Record<string, unknown>;

/** Discovers from documents by URL; the first one is configured unless told otherwise. */
async function from(documents: Record<string, unknown>, psconfigUrls = [Object.keys(documents)[0]!]) {
  const http = fakeHttp((url) => documents[url.href]);
  const found = await discover(
    { psconfigUrls },
    { hosts: [], archives: [] },
    { http, now: NOW, log: quietLog },
  );
  return {
    ...found,
    asked: http.asked.map(({ href }) => href),
    pairs: found.expected.map(({ source, destination }) => `${source}>${destination}`),
    urls: found.archives.flatMap(({ urls }) => urls),
    reports: Object.fromEntries(found.sources.map((report) => [report.source, report])),
  };
}
const fromOne = (document: Fields) => from({ [URL_]: document });

const A = 'a.example.org';
const B = 'b.example.org';
const C = 'c.example.org';
const ends = { source: '{% address[0] %}', dest: '{% address[1] %}' };
const named = (...names: string[]) => names.map((name) => ({ name }));

/** A template with one throughput mesh of a, b and c; each section can be added to or replaced. */
function template(more: Record<string, Fields> = {}): Fields {
  const sections: Record<string, Fields> = {
    addresses: Object.fromEntries([A, B, C].map((name) => [name, { address: name, host: name }])),
    hosts: { [A]: {}, [B]: {}, [C]: {} },
    groups: { group: { type: 'mesh', addresses: named(A, B, C) } },
    tests: { test: { type: 'throughput', spec: { ...ends, 'ip-version': 4 } } },
    schedules: { schedule: { repeat: 'PT6H', slip: 'PT3H' } },
    tasks: { task: { group: 'group', test: 'test', schedule: 'schedule', archives: ['archive'] } },
    archives: {
      archive: { archiver: 'esmond', data: { url: 'https://ma.example.org/esmond/perfsonar/archive' } },
    },
  };
  for (const [name, members] of Object.entries(more)) sections[name] = { ...sections[name], ...members };
  return sections;
}
const MESH = [`${A}>${B}`, `${A}>${C}`, `${B}>${A}`, `${B}>${C}`, `${C}>${A}`, `${C}>${B}`];

describe('a template', () => {
  it('names hosts, archives and the tests that are expected', async () => {
    const { hosts, archives, expected, sources } = await fromOne(template());
    expect(hosts.map(({ key }) => key)).toEqual([A, B, C, 'ma.example.org']);
    expect(archives).toMatchObject([
      {
        urls: ['https://ma.example.org/esmond/perfsonar/archive/'],
        hostKey: 'ma.example.org',
        sources: [URL_],
      },
    ]);
    expect(expected[0]).toEqual({
      template: URL_,
      origin: URL_,
      task: 'task',
      source: A,
      destination: B,
      testType: 'throughput',
      ipVersion: 4,
      intervalSeconds: 21_600,
    });
    expect(expected.map(({ source, destination }) => `${source}>${destination}`)).toEqual(MESH);
    expect(sources).toEqual([{ source: URL_, ok: true, records: 10 }]);
  });

  it.each<[Fields, boolean]>([
    [{ udp: true, bandwidth: '50M' }, true],
    [{ bandwidth: 50e6 }, true],
    [{ udp: false }, false],
    [{}, false],
  ])('a test with %j says at which rate to send: %s', async (spec, isRateSet) => {
    const test = { type: 'throughput', spec: { ...ends, ...spec } };
    const { expected } = await fromOne(template({ tests: { test } }));
    expect(expected.every((each) => each.isRateSet === (isRateSet || undefined))).toBe(true);
  });

  it('tells where a pScheduler is that is not at its host’s own address', async () => {
    const address = { address: A, host: A, 'pscheduler-address': 'ps.example.org:8443' };
    const { hosts } = await fromOne(template({ addresses: { [A]: address } }));
    expect(hosts.find(({ key }) => key === A)?.pschedulerUrls).toEqual([
      'https://ps.example.org:8443/pscheduler',
    ]);
  });

  it.each<[string, Record<string, Fields>, string[]]>([
    [
      'disabled address',
      { addresses: { [C]: { address: C, disabled: true } } },
      MESH.slice(0, 1).concat(MESH[2]!),
    ],
    ['disabled host', { hosts: { [C]: { disabled: true } } }, [MESH[0]!, MESH[2]!]],
    ['disabled task', { tasks: { task: { group: 'group', test: 'test', disabled: true } } }, []],
    [
      'disabled member',
      { groups: { group: { type: 'mesh', addresses: [...named(A, B), { name: C, disabled: true }] } } },
      [MESH[0]!, MESH[2]!],
    ],
    [
      'excluded pair, in its direction alone',
      {
        groups: {
          group: {
            type: 'mesh',
            addresses: named(A, B),
            excludes: [{ 'local-address': { name: A }, 'target-addresses': named(B) }],
          },
        },
      },
      [`${B}>${A}`],
    ],
    [
      'disjoint group, both ways',
      { groups: { group: { type: 'disjoint', 'a-addresses': named(A), 'b-addresses': named(B, C) } } },
      [`${A}>${B}`, `${A}>${C}`, `${B}>${A}`, `${C}>${A}`],
    ],
    [
      'disjoint group, one way',
      {
        groups: {
          group: {
            type: 'disjoint',
            unidirectional: true,
            'a-addresses': named(A),
            'b-addresses': named(B, C),
          },
        },
      },
      [`${A}>${B}`, `${A}>${C}`],
    ],
    [
      'list with a fixed destination',
      {
        groups: { group: { type: 'list', addresses: named(A, B) } },
        tests: { test: { type: 'rtt', spec: { dest: 'www.example.com' } } },
      },
      [`${A}>www.example.com`, `${B}>www.example.com`],
    ],
    [
      'list of tests without destination',
      {
        groups: { group: { type: 'list', addresses: named(A, B) } },
        tests: { test: { type: 'http', spec: { url: 'https://www.example.com/' } } },
      },
      [],
    ],
    [
      'test from the second member to the first',
      {
        groups: {
          group: { type: 'disjoint', unidirectional: true, 'a-addresses': named(A), 'b-addresses': named(B) },
        },
        tests: { test: { type: 'throughput', spec: { source: ends.dest, dest: ends.source } } },
      },
      [`${B}>${A}`],
    ],
    [
      'two addresses of one host',
      { addresses: { [C]: { address: C, host: A } } },
      [MESH[0]!, MESH[2]!, MESH[3]!, MESH[5]!],
    ],
    [
      'two addresses of one host, where that is asked for',
      {
        addresses: { [C]: { address: C, host: A } },
        groups: { group: { type: 'mesh', addresses: named(A, C), 'excludes-self': 'address' } },
      },
      [`${A}>${C}`, `${C}>${A}`],
    ],
    [
      'hosts of which neither runs an agent',
      { hosts: { [B]: { 'no-agent': true } }, addresses: { [C]: { address: C, 'no-agent': true } } },
      MESH.filter((pair) => !/^b.*>c|^c.*>b/.test(pair)),
    ],
    [
      'label, and a member without it',
      {
        addresses: { [A]: { address: A, labels: { v6: { address: '2001:DB8::A' } } } },
        groups: {
          group: {
            type: 'mesh',
            addresses: [{ name: A, label: 'v6' }, { name: B }, { name: C, label: 'v6' }],
          },
        },
      },
      [`2001:db8::a>${B}`, `${B}>2001:db8::a`],
    ],
    [
      'label by default',
      {
        addresses: {
          [A]: { address: A, labels: { v6: { address: '2001:db8::a' } } },
          [B]: { address: B, labels: { v6: { address: '2001:db8::b' } } },
        },
        groups: { group: { type: 'mesh', 'default-address-label': 'v6', addresses: named(A, B) } },
      },
      ['2001:db8::a>2001:db8::b', '2001:db8::b>2001:db8::a'],
    ],
    [
      'address towards one other',
      { addresses: { [A]: { address: A, 'remote-addresses': { [B]: { address: 'circuit.example.org' } } } } },
      ['circuit.example.org>b.example.org', MESH[1]!, 'b.example.org>circuit.example.org', ...MESH.slice(3)],
    ],
    [
      'member that is not defined',
      { groups: { group: { type: 'mesh', addresses: named(A, B, 'gone') } } },
      [MESH[0]!, MESH[2]!],
    ],
    [
      'address that means nothing elsewhere',
      { addresses: { [C]: { address: 'localhost' } } },
      [MESH[0]!, MESH[2]!],
    ],
    ['group of a kind unknown', { groups: { group: { type: 'ring', addresses: named(A, B) } } }, []],
    [
      'malformed address beside good ones',
      { addresses: { [C]: { address: 7 }, d: 'none' } },
      [MESH[0]!, MESH[2]!],
    ],
  ])('pairs: %s', async (_, more, pairs) => {
    expect((await fromOne(template(more))).pairs).toEqual(pairs);
  });

  it('a disabled address is no host', async () => {
    const { hosts } = await fromOne(template({ addresses: { [C]: { address: C, disabled: true } } }));
    expect(hosts.map(({ key }) => key)).toEqual([A, B, 'ma.example.org']);
  });

  it('addresses and labels of one host are one host', async () => {
    const { hosts } = await fromOne(
      template({
        addresses: {
          [A]: { address: A, host: A, labels: { v6: { address: '2001:db8::a' } } },
          [B]: { address: B, host: A },
        },
      }),
    );
    expect(hosts[0]).toMatchObject({ names: [A, B], addresses: ['2001:db8::a'] });
  });

  it.each<[string, Fields, string[]]>([
    ['esmond', { archiver: 'esmond', data: { url: 'https://ma/' } }, []],
    ['esmond without URL', { archiver: 'esmond', data: {} }, []],
    [
      'http, with _meta inside data',
      {
        archiver: 'http',
        data: {
          _url: 'https://w.example.org/logstash',
          _meta: { esmond_url: 'http://r.example.org/esmond/' },
        },
      },
      ['http://r.example.org/esmond/'],
    ],
    [
      'http, with _meta beside data',
      {
        archiver: 'http',
        data: { _url: 'https://w.example.org/logstash' },
        _meta: { esmond_url: 'http://r.example.org/esmond' },
      },
      ['http://r.example.org/esmond/'],
    ],
    [
      'http to /logstash, without _meta',
      { archiver: 'http', data: { _url: 'https://w.example.org/logstash' } },
      ['https://w.example.org/esmond/perfsonar/archive/'],
    ],
    ['http to somewhere', { archiver: 'http', data: { _url: 'https://w.example.org/collect' } }, []],
    ['rabbitmq', { archiver: 'rabbitmq', data: { _url: 'amqp://w.example.org/' } }, []],
    [
      'rabbitmq, with _meta',
      {
        archiver: 'rabbitmq',
        data: { _url: 'amqp://w.example.org/' },
        _meta: { esmond_url: 'https://r.example.org/e/' },
      },
      ['https://r.example.org/e/'],
    ],
    [
      'that of the host which schedules',
      { archiver: 'http', data: { _url: 'https://{% scheduled_by_address %}/logstash' } },
      [A, B, C].map((name) => `https://${name}/esmond/perfsonar/archive/`),
    ],
    [
      'localhost, which is the same',
      { archiver: 'esmond', data: { url: 'https://localhost/esmond/perfsonar/archive' } },
      [A, B, C].map((name) => `https://${name}/esmond/perfsonar/archive/`),
    ],
    ['another template variable', { archiver: 'esmond', data: { url: 'https://{% jq .x %}/e/' } }, []],
  ])('archive: %s', async (_, archive, urls) => {
    expect((await fromOne(template({ archives: { archive } }))).urls).toEqual(urls);
  });

  it('an IPv6 address that schedules is put in brackets', async () => {
    const { urls } = await fromOne(
      template({
        addresses: { [A]: { address: '2001:db8::a' } },
        groups: {
          group: { type: 'disjoint', unidirectional: true, 'a-addresses': named(A), 'b-addresses': named(B) },
        },
        archives: {
          archive: { archiver: 'http', data: { _url: 'https://{% scheduled_by_address %}/logstash' } },
        },
      }),
    );
    expect(urls).toEqual(['https://[2001:db8::a]/esmond/perfsonar/archive/']);
  });

  it('archives of hosts count when their host schedules; one that nothing uses does not', async () => {
    const esmond = (host: string) => ({ archiver: 'esmond', data: { url: `https://${host}/e/` } });
    const { urls } = await fromOne(
      template({
        archives: {
          ofB: esmond('mb.example.org'),
          ofC: esmond('mc.example.org'),
          unused: esmond('mu.example.org'),
        },
        hosts: { [B]: { archives: ['ofB'] }, [C]: { archives: ['ofC'], 'no-agent': true } },
        tasks: { task: { group: 'group', test: 'test' } },
      }),
    );
    expect(urls).toEqual(['https://mb.example.org/e/']);
  });

  it.each<[string, Fields, string[]]>([
    ['tag', { type: 'tag', tag: 'bw' }, [A, B]],
    ['tag of the host', { type: 'host', tag: 'big' }, [C]],
    [
      'not, and, or',
      {
        type: 'and',
        filters: [
          { type: 'not', filter: { type: 'tag', tag: 'x' } },
          {
            type: 'or',
            filters: [
              { type: 'tag', tag: 'bw' },
              { type: 'host', tag: 'big' },
            ],
          },
        ],
      },
      [B, C],
    ],
    ['another class', { type: 'address-class', class: 'other' }, [A]],
    ['a class that is defined by itself', { type: 'address-class', class: 'class' }, []],
    ['ip-version', { type: 'ip-version', 'ip-version': 6 }, ['v6']],
    ['netmask', { type: 'netmask', netmask: '2001:db8::/32' }, ['v6']],
    ['jq, which is not known', { type: 'jq', jq: { script: '.' } }, []],
  ])('addresses by class: %s', async (_, filter, members) => {
    const { hosts, expected } = await fromOne(
      template({
        addresses: {
          [A]: { address: A, tags: ['bw', 'x'] },
          [B]: { address: B, tags: ['bw'] },
          v6: { address: '2001:db8::6' },
        },
        hosts: { [C]: { tags: ['big'] } },
        'address-classes': {
          class: { 'data-source': { type: 'current-config' }, 'match-filter': filter },
          other: {
            'data-source': { type: 'current-config' },
            'match-filter': { type: 'tag', tag: 'bw' },
            'exclude-filter': { type: 'not', filter: { type: 'tag', tag: 'x' } },
          },
        },
        groups: { group: { type: 'list', addresses: [{ class: 'class' }] } },
        tests: { test: { type: 'rtt', spec: { dest: 'www.example.com' } } },
      }),
    );
    expect(expected.map(({ source }) => source)).toEqual(
      members.map((name) => (name === 'v6' ? '2001:db8::6' : name)),
    );
    expect(hosts).toHaveLength(4 + Number(expected.length > 0));
  });

  it.each([
    ['PT6H', 21_600],
    ['P1D', 86_400],
    ['P1W', 604_800],
    ['PT1H30M', 5400],
    ['PT0.5S', 0.5],
    ['PT0S', undefined],
    ['6 hours', undefined],
  ])('%s is %s s', (text, seconds) => {
    expect(durationSeconds(text)).toBe(seconds);
  });
});

describe('a document that asks for millions of pairs', () => {
  const many = Array.from({ length: 600 }, (_, n) => `ps${n}.example.org`);

  it('as a template: the other groups are used', async () => {
    const { pairs } = await fromOne(
      template({
        addresses: Object.fromEntries(many.map((name) => [name, { address: name }])),
        groups: { many: { type: 'mesh', addresses: named(...many) } },
        tasks: { many: { group: 'many', test: 'test' } },
      }),
    );
    expect(pairs).toEqual(MESH);
  });

  it('as a mesh configuration', async () => {
    const test = (members: string[]) => ({
      members: { type: 'mesh', members },
      parameters: { type: 'pinger' },
    });
    const { pairs } = await fromOne({ organizations: [], tests: [test(many), test([A, B])] });
    expect(pairs).toEqual([`${A}>${B}`, `${B}>${A}`]);
  });
});

describe('documents that name others', () => {
  const list = 'https://psconfig.example.org/pub/config';
  const at = (name: string) => `${list}/${name}`;

  it('a list of templates: each stands for itself, below its origin', async () => {
    const { expected, reports } = await from({
      [list]: [{ include: [at('1'), at('2')] }, at('3')],
      [at('1')]: template(),
      [at('2')]: template(),
      [at('3')]: template(),
    });
    expect(new Set(expected.map(({ template, origin }) => `${origin} ${template}`))).toEqual(
      new Set(['1', '2', '3'].map((name) => `${list} ${at(name)}`)),
    );
    expect(reports[list]).toEqual({ source: list, ok: true, records: 3 });
  });

  it('an object that does nothing but include is a list', async () => {
    const { expected } = await from({
      [list]: { include: at('1') },
      [at('1')]: { includes: [at('2'), at('3')] },
      [at('2')]: template(),
      [at('3')]: template(),
    });
    expect(new Set(expected.map(({ template }) => template))).toEqual(new Set([at('2'), at('3')]));
  });

  it('what a template includes is part of it; its own definitions win', async () => {
    const { addresses, archives, tests, ...rest } = template();
    const { urls, pairs, reports } = await from({
      [URL_]: {
        ...rest,
        addresses: { [A]: { address: 'own.example.org' } },
        includes: ['common'],
        include: at('more'),
      },
      'https://psconfig.example.org/pub/config/common': { addresses, archives },
      [at('more')]: { tests, includes: [URL_] },
    });
    expect(pairs).toEqual(MESH.map((pair) => pair.replace(A, 'own.example.org')));
    expect(urls).toEqual(['https://ma.example.org/esmond/perfsonar/archive/']);
    expect(Object.values(reports).map(({ ok }) => ok)).toEqual([true, true, true]);
  });

  it.each([
    [at('x'), at('x')],
    ['/other/x', 'https://psconfig.example.org/other/x'],
    ['psconfig.example.net/x', 'https://psconfig.example.net/x'],
    ['//psconfig.example.net/x#part', 'https://psconfig.example.net/x'],
  ])('%s is %s', async (include, url) => {
    expect((await from({ [list]: [{ include: [include] }] })).asked).toEqual([list, url]);
  });

  it('circles, and documents that several name, are read once', async () => {
    const { asked, expected } = await from(
      {
        [list]: [{ include: [at('a'), at('b'), list] }],
        [at('a')]: [{ include: [at('b'), at('mesh')] }],
        [at('b')]: [{ include: [at('a'), at('mesh')] }],
        [at('mesh')]: { ...template(), includes: [at('mesh'), list] },
      },
      [list, at('b')],
    );
    expect(asked.toSorted()).toEqual([list, at('a'), at('b'), at('mesh')]);
    expect(expected).toHaveLength(6);
    expect(new Set(expected.map(({ origin }) => origin))).toEqual(new Set([list]));
  });

  it('a chain without end is left', async () => {
    const http = fakeHttp((url) => [{ include: [`${url.href}x`] }]);
    const { sources } = await discover(
      { psconfigUrls: [list] },
      { hosts: [], archives: [] },
      { http, now: NOW, log: quietLog },
    );
    expect(http.asked).toHaveLength(6);
    expect(sources[0]).toMatchObject({
      ok: false,
      fault: 'bad-data',
      message: `${list} includes what could not be read: ${list}xxxxxx is included more than 5 documents deep`,
    });
  });

  it('one that fails is reported, and with it what names it; the others are used', async () => {
    const http = fakeHttp((url) => {
      if (url.href === list)
        return [{ include: [at('good'), at('dead'), at('odd'), 'ftp://x.example.org/x'] }];
      if (url.href === at('good')) return template();
      if (url.href === at('odd')) return { message: 'no' };
      throw new HttpFailure('timeout', url.href, 'was not done within 30 s');
    });
    const { expected, sources } = await discover(
      { psconfigUrls: [list] },
      { hosts: [], archives: [] },
      { http, now: NOW, log: quietLog },
    );
    expect(expected).toHaveLength(6);
    expect(sources).toEqual([
      {
        source: list,
        ok: false,
        records: 4,
        fault: 'timeout',
        message: `${list} includes what could not be read: ${at('dead')} was not done within 30 s (and 2 more)`,
      },
      { source: at('good'), ok: true, records: 10 },
      {
        source: at('dead'),
        ok: false,
        records: 0,
        fault: 'timeout',
        message: `${at('dead')} was not done within 30 s`,
      },
      {
        source: at('odd'),
        ok: false,
        records: 0,
        fault: 'bad-data',
        message: `${at('odd')} is no pSConfig template, no MeshConfig and no list of them`,
      },
      {
        source: 'ftp://x.example.org/x',
        ok: false,
        records: 0,
        fault: 'bad-data',
        message: 'ftp://x.example.org/x is included, but is no http or https URL',
      },
    ]);
  });
});

describe('a mesh configuration of before pSConfig', () => {
  const archive = (read_url: string) => ({ type: 'perfsonarbuoy/bwctl', read_url, write_url: read_url });
  const mesh = (members: Fields, parameters: Fields = {}, test: Fields = {}): Fields => ({
    description: 'A mesh',
    administrators: [{ name: 'A. N. Other', email: 'other@example.org' }],
    measurement_archives: [archive('https://central.example.org/esmond/perfsonar/archive/')],
    organizations: [
      {
        description: 'An organization',
        sites: [
          {
            description: 'Site A',
            location: { city: 'Geneva', country: 'CH', latitude: '46.2', longitude: '6.1' },
            administrators: [{ name: 'A. N. Other', email: 'other@example.org' }],
            hosts: [
              {
                addresses: [A, { address: '192.0.2.1' }],
                measurement_archives: [archive(`https://${A}/esmond/perfsonar/archive/`)],
              },
            ],
          },
        ],
        hosts: [
          {
            addresses: [B],
            measurement_archives: [archive('http://old.example.org:8085/perfSONAR_PS/services/pSB')],
          },
          { addresses: [C], no_agent: '1' },
        ],
      },
    ],
    tests: [
      {
        description: 'Throughput',
        members,
        parameters: { type: 'perfsonarbuoy/bwctl', interval: '21600', ipv4_only: '1', ...parameters },
        ...test,
      },
    ],
  });

  it('names hosts, archives, and the tests that are expected; nothing of persons', async () => {
    const all = await fromOne(mesh({ type: 'mesh', members: [A, B] }));
    expect(all.hosts).toMatchObject([
      {
        key: A,
        addresses: ['192.0.2.1'],
        siteNameHint: 'Site A',
        countryCode: 'CH',
        latitude: 46.2,
        longitude: 6.1,
      },
      { key: B, siteNameHint: 'An organization' },
      { key: C },
      { key: 'central.example.org' },
    ]);
    expect(all.urls).toEqual([
      `https://${A}/esmond/perfsonar/archive/`,
      'https://central.example.org/esmond/perfsonar/archive/',
    ]);
    expect(all.expected[0]).toEqual({
      template: URL_,
      origin: URL_,
      task: 'Throughput (1)',
      source: A,
      destination: B,
      testType: 'throughput',
      ipVersion: 4,
      intervalSeconds: 21_600,
    });
    expect(JSON.stringify(all)).not.toMatch(/Other|other@/);
  });

  it.each<[string, Fields, string[]]>([
    ['mesh', { type: 'mesh', members: [A, B, A] }, [`${A}>${B}`, `${B}>${A}`]],
    ['ordered mesh', { type: 'ordered_mesh', members: [A, B, C] }, [`${A}>${B}`, `${A}>${C}`, `${B}>${C}`]],
    [
      'star',
      { type: 'star', center_address: A, members: [A, B, C] },
      [`${A}>${B}`, `${A}>${C}`, `${B}>${A}`, `${C}>${A}`],
    ],
    ['disjoint', { type: 'disjoint', a_members: [A], b_members: [B] }, [`${A}>${B}`, `${B}>${A}`]],
    ['addresses of one host', { type: 'mesh', members: [A, '192.0.2.1'] }, []],
    ['no agent at either end', { type: 'mesh', members: [B, C], no_agents: [B] }, []],
    ['of a kind unknown', { type: 'ring', members: [A, B] }, []],
  ])('pairs: %s', async (_, members, pairs) => {
    expect((await fromOne(mesh(members))).pairs).toEqual(pairs);
  });

  it.each<[Fields, Fields]>([
    [
      { type: 'perfsonarbuoy/owamp', interval: undefined },
      { testType: 'latencybg', ipVersion: 4 },
    ],
    [
      { type: 'pinger', interval: undefined, test_interval: 300 },
      { testType: 'rtt', intervalSeconds: 300 },
    ],
    [
      { type: 'traceroute', ipv4_only: 0, ipv6_only: true },
      { testType: 'trace', ipVersion: 6 },
    ],
    [{ type: 'simplestream' }, { testType: 'simplestream' }],
    [{ protocol: 'udp' }, { testType: 'throughput', isRateSet: true }],
    [{ udp_bandwidth: '50000000' }, { testType: 'throughput', isRateSet: true }],
  ])('%j is %j', async (parameters, expected) => {
    const found = await fromOne(mesh({ type: 'mesh', members: [A, B] }, parameters));
    expect(found.expected[0]).toMatchObject(expected);
    if (parameters.type === 'perfsonarbuoy/owamp')
      expect(found.expected[0]).not.toHaveProperty('intervalSeconds');
  });

  it('a disabled test is not expected', async () => {
    const disabled = mesh({ type: 'mesh', members: [A, B] }, {}, { disabled: '1' });
    expect((await fromOne(disabled)).expected).toEqual([]);
  });
});

const SAMPLES = new URL('../../../../shared/samples/perfsonar/', import.meta.url);
const present = existsSync(SAMPLES);
describe.skipIf(!present)(
  `captured templates${present ? '' : ' (skipped: no ../shared/samples/perfsonar)'}`,
  () => {
    const sample = (name: string) => JSON.parse(readFileSync(new URL(name, SAMPLES), 'utf8')) as Fields;
    const counts = ({ hosts, archives, expected }: Awaited<ReturnType<typeof fromOne>>) => ({
      hosts: hosts.length,
      archives: archives.length,
      archivesWithHost: archives.filter(({ hostKey }) => hostKey !== undefined).length,
      expected: Object.fromEntries(
        [
          ...Map.groupBy(expected, ({ testType, ipVersion, intervalSeconds }) =>
            [testType, ipVersion ?? '', intervalSeconds ?? ''].join(' '),
          ),
        ].map(([key, tests]) => [key, tests.length]),
      ),
    });

    it('the LHCOPN: 30 hosts in five full meshes, 9 archives', async () => {
      const found = await fromOne(sample('psconfig-lhcopn-all.json'));
      console.log('psconfig-lhcopn-all:', JSON.stringify(counts(found)));
      expect(counts(found)).toEqual({
        hosts: 30,
        archives: 9,
        archivesWithHost: 9,
        expected: {
          'throughput 4 21600': 210,
          'latencybg  ': 210,
          'throughput 6 21600': 210,
          'trace 4 600': 870,
          'trace 6 600': 870,
        },
      });
      expect(found.hosts.find(({ key }) => key === 'psb01-gva.cern.ch')!.siteNameHint).toBe('CERN');
    });

    it('upstream’s example of version 5: one archive behind an http archiver, a disabled address, disabled tasks', async () => {
      const found = await fromOne(sample('psconfig-example-testbed-v5.json'));
      console.log('psconfig-example-testbed-v5:', JSON.stringify(counts(found)));
      // Of 20 addresses one is disabled, and six are on two hosts; a central archive besides.
      expect(counts(found)).toEqual({
        hosts: 16,
        archives: 1,
        archivesWithHost: 1,
        expected: {
          'throughput 4 14400': 14 * 13 + 13 * 12 + 10 * 9,
          'trace 4 600': 14 * 13,
          'latencybg 4 ': 14 * 13,
          'rtt 4 900': 11 * 10,
        },
      });
      expect(found.urls).toEqual(['http://perfsonar-testbed-ma.grnoc.iu.edu/esmond/perfsonar/archive/']);
      expect(JSON.stringify(found.expected)).not.toContain('ma-dev2.bldc.grnoc.iu.edu');
    });
  },
);
