import { type PathEstimate, pathName } from '../../domain.ts';
import { quantile } from '../percentile.ts';
import type { SiteRoute } from '../predict/links.ts';
import { Predictor } from '../predict/predict.ts';
import type { SiteFacts } from '../predict/sites.ts';

/** Every so manieth pair is hidden. */
const HIDDEN = 5;
/** A path is bad below this share of what is usual for its class. */
const BAD_SHARE = 0.25;

export interface HiddenFigures {
  metric: 'throughputMbps';
  visible: number;
  hidden: number;
  /** Hidden pairs of which nothing could be predicted: they are in no figure below. */
  unknown: number;
  bad: number;
  /** How often a bad pair is told to be worse, for its class, than one that is not; a half is guessing. */
  auc: number;
  medianPercent: number;
  p75Percent: number;
  /** Share of the hidden pairs' estimates in the predicted 80 % interval. */
  within: number;
}

/**
 * Hides every fifth pair by its name, predicts it from the others, and compares throughput with the pair's own
 * estimate. A pair's class is the lesser registered interface of its two sites (pairs of whose sites none is registered
 * are a class too); usual for it is the median of its visible pairs.
 * @param turn which fifth, 0 to 4
 * @param routes of hidden pairs, too: a trace tells the way without any measurement of it
 */
export function hiddenPairs(
  measured: readonly PathEstimate[],
  facts: readonly SiteFacts[],
  now: Date,
  turn = 0,
  routes: readonly SiteRoute[] = [],
): HiddenFigures | undefined {
  const paths = measured.filter(({ metrics }) => metrics.throughputMbps);
  const isHidden = (path: PathEstimate): boolean => hash(pathName(path)) % HIDDEN === turn;
  const visible = paths.filter((path) => !isHidden(path));
  const hidden = paths.filter(isHidden);
  const capacities = new Map(facts.map(({ name, capacityMbps }) => [name, capacityMbps ?? Infinity]));
  const classOf = ({ srcSite, dstSite }: PathEstimate): number =>
    Math.min(capacities.get(srcSite) ?? Infinity, capacities.get(dstSite) ?? Infinity);
  const usual = new Map(
    [...Map.groupBy(visible, classOf)].map(([key, ofClass]) => [
      key,
      quantile(Float64Array.from(ofClass, actualOf).sort(), 0.5),
    ]),
  );
  // Another metric of a hidden pair would tell of it: it is hidden altogether.
  const names = new Set(hidden.map(pathName));
  const predictor = new Predictor(
    measured.filter((path) => !names.has(pathName(path))),
    facts,
    now,
    routes,
  );
  const errors: number[] = [];
  const good: number[] = [];
  const bad: number[] = [];
  let within = 0;
  for (const path of hidden) {
    const predicted = predictor.path(path.srcSite, path.dstSite)?.metrics.throughputMbps;
    const expected = usual.get(classOf(path));
    if (!predicted || expected === undefined) continue;
    const actual = actualOf(path);
    errors.push(Math.abs(predicted.centre - actual) / actual);
    if (actual >= predicted.p10 && actual <= predicted.p90) within++;
    (actual < BAD_SHARE * expected ? bad : good).push(predicted.centre / expected);
  }
  if (errors.length === 0) return undefined;
  const sorted = Float64Array.from(errors).sort();
  return {
    metric: 'throughputMbps',
    visible: visible.length,
    hidden: hidden.length,
    unknown: hidden.length - errors.length,
    bad: bad.length,
    auc: Math.round(1000 * aucOf(bad, good)) / 1000,
    medianPercent: Math.round(1000 * quantile(sorted, 0.5)) / 10,
    p75Percent: Math.round(1000 * quantile(sorted, 0.75)) / 10,
    within: Math.round((1000 * within) / errors.length) / 1000,
  };
}

const actualOf = (path: PathEstimate): number => path.metrics.throughputMbps!.centre;

/** The share of (bad, good) couples in which the bad one has the lower score; equal ones are half. NaN without either. */
export function aucOf(bad: readonly number[], good: readonly number[]): number {
  const sorted = Float64Array.from(good).sort();
  let sum = 0;
  for (const score of bad) {
    const notAbove = firstAbove(sorted, score, true);
    const below = firstAbove(sorted, score, false);
    sum += sorted.length - notAbove + (notAbove - below) / 2;
  }
  return sum / (bad.length * good.length);
}

/** How many are below the value; with `orEqual`, below or equal. */
function firstAbove(sorted: Float64Array, value: number, orEqual: boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value || (orEqual && sorted[middle] === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** FNV-1a, mixed once more so that the last character moves all bits. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}
