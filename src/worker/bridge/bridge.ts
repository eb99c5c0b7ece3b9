import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { UserError } from '../../errors.ts';
import { runCommand } from '../commands.ts';
import type { WorkerConfig } from '../config.ts';
import { isAlive, processId } from '../proc.ts';
import { JOB_NAME } from '../types.ts';
import { bridgeDownLines, bridgeUpLines } from './move.ts';
import { readRecord, recordFile, removeRecord, writeRecord } from './record.ts';
import { type DeviceState, readDevice } from './state.ts';

export type BridgeConfig = Pick<WorkerConfig, 'bridge' | 'state'>;

const GUARD = join(import.meta.dirname, 'guard.ts');
/** After which the guard brings the old state back by itself. */
const GUARD_MS = 30_000;
const GATEWAY_MS = 5000;
const outcome = z.object({ error: z.string().optional() });
const neighbours = z.array(z.object({ state: z.array(z.string()).optional() }));

/**
 * Makes the bridge where it is absent and moves the device's addresses and routes to it. If this process dies on the
 * way, or the gateway that answered before does not answer behind the bridge, all is put back.
 * @param uplink the device where the configuration says auto
 * @returns false where the bridge was there; one that the site made itself is used as it is
 * @throws UserError
 */
export async function bridgeUp(config: BridgeConfig, uplink: string): Promise<boolean> {
  const { name } = config.bridge;
  if (isBridge(name)) return false;
  const device = config.bridge.device === 'auto' ? uplink : config.bridge.device;
  const state = await readDevice(device);
  if (state.master) {
    throw new UserError(
      `${device} belongs to ${state.master} already: name that as bridge.name, or another device`,
    );
  }
  const gateway = gatewayOf(state);
  const didAnswer = gateway !== undefined && (await answers(gateway, device));
  const move = { act: bridgeUpLines(name, state), isForced: false, back: bridgeDownLines(name, state) };
  await guarded(config, state, move, async () => {
    if (didAnswer && !(await answers(gateway, name))) {
      throw new UserError(
        `${gateway} no longer answers behind the bridge ${name}: ${device} is as it was before`,
      );
    }
    writeRecord(config, state);
  });
  return true;
}

/**
 * Puts the device back to what it was and removes the bridge.
 * @returns false where Lark made no bridge
 */
export async function bridgeDown(config: BridgeConfig): Promise<boolean> {
  const { name } = config.bridge;
  const record = readRecord(config);
  if (record === undefined) return false;
  const state = record === 'unreadable' ? await stateBehind(name) : record;
  if (!state)
    throw new UserError(`${recordFile(config)} cannot be read, and ${name} has no port: remove both`);
  // Its own lines are the guard's too: they finish what they began.
  const back = bridgeDownLines(name, state);
  await guarded(config, state, { act: back, isForced: true, back }, async () => {
    if (isBridge(name)) throw new UserError(`the bridge ${name} could not be removed`);
  });
  removeRecord(config);
  return true;
}

/**
 * What has to be done before a bridge is made or used, where whoever made it or took it back was killed on the way, with its
 * guard: the way back is gone to its end.
 * @returns what was done; undefined where all was well
 */
export async function mendBridge(config: BridgeConfig): Promise<string | undefined> {
  const { name } = config.bridge;
  const record = readRecord(config);
  if (record === undefined) return undefined;
  if (record === 'unreadable') {
    const state = await stateBehind(name);
    if (state) writeRecord(config, state);
    else removeRecord(config);
    const made = state
      ? 'written again, after the bridge that there is'
      : `removed, as there is no bridge ${name}`;
    return `${recordFile(config)} could not be read; it is ${made}`;
  }
  const { isMoving, guard, device } = record;
  if (!isMoving) return undefined;
  for (const end = Date.now() + 2 * GUARD_MS; guard && isAlive(guard) && Date.now() < end; )
    await setTimeout(50);
  // Somebody may have been at it.
  const now = readRecord(config);
  if (now === undefined || now === 'unreadable' || !now.isMoving) return undefined;
  await bridgeDown(config);
  return `the bridge ${name} was half made or half taken back; ${device} is as it was before`;
}

/** Of a bridge that stands: what its device was, is now the bridge's. Undefined where there is none, or it has no device. */
async function stateBehind(name: string): Promise<DeviceState | undefined> {
  if (!isBridge(name)) return undefined;
  const device = readdirSync(`/sys/class/net/${name}/brif`).find((port) => !JOB_NAME.test(port));
  return device === undefined ? undefined : { ...(await readDevice(name)), device };
}

export interface BridgeCheck {
  what: string;
  isGood: boolean;
  detail: string;
}

