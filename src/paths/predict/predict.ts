import { type Metric, type MetricEstimate, type PathEstimate, pathName } from '../../domain.ts';
import { quantile } from '../percentile.ts';
import { LEAST_MEASURED_QUALITY } from '../quality.ts';
import { SCALES } from '../scale.ts';
import { DelayModel } from './delay.ts';
import { type Cells, type PairFeatures, SiteModel } from './site-model.ts';
import type { SiteFacts } from './sites.ts';
import { ThroughputFeatures } from './throughput.ts';

export interface PredictOptions {
  /** At most so many paths are predicted, among the sites with most measurements; 0: none. */
  predictPaths: number;
}

/** The metrics that are predicted. Retransmits and the like say nothing without the transfer that had them. */
const PREDICTED = ['throughputMbps', 'lossRate', 'oneWayDelayMs', 'rttMs'] as const;
type PredictedMetric = (typeof PREDICTED)[number];

/** Fewer measured pairs than this show no structure. */
const FEWEST_CELLS = 30;
/** A site must have been measured so often in the direction that is asked for. */
const FEWEST_PARTNERS = 2;
/** Every so manieth pair is kept aside to see how far predictions are off. */
const HELD_OUT = 5;
const LEAST_LOSS = 1e-6;

/**
 * Estimates of all pairs of sites that nobody measured, as far as `predictPaths` allows: see Predictor.
 * @param measured estimates that were measured
 */
