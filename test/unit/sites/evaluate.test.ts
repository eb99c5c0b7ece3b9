import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { evaluationText } from '../../../src/cli/sites.ts';
import { againstTruth, leaveOneOut } from '../../../src/sites/evaluate.ts';
import { joinSources } from '../../../src/sites/join.ts';
import { PrefixTable } from '../../../src/sites/prefix-table.ts';
import { parseSource } from '../../../src/sites/sources/parse.ts';
import { site, source } from './facts.ts';

const SITES = [
  site('Alone', { hosts: ['ce.solo.example'], prefixes: ['192.0.2.0/24'] }),
  site('Pair', { hosts: ['ce1.pair.example', 'ce2.pair.example'] }),
  site('Near', { hosts: ['ce1.both.example'], aliases: [{ text: 'T2_XX_Near', kind: 'cms' }] }),
  site('Far', { hosts: ['se1.both.example', '192.0.2.77'] }),
];

describe('leave-one-out', () => {
  test('a host that is left out is forgotten, with what followed from it', () => {
    const { leading, others, methods } = leaveOneOut(joinSources([source('cric', ...SITES)]));
    // Alone: none. Pair: two right. Near and Far: each domain then speaks for the other alone.
    expect(leading.byName).toEqual({
      precision: 0.5,
      coverage: 0.8,
      right: 2,
      wrong: 2,
      ambiguous: 0,
      none: 1,
    });
    // Far's address lies in Alone's prefix.
    expect(leading.withAddress).toMatchObject({ right: 2, wrong: 3, none: 1 });
    expect(leading.confusions.map(({ host, said, truth }) => [host, said, truth])).toEqual([
      ['se1.both.example', 'Near', 'Far'],
      ['ce1.both.example', 'Far', 'Near'],
      ['192.0.2.77', 'Alone', 'Far'],
    ]);
    expect(methods).toEqual({ domain: { right: 2, wrong: 2 }, prefix: { right: 0, wrong: 1 } });
    expect(others.byName).toMatchObject({ precision: 0, coverage: 0, right: 0 });
  });

  test('groups that OSG alone lists are counted apart', () => {
    const osg = source('osg', site('Group', { hosts: ['a.group.example', 'b.group.example'] }));
    const { leading, others } = leaveOneOut(joinSources([source('cric', SITES[1]!), osg]));
    expect(leading.byName).toMatchObject({ right: 2 });
    expect(others.byName).toMatchObject({ right: 0, none: 2 });
  });
});

test('a given truth may use any name of a site, and brings addresses', () => {
  const { evaluation } = againstTruth(joinSources([source('cric', ...SITES)]), [
    { host: 'PS1.pair.example.', site: 'Pair' },
    { host: 'ce1.both.example', site: 'T2_XX_Near' },
    { host: 'ps.nowhere.test', address: '192.0.2.5', site: 'Alone' },
    { host: 'ps.both.example', site: 'Near' },
    { host: 'ce1.pair.example', site: 'Unheard_Of' },
  ]);
  expect(evaluation.byName).toEqual({
    precision: 2 / 3,
    coverage: 0.6,
    right: 2,
    wrong: 1,
    ambiguous: 1,
    none: 1,
  });
  expect(evaluation.withAddress).toMatchObject({ right: 3, wrong: 1, ambiguous: 1, none: 0 });
  expect(evaluation.confusions).toMatchObject([
    { host: 'ce1.pair.example', said: 'Pair', truth: 'Unheard_Of' },
  ]);
  expect(evaluationText('truth', evaluation)).toContain('ce1.pair.example  Pair  Unheard_Of');
});

const SAMPLES = new URL('../../../../shared/samples/sites/', import.meta.url);
const absent = !existsSync(SAMPLES);
describe.skipIf(absent)(
  'CRIC and OSG Topology of 2026 (skipped where ../shared/samples/sites is absent)',
  () => {
    const facts = (format: 'cric' | 'osg-json', file: string) =>
      parseSource(format, readFileSync(new URL(file, SAMPLES), 'utf8'), file).facts;

    test.each([
      ['CRIC alone', () => [facts('cric', 'cric-rcsite.json')]],
      ['both', () => [facts('cric', 'cric-rcsite.json'), facts('osg-json', 'osg-resources.json')]],
    ])('WLCG sites by name alone, %s', (_what, read) => {
      const { byName } = leaveOneOut(joinSources(read())).leading;
      expect(byName.right + byName.wrong + byName.ambiguous + byName.none).toBeGreaterThan(500);
      expect(byName.precision).toBeGreaterThanOrEqual(0.99);
      expect(byName.coverage).toBeGreaterThanOrEqual(0.75);
    });

    test('OSG groups are joined to the CRIC sites of their name or number', () => {
      const known = joinSources([facts('cric', 'cric-rcsite.json'), facts('osg-json', 'osg-resources.json')]);
      expect(known.sites.filter(({ sources }) => sources.length === 2).length).toBeGreaterThanOrEqual(75);
    });
  },
);

test('law: the prefix table agrees with trying every prefix, in both families', () => {
  const v4 = fc
    .tuple(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 32 }))
    .map(([n, length]) => {
      const address = `10.${n >> 12}.${(n >> 6) & 63}.${n & 63}`;
      return { address, length };
    });
  const v6 = fc
    .tuple(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 128 }))
    .map(([n, length]) => {
      const address = `2001:db8:${(n >> 8).toString(16)}::${(n & 255).toString(16)}`;
      return { address, length };
    });
  const any = fc.oneof(v4, v6);
  fc.assert(
    fc.property(fc.array(any, { maxLength: 12 }), any, (prefixes, { address }) => {
      const table = new PrefixTable();
      prefixes.forEach(({ address: network, length }, i) => {
        table.add(`${network}/${length}`, `S${i}`);
      });
      const asked = ipaddr.parse(address);
      const fitting = prefixes
        .map((prefix, i) => ({ ...prefix, network: ipaddr.parse(prefix.address), name: `S${i}` }))
        .filter(({ network, length }) => network.kind() === asked.kind() && asked.match(network, length));
      const longest = Math.max(...fitting.map(({ length }) => length));
      const expected = fitting.filter(({ length }) => length === longest).map(({ name }) => name);
      expect([...(table.longest(address)?.sites ?? [])].sort()).toEqual(expected.sort());
    }),
  );
  expect(new PrefixTable().longest('no address')).toBeUndefined();
});
