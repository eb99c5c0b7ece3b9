import { UserError } from '../errors.ts';
import { version } from './version.ts';

interface Options {
  once?: boolean;
  json?: boolean;
  pool: boolean;
  hosts: number;
  seed: number;
}

/** `lark demo`: see testbed/demo. */
export async function demo(options: Options): Promise<void> {
  if (options.json && !options.once)
    throw new UserError('--json goes with --once: it prints one object and ends');
  if (options.pool) {
    const able = (await import('../../testbed/pool/root-tree.ts')).conditions();
    if (!able.ok)
      throw new UserError(`the pool cannot be started: ${able.why}. "lark demo --no-pool" works without.`);
  }
  const { runDemo } = await import('../../testbed/demo/demo.ts');
  const ending = new AbortController();
  let ended: NodeJS.Signals | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      ended ??= signal;
      ending.abort();
    });
  }
  try {
    await runDemo({
      ...options,
      version,
      progress: (line) => process.stderr.write(`lark: ${line}\n`),
      print: (text) => process.stdout.write(text),
      terminal: process.stdout.isTTY,
      signal: ending.signal,
    });
  } catch (error) {
    if (!ended) throw error;
  }
  // A Ctrl-C is how the demo is meant to end; but with --once it means that the work was not done.
  process.exit(ended && options.once ? 130 : 0);
}
