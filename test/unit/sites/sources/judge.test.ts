import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SourceFacts } from '../../../../src/sites/knowledge.ts';
import { countsOf, refusalOf } from '../../../../src/sites/sources/judge.ts';
import { emptySite } from '../../../../src/sites/sources/parsed.ts';

const facts = (names: readonly string[], hostsEach = 1): SourceFacts => ({
  kind: 'cric',
  origin: 'here',
  sites: names.map((name) => ({
    ...emptySite(name),
    hosts: Array.from({ length: hostsEach }, (_, n) => ({
      host: `h${n}.${name}.example`,
      service: 'CE',
      active: true,
    })),
  })),
});
const named = (count: number, from = 0) => Array.from({ length: count }, (_, n) => `s${from + n}`);

test('what is counted is counted once', () => {
  const [site] = facts(['a'], 2).sites;
  const twice = { ...site!, hosts: [...site!.hosts, { ...site!.hosts[0]!, service: 'SE' }] };
  expect(countsOf({ kind: 'cric', origin: 'here', sites: [twice] })).toEqual({
    sites: 1,
    hosts: 2,
    prefixes: 0,
    domains: 0,
  });
});

describe('a new version is believed', () => {
  test('when there was none before, and it says something', () => {
    expect(refusalOf(undefined, facts(['a']), 0.2)).toBeUndefined();
  });
  test('when it has grown, or lost no more than is allowed', () => {
    expect(refusalOf(facts(named(100)), facts(named(150)), 0.2)).toBeUndefined();
    expect(refusalOf(facts(named(100)), facts(named(80)), 0.2)).toBeUndefined();
  });
  test('when a small source loses a site or two', () => {
    expect(refusalOf(facts(named(3)), facts(named(1)), 0.2)).toBeUndefined();
  });
});

describe('it is not', () => {
  test('when it says nothing of any host, prefix or domain', () => {
    for (const nothing of [facts([]), facts(['a'], 0)])
      expect(refusalOf(undefined, nothing, 1)).toBe('names no site that has a host, a prefix or a domain');
  });
  test('when too much is gone: with the numbers', () => {
    expect(refusalOf(facts(named(100), 3), facts(named(79), 3), 0.2)).toBe(
      'has lost 21 of 100 sites, 63 of 300 hosts (20 % are allowed)',
    );
  });
  test('when all sites stay and their hosts go', () => {
    const bare = facts(named(50), 1);
    expect(refusalOf(facts(named(50), 2), bare, 0.2)).toBe('has lost 50 of 100 hosts (20 % are allowed)');
  });
  test('when others stand in the place of those that are known', () => {
    expect(refusalOf(facts(named(100)), facts(named(100, 60)), 0.2)).toMatch(/^has lost 60 of 100 sites/);
  });
});

test('law: growth alone is never refused, and the same is the same', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1 }),
      fc.nat({ max: 30 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (names, more, share) => {
        const before = facts(names);
        const after = facts([...new Set([...names, ...named(more)])]);
        expect(refusalOf(before, before, share)).toBeUndefined();
        expect(refusalOf(before, after, share)).toBeUndefined();
      },
    ),
  );
});
