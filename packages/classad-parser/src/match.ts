/** Matching two ads by their Requirements, as HTCondor's negotiator does. */
import type { ClassAd } from './classad.ts';
import { type EvaluationContext, evaluateIn, matchBoth } from './evaluate.ts';
import { truth } from './operators.ts';
import { toNumber, type Value } from './values.ts';

type World = Omit<EvaluationContext, 'my' | 'target'>;

/** Whether each ad's Requirements hold with the other as TARGET. An ad without Requirements matches nothing. */
export function matches(left: ClassAd, right: ClassAd, world: World = {}): boolean {
  return matchBoth(left, right, world);
}

/** Whether the Requirements of `my` alone hold with `target` as TARGET. */
export function requirementsHold(my: ClassAd, target: ClassAd, world: World = {}): boolean {
  return truth(evaluateIn('requirements', my, target, world)) === true;
}

/** How much `my` likes `target`: its Rank if that is a number (true is 1), otherwise 0. */
export function rank(my: ClassAd, target: ClassAd, world: World = {}): number {
  const value: Value = evaluateIn('rank', my, target, world);
  return typeof value === 'boolean' ? Number(value) : (toNumber(value) ?? 0);
}
