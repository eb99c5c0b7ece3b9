import { describe, expect, test } from 'vitest';
import type { Json } from '../../../testbed/world/model.ts';
import {
  type FieldKind,
  type SearchDocument,
  type SearchIndex,
  search,
} from '../../../testbed/world/search.ts';

const KINDS: Record<string, FieldKind> = {
  name: 'text',
  tags: 'keyword',
  n: 'number',
  at: 'date',
  blob: 'none',
};

const DOCUMENTS: Record<string, Json>[] = [
  { name: 'one', tags: ['c', 'a'], n: 1, at: '2026-01-01T00:00:00.000Z', blob: 'x' },
  { name: 'two', tags: ['b'], n: 2, at: '2026-01-02T00:00:00.000Z' },
  { name: 'three', tags: [], n: 3, at: '2026-01-03T00:00:00.000Z', deep: { left: 1, right: { leaf: 2 } } },
];

const index: SearchIndex = {
  kindOf: (field) => KINDS[field],
  documents: () =>
    DOCUMENTS.map(
      (document): SearchDocument => ({
        id: String(document.name),
        index: 'test',
        get: (field) => document[field],
        source: () => document,
      }),
    ),
};

const NOW_MS = Date.parse('2026-01-02T12:00:00Z');
const ask = (
  body: object,
): { status: number; names: unknown[]; error?: { reason: string }; sources: Json[] } => {
  const reply = search(index, new URLSearchParams(), JSON.stringify(body), NOW_MS);
  const parsed = JSON.parse(reply.body);
  const hits = parsed.hits?.hits ?? [];
  return {
    status: reply.status,
    names: hits.map((hit: { _id: string }) => hit._id),
    sources: hits.map((hit: { _source: Json }) => hit._source),
    error: parsed.error,
  };
};
const named = (query: object): unknown[] => ask({ query }).names;

describe('search', () => {
  test('the ends of ranges are in or out as they are named', () => {
    expect(named({ range: { n: { gte: 2 } } })).toEqual(['two', 'three']);
    expect(named({ range: { n: { gt: 2 } } })).toEqual(['three']);
    expect(named({ range: { n: { lte: 2 } } })).toEqual(['one', 'two']);
    expect(named({ range: { n: { lt: 2 } } })).toEqual(['one']);
    expect(named({ range: { at: { gt: '2026-01-02T00:00:00Z' } } })).toEqual(['three']);
    expect(named({ range: { at: { gt: 'now-1d', lte: 'now' } } })).toEqual(['two']);
    expect(named({ range: { at: { lt: Date.parse('2026-01-02T00:00:00Z') } } })).toEqual(['one']);
  });

  test('terms see any member of a list; text only by its keyword; what is not indexed never', () => {
    expect(named({ term: { tags: 'a' } })).toEqual(['one']);
    expect(named({ terms: { tags: ['a', 'b'] } })).toEqual(['one', 'two']);
    expect(named({ term: { name: 'one' } })).toEqual([]);
    expect(named({ term: { 'name.keyword': { value: 'one' } } })).toEqual(['one']);
    expect(named({ term: { 'tags.keyword': 'a' } })).toEqual([]);
    expect(named({ term: { blob: 'x' } })).toEqual([]);
    expect(named({ term: { n: 2 } })).toEqual(['two']);
  });

  test('bool joins; should counts only where nothing must', () => {
    const a = { term: { tags: 'a' } };
    const b = { term: { tags: 'b' } };
    expect(named({ bool: { should: [a, b] } })).toEqual(['one', 'two']);
    expect(named({ bool: { must_not: a } })).toEqual(['two', 'three']);
    expect(named({ bool: { must: { match_all: {} }, should: [a] } })).toEqual(['one', 'two', 'three']);
    expect(named({ bool: { filter: [{ match_all: {} }], should: [a, b], minimum_should_match: 1 } })).toEqual(
      ['one', 'two'],
    );
    expect(named({ exists: { field: 'tags' } })).toEqual(['one', 'two']);
  });

  test('a list is sorted by its least member upwards and its greatest downwards; what has none is last', () => {
    expect(ask({ sort: ['tags'] }).names).toEqual(['one', 'two', 'three']);
    expect(ask({ sort: [{ tags: 'desc' }] }).names).toEqual(['one', 'two', 'three']);
    expect(ask({ sort: [{ n: { order: 'desc' } }], search_after: [3] }).names).toEqual(['two', 'one']);
    expect(ask({ sort: ['nothing'] }).status).toBe(400);
    expect(ask({ sort: [{ nothing: { unmapped_type: 'keyword' } }] }).status).toBe(200);
  });

  test('_source takes patterns, includes and excludes', () => {
    const third = (source: unknown) => ask({ _source: source }).sources[2];
    expect(third(['deep.right', 'n'])).toEqual({ n: 3, deep: { right: { leaf: 2 } } });
    expect(third('deep.*')).toEqual({ deep: { left: 1, right: { leaf: 2 } } });
    expect(third({ includes: ['deep'], excludes: ['deep.left'] })).toEqual({ deep: { right: { leaf: 2 } } });
    expect(third({ excludes: ['deep', 'tags', 'at'] })).toEqual({ name: 'three', n: 3 });
    expect(third(false)).toBeUndefined();
    expect(third(['none'])).toEqual({});
  });

  test('what it does not know it refuses', () => {
    for (const body of [
      { query: { match: { name: 'one' } } },
      { query: { bool: { would: [] } } },
      { query: { range: { n: { above: 1 } } } },
      { aggs: {} },
      { size: -1 },
      { search_after: [1] },
    ]) {
      const { status, error } = ask(body);
      expect([body, status, typeof error?.reason]).toEqual([body, 400, 'string']);
    }
  });
});
