import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { joinSources } from '../../../src/sites/join.ts';
import { candidatesOf, resolve, type Subject } from '../../../src/sites/resolve.ts';
import { indexSites } from '../../../src/sites/site-index.ts';
import { pinLine, why } from '../../../src/sites/why.ts';
import { site, source } from './facts.ts';

const index = indexSites(
  joinSources(
    [
      source(
        'cric',
        site('CERN-PROD', {
          hosts: ['ce503.cern.ch', 'ce504.cern.ch', 'ce505.cern.ch', 'cet01.cern.ch', 'fts3.cern.ch'],
          prefixes: ['137.138.0.0/16', '2001:1458:d00::/48'],
          countryCode: 'CH',
        }),
        site('BOINC', { hosts: ['arc-boinc-01.cern.ch', 'arc-boinc-03.cern.ch'] }),
        site('IN2P3-CPPM', {
          hosts: ['marcce01.in2p3.fr', 'marsq02.in2p3.fr', 'marsq03.in2p3.fr'],
          prefixes: ['193.48.99.0/24'],
        }),
        site('IN2P3-LAPP', {
          hosts: ['lapp-ce04.in2p3.fr', 'lapp-ce05.in2p3.fr'],
          prefixes: ['193.48.98.0/24'],
        }),
        site('USCMS-FNAL-WC1', {
          hosts: ['cmsosgce2.fnal.gov'],
          prefixes: ['131.225.0.0/16', '192.0.2.0/24'],
          aliases: [{ text: 'T1_US_FNAL', kind: 'cms' }],
        }),
        site('GPGRID', { hosts: ['gpce03.fnal.gov'], prefixes: ['192.0.2.0/24'] }),
        site('UKI-SOUTHGRID-BRIS-HEP', { hosts: ['lcgce02.phy.bris.ac.uk'], countryCode: 'GB' }),
        site('CA-CANARIE-NREN', { countryCode: 'CA' }),
        site('NL-SURF-NREN', { countryCode: 'NL' }),
        site('FZK-LCG2', { hosts: ['ce-1-kit.gridka.de', 'ce-2-kit.gridka.de'], countryCode: 'DE' }),
        site('RWTH-Aachen', { hosts: ['ce.physik.rwth-aachen.de'], countryCode: 'DE' }),
        site('Shared', { hosts: ['both.example.org'] }),
        site('Shared2', { hosts: ['both.example.org'] }),
      ),
      source(
        'osg',
        site('Vanderbilt', {
          hosts: ['ce5-vanderbilt.sites.hosting.example', 'ce6-vanderbilt.sites.hosting.example'],
        }),
        site('AMNH', {
          aliases: [
            { text: 'AMNH-HEL-CE1', kind: 'osg-resource' },
            { text: 'https://osg-htc.org/iid/amnh', kind: 'osg-institution' },
          ],
        }),
        site('FNAL_OSDF', { aliases: [{ text: 'FermiGrid', kind: 'osg-site' }] }),
        site('FNAL_Two', { aliases: [{ text: 'FermiGrid', kind: 'osg-site' }] }),
      ),
    ],
    new Map([['odd.cern.ch', 'AMNH']]),
  ),
);

const subject = (names: string[], addresses: string[] = [], more: Partial<Subject> = {}): Subject => ({
  subject: names[0] ?? addresses[0] ?? 'x',
  names,
  addresses,
  ...more,
});
const of = (...args: Parameters<typeof subject>) => resolve(subject(...args), index);

