/** Why an expression has the value it has: which of its clauses decide, and with what attribute values. */
import type { AttributeReference, Expr } from './ast.ts';
import { ClassAd } from './classad.ts';
import { type EvaluationContext, evaluate } from './evaluate.ts';
import { truth } from './operators.ts';
import { childrenOf } from './references.ts';
import { lowerCase } from './text.ts';
import { unparse, unparseValue } from './unparse.ts';
import type { Value } from './values.ts';

/** An attribute an expression names, and what it is in this match. */
export interface AttributeInUse {
  /** As written: `TARGET.Memory`. */
  reference: string;
  /** The ad that has it; `none` when neither does. */
  from: 'my' | 'target' | 'none';
  /** Its expression, where it is more than a literal. */
  expression: string | undefined;
  value: Value;
}

export interface Explanation {
  /** The clause in old syntax, as condor_q shows it. */
  text: string;
  /** Where it stands in the text it was parsed from; −1 when it was not. */
  start: number;
  end: number;
  value: Value;
  /** Whether the value of the whole would be another (or could be) without this clause being as it is. */
  decides: boolean;
  /** How the clauses are combined; a `clause` is not taken apart further. */
  kind: 'and' | 'or' | 'not' | 'if' | 'attribute' | 'clause';
  clauses: Explanation[];
  /** For a `clause`: the attributes it names. */
  attributes: AttributeInUse[];
}

/** Attributes that stand for whole conditions are followed this deep. */
const MAX_DEPTH = 20;

/** Explains the value of an expression in an ad, or between two. */
export function explain(expr: Expr, context: EvaluationContext): Explanation {
  return explainPart(expr, context, true, 0);
}

function explainPart(expr: Expr, context: EvaluationContext, decides: boolean, depth: number): Explanation {
  const value = evaluate(expr, context);
  const base = { text: unparse(expr, 'old').trim(), start: expr.start, end: expr.end, value, decides };
  const part = (child: Expr, childDecides: boolean): Explanation => {
    return explainPart(child, context, decides && childDecides, depth + 1);
  };
  if (depth >= MAX_DEPTH)
    return { ...base, kind: 'clause', clauses: [], attributes: attributesIn(expr, context) };
  const bare = withoutParentheses(expr);
  if (bare.kind === 'binary' && (bare.op === '&&' || bare.op === '||')) {
    const { op } = bare;
    const operands = chain(bare, op);
    // One true alternative is enough, and otherwise any of them would have been; every condition has to be true, so
    // all those that are not stand in the way.
    const held = operands.map((operand) => truth(evaluate(operand, context)) === true);
    const some = op === '&&' ? !held.every(Boolean) : held.some(Boolean);
    const clauses = operands.map((operand, i) => part(operand, !some || held[i] === (op === '||')));
    return { ...base, kind: op === '&&' ? 'and' : 'or', clauses, attributes: [] };
  }
  if (bare.kind === 'unary' && bare.op === '!') {
    return { ...base, kind: 'not', clauses: [part(bare.operand, true)], attributes: [] };
  }
  const choice = choiceOf(bare);
  if (choice !== undefined) {
    const [condition, whenTrue, whenFalse] = choice;
    const decided = truth(evaluate(condition, context));
    const clauses = [part(condition, true)];
    if (decided !== undefined) clauses.push(part(decided ? whenTrue : whenFalse, true));
    return { ...base, kind: 'if', clauses, attributes: [] };
  }
  if (bare.kind === 'attribute') {
    const followed = follow(bare, context);
    if (followed !== undefined && isCondition(followed.expr)) {
      const swapped =
        followed.from === 'target' ? { ...context, my: context.target, target: context.my } : context;
      const clauses = [explainPart(followed.expr, swapped, decides, depth + 1)];
      return { ...base, kind: 'attribute', clauses, attributes: [] };
    }
  }
  return { ...base, kind: 'clause', clauses: [], attributes: attributesIn(expr, context) };
}

function withoutParentheses(expr: Expr): Expr {
  let bare = expr;
  while (bare.kind === 'parentheses') bare = bare.inner;
  return bare;
}

/** The operands of a chain of one operator, parentheses around parts of it taken off. */
function chain(expr: Expr, op: '&&' | '||'): Expr[] {
  const operands: Expr[] = [];
  const pending: Expr[] = [expr];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const bare = withoutParentheses(next);
    if (bare.kind === 'binary' && bare.op === op) pending.push(bare.right, bare.left);
    else operands.push(next);
  }
  return operands;
}

