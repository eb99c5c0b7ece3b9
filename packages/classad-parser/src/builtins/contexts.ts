/** Functions that look at, or choose, what is evaluated and where. */
import { AdExpr, type Call, type Expr, ListExpr } from '../ast.ts';
import { ClassAd } from '../classad.ts';
import { compileExpr, evaluateListed } from '../compile.ts';
import { ClassAdSyntaxError } from '../errors.ts';
import { truth } from '../operators.ts';
import { parseExpr } from '../parser.ts';
import { prettyPrint } from '../pretty.ts';
import { childrenOf, externalReferences } from '../references.ts';
import { compilePattern } from '../regexp/pattern.ts';
import { transform } from '../rewrite.ts';
import {
  enter,
  type Found,
  isMatched,
  lookupInScope,
  lookupUnqualified,
  matchAd,
  outermost,
  rootOf,
} from '../scope.ts';
import { type EvalState, EvaluationFailure, FAILURE, FAILURE_STEPS } from '../state.ts';
import { lowerCase } from '../text.ts';
import { ERROR, ListValue, type Value } from '../values.ts';
import { madeList, toText } from './convert.ts';
import { type Builtin, strict } from './registry.ts';

/** Only the branch that is chosen is evaluated. */
const ifThenElse: Builtin = (args, state) => {
  const [condition, whenTrue, whenFalse] = args;
  if (condition === undefined || whenTrue === undefined || whenFalse === undefined || args.length !== 3)
    return ERROR;
  const value = condition(state);
  if (value === undefined) return undefined;
  const decided = truth(value);
  if (decided === undefined) return ERROR;
  return decided ? whenTrue(state) : whenFalse(state);
};

/** Evaluates a string as an expression, here. */
const evaluateText = strict(1, 1, ([value], state) => {
  const text = toText(value);
  if (typeof text !== 'string') return ERROR;
  if (state.depthLeft <= 0) throw FAILURE;
  let expr: Expr;
  try {
    expr = parseExpr(text);
  } catch (error) {
    if (!(error instanceof ClassAdSyntaxError)) throw error;
    return ERROR;
  }
  state.depthLeft -= 1;
  const result = compileExpr(expr)(state);
  state.depthLeft += 1;
  return result;
});

/** The text of an attribute's expression, printed over several lines; empty when this ad has none of the name. */
const unparseAttribute: Builtin = (_args, state, call) => {
  const [reference] = call.args;
  if (call.args.length !== 1 || reference?.kind !== 'attribute') return ERROR;
  const expr = state.current?.lookup(lowerCase(prettyPrint(reference)));
  return expr === undefined ? '' : prettyPrint(expr);
};

/**
 * What a reference leads to, unevaluated. As in HTCondor the evaluation then stays in the ad where the search ended,
 * to the end of the attribute it is part of.
 */
function dereference(expr: Extract<Expr, { kind: 'attribute' }>, state: EvalState): Found {
  const lower = lowerCase(expr.name);
  let start = expr.absolute ? rootOf(state) : state.current;
  if (expr.scope !== undefined) {
    const scope = compileExpr(expr.scope)(state);
    start = scope instanceof ClassAd ? scope : undefined;
  }
  if (start === undefined) return undefined;
  const qualified = expr.scope !== undefined || expr.absolute;
  const found = qualified ? lookupInScope(start, lower, state) : lookupUnqualified(start, lower, state);
  if (found === undefined && isMatched(outermost(start), state)) state.current = matchAd(state);
  return found;
}

/**
 * `evalInEachContext(expr, ads)` and `countMatches(expr, ads)`: an expression (or, for a reference, what it leads to)
 * evaluated in each ad of a list.
 */
