import { eventTypesOf } from './events.ts';
import type { Archive, Host, Model, Test } from './model.ts';
import { accessPolicyOf } from './pscheduler.ts';
import { ARCHIVE_PATH } from './query.ts';
import { hash32, mix, unit, uuid } from './rng.ts';

/**
 * The lookup service's records, as a function of the model and the clock. Shapes after captured dumps: every value
 * is an array of strings, except `uri`, `expires` and `state`.
 */
export type LookupRecord = Record<string, string | string[]>;

export interface Placed {
  record: LookupRecord;
  /** Numbers of the lookup servers that hold it. */
  lookups: number[];
}

export interface Ports {
  http: number;
  https: number;
  /** Where pScheduler answers, in a world that has it; without, its locators lead to port 443, where nobody is. */
  pscheduler?: number;
}

const LEASE_SECONDS = 7200;
export const RENEW_SECONDS = 3600;
const DAY = 86_400;

/** Everything that is registered for one host, live and stale, wherever it is held. */
export function recordsOf(
  model: Model,
  host: Host,
  archives: ReadonlyMap<string, Archive>,
  lookupCount: number,
  ports: Ports,
  nowSeconds: number,
): Placed[] {
  const home = host.id % lookupCount;
  // A part of the hosts is known to a second server under the same URIs.
  const lookups = unit(host.id, 60) < 0.2 ? [home, (home + 1) % lookupCount] : [home];
  const live = nowSeconds - ((nowSeconds + (host.id % RENEW_SECONDS)) % RENEW_SECONDS) + LEASE_SECONDS;
  const placed = registration(model, host, archives, ports, '', live).map((record) => ({ record, lookups }));
  const elsewhere = [(home + 1) % lookupCount];
  if (host.dirt === 'registeredTwice') {
    // The machine was installed anew: other UUIDs, no name any more, but the same address.
    const other = {
      ...host,
      name: host.address4,
      clientUuid: uuid(`again ${host.clientUuid}`).toUpperCase(),
    };
    for (const record of registration(model, other, archives, ports, 'again', live)) {
      placed.push({ record, lookups: elsewhere });
    }
  }
  if (host.dirt === 'staleDuplicate') {
    const days = 1 + (mix(host.id, 61) % 800);
    const old = {
      ...host,
      address4: `192.0.2.${host.id % 250}`,
      address6: null,
      clientUuid: uuid(`old ${host.clientUuid}`),
    };
    const none = new Map<string, Archive>();
    for (const record of registration(model, old, none, ports, 'old', model.anchorSeconds - days * DAY)) {
      placed.push({ record, lookups: [home] });
    }
  }
  return placed;
}

