import { parseAds, parseJsonAds } from 'classad-parser';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  hear,
  heardConstraint,
  NOTHING_HEARD,
  siteMapEntries,
  stillCounting,
} from '../../../src/collector/heard.ts';
import { limitsFile } from '../../../src/collector/limits.ts';
import { entryOfAd, pathMapValue } from '../../../src/collector/path-map.ts';
import { jobAds, usedPaths } from '../../../src/collector/path-use.ts';
import { machinesOfAd, siteAds } from '../../../src/collector/site-ad.ts';
import type { Breaker, PathEstimate } from '../../../src/domain.ts';
import { pathAds } from '../../../src/steps/publish.ts';

const T = 1_800_000_000;
const pathText = (src: string, dst: string, heardAt: number, lifetime: number, more = '') =>
  `MyType = "NetworkPath"\nName = "${src}>${dst}"\nSrcSite = "${src}"\nDstSite = "${dst}"\n` +
  `LastHeardFrom = ${heardAt}\nClassAdLifetime = ${lifetime}\n${more}`;
const SIGN = 'MyType = "LarkPublisher"\nName = "lark"\n';
const ads = (...texts: string[]) => [...parseAds(texts.join('\n'))];

describe('what was heard', () => {
  const before = hear(NOTHING_HEARD, ads(pathText('A', 'B', T, 600), pathText('C', 'B', T, 600), SIGN));

  test('a collector with the sign holds all there is', () => {
    expect(Object.keys(hear(before, ads(pathText('A', 'B', T + 5, 600), SIGN)).paths)).toEqual(['A>B']);
  });

  test('of one that was restarted, what it has lost counts on until its time is over', () => {
    const after = hear(before, ads(pathText('A', 'B', T + 300, 600)));
    expect(Object.keys(after.paths)).toEqual(['A>B', 'C>B']);
    expect(Object.keys(stillCounting(after, new Date((T + 601) * 1000)).paths)).toEqual(['A>B']);
    expect(Object.keys(stillCounting(after, new Date((T + 901) * 1000)).paths)).toEqual([]);
  });

  test('law: nothing counts longer than its ad lives, nor much shorter', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10, max: 86_400 }),
        fc.integer({ min: 0, max: 10_000 }),
        (lifetime, at) => {
          const heard = hear(NOTHING_HEARD, ads(pathText('A', 'B', T + at, lifetime)));
          const countsAt = (seconds: number) =>
            Object.keys(stillCounting(heard, new Date(seconds * 1000)).paths).length === 1;
          expect(countsAt(T + at + lifetime)).toBe(false);
          expect(countsAt(T + at + lifetime - Math.max(1, Math.floor(lifetime / 6)) - 1)).toBe(true);
        },
      ),
    );
  });

  test('names that a map cannot carry are left out; so is a machine that two sites claim', () => {
    const heard = hear(
      NOTHING_HEARD,
      ads(
        pathText('A\\nB', 'C', T, 600),
        'MyType = "NetworkSite"\nName = "A"\nMachines = { "a1", "both" }\n',
        'MyType = "NetworkSite"\nName = "B"\nMachines = { "both", "b1" }\n',
        SIGN,
      ),
    );
    expect(heard.paths).toEqual({});
    expect([...siteMapEntries(heard)]).toEqual([
      ['a1', 'A'],
      ['b1', 'B'],
    ]);
  });

  test('an access point asks for its own paths and those of all sites', () => {
    expect(heardConstraint('"UNL"')).toBe(
      'MyType == "NetworkPath" && (SrcSite == "UNL" || SrcSite == "*" || DstSite == "UNL" || DstSite == "*") || ' +
        'MyType == "NetworkSite" || MyType == "LarkPublisher"',
    );
  });
});

test('a value tells until when it withholds, and 0 where it withholds nothing', () => {
  const [ad] = ads(
    pathText('A', 'B', T, 600, 'BreakerState = "OPEN"\nMaxInputMB = 10.0\nThroughputMbps = 123.4\n'),
  );
  const entry = { ...entryOfAd(ad!)!, until: new Date(T * 1000), jobs: 3, backlogMB: 1234 };
  expect(pathMapValue(entry)).toBe(`OPEN,10,120,999999999,1000,0,0,999999999,999999999,3,${T}`);
  expect(pathMapValue({ srcSite: 'A', dstSite: 'B', state: 'CLOSED' })).toMatch(/^CLOSED,.*,0,0$/);
});

