import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { UserError } from '../../errors.ts';
import { runCommand } from '../commands.ts';
import type { WorkerConfig } from '../config.ts';
import { removeFile, replaceFile } from '../records.ts';
import { bridgeDownLines, bridgeUpLines } from './move.ts';
import { type DeviceState, deviceStateSchema, readDevice } from './state.ts';

export type BridgeConfig = Pick<WorkerConfig, 'bridge' | 'state'>;

const GUARD = join(import.meta.dirname, 'guard.ts');
/** After which the guard brings the old state back by itself. */
const GUARD_MS = 30_000;
const GATEWAY_MS = 5000;
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
  replaceFile(stateFile(config), `${JSON.stringify(state)}\n`);
  await guarded(config, bridgeDownLines(name, state), async () => {
    await runCommand('ip', ['-batch', '-'], { input: `${bridgeUpLines(name, state).join('\n')}\n` });
    if (didAnswer && !(await answers(gateway, name))) {
      throw new UserError(
        `${gateway} no longer answers behind the bridge ${name}: ${device} is as it was before`,
      );
    }
  });
  return true;
}

/**
 * Puts the device back to what it was and removes the bridge.
 * @returns false where Lark made no bridge
 */
export async function bridgeDown(config: BridgeConfig): Promise<boolean> {
  const file = stateFile(config);
  if (!existsSync(file)) return false;
  const state = deviceStateSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  const lines = bridgeDownLines(config.bridge.name, state);
  // Its own lines are the guard's too: they finish what they began.
  await guarded(config, lines, async () => {
    await runCommand('ip', ['-force', '-batch', '-'], { input: `${lines.join('\n')}\n` }).catch(() => '');
    if (isBridge(config.bridge.name))
      throw new UserError(`the bridge ${config.bridge.name} could not be removed`);
  });
  removeFile(file);
  return true;
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
  const isOwn = existsSync(stateFile(config));
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

function stateFile(config: BridgeConfig): string {
  return join(config.state.runDirectory, 'bridge.json');
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

async function guarded(
  config: BridgeConfig,
  lines: readonly string[],
  act: () => Promise<void>,
): Promise<void> {
  const guard = spawn(process.execPath, [GUARD], { detached: true, stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = once(guard, 'close');
  // It may be gone when it is told.
  guard.stdin.on('error', () => {});
  const order = { lines, timeoutMs: GUARD_MS, bridge: config.bridge.name, stateFile: stateFile(config) };
  guard.stdin.write(`${JSON.stringify(order)}\n`);
  await Promise.race([
    once(guard.stdout, 'data'),
    ended.then(() => {
      throw new Error('the guard of the bridge did not start');
    }),
  ]);
  try {
    await act();
    guard.stdin.end('done\n');
  } catch (error) {
    // An end without a word: the guard puts all back.
    guard.stdin.end();
    throw error;
  } finally {
    await ended;
  }
}