function registration(
  model: Model,
  host: Host,
  archives: ReadonlyMap<string, Archive>,
  ports: Ports,
  salt: string,
  expiresSeconds: number,
): LookupRecord[] {
  const id = (type: string, part = ''): string =>
    `lookup/${type}/${uuid(`${model.seed} ${host.key} ${salt} ${type} ${part}`)}`;
  const { site } = host;
  const expires = new Date(expiresSeconds * 1000 + (host.id % 1000)).toISOString();
  const common = (type: string, uri: string): LookupRecord => ({
    type: [type],
    uri,
    expires,
    state: unit(host.id, 62) < 0.8 ? 'renewed' : 'registered',
    ttl: [],
    'group-domains': host.dirt === 'ipOnly' ? [] : [site.domain],
    ...(host.dirt === 'noClientUuid' ? {} : { 'client-uuid': [host.clientUuid] }),
  });
  const placeless = host.dirt !== 'defaultCoordinates' && unit(host.id, 63) < 0.3;
  const location: LookupRecord = placeless
    ? {}
    : {
        'location-sitename': [site.freeTextName],
        'location-city': [site.city],
        'location-state': [' '],
        'location-country': [site.country],
        'location-code': [''],
        // What the toolkit's default configuration says, and what some never changed.
        'location-latitude': [host.dirt === 'defaultCoordinates' ? '37.5' : String(site.latitude)],
        'location-longitude': [host.dirt === 'defaultCoordinates' ? '121.7469' : String(site.longitude)],
      };
  const addresses = [host.address4, ...(host.address6 ? [host.address6] : [])];
  const named = host.dirt !== 'ipOnly' && host.name !== host.address4;
  const names = named ? [...addresses, host.name] : addresses;
  const person = id('person');
  const interfaceUri = id('interface');
  const records: LookupRecord[] = [];

  if (host.dirt !== 'noHostRecord') {
    records.push({
      ...common('host', id('host')),
      ...location,
      'host-name': names,
      'host-net-interfaces': [interfaceUri],
      'host-administrators': unit(host.id, 64) < 0.5 ? [person] : [''],
      'host-hardware-memory': [`${4000 * (1 + (host.id % 16))} MB`],
      'host-hardware-processorspeed': ['2294.754 MHz'],
      'host-hardware-processorcount': ['2'],
      'host-hardware-processorcore': ['16'],
      'host-os-name': ['AlmaLinux'],
      'host-os-version': ['9.5'],
      'host-os-kernel': ['Linux 5.14.0-503.el9.x86_64'],
      'host-manufacturer': [' '],
      'host-productname': [' '],
      'host-vm': ['0'],
      'host-net-tcp-congestionalgorithm': ['htcp'],
      'host-net-tcp-maxbuffer-send': ['67108864 bytes'],
      'host-net-tcp-maxbuffer-recv': ['67108864 bytes'],
      'pshost-bundle': ['perfsonar-toolkit'],
      'pshost-toolkitversion': [host.id % 2 === 0 ? '5.1.4' : '4.4.6'],
      'pshost-role': site.index % 3 === 0 ? ['science-dmz'] : [],
      'pshost-access-policy': [ports.pscheduler === undefined ? 'research-education' : accessPolicyOf(host)],
      'group-communities': site.index % 2 === 0 ? ['LHCONE', 'OSG'] : [''],
    });
  }
  if (host.id % 9 !== 4) {
    records.push({
      ...common('interface', interfaceUri),
      'interface-name': ['enp3s0'],
      'interface-addresses': named ? [...addresses, host.name] : addresses,
      'interface-capacity': [host.id % 11 === 0 ? 'unknown' : host.id % 13 === 0 ? '' : String(host.nicBps)],
      'interface-mtu': ['9000'],
      'interface-mac': ['02:00:00:00:00:00'],
    });
  }
  const service = (type: string, label: string, locators: string[], more: LookupRecord = {}): void => {
    records.push({
      ...common('service', id('service', type)),
      ...location,
      'service-type': [type],
      'service-name': [label],
      'service-host': [id('host')],
      'service-administrators': [''],
      'service-locator': locators,
      ...more,
    });
  };
  service('pscheduler', 'pScheduler', pschedulerLocators(addresses, ports.pscheduler ?? null), {
    'service-version': ['pscheduler-1.0'],
    'pscheduler-tests': ['latency', 'latencybg', 'rtt', 'throughput', 'trace'],
    'pscheduler-tools': ['iperf3', 'nuttcp', 'owping', 'ping', 'powstream', 'traceroute'],
  });
  if (host.role !== 'throughput' && host.role !== 'archive') {
    service(
      'owamp',
      'OWAMP Server',
      addresses.map((a) => `tcp://${inUrl(a)}:861`),
      {
        'psservice-eventtypes': ['http://ggf.org/ns/nmwg/tools/owamp/1.0'],
      },
    );
  }
  service('ping', 'Ping Responder', named ? [host.name] : addresses);
  const archive = archives.get(host.key);
  if (archive) {
    service('ma', 'Measurement Archive', archiveLocators(archive, ports), {
      'service-version': [
        archive.kind === 'esmond' ? `esmond-${archive.version}` : `elmond-${archive.version}`,
      ],
      'psservice-eventtypes': [],
    });
  } else if (host.id % 10 === 9) {
    // What is left of perfSONAR 3: a SOAP archive that nobody reads any more.
    const locator = `http://${host.address4}:${ports.http}/perfSONAR_PS/services/pSB`;
    service('ma', 'perfSONARBUOY', [locator], { 'service-version': ['3.3'] });
  }
  records.push({
    ...common('person', person),
    'person-name': [`Invented Person ${host.id % 1000}`],
    'person-emails': [`invented-${host.id % 1000}@person.invalid`],
    'person-phonenumbers': ['+00 000 0000'],
    'person-organization': [site.freeTextName],
  });
  // Releases before 5 registered an index of their tests.
  if (archive?.kind === 'esmond' && salt === '') {
    for (const test of indexed(archive, host)) {
      records.push({
        ...common('psmetadata', id('psmetadata', test.key)),
        'psmetadata-ma-locator': archiveLocators(archive, ports),
        'psmetadata-uri': [`${ARCHIVE_PATH}/${test.key}/`],
        'psmetadata-src-address': [test.sourceAddress],
        'psmetadata-dst-address': [test.destinationAddress],
        'psmetadata-measurement-agent': [test.sourceAddress],
        'psmetadata-tool-name': [test.tool],
        'psmetadata-eventtypes': eventTypesOf(test, 'esmond').map((type) => type.name),
      });
    }
  }
  return records;
}

function inUrl(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

export function pschedulerLocators(addresses: string[], port: number | null): string[] {
  return addresses.map((address) => `https://${inUrl(address)}${port === null ? '' : `:${port}`}/pscheduler`);
}

/** A few tests per host are indexed, so that a part of the pairs can be found without asking any archive. */
function indexed(archive: Archive, host: Host): Test[] {
  const found: Test[] = [];
  for (const test of archive.tests.values()) {
    if (test.source === host) found.push(test);
    if (found.length === 4) break;
  }
  return found;
}

/** One locator per scheme and address. An IPv6 locator is advertised by some and answers to nobody here. */
export function archiveLocators(archive: Archive, ports: Ports): string[] {
  const { host } = archive;
  const addresses = [host.address4];
  if (host.address6 && hash32(host.id) % 4 === 0) addresses.push(`[${host.address6}]`);
  const at = (scheme: 'http' | 'https', address: string): string =>
    `${scheme}://${address}:${ports[scheme]}${ARCHIVE_PATH}${host.id % 5 === 0 ? '/' : ''}`;
  return [...addresses.map((a) => at('http', a)), ...addresses.map((a) => at('https', a))];
}
