import { loadConfig } from '../config.ts';
import { exportCsv, exported, exportView } from '../why/export.ts';
import { asked } from './store-or-api.ts';

/** `lark export`: breakers as a list for a frontend or another sender of pilots. */
export async function exportBreakers(
  configFile: string | undefined,
  { format }: { format: 'csv' | 'json' },
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const view = await asked(config, {
    fromStore: async (store) => exported(await store.breakers(), new Date()),
    apiPath: 'export',
    schema: exportView,
  });
  process.stdout.write(format === 'csv' ? exportCsv(view) : `${JSON.stringify(view, null, 2)}\n`);
}
