/**
 * This package against HTCondor's own library, on generated expressions and ads. More cases, from another seed:
 * LARK_CLASSAD_CASES=1000000 LARK_CLASSAD_SEED=1 npx vitest run --project integration differential
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type ClassAd,
  parseAds,
  parseExpr,
  parseJsonAd,
  parseNewAd,
  unparse,
  unparseAd,
  writeJson,
  writeOld,
} from '../../src/index.ts';
import { prettyPrint } from '../../src/pretty.ts';
import { answer, difference, isListed } from '../support/compare.ts';
import { adAttributes, evaluationCase, expression, textCase } from '../support/generator.ts';
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

    it('reads and works on texts of every kind alike', { timeout: 300_000 }, async () => {
      const cases = fc.sample(textCase, { numRuns: 12_000, seed: SEED });
      const theirs = await oracle.ask(cases);
      const differences = cases.flatMap((one, i) => {
        if (theirs[i]!.crashed || isListed(one)) return [];
        const found = difference(answer(one), theirs[i]!);
        return found === undefined ? [] : [`${JSON.stringify(one)}\n  ${found}`];
      });
      expect(differences).toEqual([]);
    });

    it('reads and writes ads alike, in old syntax and JSON', async () => {
      const ads = fc.sample(adAttributes, { numRuns: 2000, seed: SEED }).map((text) => parseNewAd(text));
      const writable = ads.filter(isWritable);
      expect(writable.length).toBeGreaterThan(1500);
      const lines = (text: string) => text.trim().split('\n').sort();
      const answers = await oracle.ask(writable.map((ad) => ({ old: writeOld(ad) })));
      const ofJson = await oracle.ask(writable.map((ad) => ({ json: unparseAd(ad) })));
      for (const [i, ad] of writable.entries()) {
        const { old = '', json = '' } = answers[i]!;
        const [again] = parseAds(writeOld(ad));
        expect(lines(writeOld(again!))).toEqual(lines(old));
        expect(lines(writeOld(parseJsonAd(json)))).toEqual(lines(writeOld(parseJsonAd(writeJson(again!)))));
        // Writing rounds reals to 16 digits, reading may then overflow: compare what was read.
        expect(lines(ofJson[i]!.old ?? '')).toEqual(lines(writeOld(parseNewAd(unparseAd(ad)))));
      }
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

function isWritable(ad: ClassAd): boolean {
  try {
    writeOld(ad);
    return true;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}