describe('by name', () => {
  test.each([
    ['an override before all else', 'odd.cern.ch', 'AMNH', 'override'],
    ['the exact name', 'ce503.cern.ch', 'CERN-PROD', 'host-name'],
    ['a domain of one site', 'perfsonar.phy.bris.ac.uk', 'UKI-SOUTHGRID-BRIS-HEP', 'domain'],
    ['the plain name among the plain ones', 'perfsonar-bw.cern.ch', 'CERN-PROD', 'name-pattern'],
    ['another site’s word', 'boinc-ps.cern.ch', 'BOINC', 'name-pattern'],
    [
      'the start of a label that only one site’s hosts have',
      'marperf01.in2p3.fr',
      'IN2P3-CPPM',
      'name-pattern',
    ],
    ['the site’s own word', 'lapp-ps01.in2p3.fr', 'IN2P3-LAPP', 'name-pattern'],
    ['the organisation, where no host is known', 'perfsonar1.canarie.ca', 'CA-CANARIE-NREN', 'hints'],
  ])('%s: %s', (_what, name, expected, method) => {
    expect(of([name])).toMatchObject({ site: expected, method });
  });

  test.each([
    ['a shared domain without any mark', 'psonar1.in2p3.fr', ['IN2P3-CPPM', 'IN2P3-LAPP']],
    ['two sites by exact name', 'both.example.org', ['Shared', 'Shared2']],
    ['a domain of one site, and another’s word', 'ce-2-rwth.gridka.de', ['FZK-LCG2', 'RWTH-Aachen']],
  ])('%s is ambiguous: %s', (_what, name, candidates) => {
    const found = of([name]);
    expect(found).toMatchObject({ confidence: 0, candidates });
    expect(found.site).toBeUndefined();
    expect(candidatesOf(found.evidence)).toEqual(candidates);
  });

  test.each([
    ['a research network runs no services', 'sys5-pub.snellius.surf.nl'],
    ['a public suffix is nobody’s', 'perfsonar.ox.ac.uk'],
    ['names hosted for others say nothing of a further one', 'ce-colorado.sites.hosting.example'],
    ['nothing known', 'perfsonar.nowhere.test'],
    ['a bare label', 'squid'],
  ])('%s: %s has none', (_what, name) => {
    const found = of([name]);
    expect(found.site).toBeUndefined();
    expect(found.candidates).toEqual([]);
    expect(found.evidence).toContain(name);
  });
});

describe('kinds of evidence together', () => {
  test('a prefix that two sites claim is settled by the name, and only between these two', () => {
    expect(of([], ['192.0.2.9']).candidates).toEqual(['GPGRID', 'USCMS-FNAL-WC1']);
    expect(of(['ps.x.fnal.gov'], ['192.0.2.9'])).toMatchObject({ candidates: ['GPGRID', 'USCMS-FNAL-WC1'] });
    expect(of(['perfsonar.phy.bris.ac.uk'], ['192.0.2.9']).site).toBeUndefined();
  });

  test('two addresses in two sites contradict each other; no name settles that', () => {
    const found = of(['marperf01.in2p3.fr'], ['193.48.99.7', '137.138.1.1']);
    expect(found.candidates).toEqual(['CERN-PROD', 'IN2P3-CPPM']);
  });

  test('an address outranks a name, and `why` tells what spoke against it', () => {
    const asked = subject(['marperf01.in2p3.fr'], ['193.48.98.7']);
    const told = why(asked, index);
    expect(told).toMatchObject({ site: 'IN2P3-LAPP', method: 'prefix' });
    expect(told.pin).toBeUndefined();
    expect(told.found.map(({ method, stand }) => [method, stand])).toEqual([
      ['prefix', 'for'],
      ['name-pattern', 'against'],
    ]);
  });

  test('why: the line that pins an ambiguous host names the candidates', () => {
    expect(why(subject(['psonar1.in2p3.fr']), index).pin).toBe(
      '  - { host: "psonar1.in2p3.fr", site: "IN2P3-CPPM" }  # or IN2P3-LAPP',
    );
    expect(pinLine('h.example', [])).toBe('  - { host: "h.example", site: "SITE" }');
  });
});

