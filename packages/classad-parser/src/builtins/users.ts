/** Functions of users: their home folders, and the maps an administrator gives. */
import { EvaluationFailure, FAILURE } from '../state.ts';
import { lowerCase } from '../text.ts';
import { ERROR, type Value } from '../values.ts';
import type { Builtin } from './registry.ts';
import { tokens } from './strings.ts';

/** A user's home folder; the second argument stands in where there is none. */
const userHome: Builtin = (args, state) => {
  if (args.length !== 1 && args.length !== 2) throw FAILURE;
  const evaluated = (arg: (typeof args)[number] | undefined): Value => {
    try {
      return arg?.(state);
    } catch (error) {
      if (!(error instanceof EvaluationFailure)) throw error;
      return undefined;
    }
  };
  const given = evaluated(args[1]);
  const fallback = typeof given === 'string' && given !== '' ? given : undefined;
  const user = evaluated(args[0]);
  if (user === undefined) return fallback;
  if (typeof user !== 'string') return fallback ?? ERROR;
  return state.environment.userHome(user) ?? fallback;
};

/**
 * `userMap(map, key)` is what the key maps to; with a preferred item, that item of the comma-separated result if it is
 * there, else the first; with a fourth argument, that where the key maps to nothing. The map's name may be followed by a
 * dot and the method to look under.
 */
const userMap: Builtin = (args, state) => {
  if (args.length < 2 || args.length > 4) return ERROR;
  const [name, key, preferred, otherwise] = args.map((arg) => arg(state));
  if (typeof name !== 'string' || typeof key !== 'string') {
    return name === ERROR || key === ERROR ? ERROR : otherwise;
  }
  const dot = name.indexOf('.');
  const [map, method] = dot === -1 ? [name, undefined] : [name.slice(0, dot), name.slice(dot + 1)];
  const mapped = state.environment.userMaps.get(lowerCase(map))?.(key, method);
  if (mapped === undefined) return otherwise;
  if (args.length === 2) return mapped;
  const items = tokens(mapped, ',');
  const wanted = typeof preferred === 'string' ? lowerCase(preferred) : undefined;
  return items.find((item) => lowerCase(item) === wanted) ?? items[0] ?? otherwise;
};

export const userFunctions: Readonly<Record<string, Builtin>> = { userHome, userMap };
