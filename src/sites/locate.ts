import type { Site, SiteAssignment } from '../domain.ts';
import { joinSources } from './join.ts';
import type { Knowledge, SourceFacts } from './knowledge.ts';
import type { Neighbours } from './neighbours.ts';
import { type ResolveOptions, resolve, type Subject } from './resolve.ts';
import { indexSites, type SiteIndex } from './site-index.ts';
import { factsOfFile, type SiteMap } from './sites-file.ts';
import { idsOf, neighbourHint, siteOfEnds } from './trace-hint.ts';

export type { Subject } from './resolve.ts';

/** What sites.yaml and the other sources say together; made again only when one of them is another. */
export function knowledgeOf(map: SiteMap, sources: readonly SourceFacts[] = []): Knowledge {
  const before = joined.get(map);
  if (before?.sources === sources) return before.knowledge;
  const knowledge = joinSources([factsOfFile(map), ...sources], map.overrides);
  joined.set(map, { sources, knowledge });
  return knowledge;
}
const joined = new WeakMap<SiteMap, { sources: readonly SourceFacts[]; knowledge: Knowledge }>();

/** The index of what is known; made once for each. */
export function indexOf(knowledge: Knowledge): SiteIndex {
  const known = indexes.get(knowledge);
  if (known) return known;
  const index = indexSites(knowledge);
  indexes.set(knowledge, index);
  return index;
}
const indexes = new WeakMap<Knowledge, SiteIndex>();

export interface LocateOptions extends Pick<ResolveOptions, 'machineAttributes'> {
  /** A hint for what has no site without them. */
  neighbours?: Neighbours;
}

/** Maps subjects to sites; one that stands as it stood, by knowledge that is the same, is not looked at again. */
export function locate(
  subjects: readonly Subject[],
  knowledge: Knowledge,
  { neighbours, ...options }: LocateOptions = {},
): SiteAssignment[] {
  const index = indexOf(knowledge);
  const before = memos.get(knowledge);
  const memo = new Map<string, SiteAssignment>();
  const remembered = (subject: Subject): SiteAssignment => {
    const key = JSON.stringify([subject, options.machineAttributes]);
    const assignment = before?.get(key) ?? assign(subject, index, options);
    memo.set(key, assignment);
    return assignment;
  };
  const first = subjects.map(remembered);
  const assignments = neighbours ? withNeighbours(subjects, first, neighbours, index, remembered) : first;
  memos.set(knowledge, memo);
  return assignments;
}
/** By what was asked the last time: what is no longer asked for is forgotten. */
const memos = new WeakMap<Knowledge, Map<string, SiteAssignment>>();

/** Looks again at what has no site and has neighbours on traces that say something of it. */
function withNeighbours(
  subjects: readonly Subject[],
  first: readonly SiteAssignment[],
  neighbours: Neighbours,
  index: SiteIndex,
  again: (subject: Subject) => SiteAssignment,
): SiteAssignment[] {
  if (neighbours.ends.size === 0 || first.every(({ site }) => site !== undefined)) return [...first];
  const siteOf = siteOfEnds(
    subjects.flatMap((subject, i) =>
      // Machines of the pool are not what tests run between, and have addresses that many places have.
      subject.attributes === undefined ? [{ ids: idsOf(subject), assignment: first[i]! }] : [],
    ),
  );
  return subjects.map((subject, i) => {
    const before = first[i]!;
    const neighbour =
      before.site === undefined ? neighbourHint(subject, neighbours, siteOf, index) : undefined;
    return neighbour ? again({ ...subject, neighbour }) : before;
  });
}

function assign(subject: Subject, index: SiteIndex, options: ResolveOptions): SiteAssignment {
  const { site, method, evidence, confidence } = resolve(subject, index, options);
  return {
    subject: subject.subject,
    ...(site !== undefined && { site, method }),
    evidence,
    confidence,
  };
}

/** The sites to be shown and stored: those of sites.yaml, and whichever of the others has been found in use. */
export function sitesInUse(knowledge: Knowledge, assignments: readonly SiteAssignment[]): Site[] {
  const used = new Set(assignments.flatMap(({ site }) => site ?? []));
  const ownSource = knowledge.sources.findIndex(({ kind }) => kind === 'file');
  return knowledge.sites
    .filter(({ name, sources }) => used.has(name) || sources.includes(ownSource))
    .map(({ name, latitude, longitude, hosts, prefixes, domains }) => ({
      name,
      ...(latitude !== undefined && { latitude }),
      ...(longitude !== undefined && { longitude }),
      hosts: [...new Set(hosts.map(({ host }) => host))].sort(),
      prefixes: [...new Set(prefixes.map(({ prefix }) => prefix))].sort(),
      domains: [...new Set(domains.map(({ domain }) => domain))].sort(),
    }));
}
