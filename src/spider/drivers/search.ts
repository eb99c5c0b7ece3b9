import type { ArchivedTest, RawSample, Series, SeriesRead, TraceRun } from '../../domain.ts';
import { HttpFailure } from '../http.ts';
import type { ReadContext } from './driver.ts';
import { fieldsOf } from './fields.ts';
import { numberOf } from './numbers.ts';
import type { SearchAnswer } from './search-answer.ts';

/**
 * Reading of OpenSearch and Elasticsearch by `_search`, page after page with `search_after`. Neither `from` (ends at
 * 10,000 hits) nor scroll (needs a right that anonymous readers do not have) would do.
 */

/**
 * Hits asked for in one request. An index allows ten times as many by default; but a hit is a kilobyte of text and
 * three of objects, and many archives are read at once.
 */
export const PAGE_SIZE = 1000;

export interface Hit {
  source: Record<string, unknown>;
  /** By what the hits are sorted first; epoch ms. NaN where it is no time. */
  sortedAtMs: number;
}

/** One page of a search. Its hits are gone over once; the next page is only asked for when all were. */
export type Page = Generator<Hit, void>;

/**
 * All pages of a search, in order. `ask` sends one request; without an argument for the first page, else for what
 * comes after these sort values.
 * @throws HttpFailure, also while a page's hits are gone over
 */
export async function* searchPages(
  ask: (after?: readonly unknown[]) => Promise<SearchAnswer>,
  url: string,
): AsyncGenerator<Page> {
  let after: readonly unknown[] | undefined;
  for (;;) {
    const counted = { hits: 0 };
    const answer = await ask(after);
    const { sort } = fieldsOf(answer.last);
    yield hitsOf(answer, counted);
    if (counted.hits < PAGE_SIZE) return;
    if (!Array.isArray(sort))
      throw new HttpFailure('bad-data', url, 'answered hits without the values they are sorted by');
    after = sort;
  }
}

function* hitsOf(answer: SearchAnswer, counted: { hits: number }): Page {
  for (const hit of answer.takeHits()) {
    const { _source, sort } = fieldsOf(hit);
    counted.hits += 1;
    yield {
      source: fieldsOf(_source),
      sortedAtMs: Array.isArray(sort) ? (numberOf(sort[0]) ?? Number.NaN) : Number.NaN,
    };
  }
}

/** The samples of one page, by series: the same series must be the same object. */
export class PageReads {
  readonly #bySeries = new Map<Series, Map<number, RawSample>>();

  /** Of two samples of one time, a number counts more than none, and else the later one. */
  add(series: Series, sample: RawSample): void {
    const byTime = this.#bySeries.get(series) ?? new Map<number, RawSample>();
    if (byTime.size === 0) this.#bySeries.set(series, byTime);
    const time = sample.at.getTime();
    if (sample.value !== null || (byTime.get(time)?.value ?? null) === null) byTime.set(time, sample);
  }

  /** Each series in order of time; `checkpointOf` gets the time of its newest sample. Not async: see ReadContext.emit. */
  emit(context: ReadContext, checkpointOf: (series: Series, newestMs: number) => number): Promise<void> {
    return context.emitSlices(this.#takeReads(checkpointOf));
  }

  *#takeReads(checkpointOf: (series: Series, newestMs: number) => number): Generator<SeriesRead> {
    for (const [series, byTime] of this.#bySeries) {
      const samples = [...byTime].sort(([a], [b]) => a - b).map(([, sample]) => sample);
      byTime.clear();
      const newestMs = samples.at(-1)!.at.getTime();
      yield { series, samples, checkpoint: new Date(checkpointOf(series, newestMs)) };
    }
  }

  series(): Iterable<Series> {
    return this.#bySeries.keys();
  }
}

/** The traces of one page, by test: the same test must be the same object. */
export class PageTraces {
  readonly #byTest = new Map<ArchivedTest, Map<number, TraceRun>>();

  /** Of two runs of one time, the later one counts. */
  add(test: ArchivedTest, run: TraceRun): void {
    const byTime = this.#byTest.get(test) ?? new Map<number, TraceRun>();
    this.#byTest.set(test, byTime);
    byTime.set(run.at.getTime(), run);
  }

  /** Each test in order of time; `checkpointOf` gets the time of its newest run. */
  async emit(
    context: ReadContext,
    checkpointOf: (test: ArchivedTest, newestMs: number) => number,
  ): Promise<void> {
    for (const [test, byTime] of this.#byTest) {
      const runs = [...byTime].sort(([a], [b]) => a - b).map(([, run]) => run);
      const newestMs = runs.at(-1)!.at.getTime();
      await context.emitTraces({ test, runs, checkpoint: new Date(checkpointOf(test, newestMs)) });
    }
  }

  tests(): Iterable<ArchivedTest> {
    return this.#byTest.keys();
  }
}
