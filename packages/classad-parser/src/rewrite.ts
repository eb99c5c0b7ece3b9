/** Expressions made from expressions. */
import {
  AdExpr,
  AttributeReference,
  Binary,
  Call,
  Conditional,
  type Expr,
  ListExpr,
  Literal,
  Parentheses,
  Subscript,
  Unary,
} from './ast.ts';
import { ClassAd } from './classad.ts';
import { type EvaluationContext, evaluate } from './evaluate.ts';
import { truth } from './operators.ts';
import { childrenOf } from './references.ts';
import { lowerCase } from './text.ts';
import { ListValue, RelTime, type Value } from './values.ts';

/**
 * A copy with every part replaced by what `change` gives for it, from the inside out; where it gives undefined the part
 * stays. `change` sees parts whose own parts are changed already.
 */
export function transform(expr: Expr, change: (part: Expr) => Expr | undefined): Expr {
  const rebuilt = rebuild(expr, (child) => transform(child, change));
  return change(rebuilt) ?? rebuilt;
}

function rebuild(expr: Expr, visit: (child: Expr) => Expr): Expr {
  const { start, end } = expr;
  switch (expr.kind) {
    case 'literal':
      return expr;
    case 'attribute':
      if (expr.scope === undefined) return expr;
      return new AttributeReference(visit(expr.scope), expr.name, expr.absolute, start, end);
    case 'unary':
      return new Unary(expr.op, visit(expr.operand), start, end);
    case 'parentheses':
      return new Parentheses(visit(expr.inner), start, end);
    case 'binary':
      return rebuildChain(expr, visit);
    case 'conditional': {
      const whenTrue = expr.whenTrue === undefined ? undefined : visit(expr.whenTrue);
      return new Conditional(visit(expr.condition), whenTrue, visit(expr.whenFalse), start, end);
    }
    case 'subscript':
      return new Subscript(visit(expr.container), visit(expr.index), start, end);
    case 'call':
      return new Call(expr.name, expr.args.map(visit), start, end);
    case 'list':
      return new ListExpr(expr.items.map(visit), start, end);
    case 'ad': {
      const ad = new ClassAd();
      for (const [name, value] of expr.ad) ad.insert(name, visit(value));
      return new AdExpr(ad, start, end);
    }
  }
}

/** A chain of operators is as deep as it is long: its left spine is walked, not descended. */
function rebuildChain(expr: Binary, visit: (child: Expr) => Expr): Expr {
  const spine: Binary[] = [];
  let node: Expr = expr;
  while (node.kind === 'binary' && spine.length < 64) {
    spine.push(node);
    node = node.left;
  }
  let left = visit(node);
  for (const { op, right, start, end } of spine.reverse())
    left = new Binary(op, left, visit(right), start, end);
  return left;
}

/** Renames attributes, whatever qualifies them, wherever the map (from names of any case) has a new name. */
export function rename(expr: Expr, names: Readonly<Record<string, string>>): Expr {
  const byLower = new Map(Object.entries(names).map(([from, to]) => [lowerCase(from), to]));
  return transform(expr, (part) => {
    const name = part.kind === 'attribute' ? byLower.get(lowerCase(part.name)) : undefined;
    if (part.kind !== 'attribute' || name === undefined) return undefined;
    return new AttributeReference(part.scope, name, part.absolute, part.start, part.end);
  });
}

/** Puts expressions (in parentheses, unless they are literals) in place of unqualified and MY references. */
export function substitute(expr: Expr, replacements: Readonly<Record<string, Expr>>): Expr {
  const byLower = new Map(Object.entries(replacements).map(([name, value]) => [lowerCase(name), value]));
  return transform(expr, (part) => {
    if (
      part.kind !== 'attribute' ||
      part.absolute ||
      (part.scope !== undefined && !isScope(part.scope, 'my'))
    ) {
      return undefined;
    }
    const replacement = byLower.get(lowerCase(part.name));
    if (replacement === undefined || replacement.kind === 'literal') return replacement;
    return new Parentheses(replacement);
  });
}

function isScope(expr: Expr, name: string): boolean {
  return (
    expr.kind === 'attribute' && expr.scope === undefined && !expr.absolute && lowerCase(expr.name) === name
  );
}

/**
 * What is left of an expression when one ad is known and the other not yet: everything that can be computed from `my`
 * is, the rest stays. Evaluating the result with the same `my` gives what the expression itself would have given,
 * whatever the target.
 */
export function flatten(expr: Expr, context: Omit<EvaluationContext, 'target'>): Expr {
  return movesOn(expr) ? expr : flattened(expr, context);
}