describe("the machine's own word", () => {
  const worker = (attributes: Record<string, string>, addresses: string[] = ['137.138.1.1']) =>
    of(['slot1@ep.cern.ch'], addresses, { attributes });
  test.each([
    ['before its address', { GLIDEIN_CMSSite: 'T1_US_FNAL' }, 'USCMS-FNAL-WC1'],
    ['the resource', { GLIDEIN_ResourceName: 'AMNH-HEL-CE1' }, 'AMNH'],
    ['the institution', { OSG_INSTITUTION_ID: 'https://osg-htc.org/iid/amnh' }, 'AMNH'],
    [
      'the first attribute that names one site',
      { GLIDEIN_Site: 'FermiGrid', GLIDEIN_ResourceName: 'AMNH' },
      'AMNH',
    ],
    ['Lark’s own before the others', { GLIDEIN_CMSSite: 'T1_US_FNAL', LarkSite: 'AMNH' }, 'AMNH'],
  ])('%s', (_what, attributes, expected) => {
    expect(worker(attributes)).toMatchObject({ site: expected, method: 'machine' });
  });
  test.each([
    ['a name of two sites', { GLIDEIN_Site: 'FermiGrid' }],
    ['an attribute nobody filled in', { GLIDEIN_Site: 'Unknown' }],
    ['a name that no source knows', { GLIDEIN_Site: 'Some Cluster' }],
  ])('%s leaves it to the address', (_what, attributes) => {
    expect(worker(attributes)).toMatchObject({ site: 'CERN-PROD', method: 'prefix' });
  });
  test('other attributes can be configured', () => {
    const asked = subject(['ep.nowhere.test'], [], { attributes: { MySite: 'AMNH' } });
    expect(resolve(asked, index).site).toBeUndefined();
    expect(resolve(asked, index, { machineAttributes: ['MySite'] }).site).toBe('AMNH');
  });
});

describe('hints of the lookup record', () => {
  const sites = indexSites(
    joinSources([
      source(
        'cric',
        site('Hephy-Vienna', { latitude: 48.2, longitude: 16.37, countryCode: 'AT' }),
        site('HEPHY-UIBK', { latitude: 47.26, longitude: 11.39, countryCode: 'AT' }),
        site('CSCS-LCG2', { latitude: 46.02, longitude: 8.96, countryCode: 'CH' }),
      ),
    ]),
  );
  const said = (hints: Subject['hints'], name = 'bw.hephy.at') =>
    resolve({ subject: 'h', names: [name], addresses: [], hints }, sites);
  const vienna = { latitude: 48.21, longitude: 16.36 };

  test('none decides alone', () => {
    expect(said(undefined).candidates).toEqual(['HEPHY-UIBK', 'Hephy-Vienna']);
    expect(said(vienna, 'ps.elsewhere.test').site).toBeUndefined();
    expect(said({ siteNameHint: 'CSCS' }, 'ps.elsewhere.test').site).toBeUndefined();
  });
  test('two that allow one and the same site do', () => {
    expect(said(vienna)).toMatchObject({ site: 'Hephy-Vienna', method: 'hints' });
    expect(said({ ...vienna, siteNameHint: 'HEPHY Vienna' }, 'ps.elsewhere.test').site).toBe('Hephy-Vienna');
  });
  test('one that speaks against them leaves it open', () => {
    expect(said({ ...vienna, siteNameHint: 'CSCS' }).site).toBeUndefined();
  });
});

test('law: an answer is a known site or an override, with evidence and a confidence of its own', () => {
  const anyName = fc
    .tuple(
      fc.constantFrom('ps', 'perfsonar-bw', 'marx1', 'ce-2-rwth', 'boinc', 'swan', 'squid'),
      fc.constantFrom(
        'cern.ch',
        'in2p3.fr',
        'fnal.gov',
        'x.gridka.de',
        'bris.ac.uk',
        'canarie.ca',
        'test',
        'uk',
      ),
    )
    .map((labels) => labels.join('.'));
  const anyAddress = fc.constantFrom(
    '137.138.9.9',
    '131.225.1.1',
    '192.0.2.3',
    '10.0.0.1',
    '2001:1458:d00::5',
  );
  fc.assert(
    fc.property(
      fc.array(anyName, { maxLength: 3 }),
      fc.array(anyAddress, { maxLength: 2 }),
      (names, addresses) => {
        const found = of(names, addresses);
        expect(found.evidence).not.toBe('');
        if (found.site === undefined) {
          expect(found.confidence).toBe(0);
          expect(found.candidates).not.toHaveLength(1);
        } else {
          expect(index.site.has(found.site)).toBe(true);
          expect(found.confidence).toBeGreaterThan(0.5);
          expect(found.candidates).toEqual([]);
        }
        // The order in which names and addresses are given means nothing.
        const turned = of(names.toReversed(), addresses.toReversed());
        expect([turned.site, turned.candidates]).toEqual([found.site, found.candidates]);
      },
    ),
  );
});
