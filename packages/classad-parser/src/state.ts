import type { ClassAd } from './classad.ts';
import type { Value } from './values.ts';

/** A compiled expression. */
export type Compiled = (state: EvalState) => Value;

/** HTCondor follows at most this many attribute references within each other before it calls them circular. */
export const MAX_REFERENCE_DEPTH = 400;

/**
 * What one evaluation may do: attribute references and list elements, counted. HTCondor has no such limit, and can be
 * kept busy for ever by attributes that refer to each other twice (`a = b + b`, `b = c + c`, …).
 */
export const MAX_STEPS = 1_000_000;
/** What a caught failure counts for: it has unwound everything between. */
export const FAILURE_STEPS = 100;

/** Steps left, shared by all states of one evaluation. */
export interface Budget {
  steps: number;
}

/** Maps for `userMap`: by lower-case map name, a function from the key (and a method) to the mapped text. */
export type UserMaps = ReadonlyMap<string, (key: string, method?: string) => string | undefined>;

/**
 * HTCondor distinguishes an expression whose value is error from an evaluation that failed (references too deep, a
 * function called wrongly): a failure passes through every operator and function up to the caller, for whom it is an
 * error too.
 */
export class EvaluationFailure extends Error {}
export const FAILURE = new EvaluationFailure('the evaluation failed');

/** What an evaluation carries along. */
export class EvalState {
  /** The ad attribute references are looked up in. */
  current: ClassAd | undefined;
  /** The outermost ad around `current`: where `.name` is looked up. */
  root: ClassAd | undefined;
  /** The two ads of a match; each is the other's TARGET. */
  my: ClassAd | undefined;
  target: ClassAd | undefined;
  depthLeft = MAX_REFERENCE_DEPTH;
  /** An ad `evalInEachContext` evaluates in: it too has the other side's ad to look in. */
  context: ClassAd | undefined = undefined;
  /** The ad HTCondor would have put both into; see scope.ts. */
  matchAd: ClassAd | undefined = undefined;
  readonly environment: Environment;
  readonly budget: Budget;

  constructor(
    my: ClassAd | undefined,
    target: ClassAd | undefined,
    environment: Environment,
    budget: Budget,
  ) {
    this.current = my;
    this.root = my;
    this.my = my;
    this.target = target;
    this.environment = environment;
    this.budget = budget;
  }
}

/** The world an evaluation sees. */
export interface Environment {
  /** Now, in whole seconds since 1970. */
  nowSeconds(): number;
  /** A number in [0, 1). */
  random(): number;
  userMaps: UserMaps;
  /** A user's home folder, or undefined when there is no such user. */
  userHome(user: string): string | undefined;
  /** Offset of local time from UTC at a time, in seconds. */
  utcOffsetSeconds(epochSeconds: number): number;
}
