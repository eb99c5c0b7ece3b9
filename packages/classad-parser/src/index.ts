export {
  type AttributeInUse,
  type Explanation,
  explain,
  explainMatch,
  formatExplanation,
  type MatchExplanation,
} from './analysis.ts';
export type { BinaryOperator, Expr, LiteralValue, UnaryOperator } from './ast.ts';
export {
  AdExpr,
  AttributeReference,
  Binary,
  Call,
  Conditional,
  ListExpr,
  Literal,
  Parentheses,
  Subscript,
  Unary,
} from './ast.ts';
export { ClassAd, type Settable } from './classad.ts';
export { ClassAdSyntaxError, type Position, position } from './errors.ts';
export { type CompiledExpr, compile, type EvaluationContext, evaluate } from './evaluate.ts';
export { parseJsonAd, parseJsonAds, writeJson } from './formats/json.ts';
export { parseNewAds } from './formats/new.ts';
export { parseAds, writeOld } from './formats/old.ts';
export { type Format, readAds } from './formats/stream.ts';
export { parseXmlAds, writeXml } from './formats/xml.ts';
export { matches, rank, requirementsHold } from './match.ts';
export { type ParseOptions, parseExpr, parseNewAd } from './parser.ts';
export { prettyPrint } from './pretty.ts';
export { type References, references } from './references.ts';
export { flatten, rename, substitute, transform } from './rewrite.ts';
export type { UserMaps } from './state.ts';
export { type Syntax, unparse, unparseAd, unparseValue } from './unparse.ts';
export { parseUserMap, type UserMap, userMapsFrom } from './usermap.ts';
export {
  AbsTime,
  ERROR,
  type ErrorValue,
  type Integer,
  ListValue,
  Real,
  RelTime,
  type TypeName,
  toNumber,
  typeOf,
  type Value,
} from './values.ts';
