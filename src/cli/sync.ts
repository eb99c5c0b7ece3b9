import { existsSync } from 'node:fs';
import { createHtcondor } from '../collector/htcondor.ts';
import { configFile, type LoadedConfig, loadConfig, parseConfig } from '../config.ts';
import { messageOf } from '../errors.ts';
import { createLog } from '../log.ts';
import { createSync } from '../sync.ts';

/** Most machines that run it have no lark.yaml: then the defaults hold. */
export function configOrDefaults(given: string | undefined): LoadedConfig {
  const file = configFile(given, process.env);
  const isNamed = given !== undefined || process.env.LARK_CONFIG;
  return isNamed || existsSync(file) ? loadConfig(given, process.env) : parseConfig('{}', file, process.env);
}

/** `lark sync`: until SIGTERM or SIGINT, as condor_master asks for; SIGHUP reads the configuration again. */
export async function sync(given: string | undefined, { once }: { once?: boolean }): Promise<void> {
  const { config, file } = configOrDefaults(given);
  const log = createLog(config.log.level);
  const tasks = createSync({
    config: config.sync,
    htcondor: createHtcondor(config.htcondor),
    clock: () => new Date(),
    log,
  });
  if (once) {
    const { problems } = await tasks.round();
    if (problems.length > 0) process.exitCode = 1;
    return;
  }
  const ending = new AbortController();
  // A round that is under way may wait for HTCondor; every file it writes is whole at any time.
  const stop = (): void => {
    ending.abort();
    setTimeout(() => process.exit(0), STOP_WITHIN_MS).unref();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.on('SIGHUP', () => {
    try {
      const { config } = configOrDefaults(given);
      log.level = config.log.level;
      tasks.reload(config.sync, createHtcondor(config.htcondor));
      log.info({}, 'configuration read again');
    } catch (error) {
      log.error({}, `the configuration was not taken, the old one stays: ${messageOf(error)}`);
    }
  });
  log.info({ file, directory: config.sync.directory }, 'syncing');
  await tasks.run(ending.signal);
}

const STOP_WITHIN_MS = 3000;
