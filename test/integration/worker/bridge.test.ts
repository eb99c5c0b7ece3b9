import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bridgeDownLines, bridgeUpLines } from '../../../src/worker/bridge/move.ts';
import { deviceStateSchema } from '../../../src/worker/bridge/state.ts';
import { allPids, argumentsOf, processId, processStat } from '../../../src/worker/proc.ts';
import { DEFAULT_BRIDGE } from '../../../src/worker/types.ts';
import { HOST4, OUTSIDE, World, whyNot } from './nft-world.ts';

const reason = whyNot();
const SOURCE = resolve(import.meta.dirname, '../../../src/worker/bridge');

/** argv: what to import, the function, the configuration, further arguments. */
const CALL = `
const [file, name, config, ...rest] = process.argv.slice(1);
const module = await import(file);
const result = await module[name](...(config === '-' ? [] : [JSON.parse(config)]), ...rest);
console.log(JSON.stringify(result ?? null));`;

/** Runs the first lines of a bridge's making under a guard and dies as by kill -9. */
const DIE_AFTER = `
const [guardFile, linesJson, backJson, count, bridge, recordFile, both] = process.argv.slice(1);
const { spawn } = await import('node:child_process');
const { once } = await import('node:events');
const guard = spawn(process.execPath, [guardFile], { detached: true, stdio: ['pipe', 'pipe', 'ignore'] });
const act = JSON.parse(linesJson).slice(0, Number(count));
const back = JSON.parse(backJson);
guard.stdin.write(JSON.stringify({ act, isForced: false, back, timeoutMs: 20_000, bridge, recordFile }) + '\\n');
await once(guard.stdout, 'data');
guard.stdin.write('go\\n');
const [said] = await once(guard.stdout, 'data');
if (String(said).includes('error')) process.exit(1);
if (both) process.kill(guard.pid, 'SIGKILL');
process.kill(process.pid, 'SIGKILL');`;

