import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addressAt, addressesBetween, poolSize } from '../../../src/worker/addresses.ts';
import { parseWorkerConfig } from '../../../src/worker/config.ts';
import { acquireLease, claimName, listLeases, nameAt, releaseLease } from '../../../src/worker/leases.ts';
import { removeDebris } from '../../../src/worker/records.ts';
import { JOB_NAME, type JobNetworkRequest, type Lease } from '../../../src/worker/types.ts';

const NOW = new Date('2026-11-21T12:00:00Z');
const BY = { pid: 10, startTicks: 1 };
const request = (changes: Partial<JobNetworkRequest> = {}): JobNetworkRequest => ({
  mode: 'nat',
  inbound: [],
  isAccounted: true,
  owner: 'alice',
  jobId: '1.0',
  starter: BY,
  ...changes,
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lark-leases-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const acquire = (yaml: string, changes: Partial<JobNetworkRequest> = {}) => {
  const config = parseWorkerConfig(yaml, 'worker.yaml');
  const wanted = request(changes);
  const name = claimName(folder, BY, NOW, wanted.owner);
  return acquireLease(name, wanted, { config, folder, bootId: 'b', now: NOW, by: BY });
};

describe('addresses', () => {
  it('are those of the pool, without its first and last', () => {
    expect(poolSize('10.0.0.0/28')).toBe(14);
    expect(addressAt('10.0.0.16/28', 1)).toBe('10.0.0.17');
    expect(addressAt('10.44.7.9/16', 257)).toBe('10.44.1.1');
    expect(addressAt('fd00::/64', 65_536)).toBe('fd00::1:0');
    expect(() => addressAt('10.0.0.0/28', 16)).toThrow(RangeError);
  });

  it('of a range are all of it', () => {
    expect(addressesBetween('192.0.2.254', '192.0.3.1')).toEqual([
      '192.0.2.254',
      '192.0.2.255',
      '192.0.3.0',
      '192.0.3.1',
    ]);
    expect(() => addressesBetween('192.0.2.2', '192.0.2.1')).toThrow(RangeError);
    expect(() => addressesBetween('::', '1::')).toThrow(RangeError);
  });

  it('differ for different places', () => {
    fc.assert(
      fc.property(fc.nat(65_534), fc.nat(65_534), (a, b) => {
        expect(addressAt('10.44.0.0/16', a) === addressAt('10.44.0.0/16', b)).toBe(a === b);
        expect(addressAt('fd6c::/64', a) === addressAt('fd6c::/64', b)).toBe(a === b);
      }),
    );
  });
});

describe('leases', () => {
  it('have names that increase and fit an interface', () => {
    expect(nameAt(NOW.getTime())).toMatch(JOB_NAME);
    expect(nameAt(NOW.getTime()) < nameAt(NOW.getTime() + 1)).toBe(true);
    expect(nameAt(Date.UTC(2059, 0, 1))).toMatch(JOB_NAME);
  });

  it('hold all different things, until nothing is left; given back, all is free again', () => {
    const yaml = 'nat: {ipv4Pool: 10.9.0.0/28, inboundPorts: 20000-20027}';
    const inbound = [
      { protocol: 'tcp', jobPort: 80 },
      { protocol: 'tcp', jobPort: 20_003 },
      { protocol: 'udp', jobPort: 80 },
    ] as const;
    const leases = Array.from({ length: 14 }, () => acquire(yaml, { inbound: [...inbound] }));
    const all = leases.flatMap((lease) => [
      lease.name,
      lease.ipv4!,
      lease.ipv6!,
      lease.mac!,
      `slot ${lease.slotIndex}`,
      ...lease.forwards.map(({ protocol, hostPort }) => `${protocol} ${hostPort}`),
    ]);
    expect(new Set(all).size).toBe(14 * 8);
    expect(listLeases(folder).holders).toHaveLength(14);
    expect(() => acquire(yaml)).toThrow('all 14 networks of this machine are in use');

    for (const lease of leases) releaseLease(folder, lease.name, lease);
    // The name of the one that failed is its owner's to give back.
    expect(readdirSync(folder).every((file) => /^(name-|last$)/.test(file))).toBe(true);
    expect(acquire(yaml).ipv4).toMatch(/^10\.9\.0\./);
  });

  it('give the wished port where it is within the range and free', () => {
    const inbound = [{ protocol: 'tcp', jobPort: 20_500 }] as const;
    expect(acquire('', { inbound: [...inbound] }).forwards[0]!.hostPort).toBe(20_500);
    const second = acquire('', { inbound: [...inbound] }).forwards[0]!;
    expect(second.hostPort).not.toBe(20_500);
    expect(second.hostPort).toBeGreaterThanOrEqual(20_000);
  });

  it('that cannot be had whole are not had at all', () => {
    const yaml = 'nat: {inboundPorts: "20000"}';
    const inbound = [80, 81].map((jobPort) => ({ protocol: 'tcp' as const, jobPort }));
    expect(() => acquire(yaml, { inbound })).toThrow('all tcp ports 20000 of this machine are in use');
    expect(readdirSync(folder).filter((file) => !/^(name-|last$)/.test(file))).toEqual([]);
  });

  it('of mode bridge are addresses of the ranges, or of the slot', () => {
    const yaml = `bridge:
  ipv4Ranges: [{first: 192.0.2.10, last: 192.0.2.11}]
  slotAddresses: {slot1_7: {ipv4: 192.0.2.77, ipv6: "2001:db8::77"}}`;
    const bridge = { mode: 'bridge', slot: 'slot1_1' } as const;
    const pair = [acquire(yaml, bridge), acquire(yaml, bridge)].map(({ ipv4 }) => ipv4);
    expect(pair.sort()).toEqual(['192.0.2.10', '192.0.2.11']);
    expect(() => acquire(yaml, bridge)).toThrow('no ipv4 address for a job in mode bridge: all 2 are in use');
    const own = acquire(yaml, { mode: 'bridge', slot: 'slot1_7' });
    expect(own).toMatchObject({ ipv4: '192.0.2.77', ipv6: '2001:db8::77' });
    expect(() => acquire(yaml, { mode: 'bridge', slot: 'slot1_7' })).toThrow(
      '192.0.2.77 of slot1_7 is in use',
    );
    releaseLease(folder, own.name, own);
    expect(acquire(yaml, { mode: 'bridge', slot: 'slot1_7' }).ipv4).toBe('192.0.2.77');
    expect(() => acquire('', bridge)).toThrow('mode bridge has no address to give');
  });

  it('are no more for one user than the site says', () => {
    const yaml = 'agent: {maxJobsPerUser: 2}';
    acquire(yaml);
    acquire(yaml);
    expect(() => acquire(yaml)).toThrow('alice holds 2 networks on this machine');
    expect(acquire(yaml, { owner: 'bob' }).slotIndex).toBeGreaterThan(0);
  });

  it('given back twice take nothing from whoever has it since', () => {
    const yaml = 'nat: {ipv4Pool: 10.9.0.0/28}';
    const leases = Array.from({ length: 14 }, () => acquire(yaml));
    const first = leases[0]!;
    releaseLease(folder, first.name, first);
    const heir = acquire(yaml);
    expect(heir.slotIndex).toBe(first.slotIndex);
    releaseLease(folder, first.name, first);
    expect(listLeases(folder).names.has(heir.name)).toBe(true);
    expect(listLeases(folder).holders.some(({ lease }) => lease.name === heir.name)).toBe(true);
  });

  it('of which only a part was made are told by their name; what makes no sense is debris', () => {
    const lease = acquire('');
    rmSync(join(folder, `slot-${lease.slotIndex}`));
    writeFileSync(join(folder, 'slot-5'), '');
    writeFileSync(join(folder, 'slot-6.77.0.tmp'), 'half');
    writeFileSync(join(folder, 'slot-7.88.0.tmp'), 'half');
    mkdirSync(folder, { recursive: true });
    const list = listLeases(folder);
    expect([...list.names.keys()]).toEqual([lease.name]);
    expect(list.holders).toEqual([]);
    expect(list.debris.sort()).toEqual(['slot-5', 'slot-6.77.0.tmp', 'slot-7.88.0.tmp']);
    for (const file of list.debris) removeDebris(folder, file, (pid) => pid === 88);
    expect(listLeases(folder).debris).toEqual(['slot-7.88.0.tmp']);
  });
});

/** What several processes take, give back and lose in one folder, beside a model that knows who has what. */
describe('leases beside other processes', () => {
  const SLOTS = 14;
  const ADDRESSES = 8;
  const yaml = `nat: {ipv4Pool: 10.9.0.0/28}
bridge: {ipv4Ranges: [{first: 192.0.2.10, last: 192.0.2.17}]}`;
  const files = {
    nat: Array.from({ length: SLOTS }, (_, i) => `slot-${i + 1}`),
    bridge: Array.from({ length: ADDRESSES }, (_, i) => `address-192.0.2.${i + 10}`),
  };
  const mode = fc.constantFrom('nat' as const, 'bridge' as const);
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('take' as const), mode }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('give' as const), which: fc.nat() }) },
    // By another process, behind the back of this one.
    { weight: 3, arbitrary: fc.record({ do: fc.constant('appear' as const), mode, which: fc.nat() }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('vanish' as const), which: fc.nat() }) },
  );

  it('are exclusive, and the last free one is found', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 30, maxLength: 120 }), (steps) => {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder);
        const own: Lease[] = [];
        const foreign: string[] = [];
        const taken = () =>
          new Set([
            ...foreign,
            ...own.map(({ slotIndex }) => `slot-${slotIndex}`),
            ...own.map(({ ipv4 }) => `address-${ipv4}`).filter((file) => files.bridge.includes(file)),
          ]);
        for (const one of steps) {
          if (one.do === 'take') {
            const before = taken();
            const needed = one.mode === 'bridge' ? [files.nat, files.bridge] : [files.nat];
            const isFree = needed.every((pool) => pool.some((file) => !before.has(file)));
            const take = () => acquire(yaml, { mode: one.mode });
            if (!isFree) {
              expect(take).toThrow(/in use/);
              continue;
            }
            const lease = take();
            expect(before.has(`slot-${lease.slotIndex}`)).toBe(false);
            if (one.mode === 'bridge') expect(before.has(`address-${lease.ipv4}`)).toBe(false);
            own.push(lease);
          } else if (one.do === 'give') {
            const [lease] = own.length > 0 ? own.splice(one.which % own.length, 1) : [];
            if (lease) releaseLease(folder, lease.name, lease);
          } else if (one.do === 'appear') {
            const before = taken();
            const free = files[one.mode].filter((file) => !before.has(file));
            const file = free[one.which % free.length];
            if (!file) continue;
            writeFileSync(join(folder, file), JSON.stringify({ name: 'lk0000othe', by: BY }));
            foreign.push(file);
          } else {
            const [file] = foreign.length > 0 ? foreign.splice(one.which % foreign.length, 1) : [];
            if (file) rmSync(join(folder, file));
          }
          const there = readdirSync(folder).filter((file) => /^(slot|address)-/.test(file));
          expect(there.sort()).toEqual([...taken()].sort());
        }
      }),
      { numRuns: 60 },
    );
  });
});
