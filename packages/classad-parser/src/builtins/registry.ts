/** The functions of the language, by lower-case name. */
import type { Call, Expr } from '../ast.ts';
import type { Compiled, EvalState } from '../state.ts';
import { lowerCase } from '../text.ts';
import { ERROR, type Value } from '../values.ts';

/** What a function gets: its arguments, still to be evaluated (or not), and the evaluation it is called in. */
export type Builtin = (args: readonly Compiled[], state: EvalState, call: Call) => Value;

const functions = new Map<string, Builtin>();

export function register(table: Readonly<Record<string, Builtin>>): void {
  for (const [name, builtin] of Object.entries(table)) functions.set(lowerCase(name), builtin);
}

/** A function that takes `least` to `most` arguments and is given their values. Another number of them is an error. */
export function strict(
  least: number,
  most: number,
  apply: (values: readonly Value[], state: EvalState, call: Call) => Value,
): Builtin {
  return (args, state, call) => {
    if (args.length < least || args.length > most) return ERROR;
    const values: Value[] = [];
    for (const arg of args) values.push(arg(state));
    return apply(values, state, call);
  };
}

/** A call of a function nobody knows is an error; its arguments are not evaluated. */
export function compileCall(call: Call, compile: (expr: Expr) => Compiled): Compiled {
  const name = lowerCase(call.name);
  const builtin = functions.get(name);
  if (builtin === undefined) return () => ERROR;
  const args = call.args.map(compile);
  return (state) => builtin(args, state, call);
}
