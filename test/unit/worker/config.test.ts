import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
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
    ['onFailure: run', 'expected one of hold, idle, run-without, got "run"'],
  ])('refuses %s', (text, message) => {
    expect(() => parseWorkerConfig(text, 'worker.yaml')).toThrow(message);
  });

  it('finds the policy beside the file', () => {
    expect(parseWorkerConfig('policy: p.ad', '/etc/lark/worker.yaml').policyFile).toBe('/etc/lark/p.ad');
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
