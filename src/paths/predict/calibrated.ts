import type { PathEstimate } from '../../domain.ts';
import { quantile } from '../percentile.ts';
import { SCALES } from '../scale.ts';
import { DelayModel } from './delay.ts';
import { type Cells, type PairFeatures, SiteModel } from './site-model.ts';
import type { SiteFacts } from './sites.ts';
import { ThroughputFeatures } from './throughput.ts';
import { type PairModel, type Ways, withLinks } from './traced.ts';

/** The metrics that are predicted. Retransmits and the like say nothing without the transfer that had them. */
export const PREDICTED = ['throughputMbps', 'lossRate', 'oneWayDelayMs', 'rttMs'] as const;
export type PredictedMetric = (typeof PREDICTED)[number];

/** Fewer measured pairs than this show no structure. */
const FEWEST_CELLS = 30;
/** Every so manieth pair is kept aside to see how far predictions are off. */
const HELD_OUT = 5;
/** So many corrected pairs kept aside tell the interval of corrected ones. */
const ENOUGH_TRACED = 20;
const LEAST_LOSS = 1e-6;

/** What was measured, with a number for each site. */
export interface Matrix {
  names: string[];
  index: Map<string, number>;
  paths: readonly PathEstimate[];
}

/** A model of one metric with what it missed by on pairs it had not seen. */
export interface Calibrated {
  value: PairModel;
  from: (value: number) => number;
  interval: Interval;
  /** For pairs that share links with measured ones; absent where that makes predictions no better. */
  traced?: { value: PairModel; interval: Interval };
  /** Share of the pairs' differences that the model tells, 0..1. */
  explained: number;
  partnersOut: Int32Array;
  partnersIn: Int32Array;
  method: string;
}

/** Offsets of the 10th and 90th percentile, on the scale of the model. */
export interface Interval {
  below: number;
  above: number;
}

interface Kind {
  to: (value: number) => number;
  from: (value: number) => number;
  method: string;
  fit: (cells: Cells) => PairModel;
  /** Whether what it misses on the pairs it is made of tells something: delays are taken as they were measured. */
  isSmooth: boolean;
}

export function calibrated(
  metric: PredictedMetric,
  matrix: Matrix,
  sites: readonly SiteFacts[],
  ways: Ways,
): Calibrated | undefined {
  const kind = kindOf(metric, matrix, sites);
  const all = cellsOf(metric, matrix, kind.to);
  if (all.values.length < FEWEST_CELLS) return undefined;
  const learnt = subset(all, (i) => i % HELD_OUT !== 0);
  const kept = subset(all, (i) => i % HELD_OUT === 0);
  const seen = kind.fit(learnt);
  const residuals: number[] = [];
  const held: number[] = [];
  for (let i = 0; i < kept.values.length; i++) {
    const predicted = seen(kept.sources[i]!, kept.destinations[i]!);
    if (predicted === undefined) continue;
    held.push(kept.values[i]!);
    residuals.push(kept.values[i]! - predicted);
  }
  if (residuals.length < FEWEST_CELLS / HELD_OUT) return undefined;
  const value = kind.fit(all);
  const own = usualInterval(metric, matrix, kind.to);
  const interval = intervalOf(residuals, own);
  const byLinks = kind.isSmooth ? traced(kind, { all, learnt, kept }, { value, seen }, ways) : undefined;
  return {
    value,
    from: kind.from,
    interval,
    ...(byLinks && {
      traced: {
        value: byLinks.value,
        interval: atLeast(intervalOf(byLinks.missed, own), interval, byLinks.missed.length),
      },
    }),
    explained: Math.max(0, 1 - spread(residuals) / Math.max(spread(held), 1e-9)),
    partnersOut: partners(all.sources, sites.length),
    partnersIn: partners(all.destinations, sites.length),
    method: kind.method,
  };
}

/** See withLinks; undefined where pairs kept aside are told no better by it, or where they are too few to tell. */
function traced(
  kind: Kind,
  { all, learnt, kept }: { all: Cells; learnt: Cells; kept: Cells },
  models: { value: PairModel; seen: PairModel },
  ways: Ways,
): { value: PairModel; missed: number[] } | undefined {
  const tried = withLinks(learnt, kind.fit, models.seen, ways);
  const missed: number[] = [];
  let before = 0;
  let after = 0;
  for (let i = 0; i < kept.values.length; i++) {
    const [source, destination, actual] = [kept.sources[i]!, kept.destinations[i]!, kept.values[i]!];
    const predicted = tried(source, destination);
    if (predicted === undefined) continue;
    missed.push(actual - predicted);
    before += Math.abs(actual - models.seen(source, destination)!);
    after += Math.abs(actual - predicted);
  }
  if (missed.length < FEWEST_CELLS / HELD_OUT || after >= before) return undefined;
  return { value: withLinks(all, kind.fit, models.value, ways), missed };
}

function intervalOf(residuals: readonly number[], [ownBelow, ownAbove]: readonly [number, number]): Interval {
  const sorted = Float64Array.from(residuals).sort();
  return {
    below: -Math.hypot(Math.min(0, quantile(sorted, 0.1)), ownBelow),
    above: Math.hypot(Math.max(0, quantile(sorted, 0.9)), ownAbove),
  };
}

/** Few pairs kept aside do not make an interval narrower than that of all. */
function atLeast(narrow: Interval, usual: Interval, count: number): Interval {
  if (count >= ENOUGH_TRACED) return narrow;
  return { below: Math.min(narrow.below, usual.below), above: Math.max(narrow.above, usual.above) };
}

function kindOf(metric: PredictedMetric, matrix: Matrix, sites: readonly SiteFacts[]): Kind {
  if (metric === 'throughputMbps') {
    const delayMs = delaysOf(matrix, sites);
    const capacities = sites.map(({ capacityMbps }) => capacityMbps);
    return {
      to: Math.log,
      from: Math.exp,
      method: 'predicted: sites, capacities, delay, a hidden factor',
      isSmooth: true,
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
      isSmooth: true,
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
    isSmooth: false,
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
