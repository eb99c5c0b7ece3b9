import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bandwidthInventory } from '../../../../src/worker/inventory/inventory.ts';
import { receivedMbps } from '../../../../src/worker/inventory/measure.ts';
import { type Link, type Snapshot, snapshotSchema } from '../../../../src/worker/inventory/snapshot.ts';
import { uplinkSpeed } from '../../../../src/worker/inventory/uplink.ts';

/** Of this kernel: a virtual machine, and a bridge of veths in a namespace. */
const captured = (name: string): Snapshot =>
  snapshotSchema.parse(JSON.parse(readFileSync(new URL(`snapshots/${name}.json`, import.meta.url), 'utf8')));

/** Links of kinds that the kernel of the captures lacks, in the words of iproute2's source. */
const nic = (ifname: string, more: Partial<Link> = {}): Link => ({
  ifname,
  flags: [],
  operstate: 'UP',
  ...more,
});
const bondPort = (ifname: string, state = 'ACTIVE', aggregator?: number, operstate = 'UP'): Link =>
  nic(ifname, {
    master: 'bond0',
    operstate,
    linkinfo: {
      info_slave_data: {
        state,
        mii_status: operstate,
        ...(aggregator !== undefined && { ad_aggregator_id: aggregator }),
      },
    },
  });
const bond = (mode: string, more: object = {}): Link =>
  nic('bond0', { linkinfo: { info_kind: 'bond', info_data: { mode, ...more } } });
const over = (dev: string, links: Link[], speedMbps: Record<string, number>): Snapshot => ({
  ipv4Routes: [{ dev, metric: 0, flags: [] }],
  ipv6Routes: [],
  links,
  speedMbps,
});

describe('the speed of the uplink', () => {
  it('is not known of a virtual machine whose driver tells none', () => {
    expect(uplinkSpeed(captured('virtio'))).toEqual({
      devices: ['eth0'],
      steps: ['the default route for IPv4 leads to eth0', 'the driver of eth0 tells no speed'],
    });
  });

  it('is not what a veth calls its speed; the route with the smallest metric decides', () => {
    const snapshot = captured('bridge-of-veth');
    expect(snapshot.speedMbps.v0).toBe(10000);
    expect(uplinkSpeed(snapshot)).toEqual({
      devices: ['mv0'],
      steps: [
        'the default route for IPv4 leads to mv0',
        'mv0 is a macvlan over br0',
        'br0 is a bridge without a port that leads outside (v0, tap0)',
      ],
    });
  });

  it('is that of a real device', () => {
    expect(uplinkSpeed(over('eno1', [nic('eno1')], { eno1: 100_000 }))).toEqual({
      devices: ['eno1'],
      mbps: 100_000,
      steps: ['the default route for IPv4 leads to eno1', 'eno1 runs at 100000 Mb/s'],
    });
  });

  it('comes from the route of IPv6 where IPv4 has none, or none that leads anywhere', () => {
    const snapshot = over('eno1', [nic('eno1'), nic('eno2')], { eno1: 1000, eno2: 2500 });
    const ipv6Routes = [{ dev: 'eno2', metric: 1024, flags: [] }];
    for (const ipv4Routes of [
      [],
      [{ type: 'unreachable', dev: 'lo', metric: 0, flags: [] }],
      [{ dev: 'eno1', metric: 0, flags: ['dead', 'linkdown'] }],
    ]) {
      expect(uplinkSpeed({ ...snapshot, ipv4Routes, ipv6Routes }).mbps).toBe(2500);
    }
    expect(uplinkSpeed({ ...snapshot, ipv4Routes: [] })).toEqual({
      devices: [],
      steps: ['no default route for IPv4', 'no default route for IPv6'],
    });
  });

  it('is the sum over the devices of a multipath route that live', () => {
    const snapshot = over('', [nic('a'), nic('b'), nic('c')], { a: 1000, b: 10_000, c: 1000 });
    const nexthops = [
      { dev: 'a', flags: [] },
      { dev: 'b', flags: [] },
      { dev: 'c', flags: ['linkdown'] },
    ];
    expect(uplinkSpeed({ ...snapshot, ipv4Routes: [{ metric: 0, flags: [], nexthops }] }).mbps).toBe(11_000);
  });

  it.each([
    ['802.3ad', { ad_info: { aggregator: 1 } }, 50_000],
    ['balance-rr', {}, 75_000],
    ['balance-xor', {}, 75_000],
    ['balance-alb', {}, 75_000],
    ['balance-tlb', { active_slave: 'p2' }, 25_000],
    ['active-backup', { active_slave: 'p2' }, 25_000],
    ['broadcast', {}, 25_000],
  ])('of a bond in mode %s', (mode, more, mbps) => {
    // p3 is alone in another aggregator, p4 is down
    const members = [
      bondPort('p1', 'BACKUP', 1),
      bondPort('p2', 'ACTIVE', 1),
      bondPort('p3', 'BACKUP', 2),
      bondPort('p4', 'BACKUP', 1, 'DOWN'),
    ];
    const speeds = { p1: 25_000, p2: 25_000, p3: 25_000, p4: 25_000, bond0: 999 };
    expect(uplinkSpeed(over('bond0', [bond(mode, more), ...members], speeds)).mbps).toBe(mbps);
  });

  it('is not known where a member of a bond hides its speed, or all are down', () => {
    expect(
      uplinkSpeed(over('bond0', [bond('balance-rr'), bondPort('p1'), bondPort('p2')], { p1: 1000 })).mbps,
    ).toBeUndefined();
    expect(
      uplinkSpeed(over('bond0', [bond('active-backup'), bondPort('p1', 'ACTIVE', 1, 'DOWN')], { p1: 1 }))
        .mbps,
    ).toBeUndefined();
  });

  it('goes through VLAN, bridge and bond to the wires', () => {
    const links = [
      nic('br0', { linkinfo: { info_kind: 'bridge' } }),
      nic('bond0.42', { link: 'bond0', master: 'br0', linkinfo: { info_kind: 'vlan' } }),
      nic('lk00000001', {
        master: 'br0',
        linkinfo: { info_kind: 'veth', info_slave_data: { state: 'forwarding' } },
      }),
      bond('802.3ad', { ad_info: { aggregator: 1 } }),
      bondPort('p1', 'ACTIVE', 1),
      bondPort('p2', 'ACTIVE', 1),
    ];
    expect(uplinkSpeed(over('br0', links, { p1: 100_000, p2: 100_000, lk00000001: 10_000 }))).toEqual({
      devices: ['br0'],
      mbps: 200_000,
      steps: [
        'the default route for IPv4 leads to br0',
        'br0 is a bridge; bond0.42 leads outside',
        'bond0.42 is a vlan over bond0',
        'bond0 is a bond in mode 802.3ad; of its members p1, p2, p1, p2 are active',
        'p1 runs at 100000 Mb/s',
        'p2 runs at 100000 Mb/s',
        'bond0: 200000 Mb/s together',
      ],
    });
  });

  it('of a bridge is the slowest forwarding port', () => {
    const port = (ifname: string, state: string): Link =>
      nic(ifname, { master: 'br0', linkinfo: { info_slave_data: { state } } });
    const links = [
      nic('br0', { linkinfo: { info_kind: 'bridge' } }),
      port('a', 'forwarding'),
      port('b', 'forwarding'),
      port('c', 'blocking'),
    ];
    expect(uplinkSpeed(over('br0', links, { a: 10_000, b: 1000, c: 100 })).mbps).toBe(1000);
  });

  it('is not known of a device that is missing, or whose lower one is elsewhere', () => {
    expect(uplinkSpeed(captured('virtio'), 'eth9').steps.at(-1)).toBe('there is no device eth9');
    const vlan = nic('eth0.7', { linkinfo: { info_kind: 'vlan' } });
    expect(uplinkSpeed(over('eth0.7', [vlan], { 'eth0.7': 1000 })).steps.at(-1)).toBe(
      'eth0.7 is a vlan over a device in another network namespace',
    );
  });

  it('is found or not, but the search ends, whatever lies over what', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd');
    const link = fc.record({
      ifname: name,
      flags: fc.constant<string[]>([]),
      operstate: fc.constantFrom('UP', 'DOWN'),
      master: name,
      link: name,
      linkinfo: fc.record({ info_kind: fc.constantFrom('bond', 'bridge', 'vlan', 'veth') }),
    });
    fc.assert(
      fc.property(fc.array(link, { maxLength: 6 }), (links) => {
        expect(uplinkSpeed(over('a', links, { a: 1, b: 2, c: 3, d: 4 })).mbps ?? 1).toBeGreaterThan(0);
      }),
    );
  });
});

