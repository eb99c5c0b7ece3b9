import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { PoolOptions } from './pool.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const LARK = '/opt/lark';
const NODE = '/usr/local/bin/node';

/** Where `lark sync` of each host writes its maps: the default of the shipped files. */
export const MAPS = '/var/lib/lark/maps';

const shipped = (name: string): string => readFileSync(join(ROOT, 'config/htcondor', `${name}.conf`), 'utf8');

/**
 * Options for a pool with Lark on all hosts: the files of config/htcondor as they are shipped, and this checkout and
 * Node where condor_master finds them, so that it starts `lark sync` on the central manager and on the access points.
 *
 * @param environment of `lark sync`, as `LARK_SYNC_EVERY_SECONDS: '1'`
 * @param more HTCondor configuration after all that, by role or host
 */
export function larkHosts(
  environment: Record<string, string>,
  more: Record<string, string> = {},
): Required<Pick<PoolOptions, 'extraConfig' | 'mounts'>> {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const sync = [
    `LARK_SYNC = ${NODE}`,
    `LARK_SYNC_ARGS = ${LARK}/src/cli/main.ts sync`,
    `LARK_SYNC_ENVIRONMENT = "${variables.join(' ')}"`,
    'LARK_SYNC_LOG = /var/log/condor/LarkSyncLog',
    '',
  ].join('\n');
  const config: Record<string, string> = {
    ...more,
    cm: `${shipped('central-manager')}\n${sync}\n${more.cm ?? ''}`,
    ap: `${shipped('access-point')}\n${sync}\n${more.ap ?? ''}`,
    ep: `${shipped('execution-point')}\n${more.ep ?? ''}`,
  };
  return { extraConfig: config, mounts: { [LARK]: ROOT, [NODE]: process.execPath } };
}
