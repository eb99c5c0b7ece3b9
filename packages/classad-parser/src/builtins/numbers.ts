/** Rounding, powers, quantizing and random numbers. */
import { compileExpr } from '../compile.ts';
import { normalize, toInt32, truncateToInteger } from '../integers.ts';
import { isInteger } from '../operators.ts';
import { type EvalState, FAILURE } from '../state.ts';
import { ERROR, type Integer, ListValue, Real, type Value } from '../values.ts';
import { toDouble } from './convert.ts';
import { type Builtin, strict } from './registry.ts';

const MAX_INT = 2147483647;

function rounding(round: (value: number) => number): Builtin {
  return strict(1, 1, ([value]) => {
    if (isInteger(value)) return value;
    const double = toDouble(value);
    return typeof double === 'number' ? truncateToInteger(round(double)) : ERROR;
  });
}

/** C's rint: halves go to the even neighbour. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

function power(base: Value, exponent: Value): Value {
  if (isInteger(base) && isInteger(exponent) && exponent >= 0) {
    return truncateToInteger(pow(Number(base), Number(exponent)) + 0.5);
  }
  const a = toDouble(base);
  const b = toDouble(exponent);
  return typeof a === 'number' && typeof b === 'number' ? new Real(pow(a, b)) : ERROR;
}

/** C's pow, which differs from JavaScript's in that 1 to any power is 1, also to NaN or infinity. */
function pow(base: number, exponent: number): number {
  if (base === 1 || (base === -1 && Math.abs(exponent) === Number.POSITIVE_INFINITY)) return 1;
  return base ** exponent;
}

/**
 * The next multiple of a step; or, of a list of steps, the first that is large enough, and multiples of the last one
 * when none is.
 */
function quantize(value: Value, steps: Value, state: EvalState): Value {
  const size = toDouble(value);
  if (typeof size !== 'number') return ERROR;
  let step: Value = steps;
  let stepSize: number;
  if (steps instanceof ListValue) {
    step = new Real(0);
    stepSize = 0;
    for (const item of steps.items) {
      step = compileExpr(item)(state);
      const candidate = toDouble(step);
      if (typeof candidate !== 'number') return ERROR;
      if (candidate >= size) return step;
      stepSize = candidate;
    }
  } else {
    const converted = toDouble(steps);
    if (typeof converted !== 'number') return ERROR;
    stepSize = converted;
  }
  if (isInteger(step)) {
    if (step === 0) return value;
    return isInteger(value)
      ? nextMultiple(value, step)
      : new Real(Math.ceil(size / Number(step)) * Number(step));
  }
  if (stepSize >= -1e-8 && stepSize <= 1e-8) return value;
  return new Real(Math.ceil(size / stepSize) * stepSize);
}

function nextMultiple(value: Integer, step: Integer): Integer {
  const wide = BigInt(step);
  const sum = BigInt.asIntN(64, BigInt.asIntN(64, BigInt(value) + wide) - 1n);
  return normalize((sum / wide) * wide);
}

function random(limit: Value, state: EvalState): Value {
  if (isInteger(limit)) {
    const below = toInt32(limit);
    if (below <= 0) throw FAILURE;
    return Math.floor(state.environment.random() * MAX_INT) % below;
  }
  if (!(limit instanceof Real)) return ERROR;
  if (limit.value <= 0) throw FAILURE;
  return new Real(limit.value * state.environment.random());
}

export const numberFunctions: Readonly<Record<string, Builtin>> = {
  floor: rounding(Math.floor),
  ceil: rounding(Math.ceil),
  ceiling: rounding(Math.ceil),
  round: rounding(roundHalfEven),
  pow: strict(2, 2, ([base, exponent]) => power(base, exponent)),
  quantize: strict(2, 2, ([value, steps], state) => quantize(value, steps, state)),
  random: strict(0, 1, (values, state) => random(values.length === 0 ? new Real(1) : values[0], state)),
};
