/** Processes that hold a store, to be killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { StoreLocation } from '../../../src/store/store.ts';

const WRITER = fileURLToPath(new URL('./writer.ts', import.meta.url));

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

/** Killed at the latest when the test ends. `prefix`: a command that runs its arguments, for another user. */
export function startWriter(location: StoreLocation, prefix: readonly string[] = []): Writer {
  const [command, ...args] = [...prefix, process.execPath, WRITER, JSON.stringify(location)];
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
