import { expect, test } from 'vitest';
import { parseGocdb } from '../../../../src/sites/sources/gocdb.ts';

const SERVICE = `<SERVICE_ENDPOINT PRIMARY_KEY="1G0">
  <PRIMARY_KEY>1G0</PRIMARY_KEY>
  <HOSTNAME>ps.ex.example</HOSTNAME>
  <SERVICE_TYPE>net.perfSONAR.Bandwidth</SERVICE_TYPE>
  <HOST_IP>192.0.2.49</HOST_IP>
  <HOST_IPV6/>
  <IN_PRODUCTION>Y</IN_PRODUCTION>
  <SITENAME>EX-T2</SITENAME>
  <COUNTRY_CODE>CH</COUNTRY_CODE>
  <URL>https://ps-web.ex.example:443/toolkit?a=1&amp;b=2</URL>
  <ENDPOINTS><ENDPOINT><ID>1</ID><URL/></ENDPOINT><ENDPOINT><URL>ps2.ex.example:861</URL></ENDPOINT></ENDPOINTS>
</SERVICE_ENDPOINT>`;
const SITE = `<SITE ID="14" PRIMARY_KEY="268G0" NAME="EX-T2">
  <PRIMARY_KEY>268G0</PRIMARY_KEY>
  <SHORT_NAME>EX-T2</SHORT_NAME>
  <OFFICIAL_NAME>Example Institute</OFFICIAL_NAME>
  <COUNTRY_CODE>CH</COUNTRY_CODE>
  <CERTIFICATION_STATUS>Certified</CERTIFICATION_STATUS>
  <LATITUDE>46.2</LATITUDE><LONGITUDE>6.05</LONGITUDE>
  <DOMAIN><DOMAIN_NAME>Ex.example</DOMAIN_NAME></DOMAIN>
  <SITE_IP>192.0.2.0/255.255.255.0</SITE_IP>
</SITE>`;
const results = (...parts: string[]) => `<?xml version="1.0"?>\n<results>${parts.join('\n')}</results>`;

test('services tell the hosts of each site', () => {
  const { facts, skipped } = parseGocdb(results(SERVICE), 'here');
  expect(skipped).toEqual([]);
  expect(facts.kind).toBe('gocdb');
  const rest = { service: 'net.perfSONAR.Bandwidth', active: true };
  expect(facts.sites).toEqual([
    {
      name: 'EX-T2',
      countryCode: 'CH',
      aliases: [],
      texts: [],
      hosts: ['192.0.2.49', 'ps-web.ex.example', 'ps.ex.example', 'ps2.ex.example'].map((host) => ({
        host,
        ...rest,
      })),
      prefixes: [],
      domains: [],
      active: true,
    },
  ]);
  const idle = SERVICE.replace('<IN_PRODUCTION>Y', '<IN_PRODUCTION>N');
  expect(parseGocdb(results(idle), 'here').facts.sites[0]!.hosts.every(({ active }) => !active)).toBe(true);
});

test('sites tell key, place, domain and addresses', () => {
  const { facts } = parseGocdb(results(SITE), 'here');
  expect(facts.sites[0]).toMatchObject({
    name: 'EX-T2',
    gocdbKey: '268G0',
    latitude: 46.2,
    longitude: 6.05,
    texts: ['Example Institute'],
    domains: ['ex.example'],
    prefixes: [{ prefix: '192.0.2.0/24' }],
    active: true,
  });
});

test('both in one document are one site; a closed site is not active', () => {
  const closed = SITE.replace('Certified', 'Closed');
  const { facts } = parseGocdb(results(SERVICE, closed), 'here');
  expect(facts.sites).toHaveLength(1);
  expect(facts.sites[0]).toMatchObject({ gocdbKey: '268G0', active: false });
  expect(facts.sites[0]!.hosts).toHaveLength(4);
});

test('the default of an empty form is no address range; nonsense is said', () => {
  const ranges = (text: string) => parseGocdb(results(SITE.replace('192.0.2.0/255.255.255.0', text)), 'here');
  expect(ranges('0.0.0.0/255.255.255.255').facts.sites[0]!.prefixes).toEqual([]);
  expect(ranges('0.0.0.0/255.255.255.255').skipped).toEqual([]);
  expect(ranges('192.0.2.0/255.0.255.0').skipped).toEqual([
    'EX-T2: SITE_IP "192.0.2.0/255.0.255.0" is no usable prefix',
  ]);
});

test('an entry without a site costs itself; another document is none', () => {
  const { facts, skipped } = parseGocdb(
    results(SERVICE.replace('<SITENAME>EX-T2</SITENAME>', ''), SITE),
    'here',
  );
  expect(facts.sites).toHaveLength(1);
  expect(skipped).toEqual(['SERVICE_ENDPOINT 1G0 has no SITENAME']);
  expect(() => parseGocdb('<ResourceSummary/>', 'here')).toThrow(/^has <ResourceSummary> for its root/);
});
