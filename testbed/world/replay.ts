import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { lookup } from './lookup.ts';
import type { Json } from './model.ts';
import { ARCHIVE_PATH, page, Refusal, type Reply, timeWindow } from './query.ts';
import type { LookupRecord, Ports } from './records.ts';
import type { Fault, LoggedRequest, NodeRequest, RequestCounters, ServerNode } from './servers.ts';
import { Servers } from './servers.ts';

/**
 * Captured payloads, served again: a bootstrap document, dumps of lookup servers, metadata and data of esmond
 * archives. What the records say stays as it was captured; only http(s) locators are turned to loopback, so that
 * nothing that follows them can leave the machine.
 *
 * Files by name: `sls-activehosts*.json`, `sls-records-<server>*.json` (the server's label is part of its host name
 * in the bootstrap document), `esmond-metadata-*.json`, `esmond-data-<event type>[-<summary>-<window>].json`.
 */

export interface ReplayOptions {
  /** World time; the dumps in the samples are of 22 May 2018, about 15:30 UTC, which is the default. */
  clock?: () => Date;
}

export interface ReplayWorld {
  bootstrapUrl: string;
  /** The lookup servers that hold a dump. */
  lookups: { original: string; key: string; recordCount: number }[];
  /** The archives whose metadata was captured. */
  archives: { original: string; url: string; key: string; metadataCount: number }[];
  now(): Date;
  /** Where a locator of a record points now: the loopback address that stands for the captured host. */
  addressOf(originalHost: string): string | undefined;
  setFault(key: string, fault: Fault | Fault['kind'] | null): Promise<void>;
  counters(key: string): RequestCounters;
  requests(): readonly LoggedRequest[];
  close(): Promise<void>;
}

const DUMPED_AT = new Date('2018-05-22T15:30:00Z');
const BOOTSTRAP = '127.8.0.1';

const Bootstrap = z.object({
  hosts: z.array(
    z.object({ locator: z.url(), priority: z.union([z.number(), z.string()]), status: z.string() }),
  ),
});
const Records = z.array(z.record(z.string(), z.union([z.string(), z.array(z.string())])));
const Metadata = z.array(z.looseObject({ 'metadata-key': z.string(), url: z.url() }));
const Data = z.array(z.object({ ts: z.number(), val: z.json() }));

type MetadataElement = Record<string, Json>;
type DataPoint = { ts: number; val: Json };

/** @throws {Error} if the directory has no bootstrap document, or a file in it is not what its name says. */
export async function replayWorld(directory: string, options: ReplayOptions = {}): Promise<ReplayWorld> {
  const clock = options.clock ?? (() => DUMPED_AT);
  const files = readdirSync(directory);
  const read = <T>(file: string, schema: z.ZodType<T>): T => {
    const parsed = schema.safeParse(JSON.parse(readFileSync(join(directory, file), 'utf8')));
    if (!parsed.success) throw new Error(`${join(directory, file)}: ${z.prettifyError(parsed.error)}`);
    return parsed.data;
  };
  const bootstrapFile = files.find((file) => /^sls-activehosts.*\.json$/.test(file));
  if (!bootstrapFile) throw new Error(`${directory} has no sls-activehosts*.json to replay`);
  const bootstrap = read(bootstrapFile, Bootstrap);
  const addresses = new Addresses();

  const dumps = files.flatMap((file) => {
    const label = /^sls-records-(.+?)(-\d{4})?\.json$/.exec(file)?.[1];
    if (label === undefined) return [];
    const original = bootstrap.hosts
      .map((host) => host.locator)
      .find((url) => new URL(url).hostname.includes(label));
    if (!original) throw new Error(`${file}: no server of ${bootstrapFile} has '${label}' in its name`);
    return [{ original, key: addresses.of(new URL(original).hostname), records: read(file, Records) }];
  });
  const captured = files
    .filter((file) => /^esmond-metadata-.*\.json$/.test(file))
    .map((file) => {
      const elements = read(file, Metadata) as MetadataElement[];
      const original = String(elements[0]?.url).replace(/[^/]+\/$/, '');
      return { original, key: addresses.of(new URL(original).hostname), elements };
    });
  const data = new Map(
    files.flatMap((file): [string, DataPoint[]][] => {
      const name = /^esmond-data-(.+)\.json$/.exec(file)?.[1];
      if (name === undefined) return [];
      const summary = /^(.+)-(averages|aggregations|statistics)-(\d+)$/.exec(name);
      const series = summary ? summary.slice(1).join('/') : `${name.replace(/-docs$/, '')}/base`;
      return [[series, read(file, Data)]];
    }),
  );

  const servers = await Servers.start({ http: 0, https: 0 }, (ports): ServerNode[] => [
    {
      address: BOOTSTRAP,
      certificate: 'selfSigned',
      answer: () =>
        json({
          hosts: bootstrap.hosts.map((host) => ({ ...host, locator: addresses.turn(host.locator, ports) })),
        }),
    },
    ...dumps.map(({ key, records }): ServerNode => {
      const turned = records.map((record) => turnRecord(record, addresses, ports));
      return {
        address: key,
        certificate: 'selfSigned',
        answer: (r) => lookup(r.path, r.query, () => turned),
      };
    }),
    ...captured.map(
      ({ key, elements }): ServerNode => ({
        address: key,
        certificate: 'selfSigned',
        answer: (request) => capturedArchive(request, elements, data, clock),
      }),
    ),
  ]);

  return {
    bootstrapUrl: `http://${BOOTSTRAP}:${servers.ports.http}/lookup/activehosts.json`,
    lookups: dumps.map(({ original, key, records }) => ({ original, key, recordCount: records.length })),
    archives: captured.map(({ original, key, elements }) => ({
      original,
      key,
      url: addresses.turn(original, servers.ports),
      metadataCount: elements.length,
    })),
    now: clock,
    addressOf: (host) => addresses.known(host),
    setFault: (key, fault) => servers.setFault(key, typeof fault === 'string' ? { kind: fault } : fault),
    counters: (key) => servers.counters(key),
    requests: () => servers.log(),
    close: () => servers.close(),
  };
}

