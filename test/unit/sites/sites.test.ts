import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MeasurementHost } from '../../../src/domain.ts';
import { knowledgeOf, locate } from '../../../src/sites/locate.ts';
import { siteName } from '../../../src/sites/name.ts';
import { canonicalHost, parseSites } from '../../../src/sites/sites-file.ts';
import { locatedSeries, subjectsOf } from '../../../src/sites/subjects.ts';

const MAP = parseSites(
  `
sites:
  - name: UCSD
    hosts: [perf.ucsd.example, 198.51.100.7]
    prefixes: [192.0.2.0/24, 2001:db8:10::/48]
    domains: [ucsd.example]
  - name: UCSD-T2
    prefixes: [192.0.2.128/25, 2001:db8:10:8000::/49]
    domains: [t2.ucsd.example, shared.example]
  - name: Größe (Köln)
    domains: [shared.example]
    prefixes: [0.0.0.0/0]
overrides:
  - host: Odd.UCSD.example.
    site: UCSD-T2
  - host: "::ffff:203.0.113.9"
    site: UCSD
`,
  'sites.yaml',
);
const where = (names: string[], addresses: string[] = []) =>
  locate([{ subject: 's', names, addresses }], knowledgeOf(MAP))[0]!;

describe('locate', () => {
  test.each([
    ['override before name and prefix', ['odd.ucsd.example'], ['192.0.2.1'], 'UCSD-T2', 'override'],
    ['override by an IPv4-mapped address', [], ['203.0.113.9'], 'UCSD', 'override'],
    ['exact name before prefix', ['PERF.ucsd.example'], ['192.0.2.200'], 'UCSD', 'host-name'],
    ['exact address', [], ['198.51.100.7'], 'UCSD', 'host-name'],
    ['longest IPv4 prefix', [], ['192.0.2.200'], 'UCSD-T2', 'prefix'],
    ['shorter IPv4 prefix', [], ['192.0.2.20'], 'UCSD', 'prefix'],
    ['longest IPv6 prefix', [], ['2001:db8:10:8001::1'], 'UCSD-T2', 'prefix'],
    ['shorter IPv6 prefix', [], ['2001:db8:10:1::1'], 'UCSD', 'prefix'],
    ['the default route is a prefix too', [], ['8.8.8.8'], 'Gro_e_Koln', 'prefix'],
    ['longest domain', ['a.t2.ucsd.example'], [], 'UCSD-T2', 'domain'],
    ['shorter domain', ['a.b.ucsd.example'], [], 'UCSD', 'domain'],
    ['the domain itself', ['ucsd.example'], [], 'UCSD', 'domain'],
  ] as const)('%s', (_what, names, addresses, site, method) => {
    const found = where([...names], [...addresses]);
    expect(found).toMatchObject({ site: site === 'Gro_e_Koln' ? 'Gro_e_Koln' : site, method });
    expect(found.confidence).toBeGreaterThan(0);
  });

  test('a domain of two sites is ambiguous, with both named', () => {
    const found = where(['x.shared.example']);
    expect(found.site).toBeUndefined();
    expect(found.evidence).toContain(
      'ambiguous between Gro_e_Koln, UCSD-T2: x.shared.example in shared.example',
    );
  });

  test('a stronger ambiguity is not outvoted by weaker evidence', () => {
    const found = where(['perf.ucsd.example'], ['198.51.100.7', '192.0.2.200']);
    expect(found).toMatchObject({ site: 'UCSD', method: 'host-name' });
    expect(where(['a.ucsd.example'], ['192.0.2.1', '192.0.2.200']).site).toBeUndefined();
  });

  test('no suffix match inside a label, none for nothing', () => {
    expect(where(['myucsd.example']).site).toBeUndefined();
    expect(where([]).evidence).toMatch(/no override/);
    expect(where([], ['2001:db8:99::1']).site).toBeUndefined();
  });

  test('law: longest-prefix match agrees with trying every prefix', () => {
    const prefix = fc
      .tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 1, max: 32 }))
      .map(([bits, length]) => {
        const network = (bits & (length === 32 ? -1 : ~(0xffffffff >>> length))) >>> 0;
        return { network, length };
      });
    const dotted = (n: number) => [24, 16, 8, 0].map((shift) => (n >>> shift) & 255).join('.');
    fc.assert(
      fc.property(
        fc.array(prefix, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 0, max: 0xffffffff }),
        (all, n) => {
          const unique = [...new Map(all.map((p) => [`${p.network}/${p.length}`, p])).values()];
          // Near one of the prefixes, or nothing would ever match.
          const address =
            (unique[0]!.network | (n & (unique[0]!.length === 32 ? 0 : 0xffffffff >>> unique[0]!.length))) >>>
            0;
          const sites = unique.map(({ network, length }, i) => ({
            name: `S${i}`,
            hosts: [],
            domains: [],
            prefixes: [`${dotted(network)}/${length}`],
          }));
          const fitting = unique
            .map((p, i) => ({ ...p, name: `S${i}` }))
            .filter(
              ({ network, length }) =>
                (length === 32 ? address : (address & ~(0xffffffff >>> length)) >>> 0) === network,
            )
            .sort((a, b) => b.length - a.length);
          const known = knowledgeOf({ file: 'sites.yaml', sites, overrides: new Map() });
          const [found] = locate([{ subject: 'x', names: [], addresses: [dotted(address)] }], known);
          expect(found!.site).toBe(fitting[0]?.name);
        },
      ),
    );
  });
});

