import { z } from 'zod';
import type { Config } from '../config.ts';
import { UserError } from '../errors.ts';
import type { Store, StoredSource } from '../store/store.ts';

const time = z.string().meta({ format: 'date-time' });
const counts = z.record(z.string(), z.int());

export const siteSourceView = z.object({
  source: z.string(),
  format: z.string(),
  place: z.string().meta({ description: 'URL or file' }),
  enabled: z.boolean(),
  version: z.int().nullable().meta({ description: 'in force; null where nothing was ever believed' }),
  fetchedAt: time.nullable(),
  checkedAt: time.nullable(),
  counts: counts.nullable().meta({ description: 'of the version in force: sites, hosts, prefixes, domains' }),
  failure: z.string().nullable().meta({ description: 'why the last reading brought nothing' }),
  refusal: z
    .object({ at: time, reason: z.string(), counts: counts.nullable() })
    .nullable()
    .meta({ description: 'what was read last and is kept out' }),
});
export type SiteSourceView = z.infer<typeof siteSourceView>;

/** The configured sources, in their order. */
export async function siteSourcesView(store: Store, { sources }: Config['sites']): Promise<SiteSourceView[]> {
  const stored = new Map((await store.siteSources()).map((source) => [source.name, source]));
  return sources.map(({ name, format, url, file, enabled }) => {
    const { current, checkedAt, failure, refusal } = stored.get(name) ?? ({} as Partial<StoredSource>);
    return {
      source: name,
      format,
      place: (url ?? file)!,
      enabled,
      version: current?.version ?? null,
      fetchedAt: current?.fetchedAt.toISOString() ?? null,
      checkedAt: checkedAt?.toISOString() ?? null,
      counts: current?.counts ?? null,
      failure: failure ?? null,
      refusal: refusal
        ? { at: refusal.at.toISOString(), reason: refusal.reason, counts: refusal.counts ?? null }
        : null,
    };
  });
}

export const acceptedView = z.object({ source: z.string(), counts });

/**
 * Puts into force what of a source was kept out; locate goes by it from the next cycle on.
 * @throws UserError where there is no such source, or nothing of it is kept out
 */
export async function acceptSource(
  store: Store,
  { sources, keepVersions }: Config['sites'],
  name: string,
  now: Date,
): Promise<z.infer<typeof acceptedView>> {
  if (!sources.some((source) => source.name === name)) {
    const names = sources.map((source) => source.name).join(', ') || 'none';
    throw new UserError(`there is no site source "${name}" in sites.sources (there are: ${names})`);
  }
  if (!(await store.acceptRefusedSource(name, now, keepVersions))) {
    throw new UserError(`nothing of site source "${name}" is kept out; see "lark sites sources"`);
  }
  const accepted = (await store.siteSources()).find((source) => source.name === name);
  return { source: name, counts: accepted?.current?.counts ?? {} };
}

export const machineView = z.object({
  machine: z.string(),
  names: z.array(z.string()).meta({ description: 'by which HTCondor knows it: keys of the map LARK_SITE' }),
  addresses: z.array(z.string()),
  slots: z.int(),
  isAccessPoint: z.boolean(),
  site: z.string().nullable(),
  method: z.string().nullable(),
  evidence: z.string(),
  lastSeen: time,
});
export type MachineView = z.infer<typeof machineView>;

/** The pool's machines, by name. */
export async function machinesView(store: Store): Promise<MachineView[]> {
  const machines = await store.machines();
  return machines.map(({ names, addresses, slots, isAccessPoint, site, method, evidence, lastSeen }) => ({
    machine: names[0]!,
    names,
    addresses,
    slots,
    isAccessPoint,
    site: site ?? null,
    method: method ?? null,
    evidence,
    lastSeen: lastSeen.toISOString(),
  }));
}
