import { type OsgPlace, type OsgResource, osgFacts } from './osg.ts';
import { BadDocument, coordinates, type ParsedSource } from './parsed.ts';
import { child, children, parseXml, textOf, type XmlElement } from './xml.ts';

/**
 * OSG Topology's `/rgsummary/xml`: ResourceGroups with their GroupID, which CRIC knows as `oim_groupid`, and places.
 * @throws BadDocument when it is no such document
 */
export function parseOsgXml(text: string, origin: string): ParsedSource {
  const root = parseXml(text);
  if (root.name !== 'ResourceSummary') {
    throw new BadDocument(`has <${root.name}> for its root, not <ResourceSummary>`);
  }
  const skipped: string[] = [];
  const places = new Map<string, OsgPlace>();
  const resources = children(root, 'ResourceGroup').flatMap((group, index) => {
    const place = child(group, 'Site');
    const [name, site, facility] = [
      textOf(group, 'GroupName'),
      textOf(place, 'Name'),
      textOf(child(group, 'Facility'), 'Name'),
    ];
    if (!name || !site || !facility) {
      skipped.push(`ResourceGroup ${name ?? `number ${index + 1}`} has no name, site or facility`);
      return [];
    }
    const city = textOf(place, 'City');
    places.set(site, {
      ...coordinates(textOf(place, 'Latitude'), textOf(place, 'Longitude')),
      ...(city && { city }),
    });
    const groupId = Number(textOf(group, 'GroupID'));
    const above = {
      group: name,
      site,
      facility,
      ...(Number.isInteger(groupId) && groupId > 0 && { groupId }),
    };
    const groupIsOff = isTrue(textOf(group, 'Disable'));
    return children(child(group, 'Resources'), 'Resource').map(
      (resource): OsgResource => ({ ...above, ...resourceOf(resource, groupIsOff) }),
    );
  });
  return osgFacts(resources, places, origin, skipped);
}

function resourceOf(resource: XmlElement, groupIsOff: boolean) {
  const accountingName = textOf(child(resource, 'WLCGInformation'), 'AccountingName');
  return {
    name: textOf(resource, 'Name') ?? '',
    fqdn: textOf(resource, 'FQDN') ?? '',
    fqdnAliases: children(child(resource, 'FQDNAliases'), 'FQDNAlias').map(({ text }) => text),
    active:
      isTrue(textOf(resource, 'Active') ?? 'True') && !isTrue(textOf(resource, 'Disable')) && !groupIsOff,
    services: children(child(resource, 'Services'), 'Service').map((service) => {
      const details = child(service, 'Details');
      return {
        name: textOf(service, 'Name') ?? 'unknown',
        endpoints: [textOf(details, 'endpoint'), textOf(details, 'uri_override')].filter(
          (endpoint) => endpoint !== undefined,
        ),
      };
    }),
    ...(accountingName && { accountingName }),
  };
}

const isTrue = (text: string | undefined): boolean => text?.toLowerCase() === 'true';
