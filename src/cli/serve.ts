import { loadConfig } from '../config.ts';
import { messageOf } from '../errors.ts';
import { createLog } from '../log.ts';
import { startService } from '../service.ts';
import { version } from './version.ts';

/** How long an orderly end may take before the process ends anyway; what is committed is safe at any time. */
const STOP_WITHIN_MS = 4500;

/** `lark serve`: until SIGTERM or SIGINT; SIGHUP reads the configuration again. */
export async function serve(configFile: string | undefined): Promise<void> {
  const { config, file } = loadConfig(configFile, process.env);
  const log = createLog(config.log.level);
  const service = await startService(config, { log, clock: () => new Date(), version });

  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    log.info({ signal }, 'stopping');
    setTimeout(() => {
      log.warn({}, `the cycle under way did not end in ${STOP_WITHIN_MS} ms; what it had committed is kept`);
      process.exit(0);
    }, STOP_WITHIN_MS).unref();
    await service.close();
    process.exit(0);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.on('SIGHUP', () => {
    try {
      const next = loadConfig(configFile, process.env);
      service.reload(next.config);
      log.level = next.config.log.level;
      log.info({ file: next.file }, 'configuration read again');
    } catch (error) {
      log.error({}, `the configuration was not taken, the old one stays: ${messageOf(error)}`);
    }
  });

  const url = await service.listen().catch(async (error: unknown) => {
    await service.close();
    throw error;
  });
  log.info({ version, file, store: service.store.describe(), api: url }, 'serving');
  service.schedule();
}