function inEachContext(call: Call, state: EvalState): Value[] | undefined | typeof ERROR {
  const [first, second] = call.args;
  if (first === undefined || second === undefined || call.args.length !== 2) return ERROR;
  let expr: Expr | ClassAd = first;
  let home = state.current;
  if (first.kind === 'attribute') {
    const found = attempt(state, () => dereference(first, state));
    if (found !== FAILURE && found !== undefined) {
      expr = found as Expr | ClassAd;
      home = state.current;
    }
  }
  let list: ListValue;
  if (second.kind === 'list') {
    list = new ListValue(second.items, state.current);
  } else {
    const value = attempt(state, () => compileExpr(second)(state));
    // A selection from what cannot be evaluated counts as undefined.
    if (value === undefined || (value === FAILURE && second.kind === 'attribute' && second.scope))
      return undefined;
    if (!(value instanceof ListValue)) return ERROR;
    list = value;
  }
  // Ads and lists written in the expression stay where they were written, whatever it is evaluated in.
  const isOtherAd =
    first.kind === 'attribute' && /^(?:target|other)$/i.test(first.name) && expr instanceof ClassAd;
  const evaluated = expr instanceof ClassAd ? () => expr : compileExpr(placed(expr, home));
  return list.items.map((item) => {
    const ad = attempt(state, () => evaluateListed(item, list, state));
    if (!(ad instanceof ClassAd)) return ad === undefined ? undefined : ERROR;
    // The other ad is reached through the match, which an ad from nowhere is not part of.
    if (isOtherAd && !isMatched(outermost(ad), state)) return undefined;
    const inner = enter(ad, state);
    inner.context = ad;
    const value = attempt(state, () => evaluated(inner));
    return value === FAILURE ? ERROR : (value as Value);
  });
}

/** An expression whose ads and lists belong to the ad it stands in. */
function placed(expr: Expr, standsIn: ClassAd | undefined): Expr {
  if (!holdsComposite(expr)) return expr;
  return transform(expr, (part) => {
    if (part.kind === 'list') return new ListExpr(part.items, part.start, part.end, standsIn);
    if (part.kind !== 'ad') return undefined;
    return new AdExpr(new ClassAd(part.ad.shape, part.ad.slots, standsIn), part.start, part.end, true);
  });
}

function holdsComposite(expr: Expr): boolean {
  return expr.kind === 'ad' || expr.kind === 'list' || childrenOf(expr).some(holdsComposite);
}

function attempt<T>(state: EvalState, run: () => T): T | typeof FAILURE {
  const { current, depthLeft } = state;
  try {
    return run();
  } catch (error) {
    if (!(error instanceof EvaluationFailure)) throw error;
    state.budget.steps -= FAILURE_STEPS;
    state.current = current;
    state.depthLeft = depthLeft;
    return FAILURE;
  }
}

/** Which attributes the expression behind a reference needs from elsewhere; or whether one of them fits a pattern. */
const unresolved: Builtin = (args, state, call) => {
  const [reference] = call.args;
  if (args.length < 1 || args.length > 2 || reference?.kind !== 'attribute') return ERROR;
  const found = dereference(reference, state);
  if (found === undefined) return undefined;
  let pattern: ReturnType<typeof compilePattern>;
  if (args.length === 2) {
    const text = args[1]!(state);
    if (typeof text !== 'string') throw FAILURE;
    pattern = compilePattern(text, { ignoreCase: true });
    if (pattern === undefined) return ERROR;
  }
  const home = state.current;
  const names = found instanceof ClassAd || home === undefined ? [] : externalReferences(found, home, state);
  if (names === undefined) return pattern === undefined ? '' : false;
  const bare = names.map((name) => (lowerCase(name.slice(0, 7)) === 'target.' ? name.slice(7) : name));
  return pattern === undefined ? bare.join(',') : bare.some((name) => pattern.matchesNonEmpty(name));
};

export const contextFunctions: Readonly<Record<string, Builtin>> = {
  ifThenElse,
  eval: evaluateText,
  debug: strict(1, 1, ([value]) => value),
  unparse: unparseAttribute,
  unresolved,
  evalInEachContext: (_args, state, call) => {
    const values = inEachContext(call, state);
    return Array.isArray(values) ? madeList(values) : values;
  },
  countMatches: (_args, state, call) => {
    const values = inEachContext(call, state);
    if (!Array.isArray(values)) return values === undefined ? 0 : ERROR;
    return values.filter((value) => truth(value) === true).length;
  },
};
