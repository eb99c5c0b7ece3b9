/**
 * This package against HTCondor's own library, on generated expressions and ads. More cases, from another seed:
 * LARK_CLASSAD_CASES=1000000 LARK_CLASSAD_SEED=1 npx vitest run --project integration differential
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseExpr, unparse } from '../../src/index.ts';
import { prettyPrint } from '../../src/pretty.ts';
import { answer, difference, isListed } from '../support/compare.ts';
import { evaluationCase, expression } from '../support/generator.ts';
import { findCondorRoot, Oracle, whyNoOracle } from '../support/oracle.ts';

const CASES = Number(process.env.LARK_CLASSAD_CASES ?? 20_000);
const SEED = Number(process.env.LARK_CLASSAD_SEED ?? 20_261_121);
const CHUNK = 5000;

const missing = whyNoOracle();

describe.skipIf(missing !== undefined)(
  `against HTCondor${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    let oracle: Oracle;

    beforeAll(() => {
      oracle = new Oracle(findCondorRoot()!);
    });
    afterAll(() => oracle.close());

    it(`evaluates ${CASES} generated cases alike`, { timeout: 300_000 + CASES * 10 }, async () => {
      const differences: string[] = [];
      const seen = { compared: 0, crashed: 0, refused: 0, listed: 0 };
      for (let done = 0; done < CASES; done += CHUNK) {
        const numRuns = Math.min(CHUNK, CASES - done);
        const cases = fc.sample(evaluationCase, { numRuns, seed: SEED + done / CHUNK });
        const theirs = await oracle.ask(cases);
        cases.forEach((one, i) => {
          const their = theirs[i]!;
          if (their.crashed) {
            seen.crashed += 1;
            return;
          }
          seen.compared += 1;
          if (their.refused) seen.refused += 1;
          const found = difference(answer(one), their);
          if (found === undefined) return;
          if (isListed(one)) seen.listed += 1;
          else differences.push(`${JSON.stringify(one)}\n  ${found}`);
        });
        if (done > 0 && done % 100_000 === 0)
          console.log(`${done} cases, ${differences.length} differences`, seen);
      }
      console.log(`${CASES} cases from seed ${SEED}, ${differences.length} differences`, seen);
      expect(differences.slice(0, 20)).toEqual([]);
      // Where HTCondor crashes there is nothing to compare with; that must stay the exception.
      expect(seen.compared).toBeGreaterThan(CASES * 0.9);
      expect(seen.refused).toBeLessThan(CASES * 0.05);
    });

    it('unparses what HTCondor reads back as the same', async () => {
      const texts = fc.sample(expression, { numRuns: 3000, seed: SEED });
      const once = texts.map((text) => unparse(parseExpr(text)));
      const answers = await oracle.ask(once.map((expr) => ({ expr, parseOnly: true })));
      for (const [i, { unparsed }] of answers.entries())
        expect(unparsed).toBe(prettyPrint(parseExpr(once[i]!)));
    });

    it('refuses what HTCondor refuses', async () => {
      const fragments = [
        '1',
        'a',
        '.',
        '"x"',
        "'q'",
        '(',
        ')',
        '[',
        ']',
        '{',
        '}',
        ',',
        ';',
        '=',
        '==',
        '?',
        ':',
        '-',
        '!',
        ' ',
      ];
      const text = fc
        .array(fc.constantFrom(...fragments), { minLength: 1, maxLength: 8 })
        .map((parts) => parts.join(''));
      const texts = fc.sample(text, { numRuns: 4000, seed: SEED });
      const answers = await oracle.ask(texts.map((expr) => ({ expr, parseOnly: true })));
      const differing = texts.filter((expr, i) => {
        const ours = answer({ expr, parseOnly: true });
        return !isListed({ expr }) && difference(ours, answers[i]!) !== undefined;
      });
      expect(differing).toEqual([]);
    });
  },
);
