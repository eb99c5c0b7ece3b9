/** Locate, joined with the store: which site each host, test endpoint and machine of the pool belongs to. */
import type { UserMapContent } from '../collector/user-map.ts';
import type { CycleDeps } from '../cycle.ts';
import { isMeasured, type MeasurementHost, type Site, type SiteAssignment } from '../domain.ts';
import { partTransfers, withTransfers } from '../paths/fusion-windows.ts';
import { groupByPath, type PathSeries } from '../paths/pairs.ts';
import { knowledgeOf, locate, sitesInUse } from '../sites/locate.ts';
import { locatedSeries, subjectsOf } from '../sites/subjects.ts';
import { machineSubjects, partMachines, readMachines, siteUserMap } from './pool.ts';
import { refreshSites } from './refresh-sites.ts';
import { tracedNeighbours } from './traced-neighbours.ts';

export interface Located {
  seriesCount: number;
  /** Of hosts and endpoints; what has no site is among them. */
  assignments: SiteAssignment[];
  /** Those that something belongs to. */
  sites: Site[];
  /** The series of each path, and with them what the pool's own jobs moved on it. */
  paths: PathSeries[];
  /** The pool's machines, for HTCondor. */
  siteMap: UserMapContent;
  /** Sources that could not be read or were refused, one sentence each. */
  warnings: string[];
}

/**
 * Refreshes what is known of sites where that is due, reads the pool's machines, and locates everything.
 * @throws when the store fails
 */
export async function locateEverything(
  deps: Pick<CycleDeps, 'store' | 'http' | 'config' | 'sites' | 'siteFacts' | 'htcondor' | 'log' | 'signal'>,
  hosts: readonly MeasurementHost[],
  now: Date,
): Promise<Located> {
  const { store, config, log, signal } = deps;
  const { machineAttributes } = config.sites;
  const fetchDocument = deps.http.getDocument;
  const refused = await refreshSites({ store, fetchDocument, config, now, log, signal });
  const known = knowledgeOf(deps.sites, await deps.siteFacts.facts(store, config.sites));
  const pool = await readMachines(store, deps.htcondor, machineAttributes, now);

  const [series, ofTransfers] = partTransfers(await store.series());
  const { subjects, undecided } = machineSubjects(pool.machines, machineAttributes);
  const neighbours = await tracedNeighbours(store, now);
  const all = locate([...subjectsOf(hosts, series), ...subjects], known, { machineAttributes, neighbours });
  const { ofMachines, others: assignments } = partMachines(all);
  const sites = sitesInUse(known, all);
  await store.saveAssignments(assignments, sites, now);
  await store.saveMachineSites([...ofMachines, ...undecided]);
  const measured = groupByPath(locatedSeries(series.filter(isMeasured), hosts, assignments));
  return {
    seriesCount: series.length + ofTransfers.length,
    assignments,
    sites,
    paths: withTransfers(measured, ofTransfers),
    siteMap: siteUserMap(pool.machines, ofMachines),
    warnings: [...refused, ...known.warnings, ...pool.warnings],
  };
}
