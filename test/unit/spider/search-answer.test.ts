import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SearchAnswer } from '../../../src/spider/drivers/search-answer.ts';

const URL_ = 'https://archive.example.org/_search';
const taken = (text: string) => {
  const answer = new SearchAnswer(text, URL_);
  return { hits: [...answer.takeHits()], last: answer.last };
};

/** As a server writes them: `_index` first, and whatever the source holds. */
const hit = fc
  .record({
    _index: fc.constant('ps_trace'),
    _id: fc.string(),
    _source: fc.oneof(
      fc.jsonValue(),
      // What looks like the place between two hits, within one, and within a text.
      fc.constant({ inner: [{ a: 1 }, { _index: 'b' }, { _index: 'c', d: [{ _index: 'e' }] }] }),
      fc.constant({ text: '},{"_index":"x"},{"_index":"y"}]}}' }),
    ),
    sort: fc.array(fc.oneof(fc.integer(), fc.string()), { maxLength: 2 }),
  })
  .map((each) => JSON.parse(JSON.stringify(each)) as unknown);
const answer = fc.record({
  took: fc.nat(),
  timed_out: fc.constant(false),
  _shards: fc.constant({ total: 1, failed: 0 }),
  hits: fc.record({ max_score: fc.constant(null), hits: fc.array(hit, { maxLength: 6 }) }),
});

describe('the answer to a search', () => {
  it('gives each hit once and in order, however it is written', () => {
    fc.assert(
      fc.property(answer, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        const { hits } = value.hits;
        expect(taken(JSON.stringify(value, null, indent))).toEqual({ hits, last: hits.at(-1) });
      }),
    );
  });

  it('keeps none of them', () => {
    const text = JSON.stringify({ hits: { hits: [{ _index: 'a' }, { _index: 'b' }, { _index: 'c' }] } });
    const answer = new SearchAnswer(text, URL_);
    expect([...answer.takeHits()]).toHaveLength(3);
    expect([...answer.takeHits()]).toEqual([]);
  });

  it('that breaks off anywhere is none', () => {
    fc.assert(
      fc.property(answer, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (value, share) => {
        const text = JSON.stringify(value);
        expect(() => taken(text.slice(0, Math.floor(text.length * share)))).toThrow(
          expect.objectContaining({ name: 'HttpFailure' }),
        );
      }),
    );
  });

  it('that is garbled in the middle of a hit is none', () => {
    const text = JSON.stringify({ hits: { hits: [0, 1, 2, 3].map((n) => ({ _index: 'a', n })) } });
    expect(() => taken(text.replace('"n":1', '"n":1,'))).toThrow(
      expect.objectContaining({ fault: 'not-json' }),
    );
  });

  it.each([
    ['unknown-archive', '{"error":"no such index"}'],
    ['truncated', '{"timed_out":true,"hits":{"hits":[]}}'],
    ['truncated', '{"_shards":{"failed":1},"hits":{"hits":[{"_index":"a"},{"_index":"b"}]}}'],
    ['not-json', '<html></html>'],
  ])('is %s: %s', (fault, text) => {
    expect(() => taken(text)).toThrow(expect.objectContaining({ fault }));
  });
});
