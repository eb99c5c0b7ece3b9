import { classTable } from '../worker/accounting/classes.ts';
import { UsageStore } from '../worker/accounting/store.ts';
import { loadWorkerConfig } from '../worker/config.ts';
import { metrics, monitorReport } from '../worker/monitor/report.ts';
import { readState, saveState } from '../worker/monitor/state.ts';

/** One report for STARTD_CRON, of all slots. @throws UserError */
export async function monitor(
  configFile: string | undefined,
  options: { state: string; slots: number; metrics?: boolean },
): Promise<void> {
  const { accounting, state } = loadWorkerConfig(configFile);
  if (options.metrics) {
    process.stdout.write(`${metrics(classTable(accounting).names).join(', ')}\n`);
    return;
  }
  const records = await new UsageStore(state.dataDirectory).live();
  const dynamicSlots = Array.from({ length: options.slots }, (_, index) => `slot1_${index + 1}`);
  const report = monitorReport(records, readState(options.state), dynamicSlots);
  // Before it is told: what is told twice would be counted twice, what is not told at all only lowers an average.
  saveState(options.state, report.state);
  process.stdout.write(report.text);
}
