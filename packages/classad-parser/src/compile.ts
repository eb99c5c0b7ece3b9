/**
 * Expressions compiled to closures. Each node keeps its closure, so an expression is compiled once, when first
 * evaluated; what is known beforehand (an operand that is a literal, the slot of an attribute) is bound into it.
 */
import type { AttributeReference, Binary, Conditional, Expr, LiteralValue, Subscript } from './ast.ts';
import { toElement } from './builtins/convert.ts';
import { compileCall } from './builtins/registry.ts';
import { ClassAd } from './classad.ts';
import { toInt32 } from './integers.ts';
import {
  and,
  arithmetic,
  binary,
  type ComparisonOperator,
  compare,
  isInteger,
  or,
  truth,
  unary,
} from './operators.ts';
import { enter, type Found, lookupInScope, lookupUnqualified, rootOf } from './scope.ts';
import { type Compiled, type EvalState, EvaluationFailure, FAILURE, FAILURE_STEPS } from './state.ts';
import { lowerCase } from './text.ts';
import { ERROR, ListValue, Real, RelTime, type Value } from './values.ts';

export function compileExpr(expr: Expr): Compiled {
  expr.compiled ??= build(expr);
  return expr.compiled;
}

/** HTCondor 23.9 evaluates a literal span of time to the real number of its seconds. */
function literalValue(value: LiteralValue): Value {
  return value instanceof RelTime ? new Real(value.seconds) : value;
}

function build(expr: Expr): Compiled {
  switch (expr.kind) {
    case 'literal': {
      const value = literalValue(expr.value);
      return () => value;
    }
    case 'attribute':
      return buildReference(expr);
    case 'parentheses':
      return compileExpr(expr.inner);
    case 'unary': {
      const { op } = expr;
      const operand = compileExpr(expr.operand);
      return (state) => unary(op, operand(state));
    }
    case 'binary':
      return buildBinary(expr);
    case 'conditional':
      return buildConditional(expr);
    case 'subscript':
      return buildSubscript(expr);
    case 'call':
      return compileCall(expr, compileExpr);
    case 'list': {
      const { items, scope } = expr;
      return (state) => new ListValue(items, scope ?? state.current);
    }
    case 'ad': {
      const { ad } = expr;
      return expr.placed ? () => ad : (state) => new ClassAd(ad.shape, ad.slots, state.current);
    }
  }
}

/** Operators that group to the left make trees as deep as a chain is long, so a chain is built (and run) in a loop. */
function buildBinary(expr: Binary): Compiled {
  const chain: Binary[] = [];
  let first: Expr = expr;
  while (first.kind === 'binary' && first.compiled === undefined) {
    chain.push(first);
    first = first.left;
  }
  if (chain.length <= 8) {
    let left = compileExpr(first);
    for (const node of chain.reverse()) {
      left = buildOperator(node, left);
      node.compiled = left;
    }
    return left;
  }
  const start = compileExpr(first);
  const steps = chain.reverse().map((node) => {
    let input: Value;
    const step = buildOperator(node, () => input);
    return (state: EvalState, left: Value): Value => {
      input = left;
      return step(state);
    };
  });
  return (state) => {
    let value = start(state);
    for (const step of steps) value = step(state, value);
    return value;
  };
}

function buildOperator(node: Binary, left: Compiled): Compiled {
  const { op } = node;
  const right = compileExpr(node.right);
  switch (op) {
    case '||':
      return (state) => {
        const a = left(state);
        if (a === true || (a !== false && truth(a) === true)) return true;
        const b = right(state);
        return a === false && typeof b === 'boolean' ? b : or(a, b);
      };
    case '&&':
      return (state) => {
        const a = left(state);
        if (a === false || (a !== true && truth(a) === false)) return false;
        const b = right(state);
        return a === true && typeof b === 'boolean' ? b : and(a, b);
      };
    case '<':
    case '<=':
    case '==':
    case '!=':
    case '>=':
    case '>':
      return buildComparison(op, left, right, node.right);
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return (state) => {
        const a = left(state);
        return arithmetic(op, a, right(state));
      };
    default:
      return (state) => {
        const a = left(state);
        return binary(op, a, right(state));
      };
  }
}

const COMPARE_NUMBERS: Readonly<Record<ComparisonOperator, (left: number, right: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '>=': (a, b) => a >= b,
  '>': (a, b) => a > b,
};

