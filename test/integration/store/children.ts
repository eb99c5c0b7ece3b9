/** Processes that hold a store, to be killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';
import type { StoreLocation } from '../../../src/store/store.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

export interface Writer {
  pid: number;
  /** What it has said so far. */
  lines(): string[];
  /** Resolves once it has said `line`; rejects with its error output when it ends before. */
  said(line: string): Promise<void>;
  /** Resolves to its error output. */
  ended: Promise<string>;
  kill(): Promise<void>;
}

/** Killed at the latest when the test ends. `node`: how it is run, and from which checkout, for another user. */
export function startWriter(
  location: StoreLocation,
  node: { command: readonly string[]; checkout: string } = { command: [process.execPath], checkout: ROOT },
): Writer {
  const writer = join(node.checkout, 'test/integration/store/writer.ts');
  const [command, ...args] = [...node.command, writer, JSON.stringify(location)];
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const ended = once(child, 'close').then(() => errors);
  const lines = () => output.split('\n').slice(0, -1);
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  onTestFinished(kill);
  return {
    pid: child.pid!,
    lines,
    said: (line) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (lines().includes(line)) {
            child.stdout.off('data', check);
            resolve();
          }
        };
        child.stdout.on('data', check);
        check();
        ended.then((text) => reject(new Error(`The writer ended without saying "${line}": ${text}`)));
      }),
    ended,
    kill,
  };
}
