import { normalNumbers, uniformNumbers } from './random.ts';

/**
 * A world of site pairs for judging estimates: what throughput, delay and loss tests between some hundred sites would
 * have read. It is built from limits that act at once (interface, host tuning, window over round trip, long-haul link,
 * the path itself), of which the least decides, and knows nothing of the methods that are judged by it. Parameters
 * are told in docs/estimates.md. Pure: the same options give the same world, and each series is made when asked for.
 */

export interface PathsWorldOptions {
  seed: number;
  sites: number;
  /** Directed pairs that are measured. */
  pairs: number;
  days: number;
  /** The end of the history. */
  end: Date;
}

export interface WorldSite {
  name: string;
  latitude: number;
  longitude: number;
  /** As registered; absent for some, and for a few not what the host really has. */
  capacityMbps?: number;
}

export interface WorldSeries {
  /** Series of one host pair share it. */
  pair: string;
  tool: string;
  ipVersion: 4 | 6;
  atMs: Float64Array;
  values: Float64Array;
}

export interface WorldPair {
  src: WorldSite;
  dst: WorldSite;
  throughput(): WorldSeries[];
  /** One-way delay, a value every five minutes over the last `days`. */
  delay(days: number): WorldSeries[];
  /** Loss, likewise. */
  loss(days: number): WorldSeries[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

interface Region {
  share: number;
  latitude: number;
  longitude: number;
  spread: number;
}
const REGIONS: readonly Region[] = [
  { share: 0.34, latitude: 39, longitude: -95, spread: 14 },
  { share: 0.42, latitude: 49, longitude: 9, spread: 8 },
  { share: 0.16, latitude: 33, longitude: 120, spread: 12 },
  { share: 0.08, latitude: -20, longitude: -50, spread: 9 },
];

/** A limit of throughput: what it is worth at rest, how it swings by the day, and the levels it jumped to. */
interface Limit {
  mbps: number;
  amplitude: number;
  solarOffsetHours: number;
  shifts: { atMs: number; factor: number }[];
}

interface Place extends WorldSite {
  region: number;
  nicMbps: number;
  out: Limit;
  in: Limit;
  /** Window that the host's buffers allow, in megabits. */
  windowMbit: number;
  lastMileMs: number;
  lossOut: number;
  lossIn: number;
  clockMs: number;
  outages: [fromMs: number, toMs: number][];
}

class Random {
  readonly unit: () => number;
  readonly normal: () => number;
  constructor(seed: number) {
    this.unit = uniformNumbers(seed);
    this.normal = normalNumbers(this.unit);
  }
  /** Log-normal with this median. */
  around(median: number, sigma: number): number {
    return median * Math.exp(sigma * this.normal());
  }
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.unit());
  }
  pick<T>(items: readonly T[], shares: readonly number[]): T {
    let left = this.unit();
    for (let i = 0; i < items.length; i++) {
      left -= shares[i]!;
      if (left < 0) return items[i]!;
    }
    return items.at(-1)!;
  }
}

const seedOf = (...parts: number[]): number => {
  let hash = 0x811c9dc5;
  for (const part of parts) {
    hash = Math.imul(hash ^ part, 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 13), 0x5bd1e995);
  }
  return hash ^ (hash >>> 15);
};

export function pathsWorld(options: PathsWorldOptions): { sites: WorldSite[]; pairs: WorldPair[] } {
  const { seed, end } = options;
  const endMs = end.getTime();
  const startMs = endMs - options.days * DAY_MS;
  const random = new Random(seedOf(seed, 1));
  const places = Array.from({ length: options.sites }, (_, i) => place(random, i, startMs, endMs));
  const haul = REGIONS.map((_, a) => REGIONS.map((_, b) => longHaul(random, a, b, startMs, endMs)));

  const pairs: WorldPair[] = [];
  const chosen = new Set<number>();
  // Sites measure within their region three times out of four, and busy sites more than others.
  const weights = places.map(() => random.exponential(1) + 0.1);
  const ladder = cumulative(weights);
  while (chosen.size < Math.min(options.pairs, options.sites * (options.sites - 1))) {
    const a = draw(ladder, random);
    const b = draw(ladder, random);
    const near = places[a]!.region === places[b]!.region;
    if (a === b || (!near && random.unit() < 0.67)) continue;
    const key = a * options.sites + b;
    if (chosen.has(key)) continue;
    chosen.add(key);
    pairs.push(pairOf(seed, places[a]!, places[b]!, a, b, haul, startMs, endMs));
  }
  const sites = places.map(({ name, latitude, longitude, capacityMbps }) => ({
    name,
    latitude,
    longitude,
    ...(capacityMbps !== undefined && { capacityMbps }),
  }));
  return { sites, pairs };
}

