import { z } from 'zod';
import {
  acceptedView,
  acceptSource,
  type MachineView,
  machinesView,
  machineView,
  type SiteSourceView,
  siteSourcesView,
  siteSourceView,
} from '../api/site-sources.ts';
import { loadConfig } from '../config.ts';
import { asked, changed } from './store-or-api.ts';
import { ago, table } from './table.ts';

/** `lark sites sources` */
export async function sitesSources(
  configFile: string | undefined,
  options: { json?: boolean },
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const found = await asked(config, {
    fromStore: (store) => siteSourcesView(store, config.sites),
    apiPath: 'sites/sources',
    schema: z.array(siteSourceView),
  });
  print(options.json ? JSON.stringify(found, null, 2) : sourcesText(found, new Date()));
}

export function sourcesText(sources: readonly SiteSourceView[], now: Date): string {
  if (sources.length === 0)
    return 'No sources are configured (sites.sources): sites.yaml alone says what sites are.';
  const count = (kind: string) => (source: SiteSourceView) => String(source.counts?.[kind] ?? '-');
  const rows = table(sources, [
    { heading: 'SOURCE', cell: ({ source }) => source },
    { heading: 'FORMAT', cell: ({ format }) => format },
    { heading: 'VERSION', cell: ({ version }) => String(version ?? '-'), right: true },
    { heading: 'SINCE', cell: ({ fetchedAt }) => ago(fetchedAt, now), right: true },
    { heading: 'LOOKED AT', cell: ({ checkedAt }) => ago(checkedAt, now), right: true },
    { heading: 'SITES', cell: count('sites'), right: true },
    { heading: 'HOSTS', cell: count('hosts'), right: true },
    { heading: 'PREFIXES', cell: count('prefixes'), right: true },
    { heading: 'STATE', cell: stateOf },
  ]);
  const said = sources.flatMap(({ source, failure, refusal, version }) => [
    ...(failure === null ? [] : [`  ${source}: ${failure}`]),
    ...(refusal === null
      ? []
      : [
          `  ${source}: what was read at ${refusal.at} ${refusal.reason}; ${version === null ? 'nothing' : `version ${version}`} stays in force. "lark sites sources accept ${source}" takes it.`,
        ]),
  ]);
  return said.length > 0 ? `${rows}\n\n${said.join('\n')}` : rows;
}

function stateOf({ enabled, failure, refusal, version }: SiteSourceView): string {
  if (!enabled) return 'off';
  if (failure !== null) return 'not read';
  if (refusal !== null) return 'kept out';
  return version === null ? 'not read yet' : 'ok';
}

/** `lark sites sources accept NAME` */
export async function sitesSourcesAccept(configFile: string | undefined, name: string): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const { source, counts } = await changed(config, {
    inStore: (store) => acceptSource(store, config.sites, name, new Date()),
    method: 'POST',
    apiPath: `sites/sources/${encodeURIComponent(name)}/accept`,
    body: {},
    schema: acceptedView,
  });
  const told = Object.entries(counts)
    .filter(([kind, count]) => kind !== 'skipped' && count > 0)
    .map(([kind, count]) => `${count} ${kind}`);
  print(`${source} is accepted with ${told.join(', ')}; hosts are located by it from the next cycle on`);
}

/** `lark sites machines` */
export async function sitesMachines(
  configFile: string | undefined,
  options: { json?: boolean },
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const found = await asked(config, {
    fromStore: machinesView,
    apiPath: 'sites/machines',
    schema: z.array(machineView),
  });
  print(options.json ? JSON.stringify(found, null, 2) : machinesText(found, new Date()));
}

export function machinesText(machines: readonly MachineView[], now: Date): string {
  if (machines.length === 0)
    return 'No machine of the pool is known yet: they are read from the collector in each cycle.';
  return table(machines, [
    { heading: 'MACHINE', cell: ({ machine }) => machine },
    { heading: 'ADDRESSES', cell: ({ addresses }) => addresses.join(', ') || '-' },
    { heading: 'SLOTS', cell: ({ slots }) => String(slots), right: true },
    { heading: 'SUBMITS', cell: ({ isAccessPoint }) => (isAccessPoint ? 'yes' : '-') },
    { heading: 'SITE', cell: ({ site }) => site ?? '(unmapped)' },
    { heading: 'BY', cell: ({ method }) => method ?? '-' },
    { heading: 'EVIDENCE', cell: ({ evidence }) => evidence },
    { heading: 'SEEN', cell: ({ lastSeen }) => ago(lastSeen, now), right: true },
  ]);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
