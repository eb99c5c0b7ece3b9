import { loadConfig } from '../config.ts';
import { createLog } from '../log.ts';
import { startService } from '../service.ts';
import { version } from './version.ts';

/** `lark cycle`: one cycle, for cron. Exits 1 when the cycle could not be run; warnings go to the log. */
export async function cycle(configFile: string | undefined, options: { json?: boolean }): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const log = createLog(config.log.level);
  const service = await startService(config, { log, clock: () => new Date(), version });
  const stop = async (): Promise<void> => {
    await service.close();
    process.exit(130);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  try {
    const { counts, phases, startedAt, finishedAt, warnings } = await service.cycle();
    const cycleSeconds = (finishedAt.getTime() - startedAt.getTime()) / 1000;
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ ...counts, phases, cycleSeconds, warnings })}\n`
        : `${Object.entries(counts)
            .map(([what, n]) => `${n} ${what}`)
            .join(', ')} in ${cycleSeconds.toFixed(1)} s\n`,
    );
  } finally {
    await service.close();
  }
}
