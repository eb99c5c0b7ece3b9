import { loadConfig } from '../config.ts';
import { createLog } from '../log.ts';
import { startSpider } from '../service.ts';
import { version } from './version.ts';

/** `lark spider`: takes harvest jobs until SIGTERM or SIGINT. */
export async function spider(configFile: string | undefined): Promise<void> {
  const { config, file } = loadConfig(configFile, process.env);
  const log = createLog(config.log.level);
  const running = await startSpider(config, { log, clock: () => new Date() });
  log.info({ version, file }, 'taking harvest jobs');
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    log.info({ signal }, 'stopping');
    await running.close();
    process.exit(0);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}
