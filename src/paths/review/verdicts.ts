import {
  type Columns,
  REVIEW_REASONS,
  type ReasonCounts,
  type ReviewReason,
  type ReviewSeries,
  type SeriesNote,
} from './types.ts';

const CODE = new Map(REVIEW_REASONS.map((reason, index) => [reason, index + 1]));

/** A series under review. Most are as they should be: nothing is kept for the samples until one is not. */
export class SeriesReview {
  readonly series: ReviewSeries;
  /** Its samples; those of a corrected series are new ones. */
  columns: Columns;
  readonly note: SeriesNote;
  hasNote = false;
  #codes: Uint8Array | undefined;
  #excluded = 0;

  constructor(series: ReviewSeries) {
    this.series = series;
    this.columns = { atMs: series.atMs, values: series.values };
    this.note = { id: series.id, excluded: {} };
  }

  /** How many still count. */
  get counting(): number {
    return this.columns.values.length - this.#excluded;
  }

  /** By how many more samples than before turned out to be unfit. A copy is as fit as what it is a copy of. */
  get unfit(): number {
    const { excluded, regained = 0 } = this.note;
    const all = Object.values(excluded).reduce((sum, count) => sum + count, 0);
    return all - (excluded.duplicate ?? 0) - regained;
  }

  counts(index: number): boolean {
    return this.#codes === undefined || this.#codes[index] === 0;
  }

  /** The first reason stands. */
  exclude(index: number, reason: ReviewReason): void {
    this.#codes ??= new Uint8Array(this.columns.values.length);
    if (this.#codes[index] !== 0) return;
    this.#codes[index] = CODE.get(reason)!;
    this.#excluded += 1;
    this.note.excluded[reason] = (this.note.excluded[reason] ?? 0) + 1;
    this.hasNote = true;
  }

  excludeAll(reason: ReviewReason): void {
    for (let i = 0; i < this.columns.values.length; i++) this.exclude(i, reason);
  }

  /** Samples that were excluded before are not among the new ones. */
  replace(columns: Columns): void {
    this.columns = columns;
    this.#codes = undefined;
    this.#excluded = 0;
  }

  /** The samples that count. */
  remaining(): Columns {
    if (this.#excluded === 0) return this.columns;
    const atMs = new Float64Array(this.counting);
    const values = new Float64Array(this.counting);
    let next = 0;
    for (let i = 0; i < this.columns.values.length; i++) {
      if (!this.counts(i)) continue;
      atMs[next] = this.columns.atMs[i]!;
      values[next] = this.columns.values[i]!;
      next += 1;
    }
    return { atMs, values };
  }

  /** The indices, in `columns`, of what `remaining` gives; undefined where they are the same. */
  remainingIndices(): Int32Array | undefined {
    if (this.#excluded === 0) return undefined;
    const indices = new Int32Array(this.counting);
    let next = 0;
    for (let i = 0; i < this.columns.values.length; i++) {
      if (this.counts(i)) indices[next++] = i;
    }
    return indices;
  }
}

export function addCounts(total: ReasonCounts, more: ReasonCounts): void {
  for (const [reason, count] of Object.entries(more) as [ReviewReason, number][]) {
    total[reason] = (total[reason] ?? 0) + count;
  }
}
