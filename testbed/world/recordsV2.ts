import type { Archive, Host, Json, Model } from './model.ts';
import { accessPolicyOf } from './pscheduler.ts';
import { archiveLocators, type Ports, pschedulerLocators, RENEW_SECONDS } from './records.ts';
import { unit, uuid } from './rng.ts';

/**
 * Records of the lookup service's second version: one document per network interface, with its host inside. Shape
 * after perfsonar/pslookup-service's schema. A part of the hosts registers this way.
 *
 * native: the host's own agent wrote it, and the host has no v1 record in the index. `capacity` comes from
 * node_exporter, so it is bytes per second. migrated: the bridge made it of the v1 records, which are there as well;
 * `capacity` is bits per second.
 * In both, `client_uuid` is made of uuid and addresses, so it is another one once an address changes.
 */
export type V2Style = 'native' | 'migrated';

const LIFETIME_SECONDS = 86_400;

/** How the host is registered in version 2, or null where it is not. */
export function v2StyleOf(host: Host, share: number): V2Style | null {
  if (host.role === 'archive' || unit(host.id, 70) >= share) return null;
  return unit(host.id, 71) < 0.5 ? 'native' : 'migrated';
}

export function* v2Records(
  model: Model,
  host: Host,
  style: V2Style,
  archive: Archive | undefined,
  ports: Ports,
  nowSeconds: number,
): Generator<Record<string, Json>> {
  const renewed = nowSeconds - ((nowSeconds + (host.id % RENEW_SECONDS)) % RENEW_SECONDS);
  const addresses = [host.address4, ...(host.address6 ? [host.address6] : [])];
  const write = (name: string, own: string[], at: number): Record<string, Json> => ({
    name,
    addresses: own,
    capacity: style === 'native' ? host.nicBps / 8 : host.nicBps,
    mtu: 9000,
    mac: '02:00:00:00:00:00',
    pscheduler_tests: ['latency', 'latencybg', 'rtt', 'throughput', 'trace'],
    meta: {},
    host: {
      client_uuid: uuid(`${host.clientUuid} ${own.join(' ')}`),
      name: host.dirt === 'ipOnly' ? [] : [host.name],
      vm: false,
      location: {
        sitename: host.site.freeTextName,
        city: host.site.city,
        country: host.site.country,
        // What the toolkit's default configuration says, and what some never changed.
        latitude: host.dirt === 'defaultCoordinates' ? 37.5 : host.site.latitude,
        longitude: host.dirt === 'defaultCoordinates' ? 121.7469 : host.site.longitude,
      },
      group_domains: [host.site.domain],
      group_communities: host.site.index % 2 === 0 ? ['LHCONE', 'OSG'] : [],
      role: host.site.index % 3 === 0 ? ['science-dmz'] : [],
      access_policy: ports.pscheduler === undefined ? 'research-education' : accessPolicyOf(host),
      pscheduler_service: {
        urls: pschedulerLocators(addresses, ports.pscheduler ?? null),
        tests: ['latency', 'latencybg', 'rtt', 'throughput', 'trace'],
        tools: ['iperf3', 'nuttcp', 'owping', 'ping', 'powstream', 'traceroute'],
        version: '5.1.4',
      },
      ...(archive
        ? {
            archive_service: {
              urls: archiveLocators(archive, ports),
              write_urls: [`https://${host.address4}:${ports.https}/logstash`],
              archiver_type: archive.kind === 'esmond' ? 'esmond' : 'elasticsearch',
              write_type: 'http',
            },
          }
        : {}),
      administrators: [
        { emails: [`invented-${host.id % 1000}@person.invalid`], meta: { name: 'Invented Person' } },
      ],
      net_tcp_congestion_algorithm: 'htcp',
    },
    ip_versions: own.map((address) => (address.includes(':') ? 6 : 4)),
    '@timestamp': new Date(at * 1000).toISOString(),
    expires: new Date((at + LIFETIME_SECONDS) * 1000).toISOString(),
  });
  // Some machines have one interface per address family, and so two documents with two client_uuids.
  if (host.address6 && unit(host.id, 72) < 0.3) {
    yield write('ens1f0', [host.address4], renewed);
    yield write('ens1f1', [host.address6], renewed);
  } else yield write('ens1f0', addresses, renewed);
  // A machine that was given another address a few hours ago: the document of the old one has not expired yet.
  if (unit(host.id, 73) < 0.25) yield write('ens1f0', [`192.0.2.${host.id % 250}`], nowSeconds - 6 * 3600);
  // And one that was written before the registration was lost for a while, and is not pruned yet.
  if (unit(host.id, 74) < 0.25)
    yield write('ens1f9', [host.address4], model.anchorSeconds - 2 * LIFETIME_SECONDS);
}
