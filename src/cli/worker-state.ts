import { UserError } from '../errors.ts';
import { apply } from '../worker/apply.ts';
import { bridgeDown } from '../worker/bridge/bridge.ts';
import { openContext } from '../worker/context.ts';
import { describeState, stateOf } from '../worker/dump.ts';
import { removeAll, sweep } from '../worker/gc.ts';
import { readJournal } from '../worker/journal.ts';
import { journalFolder, tearDown } from '../worker/network.ts';
import { standingDownOperations } from '../worker/standing.ts';
import { JOB_NAME } from '../worker/types.ts';
import { networksOf, noNetworkOf } from './worker-job.ts';

/** `lark worker dump` */
export async function dump(configFile: string | undefined, { json }: { json?: boolean }): Promise<void> {
  const state = await stateOf(await openContext(configFile));
  process.stdout.write(json ? `${JSON.stringify(state, null, 2)}\n` : describeState(state));
}

/** `lark worker clean [JOB|--all]` */
export async function clean(
  configFile: string | undefined,
  job: string | undefined,
  { all }: { all?: boolean },
): Promise<void> {
  if (job !== undefined && all) throw new UserError('clean takes a job or --all, not both');
  const context = await openContext(configFile);
  if (all) {
    const names = await removeAll(context);
    await apply(await standingDownOperations(context.config, context.host, context.parts), {
      isForced: true,
    });
    const isBridgeGone = await bridgeDown(context.config);
    say(
      names,
      `and the rules that stood for all${isBridgeGone ? `, and the bridge ${context.config.bridge.name}` : ''}`,
    );
    return;
  }
  if (job === undefined) {
    const report = await sweep(context, new Set());
    say(report.removed, report.mended.length > 0 ? `mended ${report.mended.join(', ')}` : '');
    if (report.failed.length > 0) throw new UserError(`not everything went: ${report.failed.join('; ')}`);
    return;
  }
  const networks = networksOf(job, readJournal(journalFolder(context.config)).entries);
  // What nobody wrote down may be there all the same.
  if (networks.length === 0 && !JOB_NAME.test(job)) throw noNetworkOf(job);
  const gone = networks.length > 0 ? networks.map(({ name }) => name) : [job];
  for (const name of gone) await tearDown(name, context);
  say(gone, '');
}

function say(names: readonly string[], also: string): void {
  const what = names.length === 0 ? 'nothing was left to remove' : `removed ${names.join(', ')}`;
  process.stdout.write(`${[what, also].filter(Boolean).join('; ')}\n`);
}
