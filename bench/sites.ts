import ipaddr from 'ipaddr.js';
import type { SiteFacts, SourceFacts } from '../src/sites/knowledge.ts';
import { indexOf, knowledgeOf, locate, type Subject } from '../src/sites/locate.ts';
import { uniformNumbers } from '../testbed/random.ts';

/**
 * From subjects to sites: 1,000 sites with five prefixes and ten hosts each, 100,000 addresses and 100,000 names, each
 * met for the first time, through `locate` as a cycle calls it. The floor for addresses is the plainest correct
 * version: ipaddr.js asked whether each address is in each prefix, the longest that fits kept. It is timed on a part
 * and its time scaled up. Both must say the same.
 */
const SITES = 1000;
const HOSTS_PER_SITE = 10;
const SUBJECTS = 100_000;
const FLOOR_PART = 1000;
const ROUNDS = 5;

interface Result {
  sites: number;
  prefixes: number;
  addresses: number;
  /** Median of the rounds. Target: 1 s at most. */
  addressSeconds: number;
  nameSeconds: number;
  /** The same subjects once more, by the same knowledge: what an unchanged cycle costs. */
  againSeconds: number;
  /** Joining the sources and indexing them: once for each change of a source. */
  indexSeconds: number;
  /** Of the plain version, scaled up from `floorMeasured` addresses. */
  floorSeconds: number;
  floorMeasured: number;
  /** Plain version's time for each of Lark's. */
  timesFasterThanFloor: number;
  addressesFound: number;
  namesFound: number;
}

/** @param progress gets one line for each step */
export async function run(progress: (line: string) => void): Promise<Result> {
  const random = uniformNumbers(1);
  const facts = world(random);
  const addresses = Array.from({ length: SUBJECTS }, (_, i) => someAddress(random, i));
  const names = Array.from({ length: SUBJECTS }, (_, i) => someName(random, i));
  const seconds = {
    index: [] as number[],
    address: [] as number[],
    name: [] as number[],
    again: [] as number[],
  };
  let found = { addresses: 0, names: 0 };
  let sites: (string | undefined)[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const t0 = performance.now();
    // A list of its own is knowledge of its own: nothing is remembered from the round before.
    const known = knowledgeOf({ file: 'sites.yaml', sites: [], overrides: new Map() }, [facts]);
    indexOf(known);
    const t1 = performance.now();
    const byAddress = locate(addresses, known);
    const t2 = performance.now();
    const again = locate(addresses, known);
    const t3 = performance.now();
    const byName = locate(names, known);
    const t4 = performance.now();
    if (again[0] !== byAddress[0]) throw new Error('nothing was remembered');
    sites = byAddress.map(({ site }) => site);
    found = { addresses: count(sites), names: count(byName.map(({ site }) => site)) };
    progress(`round ${round}: addresses ${(t2 - t1).toFixed(0)} ms, names ${(t4 - t3).toFixed(0)} ms`);
    // The first round warms up and is not counted.
    if (round === 0) continue;
    seconds.index.push((t1 - t0) / 1000);
    seconds.address.push((t2 - t1) / 1000);
    seconds.again.push((t3 - t2) / 1000);
    seconds.name.push((t4 - t3) / 1000);
  }

  const prefixes = facts.sites.flatMap((site) =>
    site.prefixes.map(({ prefix }) => ({ site: site.name, range: ipaddr.parseCIDR(prefix) })),
  );
  const t0 = performance.now();
  const plain = addresses.slice(0, FLOOR_PART).map(({ addresses: [address] }) => {
    const parsed = ipaddr.process(address!);
    let best: { site: string; length: number } | undefined;
    for (const { site, range } of prefixes) {
      const [network, length] = range;
      if (parsed.kind() !== network.kind() || (best && length <= best.length)) continue;
      if (parsed.match(network, length)) best = { site, length };
    }
    return best?.site;
  });
  const floorSeconds = ((performance.now() - t0) / 1000) * (SUBJECTS / FLOOR_PART);
  const differing = plain.findIndex((site, i) => site !== sites[i]);
  if (differing >= 0) throw new Error(`${addresses[differing]!.subject}: the plain version says otherwise`);

  const addressSeconds = median(seconds.address);
  return {
    sites: SITES,
    prefixes: prefixes.length,
    addresses: SUBJECTS,
    addressSeconds,
    nameSeconds: median(seconds.name),
    againSeconds: median(seconds.again),
    indexSeconds: median(seconds.index),
    floorSeconds,
    floorMeasured: FLOOR_PART,
    timesFasterThanFloor: Math.round(floorSeconds / addressSeconds),
    addressesFound: found.addresses,
    namesFound: found.names,
  };
}

/** Sites with a nested and a foreign IPv4 prefix, IPv6, hosts in a branch of their domain, shared domains. */
function world(random: () => number): SourceFacts {
  const sites = Array.from({ length: SITES }, (_, i): SiteFacts => {
    const [a, b] = [20 + (i >> 6), (i & 63) * 4];
    return {
      name: `T2_EX_Site${i}`,
      aliases: [],
      texts: [],
      hosts: Array.from({ length: HOSTS_PER_SITE }, (_, n) => ({
        host: `${['ce', 'se', 'squid', 'arc'][n % 4]}${n}.${domainOf(i)}`,
        service: 'CE',
        active: true,
      })),
      prefixes: [
        { prefix: `${a}.${b}.0.0/16` },
        { prefix: `${a}.${b + 1}.0.0/17` },
        { prefix: `${a}.${(b + 4) % 256}.${Math.floor(random() * 255)}.0/24` },
        { prefix: `2001:db8:${i.toString(16)}::/48` },
        { prefix: `2001:db8:${((i + 1) % SITES).toString(16)}:8000::/49` },
      ],
      domains: [],
      active: true,
    };
  });
  return { kind: 'cric', origin: 'bench', sites };
}

/** One site in ten shares its domain with nine others. */
const domainOf = (site: number): string =>
  site % 10 === 0 ? `shared${Math.floor(site / 100)}.example` : `grid.site${site}.example`;

function someAddress(random: () => number, i: number): Subject {
  const byte = (): number => Math.floor(random() * 256);
  const address =
    i % 4 === 0
      ? `2001:db8:${Math.floor(random() * 1100).toString(16)}:${byte().toString(16)}00::${byte().toString(16)}`
      : `${20 + Math.floor(random() * 18)}.${byte()}.${byte()}.${byte()}`;
  return { subject: `${i}`, names: [], addresses: [address] };
}

function someName(random: () => number, i: number): Subject {
  const name = `perfsonar${i}.${domainOf(Math.floor(random() * SITES * 1.2))}`;
  return { subject: `${i}`, names: [name], addresses: [] };
}

const count = (sites: readonly (string | undefined)[]): number =>
  sites.filter((site) => site !== undefined).length;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
