import type { SiteFacts } from '../knowledge.ts';
import {
  BadDocument,
  coordinates,
  country,
  emptySite,
  filled,
  hostFacts,
  inOrder,
  type ParsedSource,
  prefixFacts,
} from './parsed.ts';
import { child, children, parseXml, textOf, type XmlElement } from './xml.ts';

/**
 * GOCDB's answers as XML: `get_service` (or `get_service_endpoint`), which tells the hosts of each site, `get_site`,
 * which tells places, domains and address ranges, or a document with both kinds of entries.
 * @throws BadDocument when it is no such answer
 */
export function parseGocdb(text: string, origin: string): ParsedSource {
  const root = parseXml(text);
  if (root.name !== 'results') throw new BadDocument(`has <${root.name}> for its root, not <results>`);
  const skipped: string[] = [];
  const sites = new Map<string, SiteFacts>();
  for (const element of children(root, 'SITE')) {
    const name = textOf(element, 'SHORT_NAME') ?? element.attributes.NAME;
    if (name) sites.set(name, siteOf(name, element, skipped));
    else skipped.push(`SITE ${element.attributes.PRIMARY_KEY ?? '?'} has no SHORT_NAME`);
  }
  for (const element of children(root, 'SERVICE_ENDPOINT')) {
    const name = textOf(element, 'SITENAME');
    if (!name) {
      skipped.push(`SERVICE_ENDPOINT ${element.attributes.PRIMARY_KEY ?? '?'} has no SITENAME`);
      continue;
    }
    const site = sites.get(name) ?? { ...emptySite(name), ...country(textOf(element, 'COUNTRY_CODE')) };
    sites.set(name, site);
    site.hosts.push(...serviceHosts(element));
  }
  return { facts: { kind: 'gocdb', origin, sites: inOrder(sites.values()) }, skipped };
}

function siteOf(name: string, element: XmlElement, skipped: string[]): SiteFacts {
  const key = textOf(element, 'PRIMARY_KEY') ?? element.attributes.PRIMARY_KEY;
  return {
    ...emptySite(name),
    ...(key && { gocdbKey: key }),
    ...coordinates(textOf(element, 'LATITUDE'), textOf(element, 'LONGITUDE')),
    ...country(textOf(element, 'COUNTRY_CODE')),
    texts: filled([textOf(element, 'OFFICIAL_NAME')]),
    domains: children(child(element, 'DOMAIN'), 'DOMAIN_NAME').flatMap(({ text }) =>
      text === '' ? [] : [text.toLowerCase().replace(/^\.|\.$/g, '')],
    ),
    prefixes: children(element, 'SITE_IP').flatMap(({ text }) =>
      // GOCDB fills in 0.0.0.0/… where nobody wrote anything.
      text === '' || text.startsWith('0.0.0.0')
        ? []
        : prefixFacts([text], {}, (bad) => skipped.push(`${name}: SITE_IP "${bad}" is no usable prefix`)),
    ),
    active: !/^(closed|suspended)$/i.test(textOf(element, 'CERTIFICATION_STATUS') ?? ''),
  };
}

function serviceHosts(element: XmlElement) {
  const urls = children(child(element, 'ENDPOINTS'), 'ENDPOINT').map((endpoint) => textOf(endpoint, 'URL'));
  return hostFacts(
    [
      textOf(element, 'HOSTNAME'),
      textOf(element, 'HOST_IP'),
      textOf(element, 'HOST_IPV6'),
      textOf(element, 'URL'),
      ...urls,
    ],
    {
      service: textOf(element, 'SERVICE_TYPE') ?? 'unknown',
      active: textOf(element, 'IN_PRODUCTION') !== 'N',
    },
  );
}
