/** Conditions taken apart: the clauses that all have to hold, which attributes they ask about, and words for them. */
import {
  type ClassAd,
  type EvaluationContext,
  type Expr,
  explain,
  references,
  toNumber,
  unparse,
  unparseValue,
  type Value,
} from 'classad-parser';

/** Which ad a condition stands in: the job's or the slot's. */
export type Side = 'job' | 'slot';

export interface Clause {
  side: Side;
  expr: Expr;
  /** The attribute that it is a part of, as the ad spells it: `Requirements`, `START`. */
  within: string;
  /** Names that its own text asks about, in lower case: of its own ad, and of the other one. */
  own: ReadonlySet<string>;
  other: ReadonlySet<string>;
}

/** Conditions that stand for whole conditions are followed this deep: START within Requirements is one. */
const MOST_DEEP = 10;

/** Everything that has to be true for an ad's condition to be, in the order in which it is written. */
export function clausesOf(ad: ClassAd, name: string, side: Side): Clause[] {
  const expr = ad.get(name);
  return expr === undefined ? [] : [...parts(expr, ad, name, side, 0)];
}

function* parts(expr: Expr, ad: ClassAd, within: string, side: Side, depth: number): Generator<Clause> {
  const bare = withoutParentheses(expr);
  if (bare.kind === 'binary' && bare.op === '&&') {
    yield* parts(bare.left, ad, within, side, depth);
    yield* parts(bare.right, ad, within, side, depth);
    return;
  }
  const name = depth < MOST_DEEP ? ownName(bare, ad) : undefined;
  const followed = name === undefined ? undefined : ad.get(name);
  if (name !== undefined && followed !== undefined && followed.kind !== 'literal') {
    yield* parts(followed, ad, name, side, depth + 1);
    return;
  }
  const { my, target, unresolved } = references(bare, ad);
  yield { side, expr: bare, within, own: lowered(my), other: lowered([...target, ...unresolved]) };
}

/** The name of a bare reference to an attribute of the ad itself. */
function ownName(expr: Expr, ad: ClassAd): string | undefined {
  if (expr.kind !== 'attribute' || expr.absolute) return undefined;
  const { scope, name } = expr;
  if (scope === undefined) return ad.has(name) ? name : undefined;
  const isOwn = scope.kind === 'attribute' && scope.scope === undefined && /^(my|self)$/i.test(scope.name);
  return isOwn ? name : undefined;
}

function withoutParentheses(expr: Expr): Expr {
  return expr.kind === 'parentheses' ? withoutParentheses(expr.inner) : expr;
}

const lowered = (names: readonly string[]): Set<string> => new Set(names.map((name) => name.toLowerCase()));

/** Whether a condition's value lets the match be: a number other than 0 does, as in HTCondor. */
export function holds(value: Value): boolean {
  return typeof value === 'boolean' ? value : (toNumber(value) ?? 0) !== 0;
}

/**
 * What a clause asks for and what it found, e.g. `TARGET.LarkSite == "UNL"` and `the slot's LarkSite is "FNAL"`.
 * @param context with `my` the ad the clause stands in
 */
export function clauseWords(clause: Clause, context: EvaluationContext): { clause: string; found: string } {
  const text = unparse(clause.expr, 'old').trim();
  const [mine, theirs] = clause.side === 'job' ? ["the job's", "the slot's"] : ["the slot's", "the job's"];
  const used = new Map<string, string>();
  const pending = [explain(clause.expr, context)];
  for (let next = pending.pop(); next; next = pending.pop()) {
    pending.push(...next.clauses.toReversed());
    for (const { reference, from, value } of next.attributes) {
      const name = reference.replace(/^(my|target|self|other)\./i, '');
      const where = from === 'none' ? 'neither has' : from === 'my' ? mine : theirs;
      used.set(`${where} ${name}`, from === 'none' ? '' : ` is ${shortened(unparseValue(value, 'old'))}`);
    }
  }
  return { clause: text, found: [...used].map(([what, is]) => what + is).join(', ') };
}

const LONGEST = 80;
const shortened = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
