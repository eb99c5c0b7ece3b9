import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseCric, parseCricDomains } from '../../../../src/sites/sources/cric.ts';

const site = (more: object = {}) => ({ name: 'EX-T2', state: 'ACTIVE', services: [], ...more });
const only = (more: object) => parseCric({ 'EX-T2': site(more) }, 'here').facts.sites[0]!;

describe('CRIC rcsite', () => {
  test('says what it says of a site, and no more', () => {
    const { facts, skipped } = parseCric({ 'EX-T2': { name: 'EX-T2' } }, 'https://cric.example/');
    expect(skipped).toEqual([]);
    expect(facts).toEqual({
      kind: 'cric',
      origin: 'https://cric.example/',
      sites: [
        {
          name: 'EX-T2',
          aliases: [],
          texts: [],
          hosts: [],
          prefixes: [],
          domains: [],
          active: true,
        },
      ],
    });
  });

  test('joining numbers, place, names of experiments, netsites and federations', () => {
    const found = only({
      oim_groupid: 71,
      gocdb_pk: '268G0',
      latitude: 46.2,
      longitude: 6.05,
      country_code: 'ch',
      description: ' Example Tier 2 ',
      institute: '(No resource group description)',
      federations: ['CH-EX'],
      netsites: { 'EX North': {} },
      sites: [
        { vo_name: 'cms', name: 'T2_CH_EX' },
        { vo_name: 'ATLAS', name: 'EX-ATLAS' },
        { vo_name: 'belle', name: 'EX.ch' },
      ],
    });
    expect(found).toMatchObject({
      oimGroupId: 71,
      gocdbKey: '268G0',
      latitude: 46.2,
      longitude: 6.05,
      countryCode: 'CH',
      texts: ['Example Tier 2'],
    });
    expect(found.aliases).toEqual(
      expect.arrayContaining([
        { text: 'T2_CH_EX', kind: 'cms' },
        { text: 'EX-ATLAS', kind: 'atlas' },
        { text: 'EX.ch', kind: 'vo' },
        { text: 'EX North', kind: 'netsite' },
        { text: 'CH-EX', kind: 'wlcg-accounting' },
      ]),
    );
    expect(found.aliases).toHaveLength(5);
  });

  test('0, 0 is a form that nobody filled in', () => {
    expect(only({ latitude: 0, longitude: 0 })).not.toHaveProperty('latitude');
  });

  test('endpoints become host names, whatever is around them', () => {
    const endpoints = [
      'http://Squid.ex.example:3128',
      'ce01.ex.example:9619',
      'ce02.ex.example',
      'root://se.ex.example:1094//store?x=1',
      'a.ex.example,b.ex.example:8443',
      'https://[2001:db8:0::7]:443/',
      '2001:db8::8',
      '192.0.2.9:80',
      null,
      '',
      'localhost',
      '127.0.0.1:80',
      'not a host!',
    ];
    const found = only({
      services: endpoints.map((endpoint) => ({ type: 'CE', endpoint, state: 'ACTIVE' })),
    });
    expect(found.hosts.map(({ host }) => host)).toEqual(
      [
        'squid.ex.example',
        'ce01.ex.example',
        'ce02.ex.example',
        'se.ex.example',
        'a.ex.example',
        'b.ex.example',
        '2001:db8::7',
        '2001:db8::8',
        '192.0.2.9',
      ].sort(),
    );
  });

  test('a host of a disabled service still tells of the site, and says that it is not in use', () => {
    const found = only({
      services: [
        {
          type: 'PerfSonar',
          name: 'EX-PS',
          endpoint: 'ps.ex.example',
          state: 'ACTIVE',
          status: 'production',
        },
        { type: 'SE', name: null, endpoint: 'se.ex.example', state: 'DISABLED', status: null },
        { type: 'CE', endpoint: 'ce.ex.example', state: 'ACTIVE', status: 'DISABLED' },
      ],
    });
    expect(found.hosts).toEqual([
      { host: 'ce.ex.example', service: 'CE', active: false },
      { host: 'ps.ex.example', service: 'PerfSonar', resource: 'EX-PS', active: true },
      { host: 'se.ex.example', service: 'SE', active: false },
    ]);
    expect(only({ state: 'DISABLED' }).active).toBe(false);
  });

  test('prefixes are canonical, with netsite and AS; what is none is said', () => {
    const { facts, skipped } = parseCric(
      {
        'EX-T2': site({
          netroutes: {
            one: {
              asn: 64500,
              netsite: 'EX North',
              networks: {
                ipv4: ['192.0.2.77/24', '0.0.0.0/0', 'x/24', '10.1/16'],
                ipv6: ['2001:DB8:1::/48'],
              },
            },
            none: { asn: null, netsite: null, networks: {} },
          },
        }),
      },
      'here',
    );
    expect(facts.sites[0]!.prefixes).toEqual([
      { prefix: '192.0.2.0/24', netsite: 'EX North', asn: 64500 },
      { prefix: '2001:db8:1::/48', netsite: 'EX North', asn: 64500 },
    ]);
    expect(skipped).toEqual([
      'EX-T2: "0.0.0.0/0" of netroute one is no usable prefix',
      'EX-T2: "x/24" of netroute one is no usable prefix',
      'EX-T2: "10.1/16" of netroute one is no usable prefix',
    ]);
  });

  test('one site that is wrong costs itself, not the document', () => {
    const { facts, skipped } = parseCric({ A: { name: 'A' }, B: { name: 7 }, C: 'x' }, 'here');
    expect(facts.sites.map(({ name }) => name)).toEqual(['A']);
    expect(skipped).toEqual([expect.stringMatching(/^B: .*string.*name/), expect.stringMatching(/^C: /)]);
  });

  test.each([[[]], ['text'], [null], [7]])('%j is no CRIC document', (document) => {
    expect(() => parseCric(document, 'here')).toThrow(/^is no map of sites by name/);
  });

  test('the same content in another order is the same text', () => {
    const [a, b] = [{ name: 'A' }, { name: 'B', netsites: { y: {}, x: {} } }];
    expect(JSON.stringify(parseCric({ a, b }, 'o'))).toBe(
      JSON.stringify(parseCric({ b: { ...b, netsites: { x: {}, y: {} } }, a }, 'o')),
    );
  });
});

