import type { ArchivedTest, RawSample, Series, SeriesRead, TraceRun } from '../../domain.ts';
import { HttpFailure } from '../http.ts';
import type { ReadContext } from './driver.ts';
import { numberOf } from './numbers.ts';

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

/** The members of an object that came as JSON; none of anything else. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** A text that is not empty. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * The hits of an answer.
 * @throws HttpFailure `unknown-archive` where it is no search result, `truncated` where it says that it is not whole:
 * taken for whole, it would move the checkpoint past what it lacks
 */
export function hitsOf(answer: unknown, url: string): unknown[] {
  const { hits, timed_out: timedOut, _shards: shards } = fieldsOf(answer);
  const list = fieldsOf(hits).hits;
  if (!Array.isArray(list))
    throw new HttpFailure('unknown-archive', url, 'answered JSON that is no search result');
  const failedShards = numberOf(fieldsOf(shards).failed) ?? 0;
  if (timedOut === true || failedShards > 0)
    throw new HttpFailure('truncated', url, 'answered a part of the hits: shards failed or ran out of time');
  return list;
}

/**
 * All pages of a search, in order. `ask` sends one request; without an argument for the first page, else for what
 * comes after these sort values. A page's list is the consumer's, to empty it when it has been read.
 * @throws HttpFailure
 */
export async function* searchPages(
  ask: (after?: readonly unknown[]) => Promise<unknown>,
  url: string,
): AsyncGenerator<Hit[]> {
  let after: readonly unknown[] | undefined;
  for (;;) {
    const page = pageOf(await ask(after), url);
    yield page.hits;
    if (page.count < PAGE_SIZE) return;
    if (!Array.isArray(page.lastSort))
      throw new HttpFailure('bad-data', url, 'answered hits without the values they are sorted by');
    after = page.lastSort;
  }
}

/** Holds no more of the answer than its hits, so that it is free when who reads them empties their list. */
function pageOf(answer: unknown, url: string): { hits: Hit[]; count: number; lastSort: unknown } {
  const found = hitsOf(answer, url).map(fieldsOf);
  const hits = found.map(({ _source, sort }) => ({
    source: fieldsOf(_source),
    sortedAtMs: Array.isArray(sort) ? (numberOf(sort[0]) ?? Number.NaN) : Number.NaN,
  }));
  return { hits, count: hits.length, lastSort: found.at(-1)?.sort };
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

  /** Each series in order of time; `checkpointOf` gets the time of its newest sample. */
  async emit(
    context: ReadContext,
    checkpointOf: (series: Series, newestMs: number) => number,
  ): Promise<void> {
    const reads = [...this.#bySeries].map(([series, byTime]): SeriesRead => {
      const samples = [...byTime].sort(([a], [b]) => a - b).map(([, sample]) => sample);
      const newestMs = samples.at(-1)!.at.getTime();
      return { series, samples, checkpoint: new Date(checkpointOf(series, newestMs)) };
    });
    // Many times as large as what is kept of them, and the store may let us wait.
    for (const byTime of this.#bySeries.values()) byTime.clear();
    await context.emit(...reads);
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
