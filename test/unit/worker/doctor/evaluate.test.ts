import { describe, expect, it } from 'vitest';
import { evaluate } from '../../../../src/worker/doctor/evaluate.ts';
import { FEATURES, type MachineFacts } from '../../../../src/worker/doctor/facts.ts';
import { forwardDropsOf } from '../../../../src/worker/doctor/gather.ts';

const WELL_SITE: MachineFacts['site'] = {
  problems: [],
  nameservers: ['192.0.2.53'],
  isRateKnown: true,
  poolRoutes: [],
  inboundPorts: { range: '20000-21999', inUse: [], isEphemeral: false },
  connections: { perJob: 8192, inTable: 262_144 },
};

/** A machine that has everything. */
const WELL: MachineFacts = {
  isRoot: true,
  kernel: '6.12.0',
  features: Object.fromEntries(FEATURES.map((name) => [name, { works: true }])),
  tools: { ip: 'iproute2-6.1.0', tc: 'iproute2-6.1.0', nft: 'v1.0.6', perl: 'v5.36', iperf3: '3.12' },
  sysctls: { 'net/ipv4/ip_forward': '1', 'net/ipv4/conf/all/rp_filter': '2' },
  forwardDrops: [],
  services: [],
  htcondor: {
    version: '25.14.1',
    settings: {
      USER_JOB_WRAPPER: '/usr/libexec/lark/lark-job-wrapper',
      NO_JOB_NETWORKING: 'true',
      MACHINE_RESOURCE_INVENTORY_BANDWIDTH: '/usr/bin/lark worker inventory',
    },
  },
  folders: { '/run/lark': 'writable', '/var/lib/lark': 'writable' },
  site: WELL_SITE,
  socket: { path: '/run/lark/worker.sock', answers: true },
};

const complaints = (change: Partial<MachineFacts>) =>
  evaluate({ ...WELL, ...change }).filter(({ level }) => level !== 'ok');

