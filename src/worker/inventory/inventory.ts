import { UserError } from '../../errors.ts';
import type { UplinkSpeed } from './uplink.ts';

/** The keys of worker.yaml that the inventory goes by. */
export interface InventorySettings {
  /** A number is the site's word, and stronger than what the kernel tells. */
  uplinkMbps: 'auto' | number;
  /** Share of the uplink that jobs never get, 0 to 0.9. */
  headroomShare: number;
}

export interface Inventory {
  /** Whole Mb/s, at least 1: what the machine has for its jobs. */
  bandwidthMbps: number;
  /** What came after the uplink's own steps: a sentence a step. */
  steps: string[];
}

/**
 * What is advertised: the configured speed, else the kernel's, else the measured one, less the headroom.
 *
 * @param measure runs only where it is needed; absent where nobody asked for it
 * @throws UserError where nothing tells the speed
 */
export async function bandwidthInventory(
  uplink: UplinkSpeed,
  settings: InventorySettings,
  measure?: () => Promise<{ mbps: number; steps: string[] }>,
): Promise<Inventory> {
  const steps: string[] = [];
  let mbps = uplink.mbps;
  if (settings.uplinkMbps !== 'auto') {
    mbps = settings.uplinkMbps;
    steps.push(`shaping.uplinkMbps in worker.yaml says ${mbps} Mb/s, which decides`);
  } else if (mbps === undefined && measure) {
    const measured = await measure();
    mbps = measured.mbps;
    steps.push(...measured.steps);
  }
  if (mbps === undefined) {
    throw new UserError(
      `the speed of the uplink is not known (${uplink.steps.at(-1) ?? 'no default route'}): set shaping.uplinkMbps in ` +
        'worker.yaml, or name an iperf3 server outside with --measure',
    );
  }
  const bandwidthMbps = Math.max(1, Math.floor(mbps * (1 - settings.headroomShare)));
  if (settings.headroomShare > 0) {
    steps.push(`less the headroom of ${Math.round(settings.headroomShare * 100)} %: ${bandwidthMbps} Mb/s`);
  }
  return { bandwidthMbps, steps };
}
