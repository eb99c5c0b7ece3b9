/** One case through this package, in the form the oracle answers. */
import {
  ClassAdSyntaxError,
  evaluate,
  parseExpr,
  parseNewAd,
  typeOf,
  unparseValue,
} from '../../src/index.ts';
import { prettyPrint } from '../../src/pretty.ts';
import type { OracleAnswer, OracleCase } from './oracle.ts';

export function answer(one: OracleCase): OracleAnswer {
  try {
    const expr = parseExpr(one.expr ?? '');
    const my = parseNewAd(one.ad ?? '[]');
    const target = one.target === undefined ? undefined : parseNewAd(one.target);
    const unparsed = prettyPrint(expr);
    if (one.parseOnly) return { unparsed };
    const context = { my, target, utcOffsetSeconds: () => 0 };
    const value = evaluate(expr, context);
    const type = typeOf(value);
    if (type === 'list' || type === 'classad') {
      return { unparsed, composite: unparseValue(unparseValue(value)) };
    }
    if (type === 'relativeTime') {
      const parts = evaluate(parseExpr(`string(splitTime(${one.expr}))`), context);
      return { unparsed, composite: unparseValue(parts) };
    }
    return { unparsed, value: unparseValue(value) };
  } catch (error) {
    if (error instanceof ClassAdSyntaxError) return { refused: true };
    throw error;
  }
}

/** What differs between two answers, or undefined. */
export function difference(ours: OracleAnswer, theirs: OracleAnswer): string | undefined {
  const [a, b] = [JSON.stringify(ours), JSON.stringify(theirs)];
  return a === b ? undefined : `ours ${a}\n  theirs ${b}`;
}

/** Whether a difference is one of those listed, with their reasons, in docs/decisions/010-classad-differences.md. */
export function isListed({ expr = '', ad = '', target = '' }: OracleCase): boolean {
  // HTCondor drops whatever follows a conditional that is the whole of a text.
  if (/\?[^:]*:/.test(expr) && !isAccepted(expr)) return true;
  // Functions that leave HTCondor's evaluation in another ad, or hand out memory it has given back.
  return /unresolved\(|evalInEachContext\(|countMatches\(/i.test(expr + ad + target);
}

function isAccepted(text: string): boolean {
  try {
    parseExpr(text);
    return true;
  } catch {
    return false;
  }
}
