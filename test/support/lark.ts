import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { stringify } from 'yaml';
import type { Log } from '../../src/log.ts';
import type { World } from '../../testbed/world/world.ts';

export const ROOT = resolve(import.meta.dirname, '../..');
export const MAIN = join(ROOT, 'src/cli/main.ts');

export const quietLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Settings of a service that reads a world; `folder` holds everything it writes. */
export function worldSettings(world: World, folder: string, more: Record<string, object> = {}) {
  const settings: Record<string, object> = {
    store: { directory: join(folder, 'store') },
    discover: { bootstrapUrls: [world.bootstrapUrl], searchUrls: [], everyMinutes: 0 },
    http: { connectTimeoutSeconds: 1, bodyTimeoutSeconds: 10 },
    harvest: { lookbackHours: 6 },
    sites: { file: join(folder, 'sites.yaml'), sources: [] },
    breaker: { policies: join(ROOT, 'config/policies') },
    publish: { directory: join(folder, 'ads') },
    service: { schedule: '0 0 1 1 *' },
    api: { port: 0 },
    log: { level: 'info' },
  };
  for (const [section, keys] of Object.entries(more)) settings[section] = { ...settings[section], ...keys };
  return settings;
}

/** A folder of its own with lark.yaml and sites.yaml for a world. */
export async function larkFolder(world: World, more: Record<string, object> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'lark-it-'));
  const configFile = join(folder, 'lark.yaml');
  const write = (changes: Record<string, object> = {}) =>
    writeFile(configFile, stringify(worldSettings(world, folder, { ...more, ...changes })));
  await writeFile(join(folder, 'sites.yaml'), world.sitesYaml());
  await write();
  return { folder, configFile, write, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Runs a Lark command to its end. The environment carries no LARK_ setting and no DATABASE_URL of the caller's. */
export function lark(args: string[], env: Record<string, string> = {}) {
  return execa(process.execPath, [MAIN, ...args], {
    cwd: ROOT,
    reject: false,
    timeout: 120_000,
    extendEnv: false,
    env: { ...cleanEnvironment(), ...env },
  });
}

function cleanEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined && !entry[0].startsWith('LARK_') && entry[0] !== 'DATABASE_URL',
    ),
  );
}

/** `lark serve` as a child process, with the JSON lines of its log. */
export function serve(configFile: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [MAIN, '--config', configFile, 'serve'], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...cleanEnvironment(), ...env },
  });
  const log: Record<string, unknown>[] = [];
  let rest = '';
  const waiting = new Set<() => void>();
  child.stderr.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop()!;
    for (const line of lines) log.push(line.startsWith('{') ? JSON.parse(line) : { msg: line });
    for (const check of waiting) check();
  });
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  /** The first log line, from the `from`th on, whose message matches. */
  const said = (pattern: RegExp, from = 0): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const line = log.slice(from).find(({ msg }) => pattern.test(String(msg)));
        if (!line) return;
        waiting.delete(check);
        resolve(line);
      };
      waiting.add(check);
      check();
      void ended.then(() => {
        if (waiting.delete(check)) {
          reject(new Error(`lark serve ended before it said ${pattern}: ${JSON.stringify(log.slice(-3))}`));
        }
      });
    });
  return { child, log, said, ended };
}
