import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type ClassAd, type Expr, parseAds } from 'classad-parser';
import { readUserFile } from '../checked-yaml.ts';
import type { Withholding } from '../domain.ts';
import { messageOf, UserError } from '../errors.ts';
import { nearest } from '../nearest.ts';

/** When a breaker trips and resets, and what it then withholds. Expressions are over the path ad's attributes. */
export interface Policy {
  name: string;
  description?: string;
  /** Which paths it covers. */
  covers: Expr;
  trip: Expr;
  reset: Expr;
  /** A metric with fewer fresh samples is as good as unknown to this policy. */
  minSamples: number;
  /** Least quality (0..1) to judge by. */
  minQuality: number;
  /** How long trip or reset must hold without a break before the state changes, in seconds. */
  holdSeconds: number;
  /** How long the first opening lasts at least, in seconds; each further one lasts `backoffFactor` times as long. */
  minOpenSeconds: number;
  backoffFactor: number;
  /** No opening has to last longer than this. Also: a path that has not tripped for so long is given a chance. */
  maxOpenSeconds: number;
  /** Openings are forgotten one by one, one each time so many seconds passed without another. */
  decaySeconds: number;
  /** While half-open: the share (0..1) of the withheld jobs that may cross, in turn. */
  halfOpenShare: number;
  /** How long each share has its turn, in seconds. */
  halfOpenTurnSeconds: number;
  /** While half-open: whether a pScheduler test is asked for, so that a result comes soon. */
  halfOpenProbe: boolean;
  /** How many new good results in a row close a half-open breaker. */
  goodResults: number;
  /** What is withheld while open; at least one limit. */
  withholds: Withholding;
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
  'BackoffFactor',
  'MaxOpenSeconds',
  'DecaySeconds',
  'HalfOpenShare',
  'HalfOpenTurnSeconds',
  'HalfOpenProbe',
  'GoodResults',
  'MaxInputMB',
  'MaxOutputMB',
  'MaxTransferSeconds',
  'MaxJobs',
];

const MONTH_SECONDS = 30 * 86_400;

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
  const policies = files.sort().map((file) => loadPolicy(join(folder, file)));
  const names = new Set<string>();
  for (const { name } of policies) {
    if (names.has(name)) throw new UserError(`${folder}: two policies are named "${name}"; rename one`);
    names.add(name);
  }
  return policies;
}

/** @throws UserError naming file and attribute */
export function loadPolicy(file: string): Policy {
  return parsePolicy(readUserFile(file, 'the policy'), file);
}

/**
 * @param file named in errors; without a `Name`, its base name is the policy's
 * @throws UserError naming file and attribute
 */
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
  const limit = (name: string, min: number, max: number): number | undefined => {
    if (!ad.has(name)) return undefined;
    const value = ad.getNumber(name);
    if (value === undefined || !(value >= min && value <= max)) {
      throw new UserError(`${file}: ${name}: expected a number from ${min} to ${max}`);
    }
    return value;
  };
  const number = (name: string, fallback: number, max: number, min = 0): number =>
    limit(name, min, max) ?? fallback;

  const name = ad.has('Name') ? ad.getString('Name') : basename(file, '.ad');
  if (!name) throw new UserError(`${file}: Name: expected a text that is not empty`);
  const halfOpenProbe = ad.has('HalfOpenProbe') ? ad.getBoolean('HalfOpenProbe') : false;
  if (halfOpenProbe === undefined) throw new UserError(`${file}: HalfOpenProbe: expected true or false`);
  const description = ad.getString('Description');
  const minOpenSeconds = number('MinOpenSeconds', 1800, MONTH_SECONDS);
  return {
    name,
    ...(description !== undefined && { description }),
    covers: expression('Covers'),
    trip: expression('Trip'),
    reset: expression('Reset'),
    minSamples: number('MinSamples', 3, 1e6),
    minQuality: number('MinQuality', 0.3, 1),
    holdSeconds: number('HoldSeconds', 0, MONTH_SECONDS),
    minOpenSeconds,
    backoffFactor: number('BackoffFactor', 2, 100, 1),
    maxOpenSeconds: number(
      'MaxOpenSeconds',
      Math.max(minOpenSeconds, 6 * 3600),
      MONTH_SECONDS,
      minOpenSeconds,
    ),
    decaySeconds: number('DecaySeconds', 86_400, MONTH_SECONDS, 1),
    halfOpenShare: number('HalfOpenShare', 0.1, 1),
    halfOpenTurnSeconds: number('HalfOpenTurnSeconds', 600, MONTH_SECONDS, 1),
    halfOpenProbe,
    goodResults: number('GoodResults', 2, 1000, 1),
    withholds: withholding(file, limit),
  };
}

function withholding(
  file: string,
  limit: (name: string, min: number, max: number) => number | undefined,
): Withholding {
  const maxInputMB = limit('MaxInputMB', 0, 1e12);
  const maxOutputMB = limit('MaxOutputMB', 0, 1e12);
  const maxTransferSeconds = limit('MaxTransferSeconds', 0, MONTH_SECONDS);
  const maxJobs = limit('MaxJobs', 0, 1e6);
  const withholds: Withholding = {
    ...(maxInputMB !== undefined && { maxInputMB }),
    ...(maxOutputMB !== undefined && { maxOutputMB }),
    ...(maxTransferSeconds !== undefined && { maxTransferSeconds }),
    ...(maxJobs !== undefined && { maxJobs }),
  };
  if (Object.keys(withholds).length === 0) {
    throw new UserError(
      `${file}: it withholds nothing; give MaxInputMB, MaxOutputMB, MaxTransferSeconds or MaxJobs`,
    );
  }
  return withholds;
}