test("CRIC's domains: one domain may have several sites", () => {
  const { facts } = parseCricDomains({ 'EX.example': ['A', 'B'], '.b.example': ['B'] }, 'here');
  expect(facts.sites.map(({ name, domains }) => [name, domains])).toEqual([
    ['A', ['ex.example']],
    ['B', ['b.example', 'ex.example']],
  ]);
  expect(() => parseCricDomains({ a: 'A' }, 'here')).toThrow(/^is no map of domains/);
});

const sample = resolve(import.meta.dirname, '../../../../../shared/samples/sites/cric-rcsite.json');
test.skipIf(!existsSync(sample))('the real CRIC of April 2026 (skipped where the samples are absent)', () => {
  const { facts, skipped } = parseCric(JSON.parse(readFileSync(sample, 'utf8')), sample);
  expect(skipped).toEqual([]);
  expect(facts.sites).toHaveLength(384);
  const distinct = new Set(facts.sites.flatMap((one) => one.prefixes.map(({ prefix }) => prefix)));
  expect(facts.sites.filter((one) => one.prefixes.length > 0)).toHaveLength(142);
  expect(distinct.size).toBeGreaterThan(560);
  expect(facts.sites.filter((one) => one.oimGroupId !== undefined)).toHaveLength(88);
  expect(new Set(facts.sites.flatMap((one) => one.hosts.map(({ host }) => host))).size).toBeGreaterThan(550);
});
