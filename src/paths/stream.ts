import type { Metric } from '../domain.ts';
import type { SeriesSamples } from './estimate.ts';
import { SCALES, type Scale } from './scale.ts';

/** All series of one metric of one path as one stream, ascending in time, on the metric's scale. */
export interface Stream {
  length: number;
  atMs: Float64Array;
  values: Float64Array;
  /** Which group each value is of: a host pair by one tool over one IP version. */
  groups: Uint16Array;
  /** What each group counts: every host pair the same, shared among its tools and IP versions. Together 1. */
  groupWeights: Float64Array;
}

/** Newest values that a forecast looks at: the oldest of very many would decide nothing. */
const MOST_VALUES = 400;
/** Two archives that hold the same run: same host pair and value, and times as near as this. */
const SAME_RUN_MS = 2000;

/**
 * Puts series together, into buffers that the next call uses again: for tens of thousands of paths, that saves most of
 * the memory and a third of the time.
 */
export class StreamMaker {
  private atMs = new Float64Array(1024);
  private values = new Float64Array(1024);
  private groups = new Uint16Array(1024);
  private spare = { atMs: new Float64Array(0), values: new Float64Array(0), groups: new Uint16Array(0) };

  /** @param series of this metric, each with at least one sample */
  make(metric: Metric, series: readonly SeriesSamples[]): Stream {
    const scale = SCALES[metric];
    const { of, pairs, weights } = groupsOf(series);
    let length: number;
    if (series.length === 1) {
      length = this.append(series[0]!, 0, scale, 0);
    } else {
      const ends: number[] = [];
      for (let i = 0; i < series.length; i++)
        ends.push(this.append(series[i]!, of[i]!, scale, ends.at(-1) ?? 0));
      length = this.mergeWithoutDoubles(ends, pairs);
    }
    const from = Math.max(0, length - MOST_VALUES);
    return {
      length: length - from,
      atMs: this.atMs.subarray(from, length),
      values: this.values.subarray(from, length),
      groups: this.groups.subarray(from, length),
      groupWeights: weights,
    };
  }

  private append(series: SeriesSamples, group: number, scale: Scale, start: number): number {
    const { atMs, values } = series;
    let end = start;
    if (scale.binMs === 0) {
      const from = Math.max(0, values.length - MOST_VALUES);
      this.grow(end + values.length - from);
      for (let i = from; i < values.length; i++) {
        this.atMs[end] = atMs[i]!;
        this.values[end] = scale.to(values[i]!);
        end++;
      }
    } else {
      for (let i = 0; i < values.length; ) {
        const bin = Math.floor(atMs[i]! / scale.binMs);
        const binEnd = (bin + 1) * scale.binMs;
        let next = i + 1;
        while (next < values.length && atMs[next]! < binEnd) next++;
        this.grow(end + 1);
        this.atMs[end] = atMs[next - 1]!;
        this.values[end] = scale.to(
          scale.aim === 'mean' ? meanOf(values, i, next) : middleOf(values, i, next),
        );
        end++;
        i = next;
      }
    }
    this.groups.fill(group, start, end);
    return end;
  }

  /** Merges the series, each ascending and ending where `ends` says, into the buffers. */
  private mergeWithoutDoubles(ends: readonly number[], pairOf: readonly string[]): number {
    const { atMs, values, groups } = this;
    const heads = [0, ...ends.slice(0, -1)];
    const total = ends.at(-1)!;
    this.atMs = this.spare.atMs.length < total ? new Float64Array(atMs.length) : this.spare.atMs;
    this.values = this.spare.values.length < total ? new Float64Array(atMs.length) : this.spare.values;
    this.groups = this.spare.groups.length < total ? new Uint16Array(atMs.length) : this.spare.groups;
    this.spare = { atMs, values, groups };
    let length = 0;
    for (let taken = 0; taken < total; taken++) {
      let first = -1;
      for (let run = 0; run < heads.length; run++) {
        if (heads[run]! === ends[run]!) continue;
        if (first < 0 || atMs[heads[run]!]! < atMs[heads[first]!]!) first = run;
      }
      const from = heads[first]!++;
      const [at, value, group] = [atMs[from]!, values[from]!, groups[from]!];
      if (this.holdsRun(length, at, value, pairOf[group]!, pairOf)) continue;
      this.atMs[length] = at;
      this.values[length] = value;
      this.groups[length] = group;
      length++;
    }
    return length;
  }

  private holdsRun(
    length: number,
    at: number,
    value: number,
    pair: string,
    pairOf: readonly string[],
  ): boolean {
    for (let k = length - 1; k >= 0 && at - this.atMs[k]! <= SAME_RUN_MS; k--) {
      if (this.values[k] === value && pairOf[this.groups[k]!] === pair) return true;
    }
    return false;
  }

  private grow(needed: number): void {
    if (needed <= this.atMs.length) return;
    const size = 2 * needed;
    const [atMs, values, groups] = [new Float64Array(size), new Float64Array(size), new Uint16Array(size)];
    atMs.set(this.atMs);
    values.set(this.values);
    groups.set(this.groups);
    this.atMs = atMs;
    this.values = values;
    this.groups = groups;
  }
}

const ONE_GROUP = Float64Array.of(1);

/** The group of each series, the host pair of each group, and what each group counts. */
function groupsOf(series: readonly SeriesSamples[]): {
  of: number[];
  pairs: string[];
  weights: Float64Array;
} {
  if (series.length === 1) return { of: [0], pairs: [series[0]!.pair], weights: ONE_GROUP };
  const index = new Map<string, number>();
  const ofPair = new Map<string, number>();
  const pairs: string[] = [];
  const of = series.map(({ pair, tool, ipVersion }) => {
    const key = `${pair} ${tool} ${ipVersion ?? ''}`;
    let group = index.get(key);
    if (group === undefined) {
      group = index.size;
      index.set(key, group);
      pairs.push(pair);
      ofPair.set(pair, (ofPair.get(pair) ?? 0) + 1);
    }
    return group;
  });
  const weights = Float64Array.from(pairs, (pair) => 1 / (ofPair.size * ofPair.get(pair)!));
  return { of, pairs, weights };
}

function meanOf(values: Float64Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += values[i]!;
  return sum / (to - from);
}

/** The median of the means of three thirds: one pass, and a single wild value spoils only one of them. */
function middleOf(values: Float64Array, from: number, to: number): number {
  const count = to - from;
  if (count < 3) return count === 1 ? values[from]! : Math.min(values[from]!, values[from + 1]!);
  const first = from + Math.floor(count / 3);
  const second = from + Math.floor((2 * count) / 3);
  const a = meanOf(values, from, first);
  const b = meanOf(values, first, second);
  const c = meanOf(values, second, to);
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