function buildComparison(op: ComparisonOperator, left: Compiled, right: Compiled, rightExpr: Expr): Compiled {
  const bound = rightExpr.kind === 'literal' ? rightExpr.value : undefined;
  const constant = bound instanceof Real ? bound.value : typeof bound === 'number' ? bound : undefined;
  if (constant !== undefined) return compareWithConstant(op, left, constant, bound);
  const holds = COMPARE_NUMBERS[op];
  return (state) => {
    const a = left(state);
    const b = right(state);
    if (typeof a === 'number') {
      if (typeof b === 'number') return holds(a, b);
      if (b instanceof Real) return holds(a, b.value);
    } else if (a instanceof Real) {
      if (b instanceof Real) return holds(a.value, b.value);
      if (typeof b === 'number') return holds(a.value, b);
    }
    return compare(op, a, b);
  };
}

/** Written out for each operator: a shared comparison would be called through a pointer in the hottest of paths. */
function compareWithConstant(
  op: ComparisonOperator,
  left: Compiled,
  constant: number,
  bound: Value,
): Compiled {
  switch (op) {
    case '<':
      return (state) => {
        const a = left(state);
        if (a instanceof Real) return a.value < constant;
        return typeof a === 'number' ? a < constant : compare(op, a, bound);
      };
    case '<=':
      return (state) => {
        const a = left(state);
        if (a instanceof Real) return a.value <= constant;
        return typeof a === 'number' ? a <= constant : compare(op, a, bound);
      };
    case '>':
      return (state) => {
        const a = left(state);
        if (a instanceof Real) return a.value > constant;
        return typeof a === 'number' ? a > constant : compare(op, a, bound);
      };
    case '>=':
      return (state) => {
        const a = left(state);
        if (a instanceof Real) return a.value >= constant;
        return typeof a === 'number' ? a >= constant : compare(op, a, bound);
      };
    case '==':
      return (state) => {
        const a = left(state);
        if (a instanceof Real) return a.value === constant;
        return typeof a === 'number' ? a === constant : compare(op, a, bound);
      };
    case '!=':
      return (state) => {
        const a = left(state);
        if (a instanceof Real) return a.value !== constant;
        return typeof a === 'number' ? a !== constant : compare(op, a, bound);
      };
  }
}

/**
 * A condition that is neither true nor false leaves both branches to be evaluated, as in HTCondor: their values are
 * dropped, but a failure in them is not.
 */
function buildConditional(expr: Conditional): Compiled {
  const condition = compileExpr(expr.condition);
  const whenFalse = compileExpr(expr.whenFalse);
  if (expr.whenTrue === undefined) {
    return (state) => {
      const value = condition(state);
      if (truth(value) === false) return value;
      const otherwise = whenFalse(state);
      return value === undefined ? otherwise : value;
    };
  }
  const whenTrue = compileExpr(expr.whenTrue);
  return (state) => {
    const value = condition(state);
    const decided = truth(value);
    if (decided === true) return whenTrue(state);
    if (decided === false) return whenFalse(state);
    whenTrue(state);
    whenFalse(state);
    return value === undefined ? undefined : ERROR;
  };
}

function buildSubscript(expr: Subscript): Compiled {
  const container = compileExpr(expr.container);
  const index = compileExpr(expr.index);
  return (state) => {
    const from = container(state);
    const at = index(state);
    if (from === ERROR || at === ERROR) return ERROR;
    if (from === undefined || at === undefined) return undefined;
    if (from instanceof ClassAd && typeof at === 'string') return evaluateMember(from, at, state);
    if (from instanceof ListValue && isInteger(at)) {
      const position = toInt32(at);
      return position < 0 || position >= from.items.length ? ERROR : evaluateItem(from, position, state);
    }
    return ERROR;
  };
}

/** An element of a list, evaluated where the list stands; a failure in it is an error. */
export function evaluateItem(list: ListValue, index: number, state: EvalState): Value {
  const item = list.items[index]!;
  if (item.kind === 'literal') return literalValue(item.value);
  if (state.depthLeft <= 0 || --state.budget.steps < 0) throw FAILURE;
  const { current, depthLeft } = state;
  state.depthLeft -= 1;
  state.current = list.scope;
  try {
    return compileExpr(item)(state);
  } catch (error) {
    if (!(error instanceof EvaluationFailure)) throw error;
    state.budget.steps -= FAILURE_STEPS;
    return ERROR;
  } finally {
    state.current = current;
    state.depthLeft = depthLeft;
  }
}

/** An element evaluated here rather than where its list stands; only an ad written in the list stays where it is. */
export function evaluateListed(item: Expr, list: ListValue, state: EvalState): Value {
  if (item.kind === 'ad' && !item.placed) return new ClassAd(item.ad.shape, item.ad.slots, list.scope);
  return compileExpr(item)(state);
}