describe('what is advertised', () => {
  const known = { devices: ['eno1'], mbps: 10_000, steps: ['eno1 runs at 10000 Mb/s'] };
  const unknown = { devices: ['v0'], steps: ['v0 is a veth, which has no speed of its own'] };
  const auto = { uplinkMbps: 'auto', headroomShare: 0 } as const;
  const measure = async () => ({ mbps: 412.7, steps: ['measured'] });
  const never = () => Promise.reject(new Error('measured without need'));

  it('is the configured speed, else the kernel’s, else the measured one', async () => {
    expect(await bandwidthInventory(known, { ...auto, uplinkMbps: 500 }, never)).toMatchObject({
      bandwidthMbps: 500,
    });
    expect(await bandwidthInventory(known, auto, never)).toMatchObject({ bandwidthMbps: 10_000 });
    expect(await bandwidthInventory(unknown, auto, measure)).toEqual({
      bandwidthMbps: 412,
      steps: ['measured'],
    });
  });

  it('is less by the headroom, and never 0', async () => {
    expect(await bandwidthInventory(known, { ...auto, headroomShare: 0.1 })).toEqual({
      bandwidthMbps: 9000,
      steps: ['less the headroom of 10 %: 9000 Mb/s'],
    });
    expect((await bandwidthInventory(known, { uplinkMbps: 0.5, headroomShare: 0 })).bandwidthMbps).toBe(1);
  });

  it('is refused where nothing tells', async () => {
    await expect(bandwidthInventory(unknown, auto)).rejects.toThrow(
      'the speed of the uplink is not known (v0 is a veth, which has no speed of its own): set shaping.uplinkMbps',
    );
  });

  it('measured is what arrived', () => {
    expect(receivedMbps('{"end": {"sum_received": {"bits_per_second": 941500000.5, "bytes": 1}}}')).toBe(
      941.5000005,
    );
    expect(() => receivedMbps('{"start": {}, "error": "unable to connect"}')).toThrow();
  });
});
