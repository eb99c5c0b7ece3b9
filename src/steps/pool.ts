/**
 * The part of locate and publish that is about the pool's own machines: read from the collector, located together with
 * everything else, and told to HTCondor as the map LARK_SITE.
 */
import { ClassAdSyntaxError } from 'classad-parser';
import { type Htcondor, HtcondorError } from '../collector/htcondor.ts';
import { poolMachines } from '../collector/pool-machines.ts';
import { isMapText, type UserMapContent } from '../collector/user-map.ts';
import type { SiteAssignment } from '../domain.ts';
import type { Subject } from '../sites/resolve.ts';
import { canonicalHost } from '../sites/sites-file.ts';
import type { Store, StoredMachine } from '../store/store.ts';

/** Execution points come and go within a day; one that does not come back for so long is forgotten. */
const FORGET_MS = 24 * 3_600_000;

/**
 * Reads the pool's machines. A collector that does not answer costs a warning: what was seen before stays.
 * @throws when the store fails
 */
export async function readMachines(
  store: Store,
  htcondor: Htcondor | undefined,
  machineAttributes: readonly string[],
  now: Date,
): Promise<{ machines: StoredMachine[]; warnings: string[] }> {
  if (!htcondor) return { machines: [], warnings: [] };
  const warnings: string[] = [];
  try {
    const seen = await poolMachines(htcondor, machineAttributes);
    await store.saveMachines(seen, now, new Date(now.getTime() - FORGET_MS));
  } catch (error) {
    if (!(error instanceof HtcondorError || error instanceof ClassAdSyntaxError)) throw error;
    warnings.push(`the pool's machines could not be read: ${error.message}`);
  }
  return { machines: await store.machines(), warnings };
}

/**
 * The machines as something to be located, their keys apart from those of measurement hosts. One whose slots say
 * different things of where they stand (a startd may stand for several sites) has no site of its own: nothing weaker may
 * settle that.
 */
export function machineSubjects(
  machines: readonly StoredMachine[],
  machineAttributes: readonly string[],
): { subjects: Subject[]; undecided: SiteAssignment[] } {
  const [subjects, undecided]: [Subject[], SiteAssignment[]] = [[], []];
  for (const { key, names, addresses, words } of machines) {
    const first = machineAttributes.find((attribute) => words[attribute]);
    const said = first === undefined ? [] : words[first]!;
    if (said.length > 1) {
      const evidence = `its slots say different things: ${first} is ${said.map((word) => `"${word}"`).join(', ')}`;
      undecided.push({ subject: key, evidence, confidence: 0 });
      continue;
    }
    subjects.push({
      subject: PREFIX + key,
      // A schedd's own name is NAME@HOST.
      names: [...new Set(names.map((name) => canonicalHost(name.slice(name.indexOf('@') + 1))))],
      addresses,
      attributes: Object.fromEntries(
        Object.entries(words).flatMap(([attribute, texts]) =>
          texts.length === 1 ? [[attribute, texts[0]!]] : [],
        ),
      ),
    });
  }
  return { subjects, undecided };
}

const PREFIX = 'machine ';

/** Tells assignments of machines, whose subjects become the machines' keys again, from those of all else. */
export function partMachines(all: readonly SiteAssignment[]): {
  ofMachines: SiteAssignment[];
  others: SiteAssignment[];
} {
  const [ofMachines, others]: [SiteAssignment[], SiteAssignment[]] = [[], []];
  for (const assignment of all) {
    const { subject } = assignment;
    if (subject.startsWith(PREFIX)) ofMachines.push({ ...assignment, subject: subject.slice(PREFIX.length) });
    else others.push(assignment);
  }
  return { ofMachines, others };
}

/**
 * The map LARK_SITE: the names of machines as their ads spell them → site. A name that several machines have at
 * different sites tells nothing and is left out.
 */
export function siteUserMap(
  machines: readonly StoredMachine[],
  ofMachines: readonly SiteAssignment[],
): UserMapContent {
  const siteOf = new Map(ofMachines.map(({ subject, site }) => [subject, site]));
  const sites = new Map<string, Set<string | undefined>>();
  for (const { key, names } of machines) {
    for (const name of names.filter(isMapText)) {
      const known = sites.get(name) ?? new Set();
      sites.set(name, known.add(siteOf.get(key)));
    }
  }
  const entries = new Map<string, string>();
  for (const [name, found] of sites) {
    const [site] = found;
    if (found.size === 1 && site !== undefined) entries.set(name, site);
  }
  return { name: 'LARK_SITE', entries };
}
