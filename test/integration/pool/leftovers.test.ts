import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterEach, describe, expect, it } from 'vitest';
import { runningPools, startPool } from '../../../testbed/pool/pool.ts';
import { conditions, ensureRootTree } from '../../../testbed/pool/root-tree.ts';
import { poolDir, readStates } from '../../../testbed/pool/state.ts';
import { footprintOf, leftovers, links, parentOf, pinnedNetworks } from './footprint.ts';

const able = conditions();
const goneWithin = { timeout: 20_000, interval: 50 };

/** A child process of ours and the lines it prints. */
function start(script: string, ...args: string[]) {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const said = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      lines.on('line', (line) => {
        const match = pattern.exec(line);
        if (match) resolve(match[1] ?? line);
      });
      lines.once('close', () => reject(new Error(`${script} ended before it said ${pattern}`)));
    });
  return { child, said };
}

describe.skipIf(!able.ok)(`what a pool leaves behind${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  const before = { links: links(), pinned: pinnedNetworks() };
  const children: ReturnType<typeof start>['child'][] = [];
  const hold = (script: string, ...args: string[]) => {
    const held = start(script, ...args);
    children.push(held.child);
    return held;
  };
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });
  const nothingElseChanged = () => {
    expect(links()).toEqual(before.links);
    expect(pinnedNetworks()).toEqual(before.pinned);
  };

  it('is nothing after stop, and stop may be called again', async () => {
    const pool = await startPool({ executionPoints: [{ name: 'ep1', site: 'UCSD' }] });
    const footprint = footprintOf(pool.id);
    // cm, ap, ep1 and the switch: otherwise this test would look for too little
    expect(footprint.networks.size).toBe(4);
    expect(leftovers(footprint).length).toBeGreaterThan(10);
    nothingElseChanged();
    await pool.stop();
    await pool.stop();
    expect(leftovers(footprint)).toEqual([]);
    nothingElseChanged();
  });

  it.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('is nothing after %s to its parent', async (signal) => {
    const { child, said } = hold('hold-pool.ts');
    const id = await said(/^pool (\S+)$/);
    const footprint = footprintOf(id);
    expect(footprint.networks.size).toBe(4);
    child.kill(signal);
    await expect.poll(() => leftovers(footprint), goneWithin).toEqual([]);
    nothingElseChanged();
  });

  it('is nothing when its parent is killed while the pool starts', async () => {
    await ensureRootTree({ progress: () => {} });
    const { child, said } = hold('hold-pool.ts');
    const id = await said(/^starting the pool (\S+):/);
    await expect
      .poll(() => footprintOf(id).networks.size, { timeout: 20_000, interval: 10 })
      .toBeGreaterThan(0);
    const footprint = footprintOf(id);
    child.kill('SIGKILL');
    await expect.poll(() => leftovers(footprint), goneWithin).toEqual([]);
    nothingElseChanged();
  });

  it('is nothing after stop when the pool had died by itself', async () => {
    const pool = await startPool({ executionPoints: [] });
    const footprint = footprintOf(pool.id);
    const state = readStates(Date.now()).find((candidate) => candidate.id === pool.id)!;
    process.kill(state.switch!.pid, 'SIGKILL');
    await expect.poll(() => leftovers(footprint), goneWithin).toEqual([]);
    await expect(pool.run('cm', ['condor_status'])).rejects.toThrow(
      `on host cm of pool ${pool.id} exited with`,
    );
    await pool.stop();
    nothingElseChanged();
  });

  it('is a folder when its supervisor is killed too, which the next look removes', async () => {
    const { child, said } = hold('hold-pool.ts');
    const id = await said(/^pool (\S+)$/);
    const footprint = footprintOf(id);
    const state = readStates(Date.now()).find((candidate) => candidate.id === id)!;
    const supervisor = parentOf(parentOf(state.switch!.pid));
    process.kill(supervisor, 'SIGKILL');
    child.kill('SIGKILL');
    await expect.poll(() => leftovers(footprint), goneWithin).toEqual([poolDir(id)]);
    expect(runningPools().map((pool) => pool.id)).not.toContain(id);
    expect(leftovers(footprint)).toEqual([]);
    nothingElseChanged();
  });

  it('is nothing when starting is aborted', async () => {
    const rootTree = await ensureRootTree({ progress: () => {} });
    const controller = new AbortController();
    let id = '';
    const progress = (line: string) => {
      id = /^starting the pool (\S+):/.exec(line)?.[1] ?? id;
      setTimeout(() => controller.abort(), 300);
    };
    await expect(startPool({ rootTree, progress, signal: controller.signal })).rejects.toThrow('aborted');
    expect(id).not.toBe('');
    expect(leftovers({ id, networks: new Set() })).toEqual([]);
    nothingElseChanged();
  });

  it('is no process and no lock when the parent of a build is killed', async () => {
    const cacheDir = mkdtempSync(join(tmpdir(), 'lark-build-test-'));
    try {
      const { child, said } = hold('hold-build.ts', cacheDir);
      await said(/^fetching and unpacking Debian/);
      child.kill('SIGKILL');
      await expect
        .poll(
          () => leftovers({ id: cacheDir, networks: new Set() }).filter((left) => !left.startsWith('/')),
          goneWithin,
        )
        .toEqual([]);
      const lock = (await execa('find', [cacheDir, '-name', '*.lock'], { timeout: 5_000 })).stdout;
      expect(existsSync(lock)).toBe(true);
      await execa('flock', ['--nonblock', lock, 'true'], { timeout: 5_000 });
    } finally {
      rmSync(cacheDir, { recursive: true, force: true });
    }
  });
});
