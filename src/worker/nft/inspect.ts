import { z } from 'zod';
import { JOB_NAME, type Lease } from '../types.ts';
import { jobChains, TABLE } from './names.ts';

/** What `nft -j list ruleset` (or a part of it) tells of Lark's tables; what is nobody's business here is let through. */
const listing = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) });
const setSchema = z.object({
  family: z.string(),
  table: z.string(),
  name: z.string(),
  elem: z.array(z.unknown()).optional(),
});
const chainSchema = z.object({ family: z.string(), table: z.string(), name: z.string() });

export interface ListedSet {
  family: string;
  name: string;
  elements: ListedElement[];
}

export interface ListedElement {
  key: unknown;
  bytes?: number;
  packets?: number;
}

export interface Listing {
  sets: ListedSet[];
  chains: { family: string; name: string }[];
}

/** @throws Error where the text is no output of `nft -j` */
export function parseListing(text: string): Listing {
  const sets: ListedSet[] = [];
  const chains: Listing['chains'] = [];
  for (const item of listing.parse(JSON.parse(text)).nftables) {
    const set = setSchema.safeParse(item.set ?? item.map);
    if (set.success && set.data.table === TABLE) {
      const { family, name, elem } = set.data;
      sets.push({ family, name, elements: (elem ?? []).map(parseElement) });
    }
    const chain = chainSchema.safeParse(item.chain);
    if (chain.success && chain.data.table === TABLE) chains.push(chain.data);
  }
  return { sets, chains };
}

const stateful = z.object({
  elem: z.object({
    val: z.unknown(),
    counter: z.object({ bytes: z.number(), packets: z.number() }).optional(),
  }),
});

/** Of a map, nft writes [key, value]; with a counter, {elem: {val, counter}}, and likewise with other state. */
function parseElement(element: unknown): ListedElement {
  const withState = stateful.safeParse(element);
  if (withState.success) {
    const { val, counter } = withState.data.elem;
    return { key: val, ...counter };
  }
  return { key: Array.isArray(element) ? element[0] : element };
}

/** Absent where the table is. */
export function epochOf({ sets }: Listing): number | undefined {
  const key = sets.find(({ family, name }) => family === 'netdev' && name === 'epoch')?.elements[0]?.key;
  return typeof key === 'number' ? key : undefined;
}

/** Names of jobs that have a chain or an element. */
export function jobsIn(listed: Listing): Set<string> {
  const names = new Set<string>();
  for (const { name } of listed.chains) {
    const job = /^(?:from|to)_(lk\w+)$/.exec(name)?.[1];
    if (job) names.add(job);
  }
  for (const { elements } of listed.sets) {
    for (const { key } of elements) if (typeof key === 'string' && JOB_NAME.test(key)) names.add(key);
  }
  return names;
}

/**
 * Commands that delete whatever belongs to none of these leases, and only that: chains and elements of jobs that are
 * gone, addresses and ports that nobody holds. Empty where all is well. For the sweep: between listing and loading no
 * job may come or go.
 */
export function strayRemoval(listed: Listing, live: readonly Lease[]): string[] {
  const names = new Set(live.map(({ name }) => name));
  const chains = new Set(live.flatMap((lease) => Object.values(jobChains(lease))));
  const keys = new Set(
    live.flatMap(({ ipv4, ipv6, forwards }) => [
      ...[ipv4, ipv6].filter((address) => address !== undefined),
      ...forwards.map(({ protocol, hostPort }) => `${protocol} . ${hostPort}`),
    ]),
  );
  const lines: string[] = [];
  for (const { family, name } of listed.chains) {
    if (family !== 'netdev' || !/^(?:from|to)_lk\w+$/.test(name) || chains.has(name)) continue;
    lines.push(`flush chain netdev ${TABLE} ${name}`, `delete chain netdev ${TABLE} ${name}`);
  }
  for (const { family, name, elements } of listed.sets) {
    const isByName =
      /^(?:out|in)_[A-Za-z0-9]+$|^nat_jobs$|^upload$|^connections$/.test(name) && !/_class[46]$/.test(name);
    if (name === 'hairpin') {
      lines.push(...strayPairs(elements, names, family));
      continue;
    }
    const isByKey = /^(?:job|bridge|forward|connections)[46]$/.test(name);
    for (const { key } of elements) {
      const text = keyText(key);
      if (isByName ? names.has(text) : !isByKey || keys.has(text)) continue;
      lines.push(`delete element ${family} ${TABLE} ${name} { ${isByName ? `"${text}"` : text} }`);
    }
  }
  return lines;
}

/** Of a job's device with itself. */
function strayPairs(
  elements: readonly ListedElement[],
  names: ReadonlySet<string>,
  family: string,
): string[] {
  return elements.flatMap(({ key }) => {
    const device = keyText(key).split(' . ')[0]!;
    return names.has(device)
      ? []
      : [`delete element ${family} ${TABLE} hairpin { "${device}" . "${device}" }`];
  });
}

const concatenation = z.object({ concat: z.array(z.union([z.string(), z.number()])) });

function keyText(key: unknown): string {
  const parts = concatenation.safeParse(key);
  return parts.success ? parts.data.concat.join(' . ') : String(key);
}
