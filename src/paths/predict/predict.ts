import { type Metric, type MetricEstimate, type PathEstimate, pathName } from '../../domain.ts';
import { LEAST_MEASURED_QUALITY } from '../quality.ts';
import { type Calibrated, calibrated, type Matrix, PREDICTED, type PredictedMetric } from './calibrated.ts';
import { linksOfPairs, type SiteRoute } from './links.ts';
import type { SiteFacts } from './sites.ts';
import type { Ways } from './traced.ts';

export interface PredictOptions {
  /** At most so many paths are predicted, among the sites with most measurements; 0: none. */
  predictPaths: number;
}

/** A site must have been measured so often in the direction that is asked for. */
const FEWEST_PARTNERS = 2;

/**
 * Estimates of all pairs of sites that nobody measured, as far as `predictPaths` allows: see Predictor.
 * @param measured estimates that were measured
 * @param routes see Predictor
 */
export function predict(
  measured: readonly PathEstimate[],
  facts: readonly SiteFacts[],
  { predictPaths }: PredictOptions,
  now: Date,
  routes: readonly SiteRoute[] = [],
): PathEstimate[] {
  if (predictPaths === 0) return [];
  const predictor = new Predictor(measured, facts, now, routes);
  const paths: PathEstimate[] = [];
  for (const [source, destination] of unmeasured(measured, predictPaths)) {
    const path = predictor.path(source, destination);
    if (path) paths.push(path);
  }
  return paths;
}

/**
 * Predicts pairs of sites from the structure of what was measured between others (docs/estimates.md). A prediction is
 * always `measured: false`; of a quality no better than any fresh measured path's; its intervals are from what the same
 * prediction missed on pairs kept aside, and the interval of a usual measured path on top.
 */
export class Predictor {
  private readonly matrix: Matrix;
  private readonly models = new Map<PredictedMetric, Calibrated>();
  private readonly now: Date;

  /**
   * @param measured stale ones are left out
   * @param facts what else is known of sites; others are known by their measurements alone
   * @param routes current ones, of pairs that were measured and of others, in any order
   */
  constructor(
    measured: readonly PathEstimate[],
    facts: readonly SiteFacts[],
    now: Date,
    routes: readonly SiteRoute[] = [],
  ) {
    this.now = now;
    this.matrix = matrixOf(measured.filter((path) => path.measured && path.quality > 0));
    const byName = new Map(facts.map((site) => [site.name, site]));
    const sites = this.matrix.names.map((name) => byName.get(name) ?? { name });
    const ways = waysOf(this.matrix, routes);
    for (const metric of PREDICTED) {
      const model = calibrated(metric, this.matrix, sites, ways);
      if (model) this.models.set(metric, model);
    }
  }

  /** Undefined where too little is known of either site. */
  path(srcSite: string, dstSite: string): PathEstimate | undefined {
    const source = this.matrix.index.get(srcSite);
    const destination = this.matrix.index.get(dstSite);
    if (source === undefined || destination === undefined) return undefined;
    const metrics: Partial<Record<Metric, MetricEstimate>> = {};
    let worth = 0;
    let count = 0;
    for (const [metric, model] of this.models) {
      const support = Math.min(model.partnersOut[source]!, model.partnersIn[destination]!);
      if (support < FEWEST_PARTNERS) continue;
      const ofLinks = model.traced?.value(source, destination);
      const value = ofLinks ?? model.value(source, destination);
      if (value === undefined) continue;
      const { below, above } = ofLinks === undefined ? model.interval : model.traced!.interval;
      metrics[metric] = {
        centre: model.from(value),
        p10: model.from(value + below),
        p90: model.from(value + above),
        sampleCount: 0,
        seriesCount: 0,
        method: ofLinks === undefined ? model.method : `${model.method}, shared links`,
      };
      worth += model.explained * (support / (support + 3));
      count++;
    }
    if (count === 0) return undefined;
    return {
      srcSite,
      dstSite,
      metrics,
      quality: Math.round(100 * LEAST_MEASURED_QUALITY * (worth / count)) / 100,
      sampleCount: 0,
      measured: false,
      estimatedAt: this.now,
    };
  }
}

function matrixOf(paths: readonly PathEstimate[]): Matrix {
  const names = [...new Set(paths.flatMap(({ srcSite, dstSite }) => [srcSite, dstSite]))].sort();
  return { names, index: new Map(names.map((name, i) => [name, i])), paths };
}

function waysOf({ names }: Matrix, routes: readonly SiteRoute[]): Ways {
  const links = linksOfPairs(routes);
  const nameOf = (source: number, destination: number): string =>
    pathName({ srcSite: names[source]!, dstSite: names[destination]! });
  return { nameOf, linksOf: (source, destination) => links.get(nameOf(source, destination)) };
}

/** Pairs that were not measured, among the sites with most measured paths as far as the limit allows. */
function* unmeasured(
  measured: readonly PathEstimate[],
  limit: number,
): Generator<[srcSite: string, dstSite: string]> {
  const known = new Set(measured.map(pathName));
  const paths = new Map<string, number>();
  for (const { srcSite, dstSite } of measured)
    for (const site of [srcSite, dstSite]) paths.set(site, (paths.get(site) ?? 0) + 1);
  const sites = [...paths].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([name]) => name);
  let left = limit;
  for (const [i, site] of sites.entries()) {
    const both = sites.slice(0, i).flatMap((other): [string, string][] => [
      [site, other],
      [other, site],
    ]);
    const pairs = both.filter(([srcSite, dstSite]) => !known.has(pathName({ srcSite, dstSite })));
    // A site with all of its pairs or not at all: who asks for a site is not to find half of it.
    left -= pairs.length;
    if (left < 0) return;
    yield* pairs;
  }
}