export function predict(
  measured: readonly PathEstimate[],
  facts: readonly SiteFacts[],
  { predictPaths }: PredictOptions,
  now: Date,
): PathEstimate[] {
  if (predictPaths === 0) return [];
  const predictor = new Predictor(measured, facts, now);
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
   */
  constructor(measured: readonly PathEstimate[], facts: readonly SiteFacts[], now: Date) {
    this.now = now;
    this.matrix = matrixOf(measured.filter((path) => path.measured && path.quality > 0));
    const byName = new Map(facts.map((site) => [site.name, site]));
    const sites = this.matrix.names.map((name) => byName.get(name) ?? { name });
    for (const metric of PREDICTED) {
      const model = calibrated(metric, this.matrix, sites);
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
      const value = model.value(source, destination);
      if (value === undefined) continue;
      metrics[metric] = {
        centre: model.from(value),
        p10: model.from(value + model.below),
        p90: model.from(value + model.above),
        sampleCount: 0,
        seriesCount: 0,
        method: model.method,
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

interface Matrix {
  names: string[];
  index: Map<string, number>;
  paths: readonly PathEstimate[];
}

function matrixOf(paths: readonly PathEstimate[]): Matrix {
  const names = [...new Set(paths.flatMap(({ srcSite, dstSite }) => [srcSite, dstSite]))].sort();
  return { names, index: new Map(names.map((name, i) => [name, i])), paths };
}

/** A model of one metric with what it missed by on pairs it had not seen. */
interface Calibrated {
  /** On the scale of the model; undefined where nothing tells. */
  value: (source: number, destination: number) => number | undefined;
  from: (value: number) => number;
  below: number;
  above: number;
  /** Share of the pairs' differences that the model tells, 0..1. */
  explained: number;
  partnersOut: Int32Array;
  partnersIn: Int32Array;
  method: string;
}

interface Kind {
  to: (value: number) => number;
  from: (value: number) => number;
  method: string;
  fit: (cells: Cells) => (source: number, destination: number) => number | undefined;
}

function calibrated(
  metric: PredictedMetric,
  matrix: Matrix,
  sites: readonly SiteFacts[],
): Calibrated | undefined {
  const kind = kindOf(metric, matrix, sites);
  const all = cellsOf(metric, matrix, kind.to);
  if (all.values.length < FEWEST_CELLS) return undefined;
  const seen = kind.fit(subset(all, (i) => i % HELD_OUT !== 0));
  const residuals: number[] = [];
  const held: number[] = [];
  for (let i = 0; i < all.values.length; i += HELD_OUT) {
    const predicted = seen(all.sources[i]!, all.destinations[i]!);
    if (predicted === undefined) continue;
    held.push(all.values[i]!);
    residuals.push(all.values[i]! - predicted);
  }
  if (residuals.length < FEWEST_CELLS / HELD_OUT) return undefined;
  const sorted = Float64Array.from(residuals).sort();
  const [ownBelow, ownAbove] = usualInterval(metric, matrix, kind.to);
  return {
    value: kind.fit(all),
    from: kind.from,
    below: -Math.hypot(Math.min(0, quantile(sorted, 0.1)), ownBelow),
    above: Math.hypot(Math.max(0, quantile(sorted, 0.9)), ownAbove),
    explained: Math.max(0, 1 - spread(residuals) / Math.max(spread(held), 1e-9)),
    partnersOut: partners(all.sources, sites.length),
    partnersIn: partners(all.destinations, sites.length),
    method: kind.method,
  };
}

function kindOf(metric: PredictedMetric, matrix: Matrix, sites: readonly SiteFacts[]): Kind {
  if (metric === 'throughputMbps') {
    const delayMs = delaysOf(matrix, sites);
    const capacities = sites.map(({ capacityMbps }) => capacityMbps);
    return {
      to: Math.log,
      from: Math.exp,
      method: 'predicted: sites, capacities, delay, a hidden factor',
      fit: (cells) => {
        const features = new ThroughputFeatures(cells, capacities, delayMs);
        const model = new SiteModel(cells, sites.length, features, { rank: 1, rounds: 10, huber: 0.5 });
        return (source, destination) => model.value(source, destination);
      },
    };
  }
  if (metric === 'lossRate') {
    return {
      to: (loss) => Math.log(loss + LEAST_LOSS),
      from: (value) => Math.max(0, SCALES.lossRate.from(Math.exp(value) - LEAST_LOSS)),
      method: 'predicted: sites',
      fit: (cells) => {
        const model = new SiteModel(cells, sites.length, ALIKE, { rank: 0, rounds: 6, huber: 2 });
        return (source, destination) => model.value(source, destination);
      },
    };
  }
  return {
    to: Math.log,
    from: Math.exp,
    method: 'predicted: reverse path, distance, triangles',
    fit: (cells) => {
      const model = new DelayModel({ ...cells, values: cells.values.map((log) => Math.exp(log)) }, sites);
      return (source, destination) => {
        const ms = model.value(source, destination);
        return ms === undefined ? undefined : Math.log(ms);
      };
    },
  };
}

const ALIKE: PairFeatures = {
  count: 1,
  fill: (row) => {
    row[0] = 1;
  },
  slope: () => 0,
};

/** One-way delay of any pair, as far as anything tells it: half the round trip, else the one-way delay. */
function delaysOf(
  matrix: Matrix,
  sites: readonly SiteFacts[],
): (source: number, destination: number) => number | undefined {
  const halves = cellsOf('rttMs', matrix, (ms) => ms / 2);
  const oneWay = cellsOf('oneWayDelayMs', matrix, (ms) => ms);
  const join = <T extends Int32Array | Float64Array>(into: T, first: T, second: T): T => {
    into.set(first);
    into.set(second, first.length);
    return into;
  };
  const count = halves.values.length + oneWay.values.length;
  const model = new DelayModel(
    {
      sources: join(new Int32Array(count), halves.sources, oneWay.sources),
      destinations: join(new Int32Array(count), halves.destinations, oneWay.destinations),
      values: join(new Float64Array(count), halves.values, oneWay.values),
    },
    sites,
  );
  return (source, destination) => model.value(source, destination);
}

function cellsOf(metric: PredictedMetric, { paths, index }: Matrix, to: (value: number) => number): Cells {
  const measured = paths.filter(({ metrics }) => {
    const figures = metrics[metric];
    return figures && (figures.centre > 0 || metric === 'lossRate');
  });
  return {
    sources: Int32Array.from(measured, ({ srcSite }) => index.get(srcSite)!),
    destinations: Int32Array.from(measured, ({ dstSite }) => index.get(dstSite)!),
    values: Float64Array.from(measured, ({ metrics }) => to(metrics[metric]!.centre)),
  };
}

function subset({ sources, destinations, values }: Cells, chosen: (i: number) => boolean): Cells {
  return {
    sources: sources.filter((_, i) => chosen(i)),
    destinations: destinations.filter((_, i) => chosen(i)),
    values: values.filter((_, i) => chosen(i)),
  };
}

/** By how much a next value is usually below and above its forecast where it is measured. */
function usualInterval(
  metric: PredictedMetric,
  { paths }: Matrix,
  to: (value: number) => number,
): [below: number, above: number] {
  const offsets = (figure: 'p10' | 'p90'): Float64Array =>
    Float64Array.from(
      paths.flatMap(({ metrics }) => {
        const figures = metrics[metric];
        const isKnown = figures && (figures.p10 > 0 || metric === 'lossRate');
        return isKnown ? [Math.abs(to(figures[figure]) - to(figures.centre))] : [];
      }),
    ).sort();
  const [below, above] = [offsets('p10'), offsets('p90')];
  return below.length === 0 ? [0, 0] : [quantile(below, 0.5), quantile(above, 0.5)];
}

/** The middle distance from the median: what a single wild value does not move. */
function spread(values: readonly number[]): number {
  const median = quantile(Float64Array.from(values).sort(), 0.5);
  return quantile(Float64Array.from(values, (value) => Math.abs(value - median)).sort(), 0.5);
}

function partners(keys: Int32Array, count: number): Int32Array {
  const counts = new Int32Array(count);
  for (const key of keys) counts[key]!++;
  return counts;
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
