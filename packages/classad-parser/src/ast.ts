/**
 * The syntax tree. Nodes are immutable but for `compiled`, where the evaluator keeps the closure it made of a node.
 * `start` and `end` are offsets into the parsed text (−1 for nodes no text stands behind); `position` in errors.ts
 * turns them into line and column.
 */
import type { ClassAd } from './classad.ts';
import type { Compiled } from './state.ts';
import type { AbsTime, ErrorValue, Integer, Real, RelTime } from './values.ts';

export type LiteralValue = undefined | ErrorValue | boolean | Integer | Real | string | AbsTime | RelTime;
export type UnaryOperator = '+' | '-' | '!' | '~';
export type BinaryOperator =
  | '||'
  | '&&'
  | '|'
  | '^'
  | '&'
  | '=='
  | '!='
  | 'is'
  | 'isnt'
  | '<'
  | '<='
  | '>'
  | '>='
  | '<<'
  | '>>'
  | '>>>'
  | '+'
  | '-'
  | '*'
  | '/'
  | '%';

abstract class Node {
  readonly start: number;
  readonly end: number;
  compiled: Compiled | undefined = undefined;

  constructor(start: number, end: number) {
    this.start = start;
    this.end = end;
  }
}

export class Literal extends Node {
  readonly kind = 'literal';
  readonly value: LiteralValue;

  constructor(value: LiteralValue, start = -1, end = -1) {
    super(start, end);
    this.value = value;
  }
}

/** `name`, `.name` (absolute: looked up in the outermost ad) or `scope.name`. */
export class AttributeReference extends Node {
  readonly kind = 'attribute';
  readonly scope: Expr | undefined;
  readonly name: string;
  readonly absolute: boolean;

  constructor(scope: Expr | undefined, name: string, absolute: boolean, start = -1, end = -1) {
    super(start, end);
    this.scope = scope;
    this.name = name;
    this.absolute = absolute;
  }
}

export class Unary extends Node {
  readonly kind = 'unary';
  readonly op: UnaryOperator;
  readonly operand: Expr;

  constructor(op: UnaryOperator, operand: Expr, start = -1, end = -1) {
    super(start, end);
    this.op = op;
    this.operand = operand;
  }
}

/** Parentheses are kept, because unparsing writes back only those that were written. */
export class Parentheses extends Node {
  readonly kind = 'parentheses';
  readonly inner: Expr;

  constructor(inner: Expr, start = -1, end = -1) {
    super(start, end);
    this.inner = inner;
  }
}

export class Binary extends Node {
  readonly kind = 'binary';
  readonly op: BinaryOperator;
  readonly left: Expr;
  readonly right: Expr;

  constructor(op: BinaryOperator, left: Expr, right: Expr, start = -1, end = -1) {
    super(start, end);
    this.op = op;
    this.left = left;
    this.right = right;
  }
}

/** `condition ? whenTrue : whenFalse`; without `whenTrue` it is the elvis operator `condition ?: whenFalse`. */
export class Conditional extends Node {
  readonly kind = 'conditional';
  readonly condition: Expr;
  readonly whenTrue: Expr | undefined;
  readonly whenFalse: Expr;

  constructor(condition: Expr, whenTrue: Expr | undefined, whenFalse: Expr, start = -1, end = -1) {
    super(start, end);
    this.condition = condition;
    this.whenTrue = whenTrue;
    this.whenFalse = whenFalse;
  }
}

export class Subscript extends Node {
  readonly kind = 'subscript';
  readonly container: Expr;
  readonly index: Expr;

  constructor(container: Expr, index: Expr, start = -1, end = -1) {
    super(start, end);
    this.container = container;
    this.index = index;
  }
}

export class Call extends Node {
  readonly kind = 'call';
  readonly name: string;
  readonly args: readonly Expr[];

  constructor(name: string, args: readonly Expr[], start = -1, end = -1) {
    super(start, end);
    this.name = name;
    this.args = args;
  }
}

export class ListExpr extends Node {
  readonly kind = 'list';
  readonly items: readonly Expr[];
  /** The ad the elements belong to, where that is not the one the list is evaluated in. */
  readonly scope: ClassAd | undefined;

  constructor(items: readonly Expr[], start = -1, end = -1, scope?: ClassAd) {
    super(start, end);
    this.items = items;
    this.scope = scope;
  }
}

export class AdExpr extends Node {
  readonly kind = 'ad';
  readonly ad: ClassAd;
  /** Whether evaluating gives this very ad, which knows what is around it, rather than a view from where it stands. */
  readonly placed: boolean;

  constructor(ad: ClassAd, start = -1, end = -1, placed = false) {
    super(start, end);
    this.ad = ad;
    this.placed = placed;
  }
}

export type Expr =
  | Literal
  | AttributeReference
  | Unary
  | Parentheses
  | Binary
  | Conditional
  | Subscript
  | Call
  | ListExpr
  | AdExpr;
