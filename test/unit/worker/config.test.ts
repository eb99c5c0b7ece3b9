import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkAddresses, routesInto } from '../../../src/worker/collisions.ts';
import { parseWorkerConfig, portsOf } from '../../../src/worker/config.ts';

const FILE = new URL('../../../config/worker.yaml', import.meta.url).pathname;

describe('worker.yaml', () => {
  it('that comes with Lark holds every key with its default', () => {
    const text = readFileSync(FILE, 'utf8');
    expect(parseWorkerConfig(text, FILE)).toEqual(parseWorkerConfig('', FILE));
    // Keys without a default are there as comments: uncommented, the file still stands.
    const whole = text.replace(/^( +)# ([a-zA-Z0-9]+: [\w.:/-]+)$/gm, '$1$2');
    const { bridge, hooks } = parseWorkerConfig(whole, FILE);
    expect(bridge.ipv6Gateway).toBe('2001:db8::1');
    expect(hooks.delete).toBe('/etc/lark/network-delete');
  });

  it.each([
    ['nat: {ipv4Pool: 10.44.0.0/30}', 'an IPv4 range of /28 or larger'],
    ['nat: {ipv4Pool: "fd00::/64"}', 'an IPv4 range of /28 or larger'],
    ['nat: {ipv6Pol: none}', 'unknown key "nat.ipv6Pol"; did you mean "ipv6Pool"?'],
    ['host: {uplink: "eth0; reboot"}', 'host.uplink'],
    ['isolation: {deny: [{cidr: 10.0.0.0/8, ports: "25"}]}', 'a protocol beside the ports'],
    ['accounting: {classes: [{name: "a b", cidrs: [10.0.0.0/8]}]}', 'a word of letters and digits'],
    ['nat: {ipv4Pool: 169.254.0.0/16}', 'a range that is not loopback, link-local or multicast'],
    ['nat: {ipv4Pool: 127.1.0.0/16}', 'a range that is not loopback, link-local or multicast'],
    ['nat: {ipv6Pool: "fe80::/64"}', 'nat.ipv6Pool: expected a range that is not loopback'],
    ['shaping: {uplinkMbps: 10G}', 'shaping.uplinkMbps: expected auto or a number, got "10G"'],
    ['bridge: {ipv4Ranges: [{first: 192.0.2.9, last: 192.0.2.1}]}', 'first no higher than last'],
    ['bridge: {ipv4Ranges: [{first: 192.0.2.9, last: "2001:db8::1"}]}', 'an IPv4 address'],
    ['bridge: {ipv6Ranges: [{first: 192.0.2.9, last: 192.0.2.10}]}', 'an IPv6 address'],
    ['resolver: {nameservers: ["fe80::1%eth0"]}', 'no link-local one of IPv6'],
    ['resolver: {nameservers: [127.0.0.53]}', 'an IP address that a job reaches'],
    ['onFailure: run', 'expected one of hold, idle, run-without, got "run"'],
  ])('refuses %s', (text, message) => {
    expect(() => parseWorkerConfig(text, 'worker.yaml')).toThrow(message);
  });

  it('finds the policy beside the file', () => {
    expect(parseWorkerConfig('policy: p.ad', '/etc/lark/worker.yaml').policyFile).toBe('/etc/lark/p.ad');
  });
});

describe('what is the machine’s own', () => {
  const config = (text: string) => parseWorkerConfig(text, 'worker.yaml');
  const host = { ipv4: ['192.0.2.1', '10.1.0.7'], ipv6: ['2001:db8::1'] };

  it.each([
    [
      'nat: {ipv4Pool: 10.1.0.0/16}',
      /nat\.ipv4Pool: 10\.1\.0\.0\/16 holds 10\.1\.0\.7, an address of this machine/,
    ],
    ['nat: {ipv6Pool: "2001:db8::/64"}', /nat\.ipv6Pool: .* holds 2001:db8::1/],
    ['bridge: {ipv4Ranges: [{first: 192.0.2.1, last: 192.0.2.9}]}', /bridge\.ipv4Ranges holds 192\.0\.2\.1/],
    [
      'bridge: {slotAddresses: {slot1_1: {ipv6: "2001:0db8::1"}}}',
      /bridge\.slotAddresses\.slot1_1: 2001:db8::1 is/,
    ],
  ])('is no job’s: %s', (text, message) => {
    expect(() => checkAddresses(config(text), host)).toThrow(message);
  });

  it('may be beside what jobs get', () => {
    checkAddresses(config('bridge: {ipv4Ranges: [{first: 192.0.2.2, last: 192.0.2.9}]}'), host);
  });

  it('are routes into the pools, whichever is larger, but not those of jobs', () => {
    const routes = [
      { dst: 'default', dev: 'eth0' },
      { dst: '10.44.7.0/24', dev: 'eth1' },
      { dst: '10.0.0.0/8', dev: 'tun0' },
      { dst: '10.44.0.5', dev: 'lkabcdefgh' },
      { dst: '10.44.0.6', dev: 'eth2' },
      { dst: '10.45.0.0/16', dev: 'eth1' },
      { dst: 'fd00::/8', dev: 'eth1' },
      { dst: 'ff00::/8', dev: 'eth1' },
    ];
    expect(routesInto(['10.44.0.0/16', 'fd6c:6172:6b00::/64'], routes)).toEqual([
      '10.44.7.0/24 dev eth1',
      '10.0.0.0/8 dev tun0',
      '10.44.0.6 dev eth2',
      'fd00::/8 dev eth1',
    ]);
  });
});

describe('portsOf', () => {
  it.each([
    ['443', { first: 443, last: 443 }],
    ['5-9', { first: 5, last: 9 }],
    ['9-5', undefined],
    ['0', undefined],
    ['65536', undefined],
    ['5-', undefined],
  ])('%s', (text, ports) => {
    expect(portsOf(text)).toEqual(ports);
  });
});
