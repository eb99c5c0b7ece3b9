import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { z } from 'zod';

const ready = z.object({
  bootstrapUrl: z.string(),
  sitesFile: z.string(),
  hosts: z.number(),
  archives: z.number(),
});

export type WorldProcess = z.infer<typeof ready> & { stop(): Promise<void> };

/**
 * A perfSONAR world in a process of its own, so that it and the service each have a core. It ends with this
 * process, however this one ends: its standard input is a pipe from here.
 */
export async function startWorldProcess(options: { hosts: number; seed: number }): Promise<WorldProcess> {
  const main = fileURLToPath(new URL('../world/main.ts', import.meta.url));
  const args = [main, '--json', '--hosts', String(options.hosts), '--seed', String(options.seed)];
  const child = execa(process.execPath, args, {
    stdin: 'pipe',
    stderr: 'inherit',
    reject: false,
    // Ctrl-C in a terminal goes to the whole process group; the demo itself says when the world ends.
    detached: true,
    forceKillAfterDelay: 2000,
  });
  const line = await Promise.race([
    once(createInterface(child.stdout), 'line').then(([text]) => String(text)),
    child.then(({ exitCode }) => {
      throw new Error(`the perfSONAR world ended before it was ready (exit code ${exitCode})`);
    }),
  ]);
  const described = ready.parse(JSON.parse(line));
  return {
    ...described,
    async stop() {
      child.stdin.end();
      await child;
    },
  };
}
