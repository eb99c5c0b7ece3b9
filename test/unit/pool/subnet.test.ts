import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { chooseSubnet, routeDestinations } from '../../../testbed/pool/subnet.ts';

const toNumber = (address: string) => address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
const toText = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');

/** First and last address of a CIDR, by arithmetic of our own. */
function span(cidr: string): [first: number, last: number] {
  const [address = '', length = '32'] = cidr.split('/');
  const size = 2 ** (32 - Number(length));
  const first = Math.floor(toNumber(address) / size) * size;
  return [first, first + size - 1];
}

describe('chooseSubnet', () => {
  const network = fc
    .tuple(
      fc.constantFrom('10.0.0.0', '172.16.0.0', '192.168.0.0'),
      fc.nat(2 ** 24 - 1),
      fc.integer({ min: 9, max: 32 }),
    )
    .map(([base, offset, length]) => `${toText(toNumber(base) + offset)}/${length}`);
  const sequence = (values: number[]) => {
    let at = 0;
    return () => values[at++ % values.length]!;
  };
  const randoms = fc
    .array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1, maxLength: 40 })
    .map(sequence);

  it('is private and overlaps nothing in use, or says that there is none', () => {
    fc.assert(
      fc.property(fc.array(network, { maxLength: 12 }), randoms, (inUse, random) => {
        let prefix: string;
        try {
          prefix = chooseSubnet(inUse, random);
        } catch (error) {
          expect(String(error)).toContain('No free private /24');
          return;
        }
        expect(ipaddr.parse(`${prefix}.1`).range()).toBe('private');
        const [first, last] = span(`${prefix}.0/24`);
        for (const used of inUse) {
          const [usedFirst, usedLast] = span(used);
          expect(usedLast < first || usedFirst > last).toBe(true);
        }
      }),
    );
  });

  it('turns to the next range when one is taken as a whole', () => {
    expect(chooseSubnet(['default', '10.0.0.0/8'], () => 0.5)).toBe('172.24.0');
    expect(chooseSubnet(['10.0.0.0/8', '172.16.0.0/12', '192.168.3.4'], () => 0.5)).toBe('192.168.128');
  });

  it('says when there is no room', () => {
    const all = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];
    expect(() => chooseSubnet(all, Math.random)).toThrow('No free private /24 network');
    expect(() => chooseSubnet(['0.0.0.0/0'], Math.random)).toThrow('No free private /24 network');
  });
});

describe('routeDestinations', () => {
  it('reads what ip prints', () => {
    const printed =
      '[{"dst":"default","gateway":"192.0.2.1","dev":"eth0"},{"dst":"192.0.2.0/24","dev":"eth0"},{"type":"local"}]';
    expect(routeDestinations(printed)).toEqual(['default', '192.0.2.0/24']);
    expect(routeDestinations('')).toEqual([]);
  });
});
