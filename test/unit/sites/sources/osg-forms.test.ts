import { describe, expect, test } from 'vitest';
import { parseOsgJson } from '../../../../src/sites/sources/osg-json.ts';
import { isTreeFile, parseOsgTree, type TreeFile } from '../../../../src/sites/sources/osg-tree.ts';
import { parseOsgXml } from '../../../../src/sites/sources/osg-xml.ts';

/** One site in OSG Topology's three forms. */

const XML = `<?xml version="1.0" encoding="UTF-8"?>
<ResourceSummary xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="https://topology.example/rgsummary.xsd">
  <ResourceGroup>
    <GridType>OSG Production Resource</GridType>
    <GroupID>71</GroupID>
    <GroupName>EX_T2</GroupName>
    <Disable>False</Disable>
    <Facility><ID>10</ID><Name>University of Example &amp; Friends</Name></Facility>
    <Site>
      <ID>11</ID><Name>Example Site</Name><City>Exampleton</City><Country>United States</Country>
      <Latitude>42.5</Latitude><Longitude>-83.25</Longitude>
    </Site>
    <SupportCenter><ID>1</ID><Name>Community</Name></SupportCenter>
    <Resources>
      <Resource>
        <ID>1</ID><Name>EX-CE</Name><Active>True</Active><Disable>False</Disable>
        <Services>
          <Service><ID>1</ID><Name>CE</Name><Description>Compute</Description><Details>see the wiki</Details></Service>
        </Services>
        <FQDN>ce.ex.example</FQDN>
        <FQDNAliases><FQDNAlias>ce-alias.ex.example</FQDNAlias></FQDNAliases>
        <WLCGInformation><AccountingName>US-EX</AccountingName></WLCGInformation>
      </Resource>
      <Resource>
        <ID>2</ID><Name>EX-PS</Name><Active>False</Active><Disable>False</Disable>
        <Services>
          <Service>
            <ID>131</ID><Name>net.perfSONAR.Latency</Name>
            <Details><endpoint>ps.ex.example</endpoint><hidden>False</hidden></Details>
          </Service>
        </Services>
        <FQDN>ps0.ex.example</FQDN>
        <FQDNAliases/>
        <WLCGInformation>(Information not available)</WLCGInformation>
      </Resource>
    </Resources>
  </ResourceGroup>
</ResourceSummary>
`;

const FACILITY = 'University of Example & Friends';
const TREE: TreeFile[] = [
  { path: `${FACILITY}/FACILITY.yaml`, text: 'ID: 10\nInstitutionID: https://osg-htc.org/iid/abc\n' },
  {
    path: `${FACILITY}/Example Site/SITE.yaml`,
    text: 'ID: 11\nCity: Exampleton\nCountry: United States\nLatitude: 42.5\nLongitude: -83.25\n',
  },
  {
    path: `${FACILITY}/Example Site/EX_T2.yaml`,
    text: `GroupID: 71
Production: true
SupportCenter: Community
Resources:
  EX-CE:
    Active: true
    FQDN: ce.ex.example
    FQDNAliases: [ce-alias.ex.example]
    Services:
      CE: {Description: Compute, Details: see the wiki}
    WLCGInformation: {AccountingName: US-EX}
  EX-PS:
    Active: false
    FQDN: ps0.ex.example
    Services:
      net.perfSONAR.Latency:
        Details: {endpoint: ps.ex.example, hidden: false}
`,
  },
];

const MISC = {
  'EX-CE': {
    Name: 'EX-CE',
    Site: 'Example Site',
    Facility: FACILITY,
    ResourceGroup: 'EX_T2',
    Active: true,
    FQDN: 'ce.ex.example',
    FQDNAliases: { FQDNAlias: ['ce-alias.ex.example'] },
    Services: { Service: [{ Name: 'CE', Details: 'see the wiki' }] },
    WLCGInformation: { AccountingName: 'US-EX' },
  },
  'EX-PS': {
    Name: 'EX-PS',
    Site: 'Example Site',
    Facility: FACILITY,
    ResourceGroup: 'EX_T2',
    Active: false,
    FQDN: 'ps0.ex.example',
    FQDNAliases: null,
    Services: { Service: [{ Name: 'net.perfSONAR.Latency', Details: { endpoint: 'ps.ex.example' } }] },
    WLCGInformation: '(Information not available)',
  },
};

const fromXml = parseOsgXml(XML, 'here');
const fromTree = parseOsgTree(TREE, 'here');