describe('sites.yaml', () => {
  const said = (text: string): string => {
    try {
      parseSites(text, 'sites.yaml');
    } catch (error) {
      return (error as Error).message;
    }
    return 'no error';
  };
  test.each([
    [
      'sites:\n  - name: A\n    prefix: [1.2.3.0/24]\n',
      'sites.yaml:3: unknown key "sites.0.prefix"; did you mean "prefixes"?',
    ],
    ['sites:\n  - name: A\n    prefixes: [1.2.3.0]\n', 'expected an address prefix such as'],
    ['sites:\n  - name: A\n    domains: ["a b"]\n', 'expected a DNS name, got "a b"'],
    ['sites:\n  - name: "A B"\n  - name: A_B\n', 'sites "A B" and "A_B" would both be called A_B in ads'],
    ['sites:\n  - name: "!!"\n', 'site "!!" has no letter or digit'],
    [
      'overrides:\n  - {host: a.example, site: "?!"}\n',
      'the override of a.example names the site "?!", which has no letter or digit',
    ],
  ])('%j', (text, message) => {
    expect(said(text)).toContain(message);
  });
  test('the shipped file is right and empty', () => {
    expect(parseSites('sites: []\noverrides: []\n', 'x').sites).toEqual([]);
    expect(parseSites('', 'x').sites).toEqual([]);
  });
});

test('law: a sanitised name is fit for a map key, and sanitising again changes nothing', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const name = siteName(text);
      expect(name).toMatch(/^[A-Za-z0-9._+-]*$|^[A-Za-z0-9._+-][A-Za-z0-9._+-]*$/);
      expect(siteName(name)).toBe(name);
    }),
  );
  expect(siteName('Université de Montréal / Calcul Québec')).toBe('Universite_de_Montreal_Calcul_Quebec');
});

test('canonicalHost: case, trailing dot, address forms', () => {
  expect(canonicalHost('A.Example.')).toBe('a.example');
  expect(canonicalHost('2001:DB8:0:0::1')).toBe('2001:db8::1');
  expect(canonicalHost('::ffff:192.0.2.1')).toBe('192.0.2.1');
});

describe('test endpoints', () => {
  const host = (key: string, names: string[], addresses: string[]): MeasurementHost => ({
    key,
    names,
    addresses,
    clientUuids: [],
    clonedUuids: [],
    communities: [],
    domains: [],
    roles: [],
    pschedulerUrls: [],
    sources: [],
  });
  const hosts = [host('h1', ['perf.ucsd.example'], ['192.0.2.5'])];
  const series = [
    {
      id: 1,
      metric: 'lossRate' as const,
      source: '192.0.2.5',
      destination: '198.51.100.99',
      destinationName: 'a.t2.ucsd.example',
    },
    {
      id: 2,
      metric: 'lossRate' as const,
      source: '203.0.113.77',
      sourceName: 'Perf.UCSD.example',
      destination: '198.51.100.99',
    },
    { id: 3, metric: 'lossRate' as const, source: 'unknown.elsewhere.test', destination: '192.0.2.5' },
  ];
  const map = { ...MAP, sites: MAP.sites.filter(({ name }) => name.startsWith('UCSD')) };

  test('a host claims its endpoints by address or name; the others are subjects of their own', () => {
    expect(subjectsOf(hosts, series)).toEqual([
      { subject: 'h1', names: ['perf.ucsd.example'], addresses: ['192.0.2.5'] },
      { subject: '198.51.100.99', names: ['a.t2.ucsd.example'], addresses: ['198.51.100.99'] },
      { subject: 'unknown.elsewhere.test', names: ['unknown.elsewhere.test'], addresses: [] },
    ]);
  });

  test('a series counts when both ends have a site', () => {
    const assignments = locate(subjectsOf(hosts, series), knowledgeOf(map));
    expect([...locatedSeries(series, hosts, assignments)]).toEqual([
      { ...series[0], srcSite: 'UCSD', dstSite: 'UCSD-T2', pair: 'h1>a.t2.ucsd.example' },
      { ...series[1], srcSite: 'UCSD', dstSite: 'UCSD-T2', pair: 'h1>a.t2.ucsd.example' },
    ]);
  });
});
