import { describe, expect, test } from 'vitest';
import { UserError } from '../../../../src/errors.ts';
import { parseWorkerConfig } from '../../../../src/worker/config.ts';
import { linkLocalOf, nftPieces } from '../../../../src/worker/nft/job.ts';
import { destinationRules, type ReachRules } from '../../../../src/worker/nft/reach.ts';
import { removeRuleset, staticRuleset } from '../../../../src/worker/nft/ruleset.ts';
import type { JobNetwork, NetworkMode } from '../../../../src/worker/types.ts';

const SITE = `
nat: {ipv4Pool: 10.44.7.9/16}
accounting:
  classes:
    - {name: Campus, cidrs: [192.0.2.0/24, 10.0.0.0/8, "2001:db8::/32"]}
    - {name: Storage, cidrs: [10.1.0.0/16]}
isolation:
  hostPorts: [{protocol: udp, ports: "123"}]
  deny: [{cidr: 198.51.100.0/24}, {cidr: 0.0.0.0/0, protocol: tcp, ports: "25"}]
  allow: [{cidr: 0.0.0.0/0}, {cidr: "2000::/3", protocol: udp, ports: 5000-6000}]
`;
const config = (yaml: string) => parseWorkerConfig(yaml, '/etc/lark/worker.yaml');
const facts = {
  host: { ipv4: ['192.0.2.1'], ipv6: ['2001:db8::1'], hasConnectionCount: true },
  nameservers: ['192.0.2.53'],
  epoch: 77,
};

function network(mode: NetworkMode, changes: Partial<JobNetwork['lease']> = {}): JobNetwork {
  return {
    request: {
      mode,
      inbound: [],
      bandwidth: { minMbps: 40 },
      isAccounted: true,
      owner: 'alice',
      jobId: '1.0',
      starter: { pid: 1, startTicks: 1 },
    },
    lease: {
      name: 'lk0000001z',
      slotIndex: 31,
      ipv4: '10.44.0.31',
      ipv6: 'fd6c:6172:6b00::1f',
      mac: '02:6c:6b:00:00:1f',
      forwards: [{ protocol: 'tcp', hostPort: 20_000, jobPort: 8080 }],
      createdAt: new Date(0),
      jobId: '1.0',
      bootId: 'boot',
      ...changes,
    },
  };
}

describe('golden files', () => {
  test.each([
    ['default', ''],
    ['site', SITE],
    ['open', 'isolation: {jobToJob: true, metadataAddresses: true}\nnat: {ipv6Pool: none}'],
  ])('static ruleset: %s', async (name, yaml) => {
    const text = staticRuleset(config(yaml), facts);
    await expect(text).toMatchFileSnapshot(`golden/static-${name}.nft`);
  });

  test.each(['nat', 'bridge'] as const)('a job of mode %s', async (mode) => {
    const { nftUp, nftDown } = nftPieces(network(mode), config(''));
    await expect(`${nftUp.join('\n')}\n`).toMatchFileSnapshot(`golden/job-${mode}-up.nft`);
    await expect(`${nftDown.join('\n')}\n`).toMatchFileSnapshot(`golden/job-${mode}-down.nft`);
  });
});

test('connections are limited where the site wants it and the kernel can', () => {
  const rules = (yaml: string, hasConnectionCount: boolean) =>
    staticRuleset(config(yaml), { ...facts, host: { ...facts.host, hasConnectionCount } }).match(
      /ct count over \d+/g,
    );
  expect(rules('', true)).toEqual(Array(4).fill('ct count over 8192'));
  expect(rules('isolation: {maxConnections: 50}', true)).toContain('ct count over 50');
  expect(rules('isolation: {maxConnections: none}', true)).toBeNull();
  expect(rules('', false)).toBeNull();
});

test('every element and chain of a job is deleted after it is added', () => {
  for (const mode of ['nat', 'bridge'] as const) {
    const { nftUp, nftDown } = nftPieces(network(mode), config(SITE));
    for (const line of nftUp.filter(
      (text) => text.startsWith('add element') || text.startsWith('add chain'),
    )) {
      const key = line
        .replace(/^add /, 'delete ')
        .replace(/ : .*\}/, ' }')
        .replace(/ \{ type .*/, '');
      expect(nftDown).toContain(key);
    }
  }
});

test('mode none has nothing, a job that is not accounted has no counters', () => {
  expect(nftPieces(network('none'), config(''))).toEqual({ nftUp: [], nftDown: [] });
  const job = network('nat');
  job.request.isAccounted = false;
  expect(nftPieces(job, config('')).nftUp.filter((line) => /(out|in)_/.test(line))).toEqual([]);
});

test('a job without an address of a family sends nothing of it', () => {
  const { ipv4: _4, ipv6: _6, ...lease } = network('nat').lease;
  const { nftUp } = nftPieces({ ...network('nat'), lease }, config(''));
  for (const protocol of ['ip', 'arp', 'ip6']) {
    expect(nftUp.join('\n')).toContain(`meta protocol ${protocol} drop`);
  }
});

test.each(['nat', 'bridge'] as const)(
  'no rule of a job of mode %s makes a set, which every nft would read',
  (mode) => {
    const rules = nftPieces(network(mode), config(SITE)).nftUp.filter((line) => line.startsWith('add rule'));
    expect(rules.length).toBeGreaterThan(5);
    expect(rules.filter((rule) => rule.includes('{'))).toEqual([]);
  },
);

test.each([
  ['a name', { name: 'lk1"; flush ruleset' }],
  ['an IPv4 address', { ipv4: '10.0.0.1 } ; flush ruleset' }],
  ['an IPv6 address', { ipv6: 'x::y' }],
  ['a MAC', { mac: '02:00' }],
  ['a port', { forwards: [{ protocol: 'tcp' as const, hostPort: 70_000, jobPort: 1 }] }],
  ['a slot', { slotIndex: 0xfffe }],
])('refuses %s that is none', (_, changes) => {
  expect(() => nftPieces(network('nat', changes), config(''))).toThrow();
});

test('the link-local address that the kernel makes of a MAC', () => {
  expect(linkLocalOf('02:6c:6b:00:00:1f').toString()).toBe('fe80::6c:6bff:fe00:1f');
});

test('ports that are none are told', () => {
  const reach: ReachRules = {
    jobToJob: false,
    metadataAddresses: false,
    deny: [{ cidr: '0.0.0.0/0', protocol: 'tcp', ports: '25; flush ruleset' }],
    allow: [],
    nameservers: [],
    hostAddresses: [],
    hostPorts: [],
  };
  expect(() => destinationRules(reach)).toThrow(UserError);
});

test('removal names both tables', () => {
  expect(removeRuleset().match(/delete table (\w+) lark/g)).toHaveLength(2);
});
