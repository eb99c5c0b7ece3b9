import { quantile } from '../percentile.ts';
import type { Cells, PairFeatures } from './site-model.ts';

/** Logarithms of one-way ms from which on another millisecond may count differently. */
const KNOTS = [2, 3, 4, 4.7];
/** A site's better partners: its upper quartile. */
const BETTER = 0.75;
const USUAL_CAPACITY_MBPS = 10_000;

/**
 * What may tell the logarithm of a pair's throughput: the lesser of what the source sends to its better partners and
 * what the destination gets of its better ones (capacity is the least along the way), the lesser of their interfaces,
 * and the delay, whose weight changes with its length (a window is emptied once a round trip).
 */
export class ThroughputFeatures implements PairFeatures {
  readonly count = 5 + KNOTS.length;
  private readonly capacities: readonly (number | undefined)[];
  private readonly delayMs: (source: number, destination: number) => number | undefined;
  private readonly out: Float64Array;
  private readonly in: Float64Array;
  private readonly mean: number;

  /** @param delayMs one way, measured or predicted, of any pair */
  constructor(
    cells: Cells,
    capacitiesMbps: readonly (number | undefined)[],
    delayMs: (source: number, destination: number) => number | undefined,
  ) {
    this.capacities = capacitiesMbps;
    this.delayMs = delayMs;
    let sum = 0;
    for (const value of cells.values) sum += value;
    this.mean = sum / Math.max(1, cells.values.length);
    this.out = better(cells.sources, cells.values, capacitiesMbps.length, this.mean);
    this.in = better(cells.destinations, cells.values, capacitiesMbps.length, this.mean);
  }

  fill(row: Float64Array, source: number, destination: number): void {
    const { capacities } = this;
    const least = Math.min(capacities[source] ?? Infinity, capacities[destination] ?? Infinity);
    const [out, into] = [this.out[source]!, this.in[destination]!];
    const delay = this.slope(source, destination);
    row[0] = 1;
    row[1] = Math.min(out, into) - this.mean;
    row[2] = Math.abs(out - into);
    row[3] = least === Infinity ? 0 : Math.log(least / USUAL_CAPACITY_MBPS);
    row[4] = delay;
    for (let k = 0; k < KNOTS.length; k++) row[5 + k] = Math.max(0, delay + USUAL_LOG_DELAY - KNOTS[k]!);
  }

  slope(source: number, destination: number): number {
    const ms = this.delayMs(source, destination);
    return ms === undefined ? 0 : Math.log(1 + ms) - USUAL_LOG_DELAY;
  }
}

/** Of some 20 ms. */
const USUAL_LOG_DELAY = 3;

/** The upper quartile of each site's values, drawn towards the mean of all as if by one value more. */
function better(keys: Int32Array, values: Float64Array, count: number, mean: number): Float64Array {
  const lists: number[][] = Array.from({ length: count }, () => []);
  for (let i = 0; i < keys.length; i++) lists[keys[i]!]!.push(values[i]!);
  return Float64Array.from(lists, (list) =>
    list.length === 0
      ? mean
      : (quantile(Float64Array.from(list).sort(), BETTER) * list.length + mean) / (list.length + 1),
  );
}
