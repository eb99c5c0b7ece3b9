import { loadWorkerConfig } from '../worker/config.ts';
import { bandwidthInventory } from '../worker/inventory/inventory.ts';
import { measureUplink } from '../worker/inventory/measure.ts';
import { takeSnapshot } from '../worker/inventory/snapshot.ts';
import { uplinkSpeed } from '../worker/inventory/uplink.ts';

/** Prints what MACHINE_RESOURCE_INVENTORY_BANDWIDTH reads. @throws UserError */
export async function inventory(
  configFile: string | undefined,
  options: { explain?: boolean; measure?: string },
): Promise<void> {
  const { host, shaping } = loadWorkerConfig(configFile);
  const uplink = uplinkSpeed(await takeSnapshot(), host.uplink === 'auto' ? undefined : host.uplink);
  const { measure } = options;
  const explain = (steps: readonly string[]): void => {
    if (options.explain) for (const step of steps) process.stdout.write(`# ${step}\n`);
  };
  explain(uplink.steps);
  const { bandwidthMbps, steps } = await bandwidthInventory(
    uplink,
    shaping,
    measure === undefined ? undefined : () => measureUplink(measure),
  );
  explain(steps);
  process.stdout.write(`DetectedBandwidth = ${bandwidthMbps}\n`);
}
