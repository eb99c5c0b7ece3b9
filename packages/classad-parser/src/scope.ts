/**
 * Where names are looked up: in the current ad, then in the ads around it; in a match also in the ad of the other side.
 *
 * HTCondor matches two ads by placing them in an ad of its own (MatchClassAd): each within a context that binds
 * `target` and `other` to the other one, both within an outermost ad that binds LEFT, RIGHT and a few expressions.
 * That construction is visible to expressions (`parent`, `.LEFT`, `symmetricMatch`), so it exists here too, made only
 * when one of its rarer names is used.
 */
import { AdExpr, AttributeReference, Call, type Expr } from './ast.ts';
import { ClassAd } from './classad.ts';
import { parseNewAd } from './parser.ts';
import { EvalState } from './state.ts';

/** What a lookup finds: an expression to evaluate, or (for names like MY) the ad itself. */
export type Found = Expr | ClassAd | undefined;

const CURRENT_TIME = new Call('time', []);
const CONTEXT_NAMES = new Set(['other', 'target', 'my', 'ad']);
const MATCH_NAMES = new Set([
  'symmetricmatch',
  'leftmatchesright',
  'rightmatchesleft',
  'leftrankvalue',
  'rightrankvalue',
  'lctx',
  'rctx',
  'left',
  'right',
]);

/** A fresh evaluation in an ad, within the same match and world. */
export function enter(ad: ClassAd | undefined, state: EvalState): EvalState {
  const inner = new EvalState(state.my, state.target, state.environment, state.budget);
  inner.current = ad;
  inner.root = outermost(ad);
  return inner;
}

export function outermost(ad: ClassAd | undefined): ClassAd | undefined {
  let root = ad;
  while (root?.parent !== undefined) root = root.parent;
  return root;
}

/** The ad that `.name` is looked up in. */
export function rootOf(state: EvalState): ClassAd | undefined {
  return isMatched(state.root, state) ? matchAd(state) : state.root;
}

/** Whether an ad is one of the two of a match. */
export function isMatched(ad: ClassAd | undefined, state: EvalState): boolean {
  return state.target !== undefined && state.my !== undefined && (ad === state.my || ad === state.target);
}

/**
 * Looks in an ad and the ads around it, and leaves `state.current` at the ad the expression was found in: that is
 * where it has to be evaluated.
 */
export function lookupInScope(start: ClassAd, lower: string, state: EvalState): Found {
  for (
    let ad: ClassAd | undefined = start;
    ad !== undefined;
    ad = ad === state.root ? undefined : ad.parent
  ) {
    state.current = ad;
    const slot = ad.shape.slotOf(lower);
    if (slot !== -1) return ad.slots[slot];
    switch (lower) {
      case 'my':
      case 'self':
        return ad;
      case 'parent':
        return isMatched(ad, state) ? contextOf(ad, state) : ad === state.root ? undefined : ad.parent;
      case 'root':
      case 'toplevel':
        return rootOf(state);
      case 'currenttime':
        return CURRENT_TIME;
    }
    if (isMatched(ad, state)) return lookupAroundMatched(ad, lower, state);
  }
  return undefined;
}

/** `lookupInScope`, and for what it does not find in one ad of a match, the other ad. */
export function lookupUnqualified(start: ClassAd, lower: string, state: EvalState): Found {
  const found = lookupInScope(start, lower, state);
  if (found !== undefined || state.target === undefined) return found;
  const other = otherSide(start, state);
  return other === undefined ? undefined : lookupInScope(other, lower, state);
}

/** The ad across the match; an ad from nowhere counts as being on MY side while it is the context. */
function otherSide(start: ClassAd, state: EvalState): ClassAd | undefined {
  const { my, target } = state;
  if (start === state.context && !isMatched(start, state)) {
    const root = outermost(start.parent);
    if (root === target) return my;
    return root === my || root === undefined ? target : undefined;
  }
  return start === my ? target : start === target ? my : undefined;
}

function lookupAroundMatched(ad: ClassAd, lower: string, state: EvalState): Found {
  if (lower === 'target' || lower === 'other') return ad === state.my ? state.target : state.my;
  if (lower === 'ad') return ad;
  if (!MATCH_NAMES.has(lower)) return undefined;
  const match = matchAd(state);
  state.current = match;
  return match.lookup(lower);
}

/** The ad HTCondor would have put both ads of the match into. */
export function matchAd(state: EvalState): ClassAd {
  state.matchAd ??= buildMatchAd(state.my!, state.target!);
  return state.matchAd;
}

function contextOf(ad: ClassAd, state: EvalState): ClassAd {
  const context = matchAd(state).get(ad === state.my ? 'lCtx' : 'rCtx');
  if (context?.kind !== 'ad') throw new TypeError('a match without contexts');
  return context.ad;
}

function buildMatchAd(left: ClassAd, right: ClassAd): ClassAd {
  const match = parseNewAd(
    '[ symmetricMatch = RIGHT.requirements && LEFT.requirements; leftMatchesRight = RIGHT.requirements;' +
      ' rightMatchesLeft = LEFT.requirements; leftRankValue = LEFT.rank; rightRankValue = RIGHT.rank ]',
  );
  match.insert('lCtx', context(match, 'LEFT', 'RIGHT'));
  match.insert('rCtx', context(match, 'RIGHT', 'LEFT'));
  match.insert('LEFT', new AdExpr(left, -1, -1, true));
  match.insert('RIGHT', new AdExpr(right, -1, -1, true));
  return match;
}

function context(match: ClassAd, own: string, other: string): AdExpr {
  const ad = new ClassAd(undefined, [], match);
  for (const name of CONTEXT_NAMES) {
    const side = name === 'other' || name === 'target' ? other : own;
    ad.insert(name, new AttributeReference(undefined, side, true));
  }
  return new AdExpr(ad, -1, -1, true);
}
