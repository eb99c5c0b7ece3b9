import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  isAlive,
  type PoolState,
  parseStartTicks,
  readStartTicks,
  readStates,
} from '../../../testbed/pool/state.ts';

describe('parseStartTicks', () => {
  const stat = (name: string, state: string) =>
    `4242 (${name}) ${state} 1 4242 4242 0 -1 4194560 182 0 0 0 0 0 0 0 20 0 1 0 987654 2703360 240 18446744073709551615`;

  it('is field 22, whatever the command is called', () => {
    expect(parseStartTicks(stat('sh', 'S'))).toBe(987654);
    expect(parseStartTicks(stat('a) b (c', 'R'))).toBe(987654);
  });

  it('counts a zombie as gone', () => {
    expect(parseStartTicks(stat('sh', 'Z'))).toBeUndefined();
  });

  it('is undefined for what is no stat', () => {
    expect(parseStartTicks('')).toBeUndefined();
  });
});

describe('isAlive', () => {
  const owner = { pid: 10, startTicks: 100 };
  const table = (processes: Record<number, number>) => (pid: number) => processes[pid];

  it('follows the switch once there is one', () => {
    const state = { owner, switch: { pid: 20, startTicks: 200 } };
    expect(isAlive(state, table({ 10: 100, 20: 200 }))).toBe(true);
    expect(isAlive(state, table({ 20: 200 }))).toBe(true);
    expect(isAlive(state, table({ 10: 100 }))).toBe(false);
  });

  it('follows the owner before', () => {
    expect(isAlive({ owner }, table({ 10: 100 }))).toBe(true);
    expect(isAlive({ owner }, table({}))).toBe(false);
  });

  it('is not deceived by another process with the same id', () => {
    expect(isAlive({ owner }, table({ 10: 101 }))).toBe(false);
  });
});

describe.skipIf(process.platform !== 'linux')('readStates (skipped where there is no /proc)', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'lark-states-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const put = (id: string, text: string) => {
    mkdirSync(join(dir, id));
    writeFileSync(join(dir, id, 'state.json'), text);
  };
  const state = (id: string, startTicks: number): PoolState => ({
    id,
    owner: { pid: process.pid, startTicks },
    subnet: '10.1.2',
    rootTree: '/tree',
    hosts: [],
  });
  const nowMs = 1_800_000_000_000;
  const age = (id: string, ageMs: number) =>
    utimesSync(join(dir, id), (nowMs - ageMs) / 1000, (nowMs - ageMs) / 1000);

  it('returns the pools of living processes and removes the others', () => {
    const ticks = readStartTicks(process.pid)!;
    put('alive', JSON.stringify(state('alive', ticks)));
    put('reused', JSON.stringify(state('reused', ticks + 1)));
    expect(readStates(nowMs, dir)).toEqual([state('alive', ticks)]);
    expect(existsSync(join(dir, 'alive'))).toBe(true);
    expect(existsSync(join(dir, 'reused'))).toBe(false);
  });

  it('leaves a folder alone that has no state yet, but not for ever', () => {
    mkdirSync(join(dir, 'new'));
    age('new', 5_000);
    mkdirSync(join(dir, 'old'));
    age('old', 120_000);
    put('torn', '{"id": "to');
    age('torn', 120_000);
    expect(readStates(nowMs, dir)).toEqual([]);
    expect(existsSync(join(dir, 'new'))).toBe(true);
    expect(existsSync(join(dir, 'old'))).toBe(false);
    expect(existsSync(join(dir, 'torn'))).toBe(false);
  });

  it('is empty where there never was a pool', () => {
    expect(readStates(nowMs, join(dir, 'nowhere'))).toEqual([]);
  });
});
