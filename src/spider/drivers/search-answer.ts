import { HttpFailure, parseJson } from '../http.ts';
import { fieldsOf } from './fields.ts';
import { numberOf } from './numbers.ts';

/**
 * The answer to a search of OpenSearch or Elasticsearch, whose hits are parsed one after the other: a thousand at once
 * are three megabytes of objects, which outlive V8's young generation and so are copied twice and collected the slow way.
 */
export class SearchAnswer {
  /** The last hit; undefined where there is none. */
  readonly last: unknown;
  readonly #url: string;
  /** From the first hit to the end of the last but one; '' when they were taken. */
  #others: string;
  /** Those of an answer that is not written as the servers do. */
  #parsed: unknown[];

  /**
   * @throws HttpFailure `not-json` or `truncated` where the text ends too early, `unknown-archive` where it is no search
   * result, `truncated` where it says that it is not whole: taken for whole, it would move the checkpoint past what it
   * lacks
   */
  constructor(text: string, url: string) {
    this.#url = url;
    const begin = text.indexOf(FIRST_HIT) + 1;
    const end = text.lastIndexOf(NEXT_HIT) + 1;
    // Begins and ends as the whole does. Where the last place was not one between two hits, but within one, this is no JSON.
    const short =
      begin > 0 && end > begin ? parsedOrNone(text.slice(0, begin) + text.slice(end + 1)) : undefined;
    this.#others = short === undefined ? '' : text.slice(begin, end);
    this.#parsed = hitsOf(short ?? parseJson(text, url), url);
    this.last = this.#parsed.at(-1);
  }

  /**
   * Each hit, once: they are not kept.
   * @throws HttpFailure `not-json`
   */
  *takeHits(): Generator<unknown> {
    const text = this.#others;
    const rest = this.#parsed;
    this.#others = '';
    this.#parsed = [];
    for (let begin = 0; begin < text.length; ) {
      const end = text.indexOf(NEXT_HIT, begin) + 1 || text.length;
      const hit = parsedOrNone(text.slice(begin, end));
      if (hit === undefined) {
        // That was a place within a hit.
        yield* parseJson(`[${text.slice(begin)}]`, this.#url) as unknown[];
        break;
      }
      yield hit;
      begin = end + 1;
    }
    yield* rest;
  }
}

/** As servers write, unless asked for pretty JSON; within a text, the quotes would be escaped. */
const FIRST_HIT = '[{"_index":';
const NEXT_HIT = '},{"_index":';

function parsedOrNone(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function hitsOf(answer: unknown, url: string): unknown[] {
  const { hits, timed_out: timedOut, _shards: shards } = fieldsOf(answer);
  const list = fieldsOf(hits).hits;
  if (!Array.isArray(list))
    throw new HttpFailure('unknown-archive', url, 'answered JSON that is no search result');
  const failedShards = numberOf(fieldsOf(shards).failed) ?? 0;
  if (timedOut === true || failedShards > 0)
    throw new HttpFailure('truncated', url, 'answered a part of the hits: shards failed or ran out of time');
  return list;
}
