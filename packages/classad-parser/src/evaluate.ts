import type { Expr } from './ast.ts';
import type { ClassAd } from './classad.ts';
import './builtins/index.ts';
import { compileExpr } from './compile.ts';
import { truth } from './operators.ts';
import { outermost } from './scope.ts';
import { type Environment, EvalState, EvaluationFailure, MAX_STEPS, type UserMaps } from './state.ts';
import { lowerCase } from './text.ts';
import { localUtcOffsetSeconds } from './times.ts';
import { ERROR, type Value } from './values.ts';

/** What an evaluation may see of the world. Everything left out has a default. */
export interface EvaluationContext {
  /** The ad whose attributes the expression refers to (MY). */
  my?: ClassAd | undefined;
  /** The ad it is matched with (TARGET). */
  target?: ClassAd | undefined;
  /** The current time. Default: the system clock. */
  now?: Date | undefined;
  /** Numbers in [0, 1) for `random()`. Default: Math.random. */
  random?: (() => number) | undefined;
  /** Maps for `userMap()`; see `parseUserMap`. Default: none. */
  userMaps?: UserMaps | undefined;
  /** A user's home folder for `userHome()`, or undefined for an unknown user. Default: no user is known. */
  userHome?: ((user: string) => string | undefined) | undefined;
  /** Offset of local time from UTC at a time, in seconds. Default: the system's time zone. */
  utcOffsetSeconds?: ((epochSeconds: number) => number) | undefined;
}

const NO_MAPS: UserMaps = new Map();

const DEFAULT_ENVIRONMENT: Environment = {
  nowSeconds: () => Math.floor(Date.now() / 1000),
  random: Math.random,
  userMaps: NO_MAPS,
  userHome: () => undefined,
  utcOffsetSeconds: localUtcOffsetSeconds,
};

function environmentOf(context: EvaluationContext): Environment {
  const { now, random, userMaps, userHome, utcOffsetSeconds } = context;
  if (!now && !random && !userMaps && !userHome && !utcOffsetSeconds) return DEFAULT_ENVIRONMENT;
  return {
    nowSeconds: now ? () => Math.floor(now.getTime() / 1000) : DEFAULT_ENVIRONMENT.nowSeconds,
    random: random ?? DEFAULT_ENVIRONMENT.random,
    userMaps: userMaps ?? NO_MAPS,
    userHome: userHome ?? DEFAULT_ENVIRONMENT.userHome,
    utcOffsetSeconds: utcOffsetSeconds ?? localUtcOffsetSeconds,
  };
}

/** The value of an expression. Never throws: what HTCondor fails to evaluate has the value `ERROR`. */
export function evaluate(expr: Expr, context: EvaluationContext = {}): Value {
  return run(expr, newState(context.my, context.target, environmentOf(context)));
}

/** An expression ready to be evaluated against many ads; faster than `evaluate` when there are many. */
export type CompiledExpr = (my?: ClassAd, target?: ClassAd) => Value;

export function compile(expr: Expr, context: Omit<EvaluationContext, 'my' | 'target'> = {}): CompiledExpr {
  const environment = environmentOf(context);
  return (my, target) => run(expr, newState(my, target, environment));
}

/** The value of an ad's attribute; undefined when it has none of this name. */
export function evaluateAttribute(
  ad: ClassAd,
  name: string,
  context: Omit<EvaluationContext, 'my'> = {},
): Value {
  const expr = ad.lookup(lowerCase(name));
  if (expr === undefined) return undefined;
  return run(expr, newState(ad, context.target, environmentOf(context)));
}

/** Whether the Requirements of the right ad hold, and then those of the left one, in one match. */
export function matchBoth(
  left: ClassAd,
  right: ClassAd,
  world: Omit<EvaluationContext, 'my' | 'target'>,
): boolean {
  const ofRight = right.lookup('requirements');
  const ofLeft = left.lookup('requirements');
  if (ofRight === undefined || ofLeft === undefined) return false;
  const state = newState(left, right, environmentOf(world));
  state.current = right;
  if (truth(run(ofRight, state)) !== true) return false;
  state.current = left;
  return truth(run(ofLeft, state)) === true;
}

/** The value of an attribute of `my`, given in lower case, in a match with `target`. */
export function evaluateIn(
  lower: string,
  my: ClassAd,
  target: ClassAd,
  world: Omit<EvaluationContext, 'my' | 'target'>,
): Value {
  const slot = my.shape.slotOf(lower);
  if (slot === -1) return undefined;
  return run(my.slots[slot]!, newState(my, target, environmentOf(world)));
}

function newState(my: ClassAd | undefined, target: ClassAd | undefined, environment: Environment): EvalState {
  const state = new EvalState(my, target === my ? undefined : target, environment, { steps: MAX_STEPS });
  if (my?.parent !== undefined) state.root = outermost(my);
  return state;
}

function run(expr: Expr, state: EvalState): Value {
  try {
    return compileExpr(expr)(state);
  } catch (error) {
    // RangeError: hostile nesting used up the stack.
    if (error instanceof EvaluationFailure || error instanceof RangeError) return ERROR;
    throw error;
  }
}
