import { runCommand } from '../commands.ts';
import { epochOf, type Listing, parseListing } from '../nft/inspect.ts';
import { classSet, DIRECTIONS, parseClassSet, TABLE } from '../nft/names.ts';

/** Of IP packets, headers of IP included, headers of Ethernet not. */
export interface Count {
  bytes: number;
  packets: number;
}

/** Both directions as the job sees them. */
export interface ClassCount {
  in: Count;
  out: Count;
}

export type ClassCounts = Record<string, ClassCount>;

/** The kernel's counters at one time. Only those of one epoch can be compared. */
export interface Reading {
  epoch: number;
  /** By the job's name, then by class. */
  jobs: Map<string, ClassCounts>;
}

/** What netdev's egress hook sees more than its ingress hook: the Ethernet header. */
const ETHERNET_BYTES = 14;
const NOTHING: Count = { bytes: 0, packets: 0 };

/**
 * Reads all jobs at once. Undefined where Lark's table is gone.
 * @throws Error where nft fails
 */
export async function readCounters(): Promise<Reading | undefined> {
  return readingOf(
    parseListing(await runCommand('nft', ['-j', 'list', 'sets', 'netdev'], { isRepeatable: true })),
  );
}

export function readingOf(listed: Listing): Reading | undefined {
  const epoch = epochOf(listed);
  if (epoch === undefined) return undefined;
  const jobs = new Map<string, ClassCounts>();
  for (const { family, name, elements } of listed.sets) {
    const set = family === 'netdev' ? parseClassSet(name) : undefined;
    if (!set) continue;
    for (const { key, bytes, packets } of elements) {
      if (typeof key !== 'string' || bytes === undefined || packets === undefined) continue;
      const counts = jobs.get(key) ?? {};
      jobs.set(key, counts);
      const count = counts[set.className] ?? { in: NOTHING, out: NOTHING };
      counts[set.className] = count;
      count[set.direction] = networkLayer({ bytes, packets }, set.direction);
    }
  }
  return { epoch, jobs };
}

/**
 * Reads one job in a time that does not grow with the others; for the last reading, when its veth is down and nothing
 * more can come. Undefined where the job has no counters or the table is gone.
 */
export async function readJobCounters(
  name: string,
  classNames: readonly string[],
): Promise<Reading | undefined> {
  const sets = DIRECTIONS.flatMap((direction) =>
    classNames.map((className) => classSet(direction, className)),
  );
  const input = [
    `list set netdev ${TABLE} epoch`,
    ...sets.map((set) => `get element netdev ${TABLE} ${set} { "${name}" }`),
    '',
  ].join('\n');
  try {
    return readingOf(parseElements(await runCommand('nft', ['-f', '-'], { input, isRepeatable: true })));
  } catch {
    // A class that came or went since: the long way finds what there is.
    const all = await readCounters();
    const counts = all?.jobs.get(name);
    return all && counts && { epoch: all.epoch, jobs: new Map([[name, counts]]) };
  }
}

/** `get element` answers in nft's own language, even where JSON was asked for. */
export function parseElements(text: string): Listing {
  const sets: Listing['sets'] = [];
  for (const [, name = '', body = ''] of text.matchAll(/\bset (\w+) \{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}/g)) {
    const elements: Listing['sets'][number]['elements'] = [];
    const list = /elements = \{([^{}]*)\}/.exec(body)?.[1] ?? '';
    for (const [, key, packets, bytes] of list.matchAll(/"(\w+)" counter packets (\d+) bytes (\d+)/g)) {
      elements.push({ key, packets: Number(packets), bytes: Number(bytes) });
    }
    const mark = /^\s*(0x[0-9a-f]+)\s*$/.exec(list)?.[1];
    if (mark) elements.push({ key: Number(mark) });
    sets.push({ family: 'netdev', name, elements });
  }
  return { sets, chains: [] };
}

/** The hook towards the job counts frames, the one from it packets. */
function networkLayer({ bytes, packets }: Count, direction: 'in' | 'out'): Count {
  return direction === 'out' ? { bytes, packets } : { bytes: bytes - ETHERNET_BYTES * packets, packets };
}
