import { ClassAdSyntaxError } from 'classad-parser';
import { describe, expect, test } from 'vitest';
import { type Htcondor, HtcondorError } from '../../../src/collector/htcondor.ts';
import { machineSubjects, partMachines, readMachines, siteUserMap } from '../../../src/steps/pool.ts';
import type { Store, StoredMachine } from '../../../src/store/store.ts';

const machine = (key: string, more: Partial<StoredMachine> = {}): StoredMachine => ({
  key,
  names: [key.split(' ')[0]!],
  addresses: key.split(' ').slice(1),
  words: {},
  slots: 1,
  isAccessPoint: false,
  lastSeen: new Date(0),
  evidence: '',
  confidence: 0,
  ...more,
});
const placed = (subject: string, site?: string) => ({
  subject,
  ...(site !== undefined && { site, method: 'prefix' as const }),
  evidence: '',
  confidence: 0.9,
});

describe('machines as something to be located', () => {
  test('by every name, without what a schedd puts before its host, and by what they say', () => {
    const one = machine('AP.ex.example 192.0.2.1', {
      names: ['AP.ex.example', 'second@AP.ex.example'],
      words: { GLIDEIN_Site: ['EX'] },
    });
    const { subjects, undecided } = machineSubjects([one], ['LarkSite', 'GLIDEIN_Site']);
    expect(undecided).toEqual([]);
    expect(subjects).toEqual([
      {
        subject: 'machine AP.ex.example 192.0.2.1',
        names: ['ap.ex.example'],
        addresses: ['192.0.2.1'],
        attributes: { GLIDEIN_Site: 'EX' },
      },
    ]);
  });

  test('one whose slots name different sites has none of its own', () => {
    const split = machine('a', { words: { LarkSite: ['UCSD', 'FNAL'] } });
    const { subjects, undecided } = machineSubjects([split], ['LarkSite', 'GLIDEIN_Site']);
    expect(subjects).toEqual([]);
    expect(undecided).toEqual([
      {
        subject: 'a',
        evidence: 'its slots say different things: LarkSite is "UCSD", "FNAL"',
        confidence: 0,
      },
    ]);
  });

  test('different words in a less trusted attribute are left aside', () => {
    const one = machine('a', { words: { LarkSite: ['UCSD'], GLIDEIN_ResourceName: ['x', 'y'] } });
    const { subjects } = machineSubjects([one], ['LarkSite', 'GLIDEIN_ResourceName']);
    expect(subjects[0]!.attributes).toEqual({ LarkSite: 'UCSD' });
  });

  test('their assignments are told from those of hosts', () => {
    const { ofMachines, others } = partMachines([placed('machine a 1', 'X'), placed('192.0.2.1', 'Y')]);
    expect(ofMachines.map(({ subject }) => subject)).toEqual(['a 1']);
    expect(others.map(({ subject }) => subject)).toEqual(['192.0.2.1']);
  });
});

describe('LARK_SITE', () => {
  test('has every name of a machine whose site is known, and no other', () => {
    const { name, entries } = siteUserMap(
      [
        machine('a 1', { names: ['a', 'schedd@a'] }),
        machine('b 1'),
        machine('c 1', { names: ['bad\nname'] }),
      ],
      [placed('a 1', 'X'), placed('b 1'), placed('c 1', 'X')],
    );
    expect(name).toBe('LARK_SITE');
    expect([...entries]).toEqual([
      ['a', 'X'],
      ['schedd@a', 'X'],
    ]);
  });

  test.each([
    ['two sites', ['X', 'Y'], undefined],
    ['one site', ['X', 'X'], 'X'],
    ['one without a site', ['X', undefined], undefined],
  ])('a name of two machines, of %s', (_, sites, expected) => {
    const machines = sites.map((_site, n) => machine(`node1 10.0.0.${n}`));
    const assignments = sites.map((site, n) => placed(`node1 10.0.0.${n}`, site));
    expect(siteUserMap(machines, assignments).entries.get('node1')).toBe(expected);
  });
});

describe('reading the pool', () => {
  const store = (saved: unknown[]) =>
    ({
      saveMachines: async (...call: unknown[]) => void saved.push(call),
      machines: async () => [machine('a')],
    }) as unknown as Store;
  const pool = (ads: () => Promise<string>) => ({ ads }) as unknown as Htcondor;
  const NOW = new Date('2026-05-05T12:00:00Z');

  test('without a pool there is none', async () => {
    expect(await readMachines(store([]), undefined, [], NOW)).toEqual({ machines: [], warnings: [] });
  });

  test.each([
    [new HtcondorError('condor_status failed (1)')],
    [new ClassAdSyntaxError('x', 0, 'an ad in braces')],
  ])('one that cannot be read costs a warning, and what was seen stays', async (error) => {
    const saved: unknown[] = [];
    const read = await readMachines(
      store(saved),
      pool(() => Promise.reject(error)),
      [],
      NOW,
    );
    expect(read.warnings).toEqual([`the pool's machines could not be read: ${error.message}`]);
    expect(read.machines).toHaveLength(1);
    expect(saved).toEqual([]);
  });

  test('what it shows is kept for a day', async () => {
    const saved: unknown[][] = [];
    const read = await readMachines(
      store(saved),
      pool(async () => '[{"MyType": "Machine", "Machine": "a.example"}]'),
      [],
      NOW,
    );
    expect(read.warnings).toEqual([]);
    expect(saved[0]!.slice(1)).toEqual([NOW, new Date('2026-05-04T12:00:00Z')]);
  });
});
