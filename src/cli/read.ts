import { z } from 'zod';
import { qualityView as viewQuality } from '../api/quality.ts';
import type { TestFilter } from '../api/test-filter.ts';
import { tracesView as viewTraces } from '../api/traces.ts';
import {
  adView,
  archiveView,
  type HostView,
  hostView,
  pathView,
  qualityView,
  sitesView,
  tracesView,
} from '../api/view-types.ts';
import {
  adsView,
  archivesView,
  hostsView,
  type PathFilter,
  pathsView,
  sitesView as viewSites,
} from '../api/views.ts';
import { type Config, loadConfig } from '../config.ts';
import { qualityText } from './quality-text.ts';
import { type Asked, asked } from './store-or-api.ts';
import { adsText, archivesTable, hostsTable, pathsTable, pinsText, sitesTable } from './tables.ts';
import { tracesText } from './traces-text.ts';

/** One read command: where its rows come from, and how they print. */
interface Read<T> extends Asked<T> {
  print: (value: T) => string;
}

/** Which rows: paths between sites, the quality or traces of a host, site or pair, or only what has no site. */
export type ReadFilter = PathFilter & TestFilter & { unmapped?: boolean };

function reads(config: Config, filter: ReadFilter, now: Date) {
  const entry = <T>(read: Read<T>): Read<T> => read;
  const query = new URLSearchParams();
  const wanted = {
    src: filter.srcSite ?? filter.source,
    dst: filter.dstSite ?? filter.destination,
    end: filter.end,
  };
  for (const [key, value] of Object.entries(wanted)) if (value !== undefined) query.set(key, value);
  return {
    hosts: entry({
      fromStore: (store) => hostsView(store, now),
      apiPath: 'hosts',
      schema: z.array(hostView),
      print: (hosts) => hostsTable(hosts, now),
    }),
    archives: entry({
      fromStore: (store) => archivesView(store, now),
      apiPath: 'archives',
      schema: z.array(archiveView),
      print: (archives) => archivesTable(archives, now),
    }),
    sites: entry({
      fromStore: (store) => viewSites(store, now),
      apiPath: 'sites',
      schema: sitesView,
      print: (sites) => (filter.unmapped ? pinsText(sites) : sitesTable(sites)),
    }),
    paths: entry({
      fromStore: (store) => pathsView(store, filter),
      apiPath: `paths?${query}`,
      schema: z.array(pathView),
      print: (paths) => pathsTable(paths, now),
    }),
    quality: entry({
      fromStore: (store) => viewQuality(store, filter, config.estimate, now),
      apiPath: `quality?${query}`,
      schema: qualityView,
      print: (quality) => qualityText(quality, now),
    }),
    traces: entry({
      fromStore: (store) => viewTraces(store, filter, now),
      apiPath: `traces?${query}`,
      schema: tracesView,
      print: (traces) => tracesText(traces, now),
    }),
    ads: entry({
      fromStore: (store) => adsView(store, config.publish.lifetimeSeconds),
      apiPath: 'ads',
      schema: z.array(adView),
      print: adsText,
    }),
  };
}

/** `lark hosts|archives|sites|paths|quality|traces|ads` */
export async function read(
  what: string,
  configFile: string | undefined,
  filter: ReadFilter,
  options: { json?: boolean },
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const command = reads(config, filter, new Date())[what as keyof ReturnType<typeof reads>] as Read<unknown>;
  const value = await asked(config, command);
  process.stdout.write(options.json ? `${JSON.stringify(value, null, 2)}\n` : `${command.print(value)}\n`);
}

/** The measurement hosts that are known. */
export function readHosts(config: Config, now: Date): Promise<HostView[]> {
  return asked(config, reads(config, {}, now).hosts);
}
