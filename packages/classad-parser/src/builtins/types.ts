/** What type a value has, and conversions between types. */
import { truncateToInt32 } from '../integers.ts';
import { isInteger, truth } from '../operators.ts';
import { lowerCase } from '../text.ts';
import { ERROR, Real, RelTime, type TypeName, typeOf, type Value } from '../values.ts';
import { toDouble, toInteger, toText } from './convert.ts';
import { type Builtin, strict } from './registry.ts';

const isType = (type: TypeName): Builtin => strict(1, 1, ([value]) => typeOf(value) === type);

function toBoolean(value: Value): Value {
  if (value === undefined) return undefined;
  if (typeof value === 'string') {
    const lower = lowerCase(value);
    return lower === 'true' ? true : lower === 'false' ? false : undefined;
  }
  if (value instanceof RelTime) return truncateToInt32(value.seconds) !== 0;
  return truth(value) ?? ERROR;
}

export const typeFunctions: Readonly<Record<string, Builtin>> = {
  isUndefined: isType('undefined'),
  isError: isType('error'),
  isString: isType('string'),
  isInteger: isType('integer'),
  isReal: isType('real'),
  isBoolean: isType('boolean'),
  isList: isType('list'),
  isClassAd: isType('classad'),
  isAbsTime: isType('absoluteTime'),
  isRelTime: isType('relativeTime'),
  int: strict(1, 1, ([value]) => toInteger(value)),
  real: strict(1, 1, ([value]) => {
    const double = toDouble(value);
    return typeof double === 'number' ? new Real(double) : double;
  }),
  string: strict(1, 1, ([value]) => toText(value)),
  bool: strict(1, 1, ([value]) => (isInteger(value) ? value !== 0 : toBoolean(value))),
};
