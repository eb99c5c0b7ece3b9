import { UserError } from '../errors.ts';
import { needRoot } from '../worker/context.ts';
import { runSelftest } from '../worker/selftest.ts';

/** `lark worker selftest`: a line for each thing tried; exits 1 when one of them fails. */
export async function selftest(): Promise<void> {
  needRoot();
  const isGood = await runSelftest(({ name, ok, detail, ms }) => {
    process.stdout.write(`${ok ? 'ok    ' : 'FAILED'} ${name}${ok ? '' : `: ${detail}`} (${ms} ms)\n`);
  });
  if (!isGood)
    throw new UserError(
      'the worker does not work as it should on this machine; "lark worker doctor" may say why',
    );
}