/** A loopback address for each captured host, in the order of asking. Few of them have anybody listening. */
class Addresses {
  readonly #given = new Map<string, string>();

  of(host: string): string {
    let address = this.#given.get(host);
    if (!address) {
      const n = this.#given.size + 1;
      address = `127.8.${1 + (n >> 8)}.${n & 255}`;
      this.#given.set(host, address);
    }
    return address;
  }

  known(host: string): string | undefined {
    return this.#given.get(host);
  }

  /** The URL with a loopback host and the world's port; what is not http(s) stays as it is. */
  turn(url: string, ports: Ports): string {
    const match = /^(https?):\/\/(\[[^\]]+\]|[^/:]+)(?::\d+)?(.*)$/.exec(url);
    if (!match) return url;
    const scheme = match[1] as 'http' | 'https';
    return `${scheme}://${this.of(match[2]!)}:${ports[scheme]}${match[3]}`;
  }
}

function turnRecord(record: LookupRecord, addresses: Addresses, ports: Ports): LookupRecord {
  const turned = { ...record };
  for (const key of ['service-locator', 'psmetadata-ma-locator']) {
    const value = record[key];
    if (Array.isArray(value)) turned[key] = value.map((url) => addresses.turn(url, ports));
  }
  return turned;
}

/** A captured archive: esmond's filters over the captured elements, and the captured series under every key. */
function capturedArchive(
  request: NodeRequest,
  elements: MetadataElement[],
  data: Map<string, DataPoint[]>,
  clock: () => Date,
): Reply {
  const nowSeconds = Math.floor(clock().getTime() / 1000);
  try {
    if (!`${request.path}/`.startsWith(`${ARCHIVE_PATH}/`)) throw new Refusal(404, 'Not found.');
    const [key, ...rest] = request.path
      .slice(ARCHIVE_PATH.length)
      .split('/')
      .filter((part) => part !== '');
    const limit = Number(request.query.get('limit') ?? 1000);
    const offset = Number(request.query.get('offset') ?? 0);
    const window = timeWindow(request.query, nowSeconds);
    if (key === undefined) {
      const found = elements.filter((element) => matches(element, request.query, window));
      return json(
        page(found, offset, limit).map((element, index) => ({
          ...withoutPaging(element),
          url: `${request.origin}${element.uri}`,
          ...(index === 0 ? paging(found.length, request, limit, offset) : {}),
        })),
      );
    }
    const element = elements.find((candidate) => candidate['metadata-key'] === key);
    if (!element) throw new Refusal(404, 'Not found.');
    if (rest.length === 0) return json({ ...withoutPaging(element), url: `${request.origin}${element.uri}` });
    const types = element['event-types'] as { 'event-type': string }[];
    const advertised = types.filter((type) => type['event-type'] === rest[0]);
    if (rest.length === 1) return json(advertised);
    const points = advertised.length > 0 ? (data.get(rest.join('/')) ?? []) : [];
    const end = window.end ?? nowSeconds;
    return json(
      page(
        points.filter(({ ts }) => ts >= window.begin && ts <= end),
        offset,
        limit,
      ),
    );
  } catch (error) {
    if (error instanceof Refusal) return json({ detail: error.message }, error.status);
    throw error;
  }
}

const NOT_FILTERS = /^(limit|offset|format|dns-match-rule|time|time-(start|end|range)|event-type)$/;

function matches(
  element: MetadataElement,
  query: URLSearchParams,
  window: { begin: number; end: number | null; given: boolean },
): boolean {
  for (const [name, value] of query) {
    if (!NOT_FILTERS.test(name) && String(element[name]) !== value) return false;
  }
  const event = query.get('event-type');
  const types = element['event-types'] as { 'event-type': string; 'time-updated': number | null }[];
  return types.some((type) => {
    if (event !== null && type['event-type'] !== event) return false;
    const updated = type['time-updated'];
    if (!window.given) return true;
    return updated !== null && updated >= window.begin && (window.end === null || updated <= window.end);
  });
}

const PAGING = ['metadata-count-total', 'metadata-next-page', 'metadata-previous-page'];

function withoutPaging(element: MetadataElement): MetadataElement {
  return Object.fromEntries(Object.entries(element).filter(([name]) => !PAGING.includes(name)));
}

function paging(total: number, request: NodeRequest, limit: number, offset: number): MetadataElement {
  const at = (from: number): string => {
    const query = new URLSearchParams(request.query);
    query.set('limit', String(limit));
    query.set('offset', String(from));
    return `${request.origin}${ARCHIVE_PATH}/?${query}`;
  };
  return {
    'metadata-count-total': total,
    'metadata-next-page': offset + limit < total ? at(offset + limit) : null,
    'metadata-previous-page': offset > 0 ? at(Math.max(0, offset - limit)) : null,
  };
}

function json(body: Json, status = 200): Reply {
  return { status, contentType: 'application/json', body: JSON.stringify(body) };
}
