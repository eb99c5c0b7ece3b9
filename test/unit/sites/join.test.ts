import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { joinSources } from '../../../src/sites/join.ts';
import { site, source } from './facts.ts';

const names = (...sources: Parameters<typeof source>[]) =>
  joinSources(sources.map((one) => source(...one))).sites.map(({ name }) => name);

describe('joining', () => {
  test('the number that CRIC and OSG share joins sites of different names; the stronger source names it', () => {
    const known = joinSources([
      source('osg', site('UCSD-T2-Group', { oimGroupId: 7, hosts: ['ce.ucsd.example'] })),
      source('cric', site('UCSDT2', { oimGroupId: 7, prefixes: ['192.0.2.0/24'] })),
    ]);
    expect(known.sites).toHaveLength(1);
    expect(known.sites[0]).toMatchObject({
      name: 'UCSDT2',
      oimGroupId: 7,
      sources: [0, 1],
      hosts: [{ host: 'ce.ucsd.example', source: 1 }],
      prefixes: [{ prefix: '192.0.2.0/24', source: 0 }],
    });
    expect(known.sites[0]!.aliases.map(({ text }) => text)).toContain('UCSD-T2-Group');
  });

  test('of two sites with one number, that of the same name is meant', () => {
    const known = joinSources([
      source('cric', site('Purdue', { oimGroupId: 9 }), site('Purdue-Hadoop', { oimGroupId: 9 })),
      source('osg', site('Purdue-Hadoop', { oimGroupId: 9, hosts: ['h.example'] })),
    ]);
    expect(known.sites.find(({ name }) => name === 'Purdue-Hadoop')!.hosts).toHaveLength(1);
    expect(known.sites).toHaveLength(2);
  });

  test.each([
    [
      'a name in other letters',
      [
        ['cric', site('Nebraska')],
        ['osg', site('NEBRASKA')],
      ],
      ['Nebraska'],
    ],
    [
      'a name that is the experiment’s name of one site',
      [
        ['file', site('T2_US_Nebraska')],
        ['cric', site('Nebraska', { aliases: [{ text: 'T2_US_Nebraska', kind: 'cms' }] })],
      ],
      ['T2_US_Nebraska'],
    ],
    [
      'an alias of two sites joins neither',
      [
        ['file', site('CERN')],
        [
          'cric',
          site('CERN-PROD', { aliases: [{ text: 'CERN', kind: 'atlas' }] }),
          site('CERN-AI', { aliases: [{ text: 'CERN', kind: 'atlas' }] }),
        ],
      ],
      ['CERN', 'CERN-AI', 'CERN-PROD'],
    ],
    [
      'different numbers keep sites of one name apart',
      [
        ['cric', site('X', { oimGroupId: 1 })],
        ['osg', site('X', { oimGroupId: 2 })],
      ],
      ['X', 'X_2'],
    ],
    [
      'an OSG Site or facility is larger than a group and joins nothing',
      [
        ['cric', site('Fermilab')],
        ['osg', site('GPGRID', { aliases: [{ text: 'Fermilab', kind: 'osg-facility' }] })],
      ],
      ['Fermilab', 'GPGRID'],
    ],
    [
      'GOCDB’s key',
      [
        ['cric', site('A', { gocdbKey: '1G0' })],
        ['gocdb', site('B', { gocdbKey: '1G0' })],
      ],
      ['A'],
    ],
  ] as [string, Parameters<typeof source>[], string[]][])('%s', (_what, sources, expected) => {
    expect(names(...sources)).toEqual(expected);
  });

  test('a placeholder is no site; a name that no ad can carry is left out, and said', () => {
    const known = joinSources([
      source('cric', site('NULL', { hosts: ['a.example'] }), site('???'), site('A')),
    ]);
    expect(known.sites.map(({ name }) => name)).toEqual(['A']);
    expect(known.warnings).toEqual([
      'cric.json: site "???" has no letter or digit that an ad can carry; left out',
    ]);
  });

  test('an override may use any name of a site; one that nobody knows stands as written, and is said', () => {
    const known = joinSources(
      [source('cric', site('Nebraska', { aliases: [{ text: 'T2_US_Nebraska', kind: 'cms' }] }))],
      new Map([
        ['a.example', 'T2_US_Nebraska'],
        ['b.example', 'My Lab'],
      ]),
    );
    expect(known.overrides).toEqual({ 'a.example': 'Nebraska', 'b.example': 'My_Lab' });
    expect(known.warnings).toEqual([
      'the override of b.example names the site "My Lab", which no source knows',
    ]);
  });

  test('law: sites have names of their own, and no host is lost, whatever the order of the sources', () => {
    const anySite = fc
      .record({
        name: fc.constantFrom('A', 'a', 'B', 'A B', 'A_B', 'é'),
        oimGroupId: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
        host: fc.constantFrom('h1.example', 'h2.example', 'h3.example'),
      })
      .map(({ name, oimGroupId, host }) =>
        site(name, { hosts: [host], ...(oimGroupId !== undefined && { oimGroupId }) }),
      );
    const anySource = fc
      .tuple(fc.constantFrom('file', 'cric', 'osg', 'gocdb'), fc.array(anySite, { maxLength: 5 }))
      .map(([kind, sites]) => source(kind as 'cric', ...sites));
    fc.assert(
      fc.property(fc.array(anySource, { maxLength: 4 }), (sources) => {
        const known = joinSources(sources);
        const all = known.sites.map(({ name }) => name);
        expect(new Set(all).size).toBe(all.length);
        const hosts = (list: { hosts: { host: string }[] }[]) =>
          list.flatMap((one) => one.hosts.map(({ host }) => host)).sort();
        expect(hosts(known.sites)).toEqual(hosts(sources.flatMap(({ sites }) => sites)));
        expect(joinSources(JSON.parse(JSON.stringify(sources)))).toEqual(known);
      }),
    );
  });
});