test('the three forms tell the same, as far as each tells', () => {
  for (const { skipped } of [fromXml, fromTree]) expect(skipped).toEqual([]);
  const [xml] = fromXml.facts.sites;
  const [tree] = fromTree.facts.sites;
  const institution = { text: 'https://osg-htc.org/iid/abc', kind: 'osg-institution' };
  expect(tree).toMatchObject({ oimGroupId: 71, latitude: 42.5, longitude: -83.25, texts: ['Exampleton'] });
  expect(tree!.aliases).toContainEqual(institution);
  expect(xml).toEqual({
    ...tree,
    aliases: tree!.aliases.filter(({ kind }) => kind !== institution.kind),
  });

  // The JSON form knows neither GroupID nor place.
  const { oimGroupId: _id, latitude: _lat, longitude: _lon, ...rest } = xml!;
  expect(parseOsgJson(MISC, 'here').facts.sites).toEqual([{ ...rest, texts: [] }]);
});

test('every host has its service, resource and state', () => {
  expect(fromXml.facts.sites[0]!.hosts).toEqual([
    { host: 'ce-alias.ex.example', service: 'CE', resource: 'EX-CE', active: true },
    { host: 'ce.ex.example', service: 'CE', resource: 'EX-CE', active: true },
    { host: 'ps.ex.example', service: 'net.perfSONAR.Latency', resource: 'EX-PS', active: false },
    { host: 'ps0.ex.example', service: 'net.perfSONAR.Latency', resource: 'EX-PS', active: false },
  ]);
});

describe('XML that is not what it should be', () => {
  const cut = (end: number): string => XML.slice(0, end);
  test.each([
    ['broken off', cut(XML.length - 30), /^is no well-formed XML \(line \d+: /],
    ['broken off at the very end', XML.trimEnd().slice(0, -1), /^is no well-formed XML/],
    ['empty', '', /^is no XML document|^is no well-formed XML/],
    [
      'a page',
      '<!doctype html><html><body>Down</body></html>',
      /^has <html> for its root, not <ResourceSummary>/,
    ],
    ['JSON', '{"a": 1}', /^is no well-formed XML/],
    ['another document', '<results/>', /^has <results> for its root/],
    [
      'a bomb of entities',
      '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><ResourceSummary>&b;</ResourceSummary>',
      /^is no well-formed XML/,
    ],
    ['nested without end', '<r>'.repeat(100_000), /^is XML nested too deeply/],
  ])('%s', (_, text, message) => {
    expect(() => parseOsgXml(text, 'here')).toThrow(message);
  });

  test('a group without a name costs itself', () => {
    const nameless = XML.replace('<GroupName>EX_T2</GroupName>', '');
    const { facts, skipped } = parseOsgXml(nameless, 'here');
    expect(facts.sites).toEqual([]);
    expect(skipped).toEqual(['ResourceGroup number 1 has no name, site or facility']);
  });
});

describe('the tree', () => {
  test.each([
    ['A/FACILITY.yaml', true],
    ['A/B/SITE.yaml', true],
    ['A/B/C.yaml', true],
    ['A/B/C_downtime.yaml', false],
    ['services.yaml', false],
    ['A/B/C/D.yaml', false],
    ['A/B/README.md', false],
  ])('%s is read: %s', (path, is) => {
    expect(isTreeFile(path)).toBe(is);
  });

  test('a file that is no YAML, or not the right one, costs itself', () => {
    const { facts, skipped } = parseOsgTree(
      [
        ...TREE,
        { path: `${FACILITY}/Example Site/BAD.yaml`, text: 'Resources: [' },
        { path: `${FACILITY}/Example Site/LIST.yaml`, text: '- 1' },
        {
          path: `${FACILITY}/Example Site/HALF.yaml`,
          text: 'Resources:\n  X: {FQDN: 3}\n  Y: {FQDN: y.ex.example, Services: {CE: {Description: c}, SE: null}}\n',
        },
      ],
      'here',
    );
    expect(facts.sites.map(({ name }) => name)).toEqual(['EX_T2', 'HALF']);
    expect(facts.sites[1]!.hosts.map(({ service }) => service)).toEqual(['CE', 'SE']);
    expect(skipped).toEqual([
      expect.stringContaining('BAD.yaml: '),
      expect.stringContaining('LIST.yaml: '),
      expect.stringContaining('HALF: X: '),
    ]);
  });

  test('without any group it is no tree', () => {
    expect(() => parseOsgTree(TREE.slice(0, 2), 'here')).toThrow(/^holds no ResourceGroup/);
  });
});
