import { z } from 'zod';
import { type OsgPlace, type OsgResource, osgFacts } from './osg.ts';
import { BadDocument, coordinates, type ParsedSource } from './parsed.ts';

/** The other endpoints that `Details` of a service may name. It is a map, but free text now and then, or null. */
export const serviceDetails = z
  .unknown()
  .optional()
  .transform((details): string[] => {
    if (typeof details !== 'object' || details === null) return [];
    const { endpoint, uri_override: override } = details as Record<string, unknown>;
    return [endpoint, override].filter((value) => typeof value === 'string');
  });

const accountingName = z
  .object({ AccountingName: z.string().nullish() })
  .transform(({ AccountingName }) => AccountingName ?? undefined)
  // Where nobody wrote anything, a sentence stands in its place.
  .catch(undefined);

/** One entry of `/miscresource/json`. */
const miscResource = z.object({
  Name: z.string().min(1),
  Site: z.string().min(1),
  Facility: z.string().min(1),
  ResourceGroup: z.string().min(1),
  Active: z.boolean().nullish(),
  Disable: z.boolean().nullish(),
  FQDN: z.string(),
  FQDNAliases: z.object({ FQDNAlias: z.array(z.string()).default([]) }).nullish(),
  Services: z
    .object({ Service: z.array(z.object({ Name: z.string(), Details: serviceDetails })) })
    .nullish()
    .catch(null),
  WLCGInformation: accountingName,
});

/** One entry of a plain list of resources, with what the groups and sites above it say. */
const listedResource = z.object({
  resource: z.string().min(1),
  resourceGroup: z.string().min(1),
  groupId: z.number().nullish(),
  site: z.string().min(1),
  facility: z.string().min(1),
  fqdn: z.string(),
  aliases: z.array(z.string()).default([]),
  active: z.boolean().nullish(),
  disabled: z.boolean().nullish(),
  services: z.array(z.string()).default([]),
  endpoints: z.array(z.string()).default([]),
  wlcgAccountingName: z.string().nullish(),
});

const listedSite = z.object({
  institutionId: z.string().nullish(),
  lat: z.number().nullish(),
  lon: z.number().nullish(),
});

const list = z.object({
  commit: z.string().optional(),
  resources: z.array(z.unknown()),
  sites: z.record(z.string(), listedSite).default({}),
});

/**
 * OSG Topology as JSON: what `/miscresource/json` answers (a map of resources by name; it tells no GroupID and no
 * place), or a plain list, `{commit?, resources: [{resource, resourceGroup, site, facility, fqdn, …}], sites: {…}}`.
 * @throws BadDocument when it is neither
 */
export function parseOsgJson(document: unknown, origin: string): ParsedSource {
  const asList = list.safeParse(document);
  if (asList.success) return fromList(asList.data, origin);
  const byName = z.record(z.string(), z.unknown()).safeParse(document);
  if (!byName.success) throw new BadDocument('is no map of resources, as OSG Topology gives it');
  const skipped: string[] = [];
  const resources = Object.entries(byName.data).flatMap(([name, value]) =>
    checked(miscResource, value, name, skipped).map(
      (resource): OsgResource => ({
        name: resource.Name,
        group: resource.ResourceGroup,
        site: resource.Site,
        facility: resource.Facility,
        fqdn: resource.FQDN,
        fqdnAliases: resource.FQDNAliases?.FQDNAlias ?? [],
        active: (resource.Active ?? true) && !(resource.Disable ?? false),
        services: (resource.Services?.Service ?? []).map(({ Name, Details }) => ({
          name: Name,
          endpoints: Details,
        })),
        ...(resource.WLCGInformation !== undefined && { accountingName: resource.WLCGInformation }),
      }),
    ),
  );
  return osgFacts(resources, new Map(), origin, skipped);
}

function fromList({ commit, resources, sites }: z.infer<typeof list>, origin: string): ParsedSource {
  const skipped: string[] = [];
  const places = new Map(
    Object.entries(sites).map(([name, { lat, lon }]): [string, OsgPlace] => [name, coordinates(lat, lon)]),
  );
  const read = resources.flatMap((value, index) =>
    checked(listedResource, value, `resources[${index}]`, skipped).map((resource): OsgResource => {
      const institutionId = sites[resource.site]?.institutionId;
      return {
        name: resource.resource,
        group: resource.resourceGroup,
        ...(resource.groupId != null && { groupId: resource.groupId }),
        site: resource.site,
        facility: resource.facility,
        ...(institutionId && { institutionId }),
        fqdn: resource.fqdn,
        fqdnAliases: [...resource.aliases, ...resource.endpoints],
        active: (resource.active ?? true) && !(resource.disabled ?? false),
        services: resource.services.map((name) => ({ name, endpoints: [] })),
        ...(resource.wlcgAccountingName && { accountingName: resource.wlcgAccountingName }),
      };
    }),
  );
  return osgFacts(read, places, origin, skipped, commit);
}

/** The checked value in a list, or none and a word of why. */
function checked<S extends z.ZodType>(
  schema: S,
  value: unknown,
  name: string,
  skipped: string[],
): z.infer<S>[] {
  const result = schema.safeParse(value);
  if (result.success) return [result.data];
  skipped.push(`${name}: ${z.prettifyError(result.error).replace(/\s+/g, ' ')}`);
  return [];
}
