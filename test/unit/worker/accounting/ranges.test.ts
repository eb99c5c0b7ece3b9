import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import {
  addressNumber,
  addressText,
  disjointRanges,
  rangeText,
} from '../../../../src/worker/accounting/ranges.ts';

/** Few bits vary, so that CIDRs overlap often. */
const cidr4 = fc
  .tuple(fc.integer({ min: 0, max: 31 }), fc.integer({ min: 0, max: 32 }))
  .map(([low, length]) => `10.0.${low >> 2}.${(low & 3) << 6}/${length}`);
const cidr6 = fc
  .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 128 }))
  .map(([low, length]) => `2001:db8:${low.toString(16)}::${(low & 3).toString(16)}/${length}`);
const entries = (cidr: fc.Arbitrary<string>) =>
  fc.array(fc.record({ cidr, value: fc.constantFrom('A', 'B', 'C') }), { maxLength: 12 });

function longestPrefix(address: string, list: { cidr: string; value: string }[]): string | undefined {
  const parsed = ipaddr.parse(address);
  let best: { length: number; value: string } | undefined;
  for (const { cidr, value } of list) {
    const [network, length] = ipaddr.parseCIDR(cidr);
    if (network.kind() !== parsed.kind() || !parsed.match([network, length] as never)) continue;
    if (!best || length > best.length) best = { length, value };
  }
  return best?.value;
}

describe.each([
  { family: 'ipv4', cidr: cidr4 },
  { family: 'ipv6', cidr: cidr6 },
] as const)('ranges of $family', ({ family, cidr }) => {
  test('find what a search for the longest prefix finds, at every border', () => {
    const last = family === 'ipv4' ? (1n << 32n) - 1n : (1n << 128n) - 1n;
    fc.assert(
      fc.property(entries(cidr), (list) => {
        const ranges = disjointRanges(list, family);
        const borders = ranges.flatMap((range) => [
          range.first - 1n,
          range.first,
          range.last,
          range.last + 1n,
        ]);
        const starts = list.map((entry) => addressNumber(entry.cidr.split('/')[0]!));
        for (const number of [0n, last, ...borders, ...starts]) {
          if (number < 0n || number > last) continue;
          const found = ranges.find((range) => range.first <= number && number <= range.last)?.value;
          expect(found).toBe(longestPrefix(addressText(number, family), list));
        }
      }),
    );
  });

  test('ascend, do not overlap, and are joined where they can be', () => {
    fc.assert(
      fc.property(entries(cidr), (list) => {
        const ranges = disjointRanges(list, family);
        for (const [index, range] of ranges.entries()) {
          expect(range.first <= range.last).toBe(true);
          const before = ranges[index - 1];
          if (!before) continue;
          expect(before.last < range.first).toBe(true);
          expect(before.last + 1n === range.first && before.value === range.value).toBe(false);
        }
      }),
    );
  });
});

test('ranges as nft reads them', () => {
  const ranges = disjointRanges(
    [
      { cidr: '10.0.0.0/8', value: 'A' },
      { cidr: '10.1.0.0/16', value: 'B' },
      { cidr: '192.0.2.7/32', value: 'A' },
      { cidr: '2001:db8::/32', value: 'A' },
    ],
    'ipv4',
  );
  expect(ranges.map((range) => `${rangeText(range, 'ipv4')} ${range.value}`)).toEqual([
    '10.0.0.0-10.0.255.255 A',
    '10.1.0.0-10.1.255.255 B',
    '10.2.0.0-10.255.255.255 A',
    '192.0.2.7 A',
  ]);
});
