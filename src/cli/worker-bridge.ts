import { UserError } from '../errors.ts';
import { bridgeDown, bridgeTest, bridgeUp, mendBridge } from '../worker/bridge/bridge.ts';
import { loadWorkerConfig } from '../worker/config.ts';
import { needRoot } from '../worker/context.ts';
import { readHostFacts } from '../worker/host.ts';
import { readJournal } from '../worker/journal.ts';
import { journalFolder } from '../worker/network.ts';

/** `lark worker bridge up`: as the agent makes it when it starts. @throws UserError */
export async function up(configFile: string | undefined): Promise<void> {
  const config = loadWorkerConfig(configFile);
  needRoot();
  const { name } = config.bridge;
  const mended = await mendBridge(config);
  if (mended !== undefined) process.stdout.write(`${mended}\n`);
  const isNew = await bridgeUp(config, (await readHostFacts(config)).uplink);
  process.stdout.write(isNew ? `${name} stands\n` : `${name} was there already, and is used as it is\n`);
}

/** `lark worker bridge down`: the way back. @throws UserError while jobs hang on it */
export async function down(configFile: string | undefined): Promise<void> {
  const config = loadWorkerConfig(configFile);
  needRoot();
  const { name } = config.bridge;
  const jobs = readJournal(journalFolder(config)).entries.filter(({ request }) => request.mode === 'bridge');
  if (jobs.length > 0) {
    throw new UserError(
      `networks of jobs hang on ${name}: ${jobs.map((job) => job.name).join(', ')}; let the jobs end, or take them away ` +
        'with "lark worker clean JOB"',
    );
  }
  const isGone = await bridgeDown(config);
  process.stdout.write(
    isGone
      ? `${name} is gone, and the uplink as it was before\n`
      : `Lark made no bridge ${name}: nothing to do\n`,
  );
}

/** `lark worker bridge test`: a line for each thing looked at; exits 1 when one of them is wrong. */
export async function test(configFile: string | undefined, { json }: { json?: boolean }): Promise<void> {
  const config = loadWorkerConfig(configFile);
  const checks = await bridgeTest(config);
  process.stdout.write(
    json
      ? `${JSON.stringify(checks, null, 2)}\n`
      : checks
          .map(({ what, isGood, detail }) => `${isGood ? 'ok    ' : 'FAILED'} ${what}: ${detail}\n`)
          .join(''),
  );
  if (checks.some(({ isGood }) => !isGood)) process.exitCode = 1;
}
