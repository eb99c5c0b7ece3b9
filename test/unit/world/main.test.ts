import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { get } from './wire.ts';

const main = fileURLToPath(new URL('../../../testbed/world/main.ts', import.meta.url));

describe('the world as a process', () => {
  for (const ending of ['SIGTERM', 'end of standard input'] as const) {
    test(`says where it is, and leaves nothing after ${ending}`, async () => {
      const child = spawn(process.execPath, [main, '--hosts', '6', '--json'], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
      const [line] = await new Promise<[string]>((resolve) => {
        createInterface({ input: child.stdout }).once('line', (text) => resolve([text]));
      });
      const ready = JSON.parse(line);
      expect((await get(ready.bootstrapUrl)).json().hosts.length).toBeGreaterThan(3);
      expect(parse(readFileSync(ready.sitesFile, 'utf8')).sites.length).toBeGreaterThan(1);
      expect(readFileSync(ready.caFile, 'utf8')).toContain('BEGIN CERTIFICATE');
      if (ending === 'SIGTERM') child.kill('SIGTERM');
      else child.stdin.end();
      expect(await exited).toBe(0);
      expect(existsSync(ready.sitesFile)).toBe(false);
      await expect(get(ready.bootstrapUrl)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    });
  }
});
