import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseOsgJson } from '../../../../src/sites/sources/osg-json.ts';

const resource = (more: object = {}) => ({
  Name: 'EX-CE',
  Site: 'Example Site',
  Facility: 'University of Example',
  ResourceGroup: 'EX_T2',
  ID: 1,
  Active: true,
  Disable: false,
  Services: { Service: [{ ID: 1, Name: 'CE', Description: 'Compute', Details: null }] },
  FQDN: 'ce.ex.example',
  FQDNAliases: null,
  VOOwnership: '(Information not available)',
  WLCGInformation: '(Information not available)',
  ...more,
});
const only = (more: object) => parseOsgJson({ 'EX-CE': resource(more) }, 'here').facts.sites[0]!;

describe('/miscresource/json', () => {
  test('a resource group with the names around it', () => {
    const { facts, skipped } = parseOsgJson({ 'EX-CE': resource() }, 'here');
    expect(skipped).toEqual([]);
    expect(facts).toMatchObject({ kind: 'osg', origin: 'here' });
    expect(facts.sites).toEqual([
      {
        name: 'EX_T2',
        aliases: expect.arrayContaining([
          { text: 'Example Site', kind: 'osg-site' },
          { text: 'University of Example', kind: 'osg-facility' },
          { text: 'EX-CE', kind: 'osg-resource' },
        ]),
        texts: [],
        hosts: [{ host: 'ce.ex.example', service: 'CE', resource: 'EX-CE', active: true }],
        prefixes: [],
        domains: [],
        active: true,
      },
    ]);
  });

  test('aliases and the endpoints of services are hosts too; details may be a sentence', () => {
    const found = only({
      FQDNAliases: { FQDNAlias: ['ce-alias.ex.example'] },
      Services: {
        Service: [
          { Name: 'CE', Details: 'see the wiki' },
          { Name: 'Squid' },
          { Name: 'net.perfSONAR.Latency', Details: { endpoint: 'ps.ex.example', hidden: false } },
          { Name: 'XRootD', Details: { uri_override: 'xrd.ex.example:1094' } },
        ],
      },
    });
    const of = (service: string) =>
      found.hosts.filter((host) => host.service === service).map(({ host }) => host);
    expect(of('CE')).toEqual(['ce-alias.ex.example', 'ce.ex.example']);
    expect(of('Squid')).toEqual(['ce-alias.ex.example', 'ce.ex.example']);
    expect(of('net.perfSONAR.Latency')).toEqual(['ce-alias.ex.example', 'ce.ex.example', 'ps.ex.example']);
    expect(of('XRootD')).toContain('xrd.ex.example');
  });

  test('a group is in use as long as one of its resources is', () => {
    const idle = resource({ Name: 'OLD', FQDN: 'old.ex.example', Active: false });
    const disabled = resource({ Name: 'OFF', FQDN: 'off.ex.example', Disable: true });
    expect(parseOsgJson({ OLD: idle, OFF: disabled }, 'here').facts.sites[0]!.active).toBe(false);
    const { sites } = parseOsgJson({ OLD: idle, EX: resource() }, 'here').facts;
    expect(sites).toHaveLength(1);
    expect(sites[0]).toMatchObject({
      active: true,
      hosts: [
        { host: 'ce.ex.example', active: true },
        { host: 'old.ex.example', active: false },
      ],
    });
  });

  test('the accounting name is an alias', () => {
    expect(only({ WLCGInformation: { AccountingName: 'US-EX' } }).aliases).toContainEqual({
      text: 'US-EX',
      kind: 'wlcg-accounting',
    });
  });

  test('what is no resource costs itself, not the document', () => {
    const { facts, skipped } = parseOsgJson(
      { A: { Name: 'A' }, B: resource({ FQDN: 'nodots' }), C: resource() },
      'here',
    );
    expect(facts.sites).toHaveLength(1);
    expect(skipped).toEqual([
      expect.stringMatching(/^A: .*Site/),
      'EX_T2: resource EX-CE has no usable host ("nodots")',
    ]);
  });

  test.each([[[]], ['text'], [null]])('%j is no such document', (document) => {
    expect(() => parseOsgJson(document, 'here')).toThrow(/^is no map of resources/);
  });
});

const sample = resolve(import.meta.dirname, '../../../../../shared/samples/sites/osg-resources.json');
test.skipIf(!existsSync(sample))(
  'all of OSG Topology of August 2026 as a plain list (skipped where the samples are absent)',
  () => {
    const { facts, skipped } = parseOsgJson(JSON.parse(readFileSync(sample, 'utf8')), sample);
    expect(skipped).toEqual([]);
    expect(facts.version).toMatch(/^5270db32/);
    expect(facts.sites).toHaveLength(419);
    const agl = facts.sites.find(({ name }) => name === 'AGLT2')!;
    expect(agl.aliases).toContainEqual({ text: 'University of Michigan', kind: 'osg-facility' });
    expect(agl.aliases.filter(({ kind }) => kind === 'osg-institution')).toHaveLength(1);
    expect(agl.latitude).toBeCloseTo(42.28, 0);
  },
);