/** What `lark worker bridge test` shows. Sends no more than a datagram to the gateway. */
export async function bridgeTest(config: BridgeConfig): Promise<BridgeCheck[]> {
  const { name } = config.bridge;
  if (!isBridge(name)) return [{ what: 'bridge', isGood: false, detail: `there is no bridge ${name}` }];
  const read = (path: string) => readFileSync(`/sys/class/net/${name}/${path}`, 'utf8').trim();
  const isOwn = readRecord(config) !== undefined;
  const delay = Number(read('bridge/forward_delay'));
  const checks: BridgeCheck[] = [
    { what: 'bridge', isGood: true, detail: isOwn ? `${name}, made by Lark` : `${name}, the site's own` },
    {
      what: 'forward delay',
      isGood: delay === 0 || read('bridge/stp_state') === '0',
      detail: `${delay / 100} s, spanning tree ${read('bridge/stp_state') === '0' ? 'off' : 'on'}`,
    },
    { what: 'state', isGood: read('operstate') === 'up', detail: read('operstate') },
  ];
  const state = await readDevice(name);
  const gateway = config.bridge.ipv4Gateway ?? gatewayOf(state);
  if (gateway === undefined) return [...checks, { what: 'gateway', isGood: false, detail: 'none' }];
  const isThere = await answers(gateway, name);
  return [
    ...checks,
    { what: 'gateway', isGood: isThere, detail: `${gateway} ${isThere ? 'answers' : 'does not answer'}` },
  ];
}

function isBridge(name: string): boolean {
  return existsSync(`/sys/class/net/${name}/bridge`);
}

export function gatewayOf({ routes }: Pick<DeviceState, 'routes'>, family = 'inet'): string | undefined {
  const route = routes.find((candidate) => candidate.dst === 'default' && candidate.family === family);
  return route?.gateway ?? route?.via?.host;
}

/** Whether the neighbour's link address can be found: the kernel asks for it to deliver a datagram. */
async function answers(address: string, device: string): Promise<boolean> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  try {
    for (const end = Date.now() + GATEWAY_MS; Date.now() < end; await setTimeout(100)) {
      await new Promise<void>((sent) => socket.send('', 9, address, () => sent()));
      const listed = await runCommand('ip', ['-j', 'neigh', 'show', 'to', address, 'dev', device]);
      const known = neighbours.parse(JSON.parse(listed || '[]'));
      if (
        known.some(({ state }) =>
          state?.some((word) => /^(REACHABLE|DELAY|STALE|PERMANENT|PROBE)$/.test(word)),
        )
      ) {
        return true;
      }
    }
    return false;
  } finally {
    socket.close();
  }
}

interface Move {
  act: readonly string[];
  /** Go on after a line that fails. */
  isForced: boolean;
  back: readonly string[];
}

/** @param check what has to hold afterwards; if it throws, all is put back */
async function guarded(
  config: BridgeConfig,
  state: DeviceState,
  move: Move,
  check: () => Promise<void>,
): Promise<void> {
  const guard = spawn(process.execPath, [GUARD], { detached: true, stdio: ['pipe', 'pipe', 'ignore'] });
  // With it have ended the programs that it started.
  const ended = once(guard, 'close');
  const lines = createInterface({ input: guard.stdout })[Symbol.asyncIterator]();
  const heard = async (): Promise<string> => {
    const { value } = await lines.next();
    if (value === undefined)
      throw new UserError(`the guard of the bridge ended: ${state.device} is as it was before`);
    return value;
  };
  // It may be gone when it is told.
  guard.stdin.on('error', () => {});
  const order = {
    ...move,
    timeoutMs: GUARD_MS,
    bridge: config.bridge.name,
    recordFile: recordFile(config),
  };
  guard.stdin.write(`${JSON.stringify(order)}\n`);
  try {
    await heard();
    const id = processId(guard.pid!);
    writeRecord(config, { ...state, isMoving: true, ...(id && { guard: id }) });
    guard.stdin.write('go\n');
    const { error } = outcome.parse(JSON.parse(await heard()));
    if (error) throw new UserError(`the bridge ${config.bridge.name}: ${error}`);
    await check();
    guard.stdin.end('done\n');
    await ended;
  } catch (error) {
    // An end without a word: the guard puts all back.
    guard.stdin.end();
    await ended;
    if (guard.exitCode !== 0) {
      const input = `${move.back.join('\n')}\n`;
      await runCommand('ip', ['-force', '-batch', '-'], { input }).catch(() => '');
      if (!isBridge(config.bridge.name)) removeRecord(config);
    }
    throw error;
  }
}
