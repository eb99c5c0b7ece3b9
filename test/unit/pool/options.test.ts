import { describe, expect, it } from 'vitest';
import { startPool } from '../../../testbed/pool/pool.ts';

describe('startPool, before it touches anything', () => {
  const start = (...executionPoints: { name: string; site: string }[]) => startPool({ executionPoints });

  it.each([
    [
      'a name twice',
      [
        { name: 'ep1', site: 'A' },
        { name: 'ep1', site: 'B' },
      ],
      'Host name "ep1" is taken',
    ],
    ['the name of another role', [{ name: 'cm', site: 'A' }], 'Host name "cm" is taken'],
    ['the name of the network', [{ name: 'switch', site: 'A' }], 'Host name "switch" is taken'],
    [
      'a name too long for a link',
      [{ name: 'execution-point-1', site: 'A' }],
      'Host name "execution-point-1": use',
    ],
    ['a name that is an option', [{ name: '-ep', site: 'A' }], 'Host name "-ep": use'],
    ['a site that ends its quotes', [{ name: 'ep1', site: 'A" || "' }], 'Site "A" || "" of host "ep1": use'],
  ])('refuses %s', async (_what, executionPoints, message) => {
    await expect(start(...executionPoints)).rejects.toThrow(message);
  });

  it('refuses a site of the access point that ends its quotes', async () => {
    await expect(startPool({ accessPointSite: 'A"' })).rejects.toThrow('of host "ap"');
  });

  it('refuses more hosts than the network has addresses', async () => {
    const many = Array.from({ length: 249 }, (_, index) => ({ name: `ep${index}`, site: 'A' }));
    await expect(start(...many)).rejects.toThrow('room for 248 execution points, not 249');
  });
});
