/** Answers HTCondor 23.9.6 gave, recorded: what the language is, where there is no HTCondor to ask. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { answer, isListed } from '../support/compare.ts';
import type { OracleAnswer, OracleCase } from '../support/oracle.ts';

type Recorded = OracleCase & { answer: OracleAnswer };

const file = new URL('../fixtures/condor-23.9.6.jsonl', import.meta.url);
const recorded = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded)
  .filter((one) => !isListed(one) || 'refused' in one.answer);

describe('what HTCondor answered', () => {
  it(`holds for ${recorded.length} cases`, () => {
    expect(recorded.length).toBeGreaterThan(300);
    for (const { answer: theirs, ...one } of recorded) {
      expect({ of: one, ...answer(one) }).toEqual({ of: one, ...theirs });
    }
  });
});
