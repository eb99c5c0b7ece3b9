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
export { parseAds, writeOld } from './formats/old.ts';
export { type ParseOptions, parseExpr, parseNewAd } from './parser.ts';
export type { UserMaps } from './state.ts';
export { type Syntax, unparse, unparseAd, unparseValue } from './unparse.ts';
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