function choiceOf(expr: Expr): [condition: Expr, whenTrue: Expr, whenFalse: Expr] | undefined {
  if (expr.kind === 'conditional' && expr.whenTrue !== undefined) {
    return [expr.condition, expr.whenTrue, expr.whenFalse];
  }
  if (expr.kind !== 'call' || lowerCase(expr.name) !== 'ifthenelse' || expr.args.length !== 3)
    return undefined;
  const [condition, whenTrue, whenFalse] = expr.args;
  return [condition!, whenTrue!, whenFalse!];
}

/** Whether an attribute's expression is worth taking apart: a condition, not a number or a string to compare with. */
function isCondition(expr: Expr): boolean {
  const bare = withoutParentheses(expr);
  switch (bare.kind) {
    case 'binary':
      return ['&&', '||', '==', '!=', '<', '<=', '>', '>=', 'is', 'isnt'].includes(bare.op);
    case 'unary':
      return bare.op === '!';
    case 'conditional':
      return isCondition(bare.whenFalse);
    default:
      return false;
  }
}

/** The expression a reference leads to, and the ad it is in. */
function follow(
  expr: AttributeReference,
  context: EvaluationContext,
): { expr: Expr; from: 'my' | 'target' } | undefined {
  const { my, target } = context;
  const scope =
    expr.scope?.kind === 'attribute' && expr.scope.scope === undefined
      ? lowerCase(expr.scope.name)
      : undefined;
  if (expr.scope !== undefined && scope === undefined) return undefined;
  const own = scope === undefined || scope === 'my' || scope === 'self' ? my?.get(expr.name) : undefined;
  if (own !== undefined) return { expr: own, from: 'my' };
  const theirs =
    scope === undefined || scope === 'target' || scope === 'other' ? target?.get(expr.name) : undefined;
  return theirs === undefined ? undefined : { expr: theirs, from: 'target' };
}

function attributesIn(expr: Expr, context: EvaluationContext): AttributeInUse[] {
  const found = new Map<string, AttributeInUse>();
  const pending: Expr[] = [expr];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next.kind !== 'attribute') {
      pending.push(...[...childrenOf(next)].reverse());
      continue;
    }
    const reference = unparse(next, 'old');
    if (found.has(lowerCase(reference))) continue;
    const followed = follow(next, context);
    const plain = followed === undefined || followed.expr.kind === 'literal';
    found.set(lowerCase(reference), {
      reference,
      from: followed?.from ?? 'none',
      expression: plain ? undefined : unparse(followed.expr, 'old').trim(),
      value: evaluate(next, context),
    });
  }
  return [...found.values()];
}

export interface MatchExplanation {
  matches: boolean;
  /** The left ad's Requirements, with the right one as TARGET; undefined when it has none. */
  left: Explanation | undefined;
  right: Explanation | undefined;
}

/** Why two ads match or do not. */
export function explainMatch(
  left: ClassAd,
  right: ClassAd,
  world: Omit<EvaluationContext, 'my' | 'target'> = {},
): MatchExplanation {
  const side = (my: ClassAd, target: ClassAd): Explanation | undefined => {
    const requirements = my.get('Requirements');
    return requirements === undefined ? undefined : explain(requirements, { ...world, my, target });
  };
  const [ofLeft, ofRight] = [side(left, right), side(right, left)];
  const holds = (one: Explanation | undefined): boolean => one !== undefined && truth(one.value) === true;
  return { matches: holds(ofLeft) && holds(ofRight), left: ofLeft, right: ofRight };
}

/** An explanation as lines for a person; clauses that decide are marked with `>`. */
export function formatExplanation(explanation: Explanation, indent = ''): string {
  const mark = explanation.decides ? '>' : ' ';
  const value = unparseValue(explanation.value, 'old');
  const lines = [`${indent}${mark} ${value.padEnd(9)} ${explanation.text}`];
  for (const { reference, from, expression, value: used } of explanation.attributes) {
    const where = from === 'none' ? 'in neither ad' : from === 'my' ? 'in this ad' : 'in the other ad';
    const shown = used instanceof ClassAd ? 'an ad' : unparseValue(used, 'old');
    lines.push(
      `${indent}      ${reference} is ${shown}, ${where}${expression === undefined ? '' : `: ${expression}`}`,
    );
  }
  for (const clause of explanation.clauses) lines.push(formatExplanation(clause, `${indent}  `));
  return lines.join('\n');
}