/** Whether a part of it makes the evaluation go on in another ad, where what is known here may be something else. */
function movesOn(expr: Expr): boolean {
  const pending: Expr[] = [expr];
  for (let part = pending.pop(); part; part = pending.pop()) {
    if (part.kind === 'call' && MOVE_ON.has(lowerCase(part.name))) return true;
    pending.push(...childrenOf(part));
  }
  return false;
}

function flattened(expr: Expr, context: Omit<EvaluationContext, 'target'>): Expr {
  const known = isKnown(expr, context.my, new Set());
  if (known) return literalFor(evaluate(expr, context)) ?? expr;
  if (expr.kind === 'list' || expr.kind === 'ad' || expr.kind === 'attribute') return expr;
  if (expr.kind === 'call' && LOOK_AT_ARGUMENTS.has(lowerCase(expr.name))) return expr;
  if (expr.kind === 'binary') return flattenChain(expr, context);
  const inner = rebuild(expr, (child) => flattened(child, context));
  return simplified(inner);
}

/** A chain of operators from its left end: as far as it is known it becomes one literal. */
function flattenChain(expr: Binary, context: Omit<EvaluationContext, 'target'>): Expr {
  const spine: Binary[] = [];
  let first: Expr = expr;
  while (first.kind === 'binary') {
    spine.push(first);
    first = first.left;
  }
  let left = flattened(first, context);
  for (const { op, right, start, end } of spine.reverse()) {
    const flatRight = flattened(right, context);
    const whole = new Binary(op, left, flatRight, start, end);
    const known =
      left.kind === 'literal' && flatRight.kind === 'literal'
        ? literalFor(evaluate(whole, context))
        : undefined;
    left = known ?? simplified(whole);
  }
  return left;
}

/** Logical operators with one operand known to decide, or known not to matter. */
function simplified(expr: Expr): Expr {
  if (expr.kind === 'parentheses' && expr.inner.kind === 'literal') return expr.inner;
  if (expr.kind === 'conditional' && expr.condition.kind === 'literal' && expr.whenTrue !== undefined) {
    const decided = truth(expr.condition.value);
    if (decided !== undefined) return decided ? expr.whenTrue : expr.whenFalse;
  }
  if (expr.kind !== 'binary' || (expr.op !== '&&' && expr.op !== '||')) return expr;
  if (expr.left.kind === 'literal' && truth(expr.left.value) === (expr.op === '||'))
    return new Literal(expr.op === '||');
  return expr;
}

/** Whether an expression has the same value whatever the other ad is, and always. */
function isKnown(expr: Expr, my: ClassAd | undefined, following: Set<Expr>): boolean {
  const inner = (child: Expr): boolean => isKnown(child, my, following);
  switch (expr.kind) {
    case 'literal':
      return true;
    case 'attribute': {
      if (expr.absolute || (expr.scope !== undefined && !isScope(expr.scope, 'my'))) return false;
      const bound = my?.get(expr.name);
      if (bound === undefined || following.has(bound)) return false;
      following.add(bound);
      const known = inner(bound);
      following.delete(bound);
      return known;
    }
    case 'unary':
      return inner(expr.operand);
    case 'parentheses':
      return inner(expr.inner);
    case 'binary': {
      let node: Expr = expr;
      while (node.kind === 'binary') {
        if (!inner(node.right)) return false;
        node = node.left;
      }
      return inner(node);
    }
    case 'conditional':
      return (
        inner(expr.condition) &&
        inner(expr.whenFalse) &&
        (expr.whenTrue === undefined || inner(expr.whenTrue))
      );
    case 'subscript':
      return inner(expr.container) && inner(expr.index);
    case 'call':
      return !IMPURE.has(lowerCase(expr.name)) && expr.args.every(inner);
    case 'list':
      return expr.items.every(inner);
    case 'ad':
      return false;
  }
}

/** Functions whose value is not of their arguments alone. */
const IMPURE = new Set([
  ...['time', 'currenttime', 'daytime', 'timezoneoffset', 'abstime', 'formattime', 'random'],
  ...['eval', 'unparse', 'unresolved', 'evalineachcontext', 'countmatches', 'usermap', 'userhome', 'debug'],
]);

/** After these the evaluation stays in the ad where their search ended (builtins/contexts.ts). */
const MOVE_ON = new Set(['unresolved', 'evalineachcontext', 'countmatches']);

/** Functions that look at what their argument is, not only at its value: the parser reads a literal time. */
const LOOK_AT_ARGUMENTS = new Set(['unparse', 'abstime', 'reltime']);

function literalFor(value: Value): Expr | undefined {
  if (value instanceof ClassAd || value instanceof ListValue || value instanceof RelTime) return undefined;
  return new Literal(value);
}
