import type { Test } from './model.ts';
import { documentOf, type Moments, momentsOf, runResult } from './runDocuments.ts';
import type { SourceFilter } from './search.ts';
import type { Run } from './series.ts';

/**
 * The JSON text of run documents, filtered, without making each document: what the runs of a test have in common is
 * written once, and what tests of the same values have in common too (see archetypes.ts).
 */

/** Text pieces at even places; at odd ones the name of what stands there. */
const drafts = new WeakMap<Test, Map<string, readonly string[]>>();
const results = new Map<string, string>();
const MAX_RESULTS = 200_000;

/** Stand for what comes later; such characters occur in no document. */
const MARK = '\u0001';
const RESULT = '"\\u0001result"';
const MOMENTS: Moments = {
  id: `${MARK}id${MARK}`,
  timestamp: `${MARK}timestamp${MARK}`,
  added: `${MARK}added${MARK}`,
  start: `${MARK}start${MARK}`,
  end: `${MARK}end${MARK}`,
};

export function runText(test: Test, run: Run, timestampMs: number, id: string, filter: SourceFilter): string {
  const moments = momentsOf(test, run, timestampMs, id);
  const pieces = draftOf(test, filter);
  let text = '';
  for (const [i, piece] of pieces.entries()) {
    if (i % 2 === 0) text += piece;
    else text += piece === 'result' ? resultText(test, run, filter) : moments[piece as keyof Moments];
  }
  return text;
}

function draftOf(test: Test, filter: SourceFilter): readonly string[] {
  const ofTest = drafts.get(test) ?? new Map<string, readonly string[]>();
  drafts.set(test, ofTest);
  let pieces = ofTest.get(filter.name);
  if (!pieces) {
    const { result: _, ...rest } = documentOf(test, MOMENTS, null);
    const known = filter.apply(rest, '') ?? {};
    const text = JSON.stringify({ ...(known as object), result: `${MARK}result` });
    pieces = text.replace(RESULT, '\\u0001result\\u0001').split('\\u0001');
    ofTest.set(filter.name, pieces);
  }
  return pieces;
}

/** `{}` where the filter leaves nothing of it. */
function resultText(test: Test, run: Run, filter: SourceFilter): string {
  // A route ends where its test does.
  const course = test.type === 'trace' ? test.key : test.id;
  const name = `${test.type} ${course} ${run.ts} ${filter.name}`;
  let text = results.get(name);
  if (text === undefined) {
    if (results.size >= MAX_RESULTS) results.clear();
    text = JSON.stringify(filter.apply(runResult(test, run), 'result') ?? {});
    results.set(name, text);
  }
  return text;
}
