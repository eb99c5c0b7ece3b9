import type { LookupAddress } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { Names } from '../../../src/spider/names.ts';

/** A name service of a fixed zone, and a clock that is moved by hand. */
function service(zone: Record<string, string[]>) {
  const asked: string[] = [];
  const clock = { ms: 1 };
  const names = new Names(
    async (name): Promise<LookupAddress[]> => {
      asked.push(name);
      const found = zone[name];
      if (!found) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
      return found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    },
    () => clock.ms,
  );
  const lookup = (name: string, options = {}) =>
    new Promise((resolve) =>
      names.lookup(name, options, (error, ...answer) => resolve(error?.code ?? answer)),
    );
  return { names, asked, clock, lookup };
}

describe('the name service', () => {
  it('is asked once in five minutes, once a minute for what it does not know', async () => {
    const { asked, clock, lookup } = service({ 'a.org': ['192.0.2.1', '2001:db8::1'] });
    const all = () => Promise.all(['a.org', 'a.org', 'gone.org'].map((name) => lookup(name)));
    expect(await all()).toEqual([['192.0.2.1', 4], ['192.0.2.1', 4], 'ENOTFOUND']);
    await all();
    expect(asked).toEqual(['a.org', 'gone.org']);
    clock.ms += 61_000;
    await all();
    expect(asked).toEqual(['a.org', 'gone.org', 'gone.org']);
    clock.ms += 240_000;
    await all();
    expect(asked.filter((name) => name === 'a.org')).toHaveLength(2);
  });

  it('answers connections as they ask: all, or one of a family', async () => {
    const { lookup } = service({ 'a.org': ['192.0.2.1', '2001:db8::1'], 'v4.org': ['192.0.2.2'] });
    expect(await lookup('a.org', { family: 6 })).toEqual(['2001:db8::1', 6]);
    expect(await lookup('v4.org', { family: 6 })).toBe('ENOTFOUND');
    expect(await lookup('a.org', { all: true })).toEqual([
      [
        { address: '192.0.2.1', family: 4 },
        { address: '2001:db8::1', family: 6 },
      ],
    ]);
  });
});

describe('one machine', () => {
  it('is what names with the same addresses, those addresses, and what was joined with them stand for', async () => {
    const { names } = service({
      'a.org': ['2001:db8::1', '192.0.2.1'],
      'alias.org': ['192.0.2.1', '2001:db8::1'],
      'b.org': ['192.0.2.9'],
    });
    expect(await names.machine('alias.org')).toBe(await names.machine('a.org'));
    names.join(['192.0.2.1', '2001:db8::1']);
    names.join(['2001:db8::1', '198.51.100.1']);
    const of = async (host: string) => await names.machine(host);
    const machines = await Promise.all(
      ['a.org', 'alias.org', '192.0.2.1', '2001:db8::1', '198.51.100.1'].map(of),
    );
    expect(new Set(machines).size).toBe(1);
    expect([await of('b.org'), await of('192.0.2.9'), await of('gone.org')]).toEqual([
      '192.0.2.9',
      '192.0.2.9',
      'gone.org',
    ]);
    // Known already: nobody waits.
    expect(names.machine('b.org')).toBe('192.0.2.9');
  });
});
