/** Which attributes an expression refers to. */
import { type Expr, ListExpr } from './ast.ts';
import { ClassAd } from './classad.ts';
import { compileExpr } from './compile.ts';
import { enter, type Found, isMatched, lookupInScope, matchAd, rootOf } from './scope.ts';
import { type EvalState, EvaluationFailure } from './state.ts';
import { compareIgnoringCase, lowerCase } from './text.ts';
import { unparse } from './unparse.ts';

/** The expressions directly within one. */
export function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'literal':
      return [];
    case 'attribute':
      return expr.scope === undefined ? [] : [expr.scope];
    case 'unary':
      return [expr.operand];
    case 'parentheses':
      return [expr.inner];
    case 'binary':
      return [expr.left, expr.right];
    case 'conditional':
      return expr.whenTrue === undefined
        ? [expr.condition, expr.whenFalse]
        : [expr.condition, expr.whenTrue, expr.whenFalse];
    case 'subscript':
      return [expr.container, expr.index];
    case 'call':
      return expr.args;
    case 'list':
      return expr.items;
    case 'ad':
      return expr.ad.slots;
  }
}

export interface References {
  /** Names looked up in the expression's own ad: `Memory` where the ad has it, `MY.Memory`, `.Memory`. */
  my: string[];
  /** Names looked up in the other ad: `TARGET.Memory`, `other.Memory`. */
  target: string[];
  /** Unqualified names the own ad does not have (all of them, when no ad is given): the other ad's, or nobody's. */
  unresolved: string[];
}

/** The attributes an expression names, in its own text (not through what those attributes are bound to). Sorted. */
export function references(expr: Expr, my?: ClassAd): References {
  const found = {
    my: new Map<string, string>(),
    target: new Map<string, string>(),
    unresolved: new Map<string, string>(),
  };
  const note = (names: Map<string, string>, name: string) => {
    const lower = lowerCase(name);
    if (!names.has(lower)) names.set(lower, name);
  };
  const pending: { expr: Expr; local: ReadonlySet<string> }[] = [{ expr, local: new Set() }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { expr: node, local } = next;
    if (node.kind === 'attribute') {
      const { scope, name, absolute } = node;
      if (scope?.kind === 'attribute' && scope.scope === undefined && !scope.absolute) {
        const qualifier = lowerCase(scope.name);
        if (qualifier === 'target' || qualifier === 'other') note(found.target, name);
        else if (qualifier === 'my' || qualifier === 'self') note(found.my, name);
        else pending.push({ expr: scope, local });
      } else if (scope !== undefined) {
        pending.push({ expr: scope, local });
      } else if (absolute) {
        note(found.my, name);
      } else if (!local.has(lowerCase(name))) {
        note(my?.has(name) ? found.my : found.unresolved, name);
      }
      continue;
    }
    const inner = node.kind === 'ad' ? new Set([...local, ...node.ad.names().map(lowerCase)]) : local;
    for (const child of childrenOf(node)) pending.push({ expr: child, local: inner });
  }
  const sorted = (names: Map<string, string>) => [...names.values()].sort(compareIgnoringCase);
  return { my: sorted(found.my), target: sorted(found.target), unresolved: sorted(found.unresolved) };
}

/**
 * The references HTCondor calls external: those an evaluation in `ad` would look for elsewhere, also through the
 * attributes of `ad` itself; qualified names in full. Undefined where HTCondor gives up. Sorted.
 */
export function externalReferences(expr: Expr, ad: ClassAd, outer: EvalState): string[] | undefined {
  const state = enter(ad, outer);
  const names = new Map<string, string>();
  const note = (name: string) => {
    if (!names.has(lowerCase(name))) names.set(lowerCase(name), name);
  };
  if (!collect(expr, state, note)) return undefined;
  return [...names.values()].sort(compareIgnoringCase);
}

/**
 * Names in a nested ad are looked up where the search is, not in the nested ad, as HTCondor has it; only ads written
 * in it know that they stand in it (`standsIn`).
 */
function collect(expr: Expr, state: EvalState, note: (name: string) => void, standsIn?: ClassAd): boolean {
  if (expr.kind !== 'attribute') {
    if (state.depthLeft <= 0) return false;
    state.depthLeft -= 1;
    const around =
      expr.kind === 'ad' ? new ClassAd(expr.ad.shape, expr.ad.slots, standsIn ?? state.current) : standsIn;
    const complete = childrenOf(expr).every((child) => collect(child, state, note, around));
    state.depthLeft += 1;
    return complete;
  }
  const { current } = state;
  let start = expr.absolute ? rootOf(state) : current;
  if (expr.scope !== undefined) {
    const scope = evaluateScope(expr.scope, state, standsIn);
    if (scope === undefined) {
      note(`${unparse(expr.scope)}.${expr.name}`);
      return true;
    }
    if (!(scope instanceof ClassAd)) return false;
    start = scope;
  }
  if (start === undefined) return false;
  const found: Found = lookupInScope(start, lowerCase(expr.name), state);
  let complete = true;
  if (found === undefined) note(expr.name);
  else if (found instanceof ClassAd) {
    // HTCondor gets at the other ad through the ad it matches in, and looks at its attributes from there.
    if (isMatched(found, state) && found !== state.current) state.current = matchAd(state);
    complete = collect(new ListExpr(found.slots), state, note);
  } else if (state.depthLeft <= 0) complete = false;
  else {
    state.depthLeft -= 1;
    complete = collect(found, state, note);
    state.depthLeft += 1;
  }
  state.current = current;
  return complete;
}

function evaluateScope(expr: Expr, state: EvalState, standsIn: ClassAd | undefined): unknown {
  if (expr.kind === 'ad' && standsIn !== undefined)
    return new ClassAd(expr.ad.shape, expr.ad.slots, standsIn);
  try {
    return compileExpr(expr)(state);
  } catch (error) {
    if (!(error instanceof EvaluationFailure)) throw error;
    return null;
  }
}