function place(random: Random, i: number, startMs: number, endMs: number): Place {
  const region = random.pick(
    [0, 1, 2, 3],
    REGIONS.map(({ share }) => share),
  );
  const { latitude, longitude, spread } = REGIONS[region]!;
  const nicMbps = random.pick([1_000, 10_000, 25_000, 40_000, 100_000], [0.16, 0.5, 0.08, 0.08, 0.18]);
  const where = longitude + 1.6 * spread * random.normal();
  // A tenth of the sites has a fault at its edge, half of these in one direction only: firewall, optics, old kernel.
  const faulty = random.unit() < 0.1;
  const which = random.unit();
  const fault = (hit: boolean): number => (faulty && hit ? 0.03 + 0.2 * random.unit() : 1);
  const edge = (factor: number): Limit => ({
    mbps: Math.min(nicMbps * 0.94, 38_000) * Math.min(1, random.around(0.85, 0.25)) * factor,
    amplitude: random.unit() ** 2 * 0.6,
    solarOffsetHours: where / 15,
    shifts: shifts(random, startMs, endMs, 60, 0.45),
  });
  const registered = random.unit();
  return {
    name: `Site${String(i).padStart(4, '0')}`,
    latitude: latitude + spread * random.normal() * 0.7,
    longitude: where,
    ...(registered < 0.85 && { capacityMbps: nicMbps }),
    ...(registered >= 0.85 && registered < 0.9 && { capacityMbps: nicMbps === 1_000 ? 10_000 : 1_000 }),
    region,
    nicMbps,
    out: edge(fault(which < 0.75)),
    in: edge(fault(which > 0.25)),
    windowMbit: 8 * random.pick([16, 64, 256, 1024], [0.1, 0.2, 0.45, 0.25]),
    lastMileMs: random.exponential(0.8) + 0.1,
    lossOut: 10 ** (-6.2 + 1.1 * random.normal()),
    lossIn: 10 ** (-6.2 + 1.1 * random.normal()),
    clockMs: random.unit() < 0.06 ? 3 * random.normal() : 0.15 * random.normal(),
    outages: outages(random, startMs, endMs),
  };
}

/** Research networks between regions: one limit for each direction, shared by all its paths. */
function longHaul(
  random: Random,
  a: number,
  b: number,
  startMs: number,
  endMs: number,
): Limit & { loss: number } {
  const south = a === 3 || b === 3;
  return {
    mbps: a === b ? 90_000 : south ? random.around(3_500, 0.4) : random.around(22_000, 0.5),
    amplitude: a === b ? 0.1 : 0.15 + 0.3 * random.unit(),
    solarOffsetHours: REGIONS[b]!.longitude / 15,
    shifts: shifts(random, startMs, endMs, 90, 0.3),
    loss: 10 ** ((a === b ? -7 : -6) + 0.7 * random.normal()),
  };
}

/** Jumps of level: new kernels, broken optics, other routes. Each holds until the next. */
function shifts(
  random: Random,
  startMs: number,
  endMs: number,
  everyDays: number,
  sigma: number,
): Limit['shifts'] {
  const found: Limit['shifts'] = [];
  for (let at = startMs + random.exponential(everyDays) * DAY_MS; at < endMs; ) {
    // Every second jump is back to what it was.
    found.push({ atMs: at, factor: found.length % 2 === 1 ? 1 : Math.min(1.6, random.around(0.8, sigma)) });
    at += random.exponential(everyDays / 2) * DAY_MS;
  }
  return found;
}

function outages(random: Random, startMs: number, endMs: number): [number, number][] {
  const found: [number, number][] = [];
  for (let at = startMs + random.exponential(25) * DAY_MS; at < endMs; ) {
    const to = at + random.exponential(1.2) * DAY_MS;
    found.push([at, to]);
    at = to + random.exponential(25) * DAY_MS;
  }
  return found;
}

/** How much of a limit others take: working hours as a plateau with soft edges, less at the weekend, each day its own. */
function busy(limit: Limit, atMs: number, daySeed: number): number {
  const solar = atMs / HOUR_MS + limit.solarOffsetHours;
  const day = Math.floor(solar / 24);
  const hour = solar - day * 24;
  const plateau = 1 / (1 + Math.exp(-(hour - 8) * 1.3)) - 1 / (1 + Math.exp(-(hour - 19) * 0.9));
  const weekend = (day + 4) % 7 >= 5 ? 0.45 : 1;
  const ofTheDay = 0.6 + 0.8 * (((Math.imul(daySeed ^ day, 0x9e3779b1) >>> 8) & 0xffff) / 0xffff);
  return Math.min(0.9, limit.amplitude * plateau * weekend * ofTheDay);
}

