import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type ClassAd, type Expr, parseAds } from 'classad-parser';
import { readUserFile } from '../checked-yaml.ts';
import { messageOf, UserError } from '../errors.ts';
import { nearest } from '../nearest.ts';

/** When a breaker trips and resets, and what it then withholds. Expressions are over the path ad's attributes. */
export interface Policy {
  name: string;
  /** Which paths it covers. */
  covers: Expr;
  trip: Expr;
  reset: Expr;
  /** Fewest fresh samples, over all metrics, to judge by. */
  minSamples: number;
  /** Least quality (0..1) to judge by. */
  minQuality: number;
  /** How long trip or reset must hold without a break before the state changes, in seconds. */
  holdSeconds: number;
  /** How long an open breaker stays open at least, in seconds. */
  minOpenSeconds: number;
  /** While open, jobs with more input than this are withheld. */
  maxInputMB: number;
}

const ATTRIBUTES = [
  'Name',
  'Description',
  'Covers',
  'Trip',
  'Reset',
  'MinSamples',
  'MinQuality',
  'HoldSeconds',
  'MinOpenSeconds',
  'MaxInputMB',
];

/**
 * Reads every `*.ad` of a folder: one policy each, in old ClassAd syntax.
 * @throws UserError naming file and attribute
 */
export function loadPolicies(folder: string): Policy[] {
  let files: string[];
  try {
    files = readdirSync(folder).filter((file) => file.endsWith('.ad'));
  } catch (error) {
    throw new UserError(`cannot read the policy folder ${folder}: ${messageOf(error)}`);
  }
  const policies = files
    .sort()
    .map((file) => parsePolicy(readUserFile(join(folder, file), 'the policy'), join(folder, file)));
  const names = new Set<string>();
  for (const { name } of policies) {
    if (names.has(name)) throw new UserError(`${folder}: two policies are named "${name}"; rename one`);
    names.add(name);
  }
  return policies;
}

export function parsePolicy(text: string, file: string): Policy {
  let ads: ClassAd[];
  try {
    ads = parseAds(text);
  } catch (error) {
    throw new UserError(`${file}: ${messageOf(error)}`);
  }
  const ad = ads[0];
  if (!ad || ads.length > 1) {
    throw new UserError(
      `${file}: expected one policy (attribute = expression lines), found ${ads.length} ads`,
    );
  }
  for (const name of ad.names()) {
    if (!ATTRIBUTES.some((known) => known.toLowerCase() === name.toLowerCase())) {
      throw new UserError(`${file}: unknown attribute ${name}${nearest(name, ATTRIBUTES)}`);
    }
  }
  const expression = (name: string): Expr => {
    const expr = ad.get(name);
    if (!expr) throw new UserError(`${file}: ${name} is missing; it is an expression over the path ad`);
    return expr;
  };
  const number = (name: string, fallback: number, max: number): number => {
    if (!ad.has(name)) return fallback;
    const value = ad.getNumber(name);
    if (value === undefined || !(value >= 0 && value <= max)) {
      throw new UserError(`${file}: ${name}: expected a number from 0 to ${max}`);
    }
    return value;
  };
  const name = ad.has('Name') ? ad.getString('Name') : basename(file, '.ad');
  if (!name) throw new UserError(`${file}: Name: expected a text that is not empty`);
  return {
    name,
    covers: expression('Covers'),
    trip: expression('Trip'),
    reset: expression('Reset'),
    minSamples: number('MinSamples', 3, 1e6),
    minQuality: number('MinQuality', 0.3, 1),
    holdSeconds: number('HoldSeconds', 0, 30 * 86_400),
    minOpenSeconds: number('MinOpenSeconds', 1800, 30 * 86_400),
    maxInputMB: number('MaxInputMB', 0, 1e12),
  };
}
