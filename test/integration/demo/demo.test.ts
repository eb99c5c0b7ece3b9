import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { PHASES } from '../../../src/phases.ts';
import { runningPools } from '../../../testbed/pool/pool.ts';
import { conditions, ensureRootTree } from '../../../testbed/pool/root-tree.ts';
import { lark, MAIN, ROOT } from '../../support/lark.ts';
import { AS_NOBODY, cannotChangeUser, readableCheckout } from '../../support/other-user.ts';

/** `lark demo` as a newcomer meets it. */

const report = z.strictObject({
  hosts: z.int().positive(),
  archives: z.int().positive(),
  series: z.int().positive(),
  samples: z.int().positive(),
  sites: z.int().positive(),
  paths: z.int().positive(),
  adsPublished: z.int().positive(),
  adsInCollector: z.int().positive(),
  store: z.literal('pglite'),
  condorVersion: z.string().nullable(),
  phases: z.strictObject(Object.fromEntries(PHASES.map((phase) => [phase, z.number().min(0)]))),
  cycleSeconds: z.number().positive(),
});

const able = conditions();
const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

/** Processes whose command line or environment names `mark`. */
async function processesOf(mark: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
      const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8');
      if (environment.includes(mark)) found.push(`${pid} ${commandLine.replaceAll('\0', ' ')}`);
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

/** The demo as a child, marked in its environment so that everything it starts can be found again. */
function demo(mark: string, ...args: string[]) {
  const child = spawn(process.execPath, [MAIN, 'demo', ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LARK_TEST_MARK_FOR_DEMO: mark },
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  cleanUp.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const shows = (pattern: RegExp) => expect.poll(() => text, { timeout: 90_000 }).toMatch(pattern);
  return { child, ended, shows, text: () => text };
}

describe.skipIf(!able.ok)(`the demo with a pool${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  test('--once --json: one object, and the collector holds what was published', async () => {
    await ensureRootTree({ progress: () => {} });
    const { stdout, exitCode, stderr } = await lark(['demo', '--once', '--json']);
    expect(exitCode, stderr).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(1);
    const figures = report.parse(JSON.parse(stdout));
    expect(figures.adsInCollector).toBe(figures.adsPublished);
    expect(figures.adsPublished).toBe(figures.paths);
    expect(figures.condorVersion).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)('%s leaves nothing behind', async (signal) => {
    const mark = `mark-${process.pid}-${signal}`;
    const { child, ended, shows, text } = demo(mark);
    await shows(/NetworkPath ads stand in the pool's collector/);
    await shows(/Ctrl-C ends everything/);
    expect((await processesOf(mark)).length).toBeGreaterThan(5);
    // Another pool may run on this machine; the id of this one begins with its owner's pid.
    const mine = () => runningPools().filter(({ id }) => id.startsWith(`${child.pid}-`));
    const [pool] = mine();
    const inPool = (...args: string[]) => lark(['pool', '--id', pool!.id, ...args]);

    // What the summary tells people to type, works.
    const seen = await inPool(
      'condor_status',
      '-any',
      '-constraint',
      'MyType == "NetworkPath"',
      '-af',
      'Name',
    );
    expect(seen.stdout.split('\n').length).toBeGreaterThan(10);
    const configFile = /--config (\S+)/.exec(text())![1]!;
    const paths = await lark(['paths', '--config', configFile]);
    expect(paths.stdout).toContain('MBIT/S');
    expect((await inPool('--host', 'nowhere', 'true')).stderr).toMatch(/^lark: .*nowhere/);
    expect((await inPool('sh', '-c', 'exit 7')).exitCode).toBe(7);

    child.kill(signal);
    const [code] = await ended;
    if (signal !== 'SIGKILL') expect(code).toBe(0);
    await expect.poll(() => processesOf(mark), { timeout: 20_000 }).toEqual([]);
    await expect.poll(mine, { timeout: 20_000 }).toEqual([]);
    const mounts = await readFile('/proc/mounts', 'utf8');
    expect(mounts).not.toContain(pool!.id);
    const { stdout: links } = await execa('cat', ['/proc/net/dev']);
    expect(links).not.toMatch(/pool0|lark/);
    if (signal !== 'SIGKILL') expect(existsSync(configFile)).toBe(false);
  });
});

test('--no-pool: ads go to a folder, and the summary says so', async () => {
  const { stdout, exitCode, stderr } = await lark(['demo', '--once', '--no-pool', '--hosts', '8']);
  expect(exitCode, stderr).toBe(0);
  expect(stdout).toMatch(/pool +none \(--no-pool\): ads are files in/);
  const [, published, standing] = /(\d+) ads published, (\d+) NetworkPath ads stand in/.exec(stdout)!;
  expect(Number(published)).toBeGreaterThan(0);
  expect(standing).toBe(published);
});

test.skipIf(cannotChangeUser)(
  `--no-pool works without root${cannotChangeUser ? ` (skipped: ${cannotChangeUser})` : ''}`,
  async () => {
    const { folder, node, remove } = await readableCheckout();
    cleanUp.push(remove);
    const home = join(folder, 'home');
    await execa('install', ['-d', '-o', 'nobody', '-m', '700', home]);
    const { stdout, stderr, exitCode } = await execa(
      AS_NOBODY[0],
      [
        ...AS_NOBODY.slice(1),
        node,
        join(folder, 'src/cli/main.ts'),
        'demo',
        '--once',
        '--json',
        '--no-pool',
        '--hosts',
        '6',
      ],
      { cwd: folder, env: { HOME: home, TMPDIR: home }, reject: false, timeout: 120_000 },
    );
    expect(exitCode, stderr).toBe(0);
    expect(report.parse(JSON.parse(stdout)).condorVersion).toBeNull();
  },
);

test('--json without --once is refused', async () => {
  expect(await lark(['demo', '--json'])).toMatchObject({
    exitCode: 1,
    stderr: 'lark: --json goes with --once: it prints one object and ends',
  });
});