function limitAt(limit: Limit, atMs: number, daySeed: number): number {
  let factor = 1;
  for (const shift of limit.shifts) if (shift.atMs <= atMs) factor = shift.factor;
  return limit.mbps * factor * (1 - busy(limit, atMs, daySeed));
}

function distanceKm(a: WorldSite, b: WorldSite): number {
  const rad = Math.PI / 180;
  const sin = (x: number): number => Math.sin(x) ** 2;
  const h =
    sin(((b.latitude - a.latitude) * rad) / 2) +
    Math.cos(a.latitude * rad) * Math.cos(b.latitude * rad) * sin(((b.longitude - a.longitude) * rad) / 2);
  return 12_742 * Math.asin(Math.min(1, Math.sqrt(h)));
}

function pairOf(
  seed: number,
  src: Place,
  dst: Place,
  a: number,
  b: number,
  haul: readonly (Limit & { loss: number })[][],
  startMs: number,
  endMs: number,
): WorldPair {
  // What belongs to the cable is the same in both directions.
  const cable = new Random(seedOf(seed, 2, Math.min(a, b), Math.max(a, b)));
  const random = new Random(seedOf(seed, 3, a, b));
  const detour = 1.15 + 0.35 * cable.exponential(1);
  const oneWayMs = (distanceKm(src, dst) / 200) * detour + src.lastMileMs + dst.lastMileMs;
  const link = haul[src.region]![dst.region]!;
  const loss = src.lossOut + dst.lossIn + link.loss;
  // TCP under loss, after Mathis et al.; modern congestion control on several streams does some ten times better.
  const underLoss = (10 * 1.22 * 0.0713) / ((2 * oneWayMs) / 1000) / Math.sqrt(loss);
  const window = (Math.min(src.windowMbit, dst.windowMbit) / (2 * oneWayMs)) * 1000;
  const own: Limit = {
    mbps: random.unit() < 0.03 ? src.nicMbps * (0.02 + 0.15 * random.unit()) : 60_000,
    amplitude: 0,
    solarOffsetHours: 0,
    shifts: [],
  };
  const route = shifts(random, startMs, endMs, 30, 0.25);
  const personal = random.around(1, 0.12);
  const noise = Math.min(0.5, random.around(0.07, 0.7));
  const collapseShare = Math.min(0.15, random.around(0.025, 0.8));
  const everyHours = random.pick([4, 6, 12, 24], [0.3, 0.45, 0.15, 0.1]);

  const level = (atMs: number): number => {
    const limits = [
      limitAt(src.out, atMs, seedOf(a, 11)),
      limitAt(dst.in, atMs, seedOf(b, 12)),
      limitAt(link, atMs, seedOf(src.region, dst.region, 13)),
      own.mbps,
      window,
      underLoss,
      Math.min(src.nicMbps, dst.nicMbps) * 0.94,
    ];
    // The least decides, those near it bite a little too.
    let sum = 0;
    for (const limit of limits) sum += limit ** -4;
    let factor = personal;
    for (const shift of route) if (shift.atMs <= atMs) factor = personal * shift.factor;
    return sum ** -0.25 * factor;
  };
  const isDown = (atMs: number): boolean =>
    [...src.outages, ...dst.outages].some(([from, to]) => atMs >= from && atMs < to);

  const throughputOf = (variant: number, factor: number, tool: string, ipVersion: 4 | 6): WorldSeries => {
    const r = new Random(seedOf(seed, 4, a, b, variant));
    const atMs: number[] = [];
    const values: number[] = [];
    const stepMs = everyHours * HOUR_MS;
    let memory = 0;
    for (let slot = startMs + r.unit() * stepMs; slot < endMs; slot += stepMs) {
      const at = slot + r.unit() * 0.15 * stepMs;
      memory = 0.6 * memory + 0.8 * noise * 0.6 * r.normal();
      // Student's t with four degrees of freedom, near enough: a normal over a random scale.
      const white = (noise * 0.8 * r.normal()) / Math.sqrt((r.exponential(1) + r.exponential(1)) / 2);
      const collapse = r.unit() < collapseShare ? 0.03 + 0.97 * r.unit() ** 1.3 : 1;
      const failed = r.unit() < 0.03;
      const cap = Math.min(src.nicMbps, dst.nicMbps) * 0.989;
      const value = Math.min(cap, level(at) * factor * Math.exp(memory + white)) * collapse;
      if (failed || isDown(at) || at >= endMs) continue;
      atMs.push(Math.round(at));
      values.push(value);
    }
    return {
      pair: `h${a}${variant >= 2 ? 'b' : ''}>h${b}`,
      tool,
      ipVersion,
      atMs: Float64Array.from(atMs),
      values: Float64Array.from(values),
    };
  };

  const every5Minutes = (
    days: number,
    variant: number,
    value: (r: Random, atMs: number) => number | undefined,
  ): WorldSeries[] => {
    const r = new Random(seedOf(seed, 5, a, b, variant));
    const atMs: number[] = [];
    const values: number[] = [];
    for (let at = Math.max(startMs, endMs - days * DAY_MS); at < endMs; at += 300_000) {
      const read = value(r, at);
      if (read === undefined || isDown(at)) continue;
      atMs.push(at);
      values.push(read);
    }
    return [
      {
        pair: `h${a}>h${b}`,
        tool: 'powstream',
        ipVersion: 4,
        atMs: Float64Array.from(atMs),
        values: Float64Array.from(values),
      },
    ];
  };

  const publicSite = ({ name, latitude, longitude, capacityMbps }: Place): WorldSite => ({
    name,
    latitude,
    longitude,
    ...(capacityMbps !== undefined && { capacityMbps }),
  });
  return {
    src: publicSite(src),
    dst: publicSite(dst),
    throughput() {
      const kinds = new Random(seedOf(seed, 6, a, b));
      const all = [throughputOf(0, 1, 'iperf3', 4)];
      if (kinds.unit() < 0.12) all.push(throughputOf(1, kinds.around(0.93, 0.12), 'iperf3', 6));
      if (kinds.unit() < 0.08) all.push(throughputOf(2, kinds.around(0.85, 0.35), 'iperf3', 4));
      if (kinds.unit() < 0.04) all.push(throughputOf(3, kinds.around(0.9, 0.2), 'nuttcp', 4));
      return all;
    },
    delay(days) {
      let shift = 0;
      let next = startMs;
      let queueing = 0;
      return every5Minutes(days, 7, (r, at) => {
        while (next <= at) {
          shift = r.unit() < 0.5 ? 0 : oneWayMs * 0.08 * Math.abs(r.normal());
          next += r.exponential(9) * DAY_MS;
        }
        queueing = 0.9 * queueing + 0.1 * r.exponential(1);
        const load = busy(src.out, at, seedOf(a, 11)) + busy(dst.in, at, seedOf(b, 12));
        const spike = r.unit() < 0.004 ? r.exponential(1) * 30 : 0;
        if (r.unit() < 0.005) return undefined;
        const read = oneWayMs + dst.clockMs - src.clockMs + shift + queueing * (0.08 + load) + spike;
        return read > 0 ? read : undefined;
      });
    },
    loss(days) {
      let episodeEnd = 0;
      let depth = 0;
      let next = startMs;
      return every5Minutes(days, 8, (r, at) => {
        while (next <= at) {
          episodeEnd = next + r.exponential(1.5) * HOUR_MS;
          depth = 10 ** (-3 + 0.7 * r.normal());
          next += r.exponential(4) * DAY_MS;
        }
        if (r.unit() < 0.005) return undefined;
        const rate = Math.min(1, loss + (at < episodeEnd ? depth : 0));
        // Ten packets a second.
        const expected = 3000 * rate;
        const lost =
          expected > 30 ? Math.max(0, expected + Math.sqrt(expected) * r.normal()) : poisson(r, expected);
        return Math.min(1, Math.round(lost) / 3000);
      });
    },
  };
}

function poisson(random: Random, mean: number): number {
  const floor = Math.exp(-mean);
  let product = random.unit();
  let count = 0;
  while (product > floor) {
    product *= random.unit();
    count++;
  }
  return count;
}

function cumulative(weights: readonly number[]): Float64Array {
  let sum = 0;
  return Float64Array.from(weights, (weight) => (sum += weight));
}

function draw(ladder: Float64Array, random: Random): number {
  const at = random.unit() * ladder.at(-1)!;
  let low = 0;
  let high = ladder.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ladder[middle]! < at) low = middle + 1;
    else high = middle;
  }
  return low;
}
