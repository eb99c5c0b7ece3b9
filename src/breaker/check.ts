import { ClassAd, type Expr, evaluate, Real, references, typeOf, unparse, type Value } from 'classad-parser';
import { nearest } from '../nearest.ts';
import { PATH_ATTRIBUTES } from './evidence.ts';
import type { Policy } from './policy.ts';

/**
 * What is wrong with a policy that reads well: names that no path has, conditions that never hold, no gap between
 * them, figures in the wrong unit. One sentence each; none when all is well.
 *
 * Conditions are tried over every combination of values around the numbers that they compare with, known and unknown:
 * what holds for none of those holds for none at all, as long as the numbers stand in the text.
 */
export function checkPolicy(policy: Policy): string[] {
  const problems = unknownNames(policy);
  if (problems.length > 0) return problems;
  return [...unitProblems(policy), ...conditionProblems(policy)];
}

const conditionsOf = ({ covers, trip, reset }: Policy): [name: string, expr: Expr][] => [
  ['Covers', covers],
  ['Trip', trip],
  ['Reset', reset],
];

function namesIn(expr: Expr): string[] {
  const { my, target, unresolved } = references(expr);
  return [...my, ...target, ...unresolved];
}

function unknownNames(policy: Policy): string[] {
  const known = new Set(PATH_ATTRIBUTES.map((name) => name.toLowerCase()));
  return conditionsOf(policy).flatMap(([where, expr]) =>
    namesIn(expr)
      .filter((name) => !known.has(name.toLowerCase()))
      .map((name) => `${where}: a path has no attribute ${name}${nearest(name, PATH_ATTRIBUTES)}`),
  );
}

/** Largest value that makes sense, and what to say of a larger one. */
const UNITS: Record<string, [max: number, hint: string]> = {
  lossrate: [1, 'LossRate is a fraction from 0 to 1: 2 % is 0.02'],
  quality: [1, 'Quality is a number from 0 to 1'],
  throughputmbps: [1e6, 'ThroughputMbps is in Mb/s, not in bit/s'],
  throughputmbpsp10: [1e6, 'ThroughputMbpsP10 is in Mb/s, not in bit/s'],
  throughputmbpsp90: [1e6, 'ThroughputMbpsP90 is in Mb/s, not in bit/s'],
  onewaydelayms: [60_000, 'OneWayDelayMs is in ms'],
  rttms: [60_000, 'RttMs is in ms'],
};

function unitProblems(policy: Policy): string[] {
  const problems: string[] = [];
  for (const [where, expr] of conditionsOf(policy)) {
    for (const { name, value } of comparisonsIn(expr)) {
      const [max, hint] = UNITS[name.toLowerCase()] ?? [Infinity, ''];
      if (value < 0) problems.push(`${where}: ${name} is never below 0, and is compared with ${value}`);
      else if (value > max) problems.push(`${where}: ${name} is compared with ${value}; ${hint}`);
    }
  }
  const { maxInputMB, maxOutputMB } = policy.withholds;
  for (const [name, value] of Object.entries({ MaxInputMB: maxInputMB, MaxOutputMB: maxOutputMB })) {
    if (value !== undefined && value > 1e8)
      problems.push(`${name}: ${value} MB is ${value / 1e6} TB; it is in MB`);
  }
  return problems;
}

interface Comparison {
  name: string;
  value: number;
}

const COMPARING: ReadonlySet<string> = new Set(['<', '<=', '>', '>=', '==', '!=', 'is', 'isnt']);

/** Every `attribute op number` of the text, whichever way round. */
function comparisonsIn(expr: Expr): Comparison[] {
  switch (expr.kind) {
    case 'binary': {
      const inner = [...comparisonsIn(expr.left), ...comparisonsIn(expr.right)];
      if (!COMPARING.has(expr.op)) return inner;
      const [left, right] = [plain(expr.left), plain(expr.right)];
      const name =
        left.kind === 'attribute' ? left.name : right.kind === 'attribute' ? right.name : undefined;
      const value = numberOf(left) ?? numberOf(right);
      return name !== undefined && value !== undefined ? [...inner, { name, value }] : inner;
    }
    case 'unary':
      return comparisonsIn(expr.operand);
    case 'parentheses':
      return comparisonsIn(expr.inner);
    case 'conditional':
      return [expr.condition, expr.whenTrue, expr.whenFalse].flatMap((part) =>
        part ? comparisonsIn(part) : [],
      );
    case 'call':
      return expr.args.flatMap(comparisonsIn);
    default:
      return [];
  }
}

