import { z } from 'zod';
import { firstVersionOf, isV2Document } from './sources/v2-record.ts';
import { firstText, texts } from './texts.ts';

/**
 * Records of the lookup service, whatever its form. Every value is a list of texts but `uri`, `expires` and `state`.
 * Only the keys named here are ever kept, so nothing about persons gets further than this file.
 */
const fields = {
  type: texts,
  uri: firstText,
  expires: firstText,
  state: firstText,
  // Only in records that were rewritten from another form; else it follows from the lease.
  registered: firstText,
  'client-uuid': texts,
  'group-domains': texts,
  'group-communities': texts,
  'location-sitename': firstText,
  'location-city': firstText,
  'location-country': firstText,
  'location-latitude': firstText,
  'location-longitude': firstText,
  'host-name': texts,
  'host-net-interfaces': texts,
  'pshost-role': texts,
  'pshost-access-policy': firstText,
  'pshost-toolkitversion': firstText,
  'pshost-bundle-version': firstText,
  'service-type': texts,
  'service-host': texts,
  'service-locator': texts,
  'interface-addresses': texts,
  'interface-capacity': texts,
};

/** What is read of a record. */
export const RECORD_KEYS = Object.keys(fields);

/** The default lease; the service's clients renew theirs hourly. */
const LEASE_MS = 2 * 3_600_000;

const recordSchema = z.object(fields).transform((raw, context) => {
  const expires = Date.parse(raw.expires ?? '');
  if (raw.type.length === 0 || Number.isNaN(expires)) {
    context.addIssue({ code: 'custom', message: 'a record needs a type and the time when it expires' });
    return z.NEVER;
  }
  const registered = Date.parse(raw.registered ?? '');
  return {
    ...raw,
    expires: new Date(expires),
    registered: new Date(Number.isNaN(registered) ? expires - LEASE_MS : registered),
  };
});

export type LookupRecord = z.infer<typeof recordSchema>;

export interface ReadRecords {
  /** Live records of the types that discovery uses. */
  records: LookupRecord[];
  /** Elements that are no record at all. */
  malformed: number;
  /** Past `expires`, or deleted. The service prunes hourly at best: one dump held a record two years over. */
  expired: number;
  /** Live, but of other types: persons first of all, and what servers with loose matching add. */
  unwanted: number;
}

/**
 * Services that discovery uses: archives, and what answers tests. The latter name many a host whose own record gives
 * an address only, or is missing. (`mp-…`: measurement points up to perfSONAR 3.)
 */
export const SERVICE_TYPES = [
  'ma',
  'pscheduler',
  'owamp',
  'twamp',
  'bwctl',
  'mp-owamp',
  'mp-bwctl',
  'ping',
  'traceroute',
];

/** Picks the usable records out of a lookup server's answer, whatever was asked for. */
export function readRecords(elements: readonly unknown[], now: Date): ReadRecords {
  const rewritten = firstVersionOf(elements.filter(isV2Document), now);
  const read: ReadRecords = { records: [], malformed: rewritten.malformed, expired: 0, unwanted: 0 };
  for (const element of [...elements.filter((each) => !isV2Document(each)), ...rewritten.elements]) {
    const parsed = recordSchema.safeParse(element);
    if (!parsed.success) read.malformed += 1;
    else if (parsed.data.expires <= now || /^(deleted|expired)$/i.test(parsed.data.state ?? ''))
      read.expired += 1;
    else if (!isWanted(parsed.data)) read.unwanted += 1;
    else read.records.push(parsed.data);
  }
  return read;
}

function isWanted(record: LookupRecord): boolean {
  if (record.type.includes('person')) return false;
  if (record.type.includes('host') || record.type.includes('interface')) return true;
  return (
    record.type.includes('service') && record['service-type'].some((type) => SERVICE_TYPES.includes(type))
  );
}