describe('lark worker doctor', () => {
  it('has nothing to say against a machine that has everything', () => {
    expect(complaints({})).toEqual([]);
    expect(evaluate(WELL).length).toBeGreaterThan(FEATURES.length);
  });

  it.each(FEATURES)('says what it costs to lack %s, and how to get it', (name) => {
    const [finding, ...others] = complaints({
      features: { ...WELL.features, [name]: { works: false, words: 'No such thing' } },
    });
    expect(others).toEqual([]);
    expect(finding?.what).toMatch(/missing \(No such thing\)$/);
    expect(finding?.cost?.length).toBeGreaterThan(5);
    expect(finding?.cure?.length).toBeGreaterThan(5);
  });

  it.each(['veth', 'nft', 'userNamespace', 'nftEgress'] as const)('cannot do without %s', (name) => {
    expect(complaints({ features: { ...WELL.features, [name]: { works: false } } })[0]?.level).toBe('bad');
  });

  it.each(['bridge', 'htb', 'ifb', 'vlan', 'fqCodel'] as const)('can do without %s', (name) => {
    expect(complaints({ features: { ...WELL.features, [name]: { works: false } } })[0]?.level).toBe('costs');
  });

  it('does not take what was not tried for missing', () => {
    const found = complaints({ isRoot: false, features: {}, forwardDrops: undefined });
    expect(new Set(found.map(({ level }) => level))).toEqual(new Set(['unknown']));
  });

  it.each<[string, Partial<MachineFacts>, string, RegExp]>([
    ['a missing tool', { tools: { ...WELL.tools, nft: undefined } }, 'bad', /^nft missing/],
    ['strict reverse paths', { sysctls: { 'net/ipv4/conf/all/rp_filter': '1' } }, 'costs', /rp_filter = 1/],
    ['no IPv6', { sysctls: { 'net/ipv6/conf/all/disable_ipv6': '1' } }, 'costs', /IPv6 is disabled/],
    [
      'no IPv6 for new devices',
      { sysctls: { 'net/ipv6/conf/default/disable_ipv6': '1' } },
      'costs',
      /IPv6 is disabled/,
    ],
    [
      'bridged frames in iptables',
      { sysctls: { 'net/bridge/bridge-nf-call-iptables': '1' } },
      'costs',
      /bridge-nf-call/,
    ],
    [
      'a policy that cannot be read',
      { site: { ...WELL_SITE, problems: ['policy.ad: no'] } },
      'bad',
      /^policy\.ad: no$/,
    ],
    ['a resolver on the loopback', { site: { ...WELL_SITE, nameservers: [] } }, 'costs', /own loopback/],
    [
      'an unknown rate',
      { site: { ...WELL_SITE, isRateKnown: false } },
      'costs',
      /rate of the uplink is not known/,
    ],
    [
      'a pool that is routed elsewhere',
      { site: { ...WELL_SITE, poolRoutes: ['10.44.0.0/24 dev eth1'] } },
      'costs',
      /^the route 10\.44\.0\.0\/24 dev eth1 leads into a pool/,
    ],
    [
      'ports that others listen on',
      { site: { ...WELL_SITE, inboundPorts: { ...WELL_SITE.inboundPorts, inUse: [20_022] } } },
      'costs',
      /listen on 20022/,
    ],
    [
      'ports for connections of the machine',
      { site: { ...WELL_SITE, inboundPorts: { ...WELL_SITE.inboundPorts, isEphemeral: true } } },
      'costs',
      /ip_local_port_range/,
    ],
    [
      'a small table of connections',
      { site: { ...WELL_SITE, connections: { perJob: 8192, inTable: 16_384 } } },
      'costs',
      /^one job may have 8192 of the 16384/,
    ],
    ['firewalld', { services: ['firewalld'] }, 'costs', /^firewalld runs/],
    [
      'a chain that drops',
      { forwardDrops: ['ip filter FORWARD'] },
      'costs',
      /^chain ip filter FORWARD drops/,
    ],
    ['no HTCondor', { htcondor: undefined }, 'bad', /^HTCondor/],
    [
      'no wrapper',
      { htcondor: { ...WELL.htcondor!, settings: { ...WELL.htcondor!.settings, USER_JOB_WRAPPER: '' } } },
      'bad',
      /not set/,
    ],
    [
      'another wrapper',
      { htcondor: { ...WELL.htcondor!, settings: { ...WELL.htcondor!.settings, USER_JOB_WRAPPER: '/x' } } },
      'bad',
      /which is not Lark's/,
    ],
    [
      'an old HTCondor',
      { htcondor: { ...WELL.htcondor!, version: '24.6.9' } },
      'bad',
      /needs HTCondor 24\.7/,
    ],
    [
      'no inventory',
      { htcondor: { version: '23.9.6', settings: { USER_JOB_WRAPPER: '/a/lark-job-wrapper' } } },
      'costs',
      /INVENTORY_BANDWIDTH is not set/,
    ],
    ['leases on a disk', { folders: { '/run/lark': 'on a disk' } }, 'bad', /on a disk/],
    [
      'no agent',
      { socket: { path: '/run/lark/worker.sock', answers: false, problem: 'ENOENT' } },
      'bad',
      /does not answer .* \(ENOENT\)/,
    ],
  ])('%s', (_, change, level, what) => {
    const found = complaints(change);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ level, what: expect.stringMatching(what) });
    expect(found[0]?.cure).toBeTruthy();
  });
});

describe('forward chains', () => {
  it('that drop are found in what nft lists', () => {
    const chain = (name: string, hook: string, policy: string) => ({
      chain: { family: 'ip', table: 'filter', name, type: 'filter', hook, prio: 0, policy },
    });
    const listed = [
      { metainfo: { version: '1.0.6' } },
      chain('FORWARD', 'forward', 'drop'),
      chain('INPUT', 'input', 'drop'),
      chain('other', 'forward', 'accept'),
      { chain: { family: 'ip', table: 'filter', name: 'DOCKER' } },
    ];
    expect(forwardDropsOf(JSON.stringify({ nftables: listed }))).toEqual(['ip filter FORWARD']);
  });
});
