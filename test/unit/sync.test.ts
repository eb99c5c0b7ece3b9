import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HtcondorError } from '../../src/collector/htcondor.ts';
import { createSync, type SyncHtcondor } from '../../src/sync.ts';
import { quietLog } from '../support/lark.ts';

const T = 1_800_000_000;

let directory: string;
let seconds: number;
/** What the collector has; undefined while it is dead. */
let ads: object[] | undefined;
let jobs: object[] | undefined;
let told: string[];
let settings: Record<string, string>;

const down = () => Promise.reject(new HtcondorError('nobody answers'));
const htcondor: SyncHtcondor = {
  setting: async (name) => settings[name] ?? '',
  ads: async () => (ads ? JSON.stringify(ads) : down()),
  jobs: async (_constraint, _attributes, isGlobal) => {
    expect(isGlobal).toBe(settings.DAEMON_LIST?.includes('NEGOTIATOR'));
    return jobs ? JSON.stringify(jobs) : down();
  },
  reconfigure: async (daemon) => void told.push(daemon),
};
const path = (more: object = {}) => ({
  MyType: 'NetworkPath',
  SrcSite: 'A',
  DstSite: 'B',
  BreakerState: 'OPEN',
  MaxInputMB: 10,
  LastHeardFrom: T,
  ClassAdLifetime: 600,
  ...more,
});
const SIGN = { MyType: 'LarkPublisher', Name: 'lark' };
const round = (more: object = {}) =>
  createSync({
    config: {
      directory,
      everySeconds: 5,
      reconfigEverySeconds: 0,
      limits: 'none',
      limitMbpsPerJob: 100,
      ...more,
    },
    htcondor,
    clock: () => new Date(seconds * 1000),
    log: quietLog,
  }).round();
const linesOf = async (file: string) =>
  (await readFile(join(directory, file), 'utf8'))
    .split('\n')
    .filter((line) => line !== '' && line[0] !== '#');

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lark-sync-'));
  seconds = T;
  ads = [path(), { MyType: 'NetworkSite', Name: 'B', Machines: ['b1'] }, SIGN];
  jobs = undefined;
  told = [];
  settings = { DAEMON_LIST: 'MASTER, SCHEDD, LARK_SYNC' };
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('maps are made of ads; those that read them here are told, once', async () => {
  expect(await round()).toMatchObject({ problems: [], paths: 1, machines: 1 });
  expect(await linesOf('LARK_PATH.map')).toEqual([
    `* A>B OPEN,10,0,999999999,0,0,0,999999999,999999999,0,${T + 600}`,
  ]);
  expect(await linesOf('LARK_SITE.map')).toEqual(['* b1 B']);
  await round();
  expect(told).toEqual(['schedd']);
  settings.DAEMON_LIST = 'MASTER COLLECTOR NEGOTIATOR SCHEDD';
  ads!.splice(0, 1);
  await round();
  expect(told).toEqual(['schedd', 'negotiator', 'schedd']);
  expect(await linesOf('LARK_PATH.map')).toEqual([]);
});

test('a new process and a dead collector: what was heard counts until its time is over, and no longer', async () => {
  await round();
  ads = undefined;
  seconds = T + 599;
  expect(await round()).toMatchObject({
    problems: ['the collector could not be read: nobody answers'],
    heardAt: null,
    paths: 1,
  });
  expect(await linesOf('LARK_PATH.map')).toHaveLength(1);
  seconds = T + 601;
  await round();
  expect(await linesOf('LARK_PATH.map')).toEqual([]);
  expect(await linesOf('LARK_SITE.map')).toEqual(['* b1 B']);
});

test('a collector that was restarted opens no hole', async () => {
  await round();
  ads = [];
  await round();
  expect(await linesOf('LARK_PATH.map')).toHaveLength(1);
  ads = [SIGN];
  await round();
  expect(await linesOf('LARK_PATH.map')).toEqual([]);
});

test('jobs are counted where a path asks for it; a queue that does not answer counts nothing', async () => {
  ads = [path({ MaxJobs: 0 }), SIGN];
  const field = async (i: number) => (await linesOf('LARK_PATH.map'))[0]!.split(',')[i];
  expect((await round()).problems).toEqual(['the queue could not be counted: nobody answers']);
  expect(await field(9)).toBe('0');
  jobs = [
    {
      GlobalJobId: 'ap#1.0#1',
      LarkSubmitSite: 'A',
      MachineAttrLarkSite0: 'B',
      TransferInputSizeMB: 100,
      JobCurrentStartDate: T,
    },
  ];
  expect((await round()).problems).toEqual([]);
  expect([await field(4), await field(9)]).toEqual(['100', '1']);
});

test('limits are for the negotiator alone', async () => {
  ads = [path({ ThroughputMbps: 450 }), SIGN];
  await round({ limits: 'path' });
  await expect(linesOf('limits.conf')).rejects.toThrow('ENOENT');
  settings.DAEMON_LIST = 'NEGOTIATOR';
  await round({ limits: 'path' });
  expect(await linesOf('limits.conf')).toEqual(['LARK_A_TO_B_LIMIT = 4']);
});