describe('what uses a path', () => {
  // As condor_q -global writes it (23.9): one list of all queues.
  const text = `[
{ "GlobalJobId": "ap1.lark.test#1.0#1", "JobCurrentStartDate": 100, "LarkSubmitSite": "UNL", "MachineAttrLarkSite0": "UCSD", "RemoteHost": "slot1_1@ep1.lark.test", "TransferInputSizeMB": 100, "TransferInFinished": 101 }
,
{ "GlobalJobId": "ap1.lark.test#1.1#1", "JobCurrentStartDate": 100, "LarkSubmitSite": "UNL", "RemoteHost": "slot1_2@ep1.lark.test", "TransferInputSizeMB": 100 }
,
{ "GlobalJobId": "two@ap2.lark.test#1.1#1", "JobCurrentStartDate": 200, "RemoteHost": "slot1_3@ep1.lark.test", "TransferInputSizeMB": 10, "TransferInFinished": 150 }
,
{ "GlobalJobId": "ap2.lark.test#1.2#1", "JobCurrentStartDate": 200, "RemoteHost": "slot1_3@nobody-knows", "TransferInputSizeMB": 10 }
]
`;
  const siteOf = new Map([
    ['ep1.lark.test', 'UCSD'],
    ['ap2.lark.test', 'KIT'],
  ]);

  test('jobs are counted by path; input that has arrived is no backlog, that of an earlier start is', () => {
    const used = usedPaths(jobAds(text), siteOf);
    for (const use of used.values()) use.backlogMB = Math.round(use.backlogMB * 1e4) / 1e4;
    expect(Object.fromEntries(used)).toEqual({
      'UNL>UCSD': { jobs: 2, backlogMB: 104.8576 },
      'KIT>UCSD': { jobs: 1, backlogMB: 10.4858 },
    });
  });

  test('no queue, no jobs', () => {
    expect(jobAds('')).toEqual([]);
    expect(jobAds('All queues are empty\n')).toEqual([]);
  });
});

describe('limits', () => {
  const paths = [
    { srcSite: 'A-1', dstSite: 'B', state: 'CLOSED' as const, throughputMbps: 1000 },
    { srcSite: 'C', dstSite: 'B', state: 'OPEN' as const, throughputMbps: 50, withholds: { maxJobs: 4 } },
    { srcSite: 'D', dstSite: 'B', state: 'OPEN' as const, withholds: { maxJobs: 4 } },
    { srcSite: '*', dstSite: 'B', state: 'OPEN' as const, throughputMbps: 7 },
    { srcSite: 'E', dstSite: 'B', state: 'CLOSED' as const },
  ];
  const lines = (kind: 'none' | 'path' | 'destination') =>
    limitsFile(paths, kind, 100).text.split('\n').slice(1, -1);

  test('a path carries as many transfers as it has room for, one at least; a breaker may allow fewer', () => {
    expect(lines('path')).toEqual([
      'LARK_A_1_TO_B_LIMIT = 10',
      'LARK_C_TO_B_LIMIT = 1',
      'LARK_D_TO_B_LIMIT = 4',
    ]);
  });
  test('a destination carries what its best path does; none is none', () => {
    expect(lines('destination')).toEqual(['LARK_TO_B_LIMIT = 10']);
    expect(lines('none')).toEqual([]);
  });
});

test("site ads carry their machines' names as they are", () => {
  const siteOf = new Map([
    ['b', 'S'],
    ['a"\\x', 'S'],
    ['c', 'T'],
  ]);
  const made = [...siteAds(siteOf, 60)];
  expect(made.map(({ name }) => name)).toEqual(['S', 'T']);
  expect(machinesOfAd(ads(made[0]!.text)[0]!)).toEqual(['a"\\x', 'b']);
  // As condor_status -json gives it.
  expect(machinesOfAd(parseJsonAds('[{ "Machines": ["x", "y"] }]')[0]!)).toEqual(['x', 'y']);
});

describe('ads of paths and breakers', () => {
  const now = new Date(T * 1000);
  const estimate = (srcSite: string, dstSite: string, measured: boolean): PathEstimate => ({
    srcSite,
    dstSite,
    metrics: {},
    quality: 0.5,
    sampleCount: 0,
    measured,
    estimatedAt: now,
  });
  const breaker = (srcSite: string, dstSite: string, state: Breaker['state']): Breaker => ({
    srcSite,
    dstSite,
    policy: 'p',
    state,
    reason: 'r',
    since: now,
    ...(state !== 'CLOSED' && { withholds: { maxInputMB: 5 } }),
  });
  const states = (estimates: PathEstimate[], breakers: Breaker[]) =>
    Object.fromEntries(
      [...pathAds(estimates, breakers, 60)].map(({ name, text }) => {
        const [ad] = ads(text);
        return [name, [ad!.getString('BreakerState'), ad!.getBoolean('Measured'), ad!.getNumber('Quality')]];
      }),
    );

  test('what is forced has an ad, though nobody measured it', () => {
    expect(states([], [breaker('A', 'B', 'FORCED_OPEN')])).toEqual({
      'A>B': ['FORCED_OPEN', false, undefined],
    });
  });

  test("a path without a breaker of its own stands under its sites'; one that has its own does not", () => {
    const paths = [estimate('A', 'X', false), estimate('B', 'X', true), estimate('A', 'B', false)];
    expect(states(paths, [breaker('*', 'X', 'OPEN'), breaker('B', 'X', 'CLOSED')])).toEqual({
      'A>X': ['OPEN', false, 0.5],
      'B>X': ['CLOSED', true, 0.5],
      'A>B': [undefined, false, 0.5],
      '*>X': ['OPEN', false, undefined],
    });
  });
});
