import { z } from 'zod';
import type { Config } from '../config.ts';
import { joinSources } from '../sites/join.ts';
import type { SourceFacts } from '../sites/knowledge.ts';
import { type NeighbourHint, resolve, type Subject } from '../sites/resolve.ts';
import { indexSites, type SiteIndex } from '../sites/site-index.ts';
import { canonicalHost, factsOfFile, isAddress, type SiteMap } from '../sites/sites-file.ts';
import { hintsOf } from '../sites/subjects.ts';
import { idsOf, neighbourHint, siteOfEnds } from '../sites/trace-hint.ts';
import { why } from '../sites/why.ts';
import { machineSubjects } from '../steps/pool.ts';
import { tracedNeighbours } from '../steps/traced-neighbours.ts';
import type { Store } from '../store/store.ts';

export const whyView = z.object({
  subject: z.string().meta({ description: 'key of the known host, or what was asked for' }),
  names: z.array(z.string()),
  addresses: z.array(z.string()),
  site: z.string().nullable(),
  method: z.string().nullable().meta({ description: 'what kind of evidence decided' }),
  confidence: z.number(),
  evidence: z.string().meta({ description: 'what decided, or why nothing could' }),
  candidates: z.array(z.string()).meta({ description: 'between which sites it stands' }),
  found: z
    .array(
      z.object({
        method: z.string(),
        sites: z.array(z.string()),
        text: z.string(),
        confidence: z.number(),
        stand: z.enum(['for', 'open', 'against']),
      }),
    )
    .meta({ description: 'every piece of evidence, the strongest kind first' }),
  pin: z.string().nullable().meta({ description: 'the line for sites.yaml, where no site is known' }),
});
export type WhyView = z.infer<typeof whyView>;

/** What the enabled sources said last, as far as it was believed. */
export async function storedFacts(store: Store, { sources }: Config['sites']): Promise<SourceFacts[]> {
  const facts = await Promise.all(
    sources.filter(({ enabled }) => enabled).map(({ name }) => store.siteSourceFacts(name)),
  );
  // Written by the step that reads the sources, and by nothing else.
  return facts.filter((one) => one !== undefined) as SourceFacts[];
}

/** Why a host or address has the site that it has. What is known of the host under other names counts as well. */
export async function whyOf(
  host: string,
  store: Store | undefined,
  sites: Config['sites'],
  map: SiteMap,
  now: Date,
): Promise<WhyView> {
  const facts = store ? await storedFacts(store, sites) : [];
  const index = indexSites(joinSources([factsOfFile(map), ...facts], map.overrides));
  const { machineAttributes } = sites;
  const alone = await subjectOf(canonicalHost(host), store, machineAttributes);
  const isKnown = resolve(alone, index, { machineAttributes }).site !== undefined;
  const neighbour = store && !isKnown ? await storedNeighbour(alone, store, index, now) : undefined;
  const subject = neighbour ? { ...alone, neighbour } : alone;
  const { site, method, confidence, evidence, candidates, found, pin } = why(
    subject,
    index,
    machineAttributes,
  );
  return {
    subject: subject.subject,
    names: subject.names,
    addresses: subject.addresses,
    site: site ?? null,
    method: method ?? null,
    confidence,
    evidence,
    candidates,
    found,
    pin: pin ?? null,
  };
}

/** What the neighbours on traces say, by the sites that the last cycle found. */
async function storedNeighbour(
  subject: Subject,
  store: Store,
  index: SiteIndex,
  now: Date,
): Promise<NeighbourHint | undefined> {
  const neighbours = await tracedNeighbours(store, now);
  if (!idsOf(subject).some((id) => neighbours.ends.has(id))) return undefined;
  const hosts = new Map((await store.hosts()).map((host) => [host.key, host]));
  const located = (await store.assignments()).map((assignment) => {
    const host = hosts.get(assignment.subject);
    return { ids: host ? idsOf(host) : [assignment.subject], assignment };
  });
  return neighbourHint(subject, neighbours, siteOfEnds(located), index);
}

/** A measurement host, a machine of the pool, or only what was asked for. */
async function subjectOf(
  id: string,
  store: Store | undefined,
  machineAttributes: readonly string[],
): Promise<Subject> {
  const known = (await store?.hosts())?.find(({ key, names, addresses }) =>
    [key, ...names, ...addresses].some((other) => canonicalHost(other) === id),
  );
  if (known) {
    const { key, names, addresses } = known;
    const hints = hintsOf(known);
    return { subject: key, names, addresses, ...(hints && { hints }) };
  }
  const { subjects } = machineSubjects((await store?.machines()) ?? [], machineAttributes);
  const machine = subjects.find(({ names, addresses }) =>
    [...names, ...addresses].some((other) => canonicalHost(other) === id),
  );
  if (machine) return machine;
  return isAddress(id)
    ? { subject: id, names: [], addresses: [id] }
    : { subject: id, names: [id], addresses: [] };
}
