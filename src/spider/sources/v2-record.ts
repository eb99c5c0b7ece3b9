import { z } from 'zod';
import { identifier } from '../../address.ts';
import { firstText, texts } from '../texts.ts';

/**
 * Records of the lookup service's second version: one document per network interface, with its host inside, renewed
 * hourly and kept for a day. Shape after perfsonar/pslookup-service. They are rewritten as records of the first
 * version, so that all that follows knows one form only. Persons, who are inside the host, are not taken along.
 */
const documentSchema = z.object({
  name: texts,
  addresses: texts,
  capacity: z.coerce.number().optional().catch(undefined),
  expires: firstText,
  '@timestamp': firstText,
  meta: z.object({ record_uri: texts, record_type: texts }).catch({ record_uri: [], record_type: [] }),
  host: z.object({
    client_uuid: texts,
    name: texts,
    location: z.record(z.string(), z.unknown()).catch({}),
    group_domains: texts,
    group_communities: texts,
    role: texts,
    access_policy: texts,
    perfsonar_version: texts,
    pscheduler_service: z.object({ urls: texts }).catch({ urls: [] }),
    archive_service: z.object({ urls: texts }).catch({ urls: [] }),
    meta: z.object({ uri: texts }).catch({ uri: [] }),
  }),
});
type V2Document = z.infer<typeof documentSchema> & { registered: number };

/** What is read of a document. */
export const V2_FIELDS = [
  'name',
  'addresses',
  'capacity',
  'expires',
  '@timestamp',
  'meta.record_uri',
  'meta.record_type',
  ...Object.keys(documentSchema.shape.host.shape)
    .filter((key) => key !== 'meta' && !key.endsWith('_service'))
    .map((key) => `host.${key}`),
  'host.pscheduler_service.urls',
  'host.archive_service.urls',
  'host.meta.uri',
];

const HOUR_MS = 3_600_000;
const LEASE_MS = 24 * HOUR_MS;

export function isV2Document(element: unknown): element is object {
  return typeof element === 'object' && element !== null && 'host' in element && !('type' in element);
}

/** Records of the first version that say the same; `malformed` are those that are no documents after all. */
export function firstVersionOf(
  elements: readonly object[],
  now: Date,
): { elements: Record<string, unknown>[]; malformed: number } {
  const documents = elements.flatMap((element) => {
    const parsed = documentSchema.safeParse(element);
    if (!parsed.success) return [];
    const stamp = Date.parse(parsed.data['@timestamp'] ?? '');
    const expires = Date.parse(parsed.data.expires ?? '');
    if (Number.isNaN(expires)) return [];
    return [{ ...parsed.data, registered: Number.isNaN(stamp) ? expires - LEASE_MS : stamp }];
  });
  return {
    elements: withoutSuperseded(documents, now).flatMap(recordsOf),
    malformed: elements.length - documents.length,
  };
}

/**
 * A document is named by client-uuid and addresses (and the client-uuid may be made of the addresses). So when an
 * interface gets other addresses there are two for up to a day, and the old one speaks of addresses that may be
 * another host's by now. Since they are renewed hourly, the one that was not while the other was is over.
 */
function withoutSuperseded(documents: readonly V2Document[], now: Date): V2Document[] {
  const interfaceOf = ({ name, addresses, host }: V2Document) => {
    const hostNames = host.name.filter((text) => identifier(text)?.scope === 'global');
    const identity = [hostNames, host.pscheduler_service.urls, [...host.client_uuid, ...addresses]];
    return JSON.stringify([name, identity.find((list) => list.length > 0)?.toSorted()]);
  };
  const newest = new Map<string, number>();
  for (const document of documents) {
    if (document.registered > now.getTime() + HOUR_MS) continue;
    const key = interfaceOf(document);
    newest.set(key, Math.max(newest.get(key) ?? 0, document.registered));
  }
  return documents.filter(
    (document) => document.registered >= (newest.get(interfaceOf(document)) ?? 0) - 2 * HOUR_MS,
  );
}

function recordsOf(document: V2Document): Record<string, unknown>[] {
  const { host, meta } = document;
  const name = [...host.client_uuid, ...document.name, ...document.addresses].join(' ');
  // Those that were made of records of the first version tell of which: they are joined with them.
  const hostUri = host.meta.uri[0] ?? `lookup/host/v2 ${name}`;
  const interfaceUri = meta.record_uri[0] ?? `lookup/interface/v2 ${name}`;
  const common = {
    expires: document.expires,
    registered: new Date(document.registered).toISOString(),
    'client-uuid': host.client_uuid,
    'location-sitename': host.location.sitename,
    'location-city': host.location.city,
    'location-country': host.location.country,
    'location-latitude': host.location.latitude,
    'location-longitude': host.location.longitude,
    'group-domains': host.group_domains,
    'group-communities': host.group_communities,
  };
  const bitsPerSecond = capacityBitsPerSecond(document);
  const service = (type: string, { urls }: { urls: readonly string[] }) => ({
    ...common,
    type: 'service',
    'service-type': type,
    'service-host': hostUri,
    'service-locator': urls,
  });
  return [
    {
      ...common,
      type: 'host',
      uri: hostUri,
      'host-name': host.name,
      'host-net-interfaces': interfaceUri,
      'pshost-role': host.role,
      'pshost-access-policy': host.access_policy,
      'pshost-toolkitversion': host.perfsonar_version,
    },
    {
      ...common,
      type: 'interface',
      uri: interfaceUri,
      'interface-addresses': document.addresses,
      ...(bitsPerSecond !== undefined && { 'interface-capacity': bitsPerSecond }),
    },
    ...(host.pscheduler_service.urls.length > 0 ? [service('pscheduler', host.pscheduler_service)] : []),
    ...(host.archive_service.urls.length > 0 ? [service('ma', host.archive_service)] : []),
  ];
}

const LINK_RATES_BITS_PER_SECOND = new Set(
  [0.01, 0.1, 1, 2.5, 5, 10, 20, 25, 40, 50, 100, 200, 400].map((gigabits) => gigabits * 1e9),
);

/**
 * `capacity` has no unit. What a host's own agent registers comes from node_exporter, in bytes a second; what was made
 * of a record of the first version is in bits a second, as there. A number that is the rate of a link in bits only
 * is in bits whoever wrote it.
 */
function capacityBitsPerSecond({ capacity, meta }: V2Document): number | undefined {
  if (capacity === undefined || !(capacity > 0)) return undefined;
  const isMigrated = meta.record_uri.length > 0 || meta.record_type.length > 0;
  const isRate = (bits: number) => LINK_RATES_BITS_PER_SECOND.has(bits);
  return isMigrated || (isRate(capacity) && !isRate(capacity * 8)) ? capacity : capacity * 8;
}