/** An attribute the ad has itself, evaluated on its own; undefined when it has none of this name. */
function evaluateMember(ad: ClassAd, name: string, state: EvalState): Value {
  const expr = ad.lookup(lowerCase(name));
  if (expr === undefined) return undefined;
  try {
    return compileExpr(expr)(enter(ad, state));
  } catch (error) {
    if (!(error instanceof EvaluationFailure)) throw error;
    state.budget.steps -= FAILURE_STEPS;
    return ERROR;
  }
}

function buildReference(expr: AttributeReference): Compiled {
  const lower = lowerCase(expr.name);
  if (expr.scope !== undefined) return buildSelection(compileExpr(expr.scope), lower, expr.name);
  if (expr.absolute) {
    return (state) => {
      const { current } = state;
      const root = rootOf(state);
      if (root === undefined) throw FAILURE;
      return evaluateFound(lookupInScope(root, lower, state), state, current);
    };
  }
  const side = SIDES.get(lower);
  if (side !== undefined) return buildSide(side, lower);
  // Ads of one kind share a shape, so the slot found for one ad is the slot in the next.
  let knownShape: ClassAd['shape'] | undefined;
  let knownSlot = -1;
  return (state) => {
    const { current } = state;
    if (current === undefined) return undefined;
    const { shape } = current;
    let found: Found;
    if (shape === knownShape) {
      found = current.slots[knownSlot];
    } else {
      const slot = shape.slotOf(lower);
      if (slot === -1) {
        found = lookupUnqualified(current, lower, state);
      } else {
        found = current.slots[slot];
        knownShape = shape;
        knownSlot = slot;
      }
    }
    return evaluateFound(found, state, current);
  };
}

const SIDES: ReadonlyMap<string, 'own' | 'other'> = new Map([
  ['my', 'own'],
  ['self', 'own'],
  ['target', 'other'],
  ['other', 'other'],
]);

/** MY and TARGET, without a search where the ad has no attribute of that name, which none should. */
function buildSide(side: 'own' | 'other', lower: string): Compiled {
  let withoutIt: ClassAd['shape'] | undefined;
  return (state) => {
    const { current, my, target } = state;
    if (current === undefined) return undefined;
    const { shape } = current;
    if (shape !== withoutIt && shape.shared && shape.slotOf(lower) === -1) withoutIt = shape;
    if (shape === withoutIt) {
      if (side === 'own') return current;
      if (target !== undefined && my !== undefined) {
        if (current === my) return target;
        if (current === target) return my;
      }
    }
    return evaluateFound(lookupUnqualified(current, lower, state), state, current);
  };
}

/** The value of what a lookup found, evaluated in the ad it was found in; then back to where we were. */
function evaluateFound(found: Found, state: EvalState, current: ClassAd | undefined): Value {
  if (found === undefined || found instanceof ClassAd) {
    state.current = current;
    return found;
  }
  if (state.depthLeft <= 0 || --state.budget.steps < 0) throw FAILURE;
  if (found.kind === 'literal') {
    state.current = current;
    const { value } = found;
    return value instanceof RelTime ? literalValue(value) : value;
  }
  state.depthLeft -= 1;
  const value = compileExpr(found)(state);
  state.depthLeft += 1;
  state.current = current;
  return value;
}

function buildSelection(scope: Compiled, lower: string, name: string): Compiled {
  let knownShape: ClassAd['shape'] | undefined;
  let knownSlot = -1;
  return (state) => {
    const { current } = state;
    const value = scope(state);
    if (value instanceof ClassAd) {
      const { shape } = value;
      if (shape !== knownShape) {
        const slot = shape.slotOf(lower);
        if (slot === -1) return evaluateFound(lookupInScope(value, lower, state), state, current);
        knownShape = shape;
        knownSlot = slot;
      }
      state.current = value;
      return evaluateFound(value.slots[knownSlot], state, current);
    }
    if (value instanceof ListValue) return selectFromEach(value, buildSelection, lower, name, state);
    return value === undefined ? undefined : ERROR;
  };
}

/** `list.name` is the list of `element.name`. */
function selectFromEach(
  list: ListValue,
  select: typeof buildSelection,
  lower: string,
  name: string,
  state: EvalState,
): Value {
  const items = list.items.map((item) => {
    const inner = enter(state.current, state);
    inner.depthLeft = state.depthLeft;
    return toElement(select((itsState) => evaluateListed(item, list, itsState), lower, name)(inner));
  });
  return new ListValue(items, undefined);
}
