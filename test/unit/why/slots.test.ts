import { describe, expect, test } from 'vitest';
import { attributesAsked } from '../../../src/why/attributes.ts';
import { expressionsIn, groupSlots, slotLines } from '../../../src/why/slots.ts';
import { job, NOW, OPEN, pathAd, pathsOf, slot, why } from './ads.ts';

describe('what is read of slots', () => {
  test('what requirements ask about, through whatever stands for it', () => {
    const text = slotLines(
      slot({ site: 'FNAL', start: 'MY.IsOpenNow', lines: 'IsOpenNow = LoadAvg < 2 && TARGET.Mood' }),
    );
    const ad = job(
      'Mood = TARGET.Weather\nRequirements = TARGET.Arch == "X86_64" && Mine\nMine = OpSys == "LINUX"',
    );
    const asked = attributesAsked(ad, expressionsIn(text));
    for (const name of [
      'arch',
      'opsys',
      'start',
      'isopennow',
      'loadavg',
      'weather',
      'withinresourcelimits',
      'memory',
    ])
      expect(asked).toContain(name);
    for (const name of ['requestmemory', 'mine', 'mood', 'larksubmitsite']) expect(asked).not.toContain(name);
  });

  test("a machine's name parts slots only where a condition asks for it", () => {
    const text = slotLines([1, 2, 3].map((n) => slot({ site: 'FNAL', machine: `m${n}.example` })).join('\n'));
    const groups = (ad = job()) =>
      groupSlots(text, attributesAsked(ad, expressionsIn(text)), () => undefined);
    expect(groups().map(({ slots }) => slots)).toEqual([3]);
    expect(groups(job('Requirements = TARGET.Machine != "m2.example"'))).toHaveLength(3);
  });

  test('texts of old syntax are read as such', () => {
    const text = slotLines(slot({ site: 'FNAL', lines: 'Path = "C:\\dir"' }));
    const [group] = groupSlots(text, new Set(['path']), () => undefined);
    expect(group!.ad.getString('Path')).toBe('C:\\dir');
  });
});

test('a pool of 20,000 slots, each with other leftovers, of 200 sites', () => {
  const text = Array.from({ length: 20_000 }, (_, n) =>
    slot({
      site: `S${n % 200}`,
      machine: `m${n}.example`,
      lines: `Memory = ${500 + (n % 977)}\nDisk = ${1_000_000 + n}\nTotalSlotDisk = 9000000`,
    }).replace(
      'TARGET.RequestMemory <= MY.Memory',
      'TARGET.RequestMemory <= MY.Memory && TARGET.RequestDisk <= MY.Disk',
    ),
  );
  const paths = pathsOf(...Array.from({ length: 100 }, (_, n) => pathAd('UNL', `S${n}`, OPEN)));
  const told = why(job('RequestDisk = 1000'), text, { paths, now: NOW });
  expect(told.slots).toBe(20_000);
  expect(told.sites).toHaveLength(200);
  const kinds = told.sites.map(({ outcomes }) =>
    outcomes.map(({ causes }) => causes.map(({ kind }) => kind).join()),
  );
  expect(kinds.filter((each) => each.every((kind) => kind.startsWith('breaker')))).toHaveLength(100);
  expect(kinds.filter((each) => each.includes('busy') && each.includes(''))).toHaveLength(100);
});
