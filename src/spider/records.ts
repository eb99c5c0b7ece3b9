import { z } from 'zod';

/**
 * Records of the simple lookup service. Every value is a list of texts but `uri`, `expires` and `state`; real
 * records also hold bare texts, numbers, null, `[""]` and `[" "]`. Only the keys named here are ever kept, so
 * nothing about persons gets further than this file.
 */
const texts = z
  .unknown()
  .optional()
  .transform((value) =>
    (Array.isArray(value) ? value : [value])
      .filter((item) => typeof item === 'string' || typeof item === 'number')
      .map((item) => String(item).trim())
      .filter((item) => item !== ''),
  );
const firstText = texts.transform((list) => list[0]);

const recordSchema = z
  .object({
    type: texts,
    uri: firstText,
    expires: firstText,
    state: firstText,
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
  })
  .transform((raw, context) => {
    const expires = Date.parse(raw.expires ?? '');
    if (raw.type.length === 0 || Number.isNaN(expires)) {
      context.addIssue({ code: 'custom', message: 'a record needs a type and the time when it expires' });
      return z.NEVER;
    }
    return { ...raw, expires: new Date(expires) };
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

/** Picks the usable records out of a lookup server's answer, whatever was asked for. */
export function readRecords(elements: readonly unknown[], now: Date): ReadRecords {
  const read: ReadRecords = { records: [], malformed: 0, expired: 0, unwanted: 0 };
  for (const element of elements) {
    const parsed = recordSchema.safeParse(element);
    if (!parsed.success) read.malformed += 1;
    else if (parsed.data.expires <= now || /^(deleted|expired)$/i.test(parsed.data.state ?? ''))
      read.expired += 1;
    else if (!isWanted(parsed.data)) read.unwanted += 1;
    else read.records.push(parsed.data);
  }
  return read;
}

const SERVICES = ['ma', 'pscheduler'];

function isWanted(record: LookupRecord): boolean {
  if (record.type.includes('person')) return false;
  if (record.type.includes('host') || record.type.includes('interface')) return true;
  return record.type.includes('service') && record['service-type'].some((type) => SERVICES.includes(type));
}
