import { execa } from 'execa';
import { messageOf, UserError } from '../errors.ts';

/** `lark pool COMMAND…`: a command inside a host of the running pool, with this terminal's input and output. */
export async function pool(command: string[], options: { host: string; id?: string }): Promise<void> {
  const { attachPool } = await import('../../testbed/pool/pool.ts');
  let prefix: string[];
  try {
    prefix = attachPool(options.id).commandPrefix(options.host);
  } catch (error) {
    throw new UserError(messageOf(error));
  }
  const [file, ...args] = [...prefix, ...command] as [string, ...string[]];
  const { exitCode } = await execa(file, args, { stdio: 'inherit', reject: false });
  process.exitCode = exitCode ?? 1;
}
