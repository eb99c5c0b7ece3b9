import type { SiteFacts, SourceFacts } from '../knowledge.ts';

/** What of a source is counted: a version that has lost much of one of these is not believed. */
const COUNTED = {
  sites: ({ name }: SiteFacts): string[] => [name],
  hosts: ({ name, hosts }: SiteFacts): string[] => hosts.map(({ host }) => `${name} ${host}`),
  prefixes: ({ name, prefixes }: SiteFacts): string[] => prefixes.map(({ prefix }) => `${name} ${prefix}`),
  domains: ({ name, domains }: SiteFacts): string[] => domains.map((domain) => `${name} ${domain}`),
};
export type SourceCounts = Record<keyof typeof COUNTED, number>;

const KINDS = Object.keys(COUNTED) as (keyof typeof COUNTED)[];

const distinct = ({ sites }: SourceFacts, kind: keyof typeof COUNTED): Set<string> =>
  new Set(sites.flatMap(COUNTED[kind]));

export function countsOf(facts: SourceFacts): SourceCounts {
  return Object.fromEntries(KINDS.map((kind) => [kind, distinct(facts, kind).size])) as SourceCounts;
}

/** So many may go whatever their share is: a small source changes too. */
const FEW = 2;

/**
 * Why this version is not believed, in one sentence without the source's name; undefined where it is. What counts is
 * what is gone, not how many there are: other sites in the place of the known ones are no better than none.
 * @param before the version in force; undefined where there is none
 */
export function refusalOf(
  before: SourceFacts | undefined,
  now: SourceFacts,
  maxLossShare: number,
): string | undefined {
  const useful = now.sites.some(
    ({ hosts, prefixes, domains }) => hosts.length + prefixes.length + domains.length > 0,
  );
  if (!useful) return 'names no site that has a host, a prefix or a domain';
  if (!before) return undefined;
  const losses = KINDS.flatMap((kind) => {
    const known = distinct(before, kind);
    const gone = known.difference(distinct(now, kind)).size;
    return gone > FEW && gone > known.size * maxLossShare ? [`${gone} of ${known.size} ${kind}`] : [];
  });
  if (losses.length === 0) return undefined;
  return `has lost ${losses.join(', ')} (${Math.round(maxLossShare * 100)} % are allowed)`;
}
