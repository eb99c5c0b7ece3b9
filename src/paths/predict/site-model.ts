import { Ridge } from './ridge.ts';

/** What was measured of pairs of sites: value i is of the pair sources[i] → destinations[i], which are site numbers. */
export interface Cells {
  sources: Int32Array;
  destinations: Int32Array;
  values: Float64Array;
}

/** What is known of any pair without measuring it: fills `row`, whose first figure is 1, and `slope`. */
export interface PairFeatures {
  /** Number of figures in a row. */
  count: number;
  fill: (row: Float64Array, source: number, destination: number) => void;
  /** Sites differ in how much this changes their values: the logarithm of the delay. Near 0 on average. */
  slope: (source: number, destination: number) => number;
}

export interface SiteModelOptions {
  rank: number;
  rounds: number;
  /** Residuals beyond this weigh less: a pair may have a fault of its own. */
  huber: number;
}

const FEATURE_PENALTY = 1;
const EFFECT_PENALTY = 0.7;
const SLOPE_PENALTY = 6;
const FACTOR_PENALTY = 1;

/**
 * A value for each pair of sites as the sum of what is common to all pairs (a regression on features), what the source
 * is worth and what the destination is worth, by how much each suffers of delay, and a product of few hidden factors
 * of each, for what sites of a kind share (a common uplink, a congested link between two regions):
 *
 *   value = β·features + (a + c·slope) of the source + (b + e·slope) of the destination + u·v
 *
 * Fitted by alternating ridge regressions with Huber's weights, so that sites of few pairs stay near the average and
 * single odd pairs do not count for much. Deterministic.
 */
export class SiteModel {
  private readonly features: PairFeatures;
  private readonly rank: number;
  private readonly width: number;
  private readonly beta: Float64Array;
  /** For each site: [effect, slope, factors…]. */
  private readonly out: Float64Array;
  private readonly in: Float64Array;
  private readonly row: Float64Array;

  constructor(cells: Cells, sites: number, features: PairFeatures, options: SiteModelOptions) {
    this.features = features;
    this.rank = options.rank;
    this.width = 2 + options.rank;
    this.beta = new Float64Array(features.count);
    this.row = new Float64Array(features.count);
    this.out = this.start(sites, 1);
    this.in = this.start(sites, 2);
    this.fit(cells, sites, options);
  }

  /** What the pair is predicted to be. */
  value(source: number, destination: number): number {
    const { features, row, beta } = this;
    features.fill(row, source, destination);
    let value = 0;
    for (let k = 0; k < row.length; k++) value += beta[k]! * row[k]!;
    return value + this.ofSites(source, destination, features.slope(source, destination));
  }

  private ofSites(source: number, destination: number, slope: number): number {
    const { out, width } = this;
    const o = source * width;
    const d = destination * width;
    let value = out[o]! + this.in[d]! + slope * (out[o + 1]! + this.in[d + 1]!);
    for (let k = 2; k < width; k++) value += out[o + k]! * this.in[d + k]!;
    return value;
  }

  /** Factors begin small and unlike each other: at 0 they would stay there. */
  private start(sites: number, salt: number): Float64Array {
    const values = new Float64Array(sites * this.width);
    for (let i = 0; i < sites; i++) {
      for (let k = 2; k < this.width; k++)
        values[i * this.width + k] = 0.3 * Math.sin(12.9898 * (i + 1) * (k + salt) + 78.233 * salt);
    }
    return values;
  }

  private fit(cells: Cells, sites: number, { rounds, huber }: SiteModelOptions): void {
    const count = cells.values.length;
    const { features } = this;
    const rows = new Float64Array(count * features.count);
    const slopes = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const [source, destination] = [cells.sources[i]!, cells.destinations[i]!];
      features.fill(rows.subarray(i * features.count, (i + 1) * features.count), source, destination);
      slopes[i] = features.slope(source, destination);
    }
    const bySource = grouped(cells.sources, sites);
    const byDestination = grouped(cells.destinations, sites);
    const common = new Float64Array(count);
    const weights = new Float64Array(count).fill(1);
    const global = new Ridge(new Array<number>(features.count).fill(FEATURE_PENALTY));
    const local = new Ridge([
      EFFECT_PENALTY,
      SLOPE_PENALTY,
      ...new Array<number>(this.rank).fill(FACTOR_PENALTY),
    ]);
    for (let round = 0; round < rounds; round++) {
      global.clear();
      for (let i = 0; i < count; i++) {
        const rest = cells.values[i]! - this.ofSites(cells.sources[i]!, cells.destinations[i]!, slopes[i]!);
        global.add(rows.subarray(i * features.count, (i + 1) * features.count), rest, weights[i]!);
      }
      this.beta.set(global.solve());
      for (let i = 0; i < count; i++) {
        let sum = 0;
        for (let k = 0; k < features.count; k++) sum += this.beta[k]! * rows[i * features.count + k]!;
        common[i] = sum;
      }
      this.fitSide(cells, bySource, cells.destinations, this.out, this.in, slopes, common, weights, local);
      this.fitSide(cells, byDestination, cells.sources, this.in, this.out, slopes, common, weights, local);
      for (let i = 0; i < count; i++) {
        const fitted = common[i]! + this.ofSites(cells.sources[i]!, cells.destinations[i]!, slopes[i]!);
        weights[i] = Math.min(1, huber / Math.abs(cells.values[i]! - fitted));
      }
    }
  }

  private fitSide(
    cells: Cells,
    groups: readonly Int32Array[],
    others: Int32Array,
    mine: Float64Array,
    theirs: Float64Array,
    slopes: Float64Array,
    common: Float64Array,
    weights: Float64Array,
    ridge: Ridge,
  ): void {
    const { width } = this;
    const row = new Float64Array(width);
    for (const [site, group] of groups.entries()) {
      if (group.length === 0) {
        // Of a site that was never measured in this direction nothing is known but the average.
        mine.fill(0, site * width, (site + 1) * width);
        continue;
      }
      ridge.clear();
      for (const i of group) {
        const other = others[i]! * width;
        row[0] = 1;
        row[1] = slopes[i]!;
        for (let k = 2; k < width; k++) row[k] = theirs[other + k]!;
        const rest = cells.values[i]! - common[i]! - theirs[other]! - slopes[i]! * theirs[other + 1]!;
        ridge.add(row, rest, weights[i]!);
      }
      mine.set(ridge.solve(), site * width);
    }
  }
}

/** The indices of each key's items. */
function grouped(keys: Int32Array, count: number): Int32Array[] {
  const lists: number[][] = Array.from({ length: count }, () => []);
  for (let i = 0; i < keys.length; i++) lists[keys[i]!]!.push(i);
  return lists.map((list) => Int32Array.from(list));
}
