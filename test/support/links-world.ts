import type { Hop, PathEstimate } from '../../src/domain.ts';
import type { SiteRoute } from '../../src/paths/predict/links.ts';
import type { SiteFacts } from '../../src/paths/predict/sites.ts';
import { normalNumbers, uniformNumbers } from '../../testbed/random.ts';

/**
 * Sites at the routers of a backbone, each packet on the shortest way through it; throughput is the least of what the
 * two sites and the links along the way give, times what is the pair's own. A few links are bottlenecks. It knows
 * nothing of the predictor. The same seed gives the same world.
 */
export function linksWorld(
  { seed, sites, routers, bottleneckShare, measuredShare }: LinksWorldOptions,
  now: Date,
): { measured: PathEstimate[]; facts: SiteFacts[]; routes: SiteRoute[] } {
  const unit = uniformNumbers(seed);
  const normal = normalNumbers(unit);
  const links = backbone(routers, unit);
  const capacities = new Map(
    links.map(([a, b]) => [`${a}>${b}`, unit() < bottleneckShare ? 200 + 1500 * unit() : 40_000]),
  );
  const homes = Array.from({ length: sites }, (_, i) => ({
    name: `S${String(i).padStart(3, '0')}`,
    router: Math.floor(unit() * routers),
    nic: unit() < 0.3 ? 25_000 : 10_000,
    out: Math.exp(0.3 * normal()),
    in: Math.exp(0.3 * normal()),
  }));
  const silent = new Set(Array.from({ length: routers }, (_, i) => i).filter(() => unit() < 0.1));
  const measured: PathEstimate[] = [];
  const routes: SiteRoute[] = [];
  for (const src of homes)
    for (const dst of homes) {
      if (src === dst || unit() > measuredShare) continue;
      const way = shortest(links, routers, src.router, dst.router);
      const least = Math.min(
        0.9 * src.nic * src.out,
        0.9 * dst.nic * dst.in,
        ...way.slice(1).map((router, i) => capacities.get(`${way[i]}>${router}`)!),
      );
      const centre = least * Math.exp(0.12 * normal());
      const throughputMbps = {
        centre,
        p10: 0.8 * centre,
        p90: 1.1 * centre,
        sampleCount: 60,
        seriesCount: 1,
      };
      measured.push({
        srcSite: src.name,
        dstSite: dst.name,
        metrics: { throughputMbps },
        quality: 0.8,
        sampleCount: 60,
        lastMeasured: now,
        measured: true,
        estimatedAt: now,
      });
      if (unit() < 0.15) continue;
      const hops: Hop[] = way.map((router) =>
        silent.has(router) ? {} : { address: `10.0.0.${router}`, asn: 100 + (router % 5) },
      );
      routes.push({ srcSite: src.name, dstSite: dst.name, hops: [...hops, { address: dst.name }] });
    }
  const facts = homes.map(({ name, nic }) => ({ name, capacityMbps: nic }));
  return { measured, facts, routes };
}

export interface LinksWorldOptions {
  seed: number;
  sites: number;
  routers: number;
  /** Of the directed links between routers. */
  bottleneckShare: number;
  /** Of the directed pairs of sites. */
  measuredShare: number;
}

/** A tree and half as many links more, each in both directions. */
function backbone(routers: number, unit: () => number): [number, number][] {
  const links = new Map<string, [number, number]>();
  const join = (a: number, b: number): void => {
    if (a === b) return;
    links.set(`${a}>${b}`, [a, b]).set(`${b}>${a}`, [b, a]);
  };
  for (let i = 1; i < routers; i++) join(i, Math.floor(unit() * i));
  for (let i = 0; i < routers / 2; i++) join(Math.floor(unit() * routers), Math.floor(unit() * routers));
  return [...links.values()];
}

function shortest(
  links: readonly (readonly [number, number])[],
  routers: number,
  from: number,
  to: number,
): number[] {
  const before = new Array<number | undefined>(routers).fill(undefined);
  const queue = [from];
  for (const at of queue)
    for (const [a, b] of links) {
      if (a !== at || b === from || before[b] !== undefined) continue;
      before[b] = at;
      queue.push(b);
    }
  const way = [to];
  for (let at = to; at !== from; ) {
    at = before[at]!;
    way.unshift(at);
  }
  return way;
}
