import { expect, test } from 'vitest';
import { bridgeDownLines, bridgeUpLines } from '../../../../src/worker/bridge/move.ts';
import { planBridge } from '../../../../src/worker/bridge/plan.ts';
import { type DeviceState, deviceStateSchema } from '../../../../src/worker/bridge/state.ts';
import { parseWorkerConfig } from '../../../../src/worker/config.ts';

const state: DeviceState = {
  device: 'eth0',
  mac: '02:00:00:00:00:01',
  mtu: 9000,
  addresses: [
    {
      family: 'inet',
      local: '192.0.2.2',
      prefixlen: 24,
      scope: 'global',
      broadcast: '192.0.2.255',
      valid_life_time: 4294967295,
    },
    {
      family: 'inet6',
      local: '2001:db8::2',
      prefixlen: 64,
      scope: 'global',
      valid_life_time: 600,
      preferred_life_time: 300,
    },
    { family: 'inet6', local: 'fe80::1', prefixlen: 64, scope: 'link' },
  ],
  routes: [
    { family: 'inet', dst: 'default', gateway: '192.0.2.1', protocol: 'static', metric: 100, flags: [] },
    { family: 'inet', dst: '192.0.2.0/24', protocol: 'kernel', scope: 'link', prefsrc: '192.0.2.2' },
    { family: 'inet', dst: '192.0.2.2', type: 'local', table: 'local', protocol: 'kernel' },
    { family: 'inet', dst: '198.51.100.0/24', protocol: 'boot', scope: 'link', table: '77' },
    { family: 'inet6', dst: 'default', gateway: 'fe80::9', metric: 1024, flags: ['onlink'] },
    { family: 'inet6', dst: 'fe80::/64', protocol: 'kernel' },
  ],
};

test('golden file of the way there and back', async () => {
  const text = [
    '# up',
    ...bridgeUpLines('lark-br0', state),
    '# down',
    ...bridgeDownLines('lark-br0', state),
    '',
  ];
  await expect(text.join('\n')).toMatchFileSnapshot('golden/move.ip');
});

test('a state file that holds more than words of ip is not carried out', () => {
  const bad = deviceStateSchema.parse({
    ...state,
    routes: [{ family: 'inet', dst: 'default', protocol: 'x\nlink del eth0' }],
  });
  expect(() => bridgeUpLines('lark-br0', bad)).toThrow('no word of ip');
});

const config = parseWorkerConfig('', '/etc/lark/worker.yaml');
const network = {
  request: {
    mode: 'bridge' as const,
    inbound: [],
    isAccounted: true,
    owner: 'alice',
    jobId: '1.0',
    starter: { pid: 1, startTicks: 1 },
  },
  lease: {
    name: 'lk00000001',
    slotIndex: 1,
    ipv4: '192.0.2.10',
    ipv6: '2001:db8::10',
    mac: '02:6c:6b:00:00:01',
    forwards: [],
    createdAt: new Date(0),
    jobId: '1.0',
    bootId: 'boot',
  },
};
const facts = {
  mtu: 9000,
  ipv4PrefixLength: 24,
  ipv6PrefixLength: 64,
  ipv4Gateway: '192.0.2.1',
  ipv6Gateway: 'fe80::9',
};

test('golden file of a job of mode bridge', async () => {
  const link = planBridge(network, { uplinkMtu: 9000 }, config, facts);
  const text = ['# host', ...link.hostUp, '# job', ...link.jobUp, ''].join('\n');
  await expect(text).toMatchFileSnapshot('golden/job.ip');
});

test('an address without a known network is refused', () => {
  expect(() => planBridge(network, { uplinkMtu: 9000 }, config, { mtu: 1500 })).toThrow(
    'bridge.ipv4PrefixLength',
  );
});
