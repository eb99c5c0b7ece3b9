import { parse } from 'yaml';
import { z } from 'zod';
import { type OsgPlace, type OsgResource, osgFacts } from './osg.ts';
import { serviceDetails } from './osg-json.ts';
import { BadDocument, coordinates, type ParsedSource } from './parsed.ts';

/** One YAML file of the tree. */
export interface TreeFile {
  /** Below the folder `topology`, with `/`: `FACILITY/SITE/GROUP.yaml`, `FACILITY/SITE/SITE.yaml`, `FACILITY/FACILITY.yaml`. */
  path: string;
  text: string;
}

const facilityFile = z.object({ InstitutionID: z.string().nullish() });
const siteFile = z.object({
  Latitude: z.unknown().optional(),
  Longitude: z.unknown().optional(),
  City: z.string().nullish().catch(undefined),
});
const resource = z.object({
  Active: z.boolean().nullish(),
  Disable: z.boolean().nullish(),
  FQDN: z.string(),
  FQDNAliases: z.array(z.string()).nullish(),
  Services: z
    .record(z.string(), z.object({ Details: serviceDetails }).nullish().catch(null))
    .nullish()
    .catch(null),
  WLCGInformation: z.object({ AccountingName: z.string().nullish() }).nullish().catch(null),
});
const groupFile = z.object({
  GroupID: z.number().nullish(),
  Disable: z.boolean().nullish(),
  Resources: z.record(z.string(), z.unknown()),
});

/** Files of the tree that tell of sites; downtimes change daily and tell nothing. */
export const isTreeFile = (path: string): boolean =>
  /^[^/]+\/(FACILITY\.yaml|[^/]+\/[^/]+\.yaml)$/.test(path) && !path.endsWith('_downtime.yaml');

/**
 * OSG Topology as its repository holds it: a folder for each facility, in it one for each site, in that a file for each
 * ResourceGroup. A file that cannot be read costs itself.
 * @throws BadDocument when there is no ResourceGroup at all
 */
export function parseOsgTree(files: readonly TreeFile[], origin: string): ParsedSource {
  const skipped: string[] = [];
  const institutions = new Map<string, string>();
  const places = new Map<string, OsgPlace>();
  const groups: { facility: string; site: string; group: string; value: z.infer<typeof groupFile> }[] = [];
  for (const { path, text } of files) {
    const [facility = '', site = '', file] = path.split('/');
    if (file === undefined) {
      const read = readYaml(facilityFile, { path, text }, skipped);
      if (read?.InstitutionID) institutions.set(facility, read.InstitutionID);
    } else if (file === 'SITE.yaml') {
      const read = readYaml(siteFile, { path, text }, skipped);
      if (!read) continue;
      places.set(site, {
        ...coordinates(read.Latitude, read.Longitude),
        ...(read.City && { city: read.City }),
      });
    } else {
      const value = readYaml(groupFile, { path, text }, skipped);
      if (value) groups.push({ facility, site, group: file.slice(0, -'.yaml'.length), value });
    }
  }
  if (groups.length === 0) throw new BadDocument('holds no ResourceGroup (FACILITY/SITE/GROUP.yaml)');
  const resources = groups.flatMap(({ facility, site, group, value }) =>
    Object.entries(value.Resources).flatMap(([name, raw]): OsgResource[] => {
      const checked = resource.safeParse(raw);
      if (!checked.success) {
        skipped.push(`${group}: ${name}: ${z.prettifyError(checked.error).replace(/\s+/g, ' ')}`);
        return [];
      }
      const { FQDN, FQDNAliases, Services, Active, Disable, WLCGInformation } = checked.data;
      const institutionId = institutions.get(facility);
      return [
        {
          name,
          group,
          ...(value.GroupID != null && { groupId: value.GroupID }),
          site,
          facility,
          ...(institutionId !== undefined && { institutionId }),
          fqdn: FQDN,
          fqdnAliases: FQDNAliases ?? [],
          active: (Active ?? true) && !Disable && !value.Disable,
          services: Object.entries(Services ?? {}).map(([service, details]) => ({
            name: service,
            endpoints: details?.Details ?? [],
          })),
          ...(WLCGInformation?.AccountingName && { accountingName: WLCGInformation.AccountingName }),
        },
      ];
    }),
  );
  return osgFacts(resources, places, origin, skipped);
}

function readYaml<S extends z.ZodType>(
  schema: S,
  { path, text }: TreeFile,
  skipped: string[],
): z.infer<S> | undefined {
  try {
    const result = schema.safeParse(parse(text));
    if (result.success) return result.data;
    skipped.push(`${path}: ${z.prettifyError(result.error).replace(/\s+/g, ' ')}`);
  } catch (error) {
    skipped.push(`${path}: ${(error as Error).message.split('\n')[0]}`);
  }
  return undefined;
}
