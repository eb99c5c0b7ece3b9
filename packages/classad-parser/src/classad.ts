import { AdExpr, type Expr, ListExpr, Literal } from './ast.ts';
import { type EvaluationContext, evaluateAttribute } from './evaluate.ts';
import { parseExpr } from './parser.ts';
import { Shape } from './shape.ts';
import { lowerCase } from './text.ts';
import {
  type AbsTime,
  type ErrorValue,
  ListValue,
  Real,
  type RelTime,
  toNumber,
  type Value,
} from './values.ts';

/** What `ClassAd.set` takes for a value. An array becomes a list. */
export type Settable =
  | undefined
  | ErrorValue
  | boolean
  | number
  | bigint
  | string
  | Real
  | AbsTime
  | RelTime
  | ClassAd
  | ListValue
  | readonly Settable[];

/**
 * A ClassAd: attribute names, each bound to an expression. Names are found whatever their case, keep the spelling they
 * were first set with, and stay in the order they were set.
 */
export class ClassAd {
  /** @internal */ shape: Shape;
  /** @internal */ slots: Expr[];
  /** @internal The ad this one was found in, when it came out of an evaluation. */
  readonly parent: ClassAd | undefined;

  /** @internal The arguments are for this package's own use; write `new ClassAd()`. */
  constructor(shape: Shape = Shape.EMPTY, slots: Expr[] = [], parent?: ClassAd) {
    this.shape = shape;
    this.slots = slots;
    this.parent = parent;
  }

  /** An ad with the entries of an object, in order, each as `set` takes it. */
  static from(attributes: Readonly<Record<string, Settable>>): ClassAd {
    const ad = new ClassAd();
    for (const [name, value] of Object.entries(attributes)) ad.set(name, value);
    return ad;
  }

  get size(): number {
    return this.slots.length;
  }

  names(): readonly string[] {
    return this.shape.names();
  }

  *[Symbol.iterator](): IterableIterator<[name: string, expr: Expr]> {
    const names = this.shape.names();
    for (let i = 0; i < this.slots.length; i++) yield [names[i]!, this.slots[i]!];
  }

  has(name: string): boolean {
    return this.lookup(lowerCase(name)) !== undefined;
  }

  /** The expression an attribute is bound to. */
  get(name: string): Expr | undefined {
    return this.lookup(lowerCase(name));
  }

  /** @internal `get` for a name already in lower case. */
  lookup(lower: string): Expr | undefined {
    const slot = this.shape.slotOf(lower);
    return slot === -1 ? undefined : this.slots[slot];
  }

  /** Binds an attribute to an expression, as `parseExpr` makes it. */
  insert(name: string, expr: Expr): this {
    if (this.shape.has(name)) {
      this.slots[this.shape.slotOf(lowerCase(name))] = expr;
    } else {
      this.shape = this.shape.with(name);
      this.slots.push(expr);
    }
    return this;
  }

  /**
   * Binds an attribute to a value: a string becomes a string literal (never an expression), a whole number within
   * ±(2^53 − 1) an integer, any other number a real.
   */
  set(name: string, value: Settable): this {
    return this.insert(name, toExpr(value));
  }

  setString(name: string, value: string): this {
    return this.insert(name, new Literal(value));
  }

  /** @throws RangeError when the value is not a whole number of 64 bits (a number must be within ±(2^53 − 1)). */
  setInteger(name: string, value: number | bigint): this {
    const exact =
      typeof value === 'bigint' ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value);
    if (!exact) throw new RangeError(`${name}: ${value} is not an exact 64-bit integer`);
    return this.insert(name, toExpr(value));
  }

  /** Binds an attribute to a real, also when the number is whole (`5` is written `5.0`). */
  setReal(name: string, value: number): this {
    return this.insert(name, new Literal(new Real(value)));
  }

  setBoolean(name: string, value: boolean): this {
    return this.insert(name, new Literal(value));
  }

  /** Binds an attribute to the expression in `text`. @throws ClassAdSyntaxError */
  setExpr(name: string, text: string): this {
    return this.insert(name, parseExpr(text));
  }

  delete(name: string): boolean {
    const slot = this.shape.slotOf(lowerCase(name));
    if (slot === -1) return false;
    const names = this.shape.names().filter((_, i) => i !== slot);
    this.slots = this.slots.filter((_, i) => i !== slot);
    this.shape = Shape.of(names);
    return true;
  }

  /** A copy that can be changed without changing this one. Expressions are shared: they never change. */
  clone(): ClassAd {
    const shape = this.shape.shared ? this.shape : Shape.of(this.shape.names());
    return new ClassAd(shape, [...this.slots], this.parent);
  }

  /** The value of an attribute; undefined when there is none of this name. */
  evaluate(name: string, context: Omit<EvaluationContext, 'my'> = {}): Value {
    return evaluateAttribute(this, name, context);
  }

  /** The attribute's value if it is a string, otherwise undefined. */
  getString(name: string): string | undefined {
    const value = this.evaluate(name);
    return typeof value === 'string' ? value : undefined;
  }

  /** The attribute's value as a number if it is an integer or a real, otherwise undefined. */
  getNumber(name: string): number | undefined {
    return toNumber(this.evaluate(name));
  }

  /** The attribute's value if it is a boolean, otherwise undefined. */
  getBoolean(name: string): boolean | undefined {
    const value = this.evaluate(name);
    return typeof value === 'boolean' ? value : undefined;
  }
}

/** The expression that evaluates to a value. */
export function toExpr(value: Settable): Expr {
  if (typeof value === 'number') {
    return new Literal(Number.isSafeInteger(value) && !Object.is(value, -0) ? value : new Real(value));
  }
  if (typeof value === 'bigint') {
    const wrapped = BigInt.asIntN(64, value);
    const asNumber = Number(wrapped);
    return new Literal(Number.isSafeInteger(asNumber) ? asNumber : wrapped);
  }
  if (value instanceof ClassAd) return new AdExpr(value);
  if (value instanceof ListValue) return new ListExpr(value.items);
  if (isArray(value)) return new ListExpr(value.map(toExpr));
  return new Literal(value);
}

function isArray(value: Settable): value is readonly Settable[] {
  return Array.isArray(value);
}