function plain(expr: Expr): Expr {
  return expr.kind === 'parentheses' ? plain(expr.inner) : expr;
}

function numberOf(expr: Expr): number | undefined {
  if (expr.kind === 'unary' && expr.op === '-') {
    const value = numberOf(plain(expr.operand));
    return value === undefined ? undefined : -value;
  }
  if (expr.kind !== 'literal') return undefined;
  if (typeof expr.value === 'number') return expr.value;
  return expr.value instanceof Real ? expr.value.value : undefined;
}

/** So many combinations of values are tried at most; a policy of ordinary size has some hundred. */
const MOST_TRIED = 50_000;

function conditionProblems(policy: Policy): string[] {
  const tried = { trip: false, reset: false, neither: false };
  let both: ClassAd | undefined;
  let tripWrong: [ClassAd, Value] | undefined;
  for (const facts of combinations(policy)) {
    const trip = evaluate(policy.trip, { my: facts });
    const reset = evaluate(policy.reset, { my: facts });
    if (trip === true) tried.trip = true;
    if (reset === true) tried.reset = true;
    if (trip === true && reset === true) both ??= facts;
    if (trip === false && reset === false) tried.neither = true;
    if (typeof trip !== 'boolean' && trip !== undefined) tripWrong ??= [facts, trip];
  }
  if (tripWrong) {
    const [facts, value] = tripWrong;
    return [`Trip is to be true or false, and is ${typeOf(value)} with ${told(facts)}`];
  }
  if (!tried.trip) return [`Trip can never be true: ${unparse(policy.trip)}`];
  if (!tried.reset) return [`Reset can never be true: ${unparse(policy.reset)}`];
  if (both) return [`Trip and Reset both hold with ${told(both)}; the breaker would open and close in turn`];
  if (!tried.neither) {
    return [
      'there is no gap between Trip and Reset: a value that moves a little would open and close it in turn',
    ];
  }
  return [];
}

/** Facts of a path in every combination of the values that make a difference to the policy. */
function* combinations(policy: Policy): Generator<ClassAd> {
  const named = new Set([policy.trip, policy.reset].flatMap(namesIn).map((name) => name.toLowerCase()));
  const names = PATH_ATTRIBUTES.filter((name) => named.has(name.toLowerCase()));
  const comparisons = [policy.trip, policy.reset].flatMap(comparisonsIn);
  const choices = names.map((name) => valuesOf(name, comparisons));
  const total = choices.reduce((product, values) => product * values.length, 1);
  // Too many: an even sample of them, with a step that shares no factor with the usual numbers of choices.
  const stride = total <= MOST_TRIED ? 1 : Math.ceil(total / MOST_TRIED) | 1;
  for (let n = 0; n < total; n += stride) {
    const facts = new ClassAd();
    let rest = n;
    for (const [i, values] of choices.entries()) {
      const value = values[rest % values.length];
      rest = Math.floor(rest / values.length);
      if (typeof value === 'number') facts.setReal(names[i]!, value);
      else if (value !== undefined) facts.setString(names[i]!, value);
    }
    yield facts;
  }
}

/** Unknown, and values beside and between all that the attribute is compared with, within what it can be. */
function valuesOf(name: string, comparisons: readonly Comparison[]): (number | string | undefined)[] {
  if (name === 'SrcSite' || name === 'DstSite') return ['A_SITE'];
  const marks = comparisons
    .filter((comparison) => comparison.name.toLowerCase() === name.toLowerCase())
    .map(({ value }) => value)
    .sort((a, b) => a - b);
  const [max] = UNITS[name.toLowerCase()] ?? [1e9];
  // Round ones first: the first that shows a problem is told.
  const between = marks.slice(1).map((mark, i) => (mark + marks[i]!) / 2);
  const beside = marks.flatMap((mark) => [mark * (1 - 1e-9), mark * (1 + 1e-9)]);
  const values = new Set([...between, ...marks, 0, max, ...beside]);
  const isAlwaysKnown = name === 'Quality' || name === 'SampleCount';
  return [
    ...(isAlwaysKnown ? [] : [undefined]),
    ...[...values].filter((value) => value >= 0 && value <= max),
  ];
}

function told(facts: ClassAd): string {
  const parts = facts.names().map((name) => `${name} ${facts.getNumber(name) ?? facts.getString(name)}`);
  return parts.length === 0 ? 'nothing known' : parts.join(', ');
}
