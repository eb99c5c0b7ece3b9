import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { nearest } from '../nearest.ts';

const FOLDER = resolve(import.meta.dirname, '../../bench');

/** `lark bench NAME`: runs bench/NAME.ts, progress on standard error, the result as JSON on standard output. */
export async function bench(name: string): Promise<void> {
  const names = (await readdir(FOLDER))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3));
  if (!names.includes(name)) {
    throw new UserError(
      `there is no benchmark "${name}"${nearest(name, names)} (there are: ${names.join(', ')})`,
    );
  }
  const { run } = (await import(join(FOLDER, `${name}.ts`))) as {
    run: (progress: (line: string) => void) => Promise<object>;
  };
  const result = await run((line) => process.stderr.write(`lark: ${line}\n`));
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}