describe.skipIf(reason)(`the bridge over the uplink${reason ? ` (${reason})` : ''}`, () => {
  let world: World;
  let directory: string;
  let config: string;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'lark-bridge-'));
    world = new World();
    await world.open();
    config = JSON.stringify({
      ...world.config,
      state: { runDirectory: directory, dataDirectory: directory },
    });
  });
  afterEach(async () => {
    await world.close();
    rmSync(directory, { recursive: true });
  });

  const script = (text: string, ...args: string[]) =>
    execa('ip', ['netns', 'exec', world.host, process.execPath, '--input-type=module', '-e', text, ...args], {
      timeout: 60_000,
      reject: false,
    });

  async function call(file: string, name: string, ...args: string[]): Promise<unknown> {
    const { stdout, stderr, exitCode } = await script(CALL, join(SOURCE, file), name, ...args);
    if (exitCode !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  }

  /** All addresses and routes, without what changes by itself. */
  async function layout(): Promise<unknown> {
    const show = async (...args: string[]) =>
      (await world.in(world.host, 'ip', [...args])).stdout
        .split('\n')
        .map((line) => line.trimEnd())
        .sort();
    const addresses = await show('-o', 'addr', 'show', 'scope', 'global');
    return {
      addresses: addresses.map((line) => line.replace(/^\d+: /, '')),
      routes4: await show('-4', 'route', 'show'),
      routes6: (await show('-6', 'route', 'show')).filter((line) => !line.startsWith('fe80:')),
    };
  }

  test('comes up with the addresses and routes of the uplink, and gives them back', async () => {
    await world.ip(world.host, [
      `route add 198.51.100.0/24 via ${OUTSIDE.router4} dev up0 metric 70 src ${HOST4}`,
      'route add 203.0.113.128/25 dev up0',
    ]);
    const before = await layout();

    expect(await call('bridge.ts', 'bridgeUp', config, 'up0')).toBe(true);
    const bridged = await layout();
    expect(JSON.stringify(bridged)).toBe(JSON.stringify(before).replaceAll('up0', DEFAULT_BRIDGE));
    expect(await world.reaches(world.host, OUTSIDE.off4)).toBe('refused');
    expect(await world.reaches(world.host, OUTSIDE.off6)).toBe('refused');
    // A second time is nothing to do.
    expect(await call('bridge.ts', 'bridgeUp', config, 'up0')).toBe(false);
    expect(await call('bridge.ts', 'bridgeTest', config)).toEqual([
      { what: 'bridge', isGood: true, detail: `${DEFAULT_BRIDGE}, made by Lark` },
      { what: 'forward delay', isGood: true, detail: '0 s, spanning tree off' },
      { what: 'state', isGood: true, detail: 'up' },
      { what: 'gateway', isGood: true, detail: `${OUTSIDE.router4} answers` },
    ]);

    expect(await call('bridge.ts', 'bridgeDown', config)).toBe(true);
    expect(await layout()).toEqual(before);
    expect(await world.reaches(world.host, OUTSIDE.off4)).toBe('refused');
    expect(await call('bridge.ts', 'bridgeDown', config)).toBe(false);
  });

  test('gives all back when its maker dies, after whichever step', async () => {
    const before = await layout();
    const state = deviceStateSchema.parse(await call('state.ts', 'readDevice', '-', 'up0'));
    const lines = bridgeUpLines(DEFAULT_BRIDGE, state);
    expect(lines.length).toBeGreaterThan(6);
    for (let count = 0; count <= lines.length; count++) {
      await script(
        DIE_AFTER,
        join(SOURCE, 'guard.ts'),
        JSON.stringify(lines),
        JSON.stringify(bridgeDownLines(DEFAULT_BRIDGE, state)),
        String(count),
        DEFAULT_BRIDGE,
        join(directory, 'bridge.json'),
      );
      await expect.poll(layout, { timeout: 20_000 }).toEqual(before);
      await expect
        .poll(async () => (await world.in(world.host, 'ip', ['link'])).stdout, { timeout: 20_000 })
        .not.toContain(DEFAULT_BRIDGE);
    }
    expect(await world.reaches(world.host, OUTSIDE.off4)).toBe('refused');
  });

  test('is wholly taken away when its remover dies, after whichever step', async () => {
    const before = await layout();
    const state = deviceStateSchema.parse(await call('state.ts', 'readDevice', '-', 'up0'));
    const lines = bridgeDownLines(DEFAULT_BRIDGE, state);
    for (let count = 0; count <= lines.length; count++) {
      await world.ip(world.host, bridgeUpLines(DEFAULT_BRIDGE, state));
      await script(
        DIE_AFTER,
        join(SOURCE, 'guard.ts'),
        JSON.stringify(lines),
        JSON.stringify(lines),
        String(count),
        DEFAULT_BRIDGE,
        join(directory, 'bridge.json'),
      );
      await expect.poll(layout, { timeout: 20_000 }).toEqual(before);
      await expect
        .poll(async () => (await world.in(world.host, 'ip', ['link'])).stdout, { timeout: 20_000 })
        .not.toContain(DEFAULT_BRIDGE);
    }
    expect(await world.reaches(world.host, OUTSIDE.off4)).toBe('refused');
    expect(await world.reaches(world.host, OUTSIDE.off6)).toBe('refused');
  });

  test.each(['making', 'removal'])(
    'is mended where its %s and the guard of that die together, after whichever step',
    async (what) => {
      const before = await layout();
      const state = deviceStateSchema.parse(await call('state.ts', 'readDevice', '-', 'up0'));
      const up = bridgeUpLines(DEFAULT_BRIDGE, state);
      const down = bridgeDownLines(DEFAULT_BRIDGE, state);
      const file = join(directory, 'bridge.json');
      const act = what === 'making' ? up : down;
      for (let count = 0; count <= act.length; count++) {
        if (what === 'removal') await world.ip(world.host, up);
        writeFileSync(file, JSON.stringify({ ...state, isMoving: true }));
        const guard = join(SOURCE, 'guard.ts');
        const order = [JSON.stringify(act), JSON.stringify(down), String(count), DEFAULT_BRIDGE, file];
        const { signal } = await script(DIE_AFTER, guard, ...order, 'both');
        expect(signal).toBe('SIGKILL');
        expect(await call('bridge.ts', 'mendBridge', config)).toMatch(/up0 is as it was before$/);
        expect(await layout()).toEqual(before);
        expect((await world.in(world.host, 'ip', ['link'])).stdout).not.toContain(DEFAULT_BRIDGE);
        expect(existsSync(file)).toBe(false);
      }
      expect(await call('bridge.ts', 'mendBridge', config)).toBe(null);
      expect(await world.reaches(world.host, OUTSIDE.off4)).toBe('refused');
    },
  );

  test('is left to who is at work on it', async () => {
    const state = deviceStateSchema.parse(await call('state.ts', 'readDevice', '-', 'up0'));
    await world.ip(world.host, bridgeUpLines(DEFAULT_BRIDGE, state));
    const guard = spawn('sleep', ['60']);
    const file = join(directory, 'bridge.json');
    writeFileSync(file, JSON.stringify({ ...state, isMoving: true, guard: processId(guard.pid!) }));
    const mended = call('bridge.ts', 'mendBridge', config);
    await sleep(500);
    writeFileSync(file, JSON.stringify(state));
    guard.kill();
    expect(await mended).toBe(null);
    expect((await world.in(world.host, 'ip', ['link'])).stdout).toContain(DEFAULT_BRIDGE);
    expect(await call('bridge.ts', 'bridgeDown', config)).toBe(true);
  });

  test.each(['', '{"device":"up'])('is known again where its record is torn: %j', async (text) => {
    const before = await layout();
    expect(await call('bridge.ts', 'bridgeUp', config, 'up0')).toBe(true);
    const file = join(directory, 'bridge.json');
    writeFileSync(file, text);
    expect(await call('bridge.ts', 'mendBridge', config)).toMatch(
      /bridge.json could not be read; it is written/,
    );
    expect(await call('bridge.ts', 'bridgeDown', config)).toBe(true);
    expect(await layout()).toEqual(before);
    writeFileSync(file, text);
    expect(await call('bridge.ts', 'mendBridge', config)).toMatch(/it is removed, as there is no bridge/);
    expect(existsSync(file)).toBe(false);
  });

  test.each([
    ['lives', undefined, /no longer answers behind the bridge/],
    // The uplink has its new place; the rest of the move may still run.
    [
      'is killed in the move',
      ['link'],
      /behind the bridge|guard of the bridge ended: up0 is as it was before/,
    ],
    // The move is done, and said to be: the gateway is asked.
    [
      'is killed after it',
      ['neigh', 'show', 'to', OUTSIDE.router4, 'dev', DEFAULT_BRIDGE],
      /no longer answers behind the bridge/,
    ],
  ])(
    'comes back as it was where the gateway does not answer behind it, and the guard %s',
    async (_what, killedWhere, said) => {
      const before = await layout();
      // As behind a switch that takes no bridge at its port.
      await world.nft(
        'table bridge deaf { chain in { type filter hook prerouting priority 0; policy drop; }; }\n',
      );
      const making = script(CALL, join(SOURCE, 'bridge.ts'), 'bridgeUp', config, 'up0');
      if (killedWhere) {
        const shown = async () => (await world.in(world.host, 'ip', killedWhere)).stdout;
        await expect
          .poll(shown, { timeout: 20_000, interval: 10 })
          .toMatch(killedWhere[0] === 'link' ? `master ${DEFAULT_BRIDGE}` : /INCOMPLETE|FAILED/);
        const children = allPids().filter((pid) => processStat(pid)?.parent === making.pid);
        const [pid] = children.filter((child) => argumentsOf(child).at(-1)?.endsWith('/guard.ts'));
        process.kill(pid!, 'SIGKILL');
      }
      expect((await making).stderr).toMatch(said);
      expect(await layout()).toEqual(before);
      // A bridge of this name that the site makes now is the site's.
      await world.ip(world.host, [`link add name ${DEFAULT_BRIDGE} type bridge`]);
      expect(await call('bridge.ts', 'bridgeDown', config)).toBe(false);
      expect((await world.in(world.host, 'ip', ['link'])).stdout).toContain(DEFAULT_BRIDGE);
    },
  );

  test('refuses a device that is a port already', async () => {
    await world.ip(world.host, ['link add name other type bridge', 'link set up0 master other']);
    await expect(call('bridge.ts', 'bridgeUp', config, 'up0')).rejects.toThrow(
      /up0 belongs to other already/,
    );
  });
});
