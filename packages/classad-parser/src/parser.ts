import {
  AdExpr,
  AttributeReference,
  Binary,
  type BinaryOperator,
  Call,
  Conditional,
  type Expr,
  ListExpr,
  Literal,
  Parentheses,
  Subscript,
  Unary,
  type UnaryOperator,
} from './ast.ts';
import { ClassAd } from './classad.ts';
import { ClassAdSyntaxError } from './errors.ts';
import { Lexer, type StringSyntax } from './lexer.ts';
import { parseAbsTime, parseRelTime } from './times.ts';
import { ERROR, Real } from './values.ts';

export interface ParseOptions {
  /** How strings are written; see `StringSyntax`. Default `new`. */
  strings?: StringSyntax;
}

/** Expressions nested deeper than this are refused, as HTCondor refuses them. */
export const MAX_NESTING = 1000;
/** Signs and subscripts do not nest expressions but do nest the tree; HTCondor has no limit there and overflows. */
const MAX_CHAIN = 1000;

const PRECEDENCE: ReadonlyMap<string, number> = new Map(
  [
    ['||'],
    ['&&'],
    ['|'],
    ['^'],
    ['&'],
    ['==', '!=', 'is', 'isnt'],
    ['<', '<=', '>', '>='],
    ['<<', '>>', '>>>'],
    ['+', '-'],
    ['*', '/', '%'],
  ].flatMap((operators, level) => operators.map((operator): [string, number] => [operator, level + 1])),
);

/**
 * Parses one expression, which must be the whole text.
 * @throws ClassAdSyntaxError
 */
export function parseExpr(text: string, options: ParseOptions = {}): Expr {
  const parser = new Parser(text, options.strings ?? 'new', 0);
  const expr = parser.parseExpression();
  parser.expectEnd();
  return expr;
}

/**
 * Parses one ad in new syntax, `[ a = 1; b = "x" ]`, which must be the whole text.
 * @throws ClassAdSyntaxError
 */
export function parseNewAd(text: string): ClassAd {
  const parser = new Parser(text, 'new', 0);
  const ad = parser.parseAd();
  parser.expectEnd();
  return ad;
}

interface Sign {
  op: UnaryOperator;
  start: number;
}

function signed(operand: Expr, signs: readonly Sign[]): Expr {
  return signs.reduceRight<Expr>((expr, { op, start }) => new Unary(op, expr, start, expr.end), operand);
}

export class Parser {
  private readonly lexer: Lexer;
  private readonly alone: boolean;
  private nesting = 0;
  private adEnd = 0;

  /** With `alone`, `parseAd` stops right after the ad it reads. */
  constructor(text: string, strings: StringSyntax, offset: number, alone = false) {
    this.alone = alone;
    this.lexer = new Lexer(text, strings, offset);
  }

  /** Where the ad read last ended. */
  get offset(): number {
    return this.adEnd;
  }

  expectEnd(): void {
    if (this.lexer.type !== 'end') this.lexer.fail('an operator or the end of the expression');
  }

  parseExpression(): Expr {
    return this.nesting === 0 ? this.withinStack(() => this.parseNested()) : this.parseNested();
  }

  /** Nesting that is allowed may still be too much for what stack the caller has left. */
  private withinStack<T>(parse: () => T): T {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return this.lexer.fail('expressions less deep within each other');
    }
  }

  private parseNested(): Expr {
    if (this.nesting >= MAX_NESTING) this.lexer.fail(`at most ${MAX_NESTING} expressions within each other`);
    this.nesting += 1;
    const condition = this.parseBinary(1);
    let expr = condition;
    if (this.takePunctuation('?')) {
      const whenTrue = this.takePunctuation(':') ? undefined : this.parseNested();
      if (whenTrue !== undefined) this.expectPunctuation(':');
      const whenFalse = this.parseNested();
      expr = new Conditional(condition, whenTrue, whenFalse, condition.start, whenFalse.end);
    }
    this.nesting -= 1;
    return expr;
  }

  /** Binary operators of at least this precedence; all of them group to the left. */
  private parseBinary(minimum: number): Expr {
    const { lexer } = this;
    let left = this.parseOperand();
    for (;;) {
      const operator = lexer.symbol;
      const level =
        lexer.type === 'punctuation' || lexer.type === 'word' ? PRECEDENCE.get(operator) : undefined;
      if (level === undefined || level < minimum) return left;
      lexer.next();
      const right = this.parseBinary(level + 1);
      left = new Binary(operator as BinaryOperator, left, right, left.start, right.end);
    }
  }

  /** Small, like the functions it calls: what nests deep comes through here at every level. */
  private parseOperand(): Expr {
    const signs = this.readSigns();
    const expr = this.withSelections(this.parsePrimary());
    return signs === undefined ? expr : signed(expr, signs);
  }

  private readSigns(): Sign[] | undefined {
    const { lexer } = this;
    let signs: Sign[] | undefined;
    while (
      lexer.type === 'punctuation' &&
      (lexer.symbol === '-' || lexer.symbol === '+' || lexer.symbol === '!' || lexer.symbol === '~')
    ) {
      signs ??= [];
      if (signs.length >= MAX_CHAIN) lexer.fail(`at most ${MAX_CHAIN} operators before an operand`);
      signs.push({ op: lexer.symbol, start: lexer.start });
      lexer.next();
    }
    return signs;
  }

  private withSelections(primary: Expr): Expr {
    const { lexer } = this;
    let expr = primary;
    for (let length = 0; lexer.type === 'punctuation'; length++) {
      if (lexer.symbol === '.') expr = this.parseSelection(expr);
      else if (lexer.symbol === '[') expr = this.parseSubscript(expr);
      else break;
      if (length >= MAX_CHAIN) lexer.fail(`at most ${MAX_CHAIN} selections from one expression`);
    }
    return expr;
  }

  private parseSelection(expr: Expr): Expr {
    const { lexer } = this;
    lexer.next();
    const { end } = lexer;
    return new AttributeReference(expr, this.expectIdentifier('an attribute name'), false, expr.start, end);
  }

  private parseSubscript(expr: Expr): Expr {
    const { lexer } = this;
    lexer.next();
    const index = this.parseNested();
    const { end } = lexer;
    this.expectPunctuation(']');
    return new Subscript(expr, index, expr.start, end);
  }

  private parsePrimary(): Expr {
    const { lexer } = this;
    const { start, end } = lexer;
    switch (lexer.type) {
      case 'identifier': {
        const name = lexer.symbol;
        lexer.next();
        if (this.isPunctuation('(')) return this.parseCall(name, start);
        return new AttributeReference(undefined, name, false, start, end);
      }
      case 'integer':
        return this.literal(new Literal(lexer.integer, start, end));
      case 'real':
        return this.literal(new Literal(new Real(lexer.real), start, end));
      case 'string':
        return this.literal(new Literal(lexer.symbol, start, end));
      case 'word':
        return this.parseWord();
      case 'punctuation':
        return this.parseBracketed();
      default:
        return lexer.fail('an expression');
    }
  }

  private literal(literal: Literal): Literal {
    this.lexer.next();
    return literal;
  }

  private parseWord(): Expr {
    const { lexer } = this;
    const { start, end } = lexer;
    switch (lexer.symbol) {
      case 'true':
        return this.literal(new Literal(true, start, end));
      case 'false':
        return this.literal(new Literal(false, start, end));
      case 'undefined':
        return this.literal(new Literal(undefined, start, end));
      case 'error':
        return this.literal(new Literal(ERROR, start, end));
      default:
        return lexer.fail('an expression');
    }
  }

  private parseBracketed(): Expr {
    const { lexer } = this;
    const { start } = lexer;
    switch (lexer.symbol) {
      case '.': {
        lexer.next();
        const { end } = lexer;
        return new AttributeReference(
          undefined,
          this.expectIdentifier('an attribute name'),
          true,
          start,
          end,
        );
      }
      case '(': {
        lexer.next();
        const inner = this.parseNested();
        const { end } = lexer;
        this.expectPunctuation(')');
        return new Parentheses(inner, start, end);
      }
      case '[': {
        const ad = this.parseBracketedAd();
        return new AdExpr(ad, start, this.adEnd);
      }
      case '{': {
        lexer.next();
        const { items, end } = this.parseSequence('}', false);
        return new ListExpr(items, start, end);
      }
      default:
        return lexer.fail('an expression');
    }
  }

  private parseCall(name: string, start: number): Expr {
    const { lexer } = this;
    lexer.next();
    const { items, end } = this.parseSequence(')', true);
    const [only] = items;
    // absTime("…") and relTime("…") are how times are written, so they are read as literals.
    if (items.length === 1 && only?.kind === 'literal' && typeof only.value === 'string') {
      const lower = name.toLowerCase();
      if (lower === 'abstime' || lower === 'reltime') {
        const time = lower === 'abstime' ? parseAbsTime(only.value) : parseRelTime(only.value);
        if (time === undefined)
          throw new ClassAdSyntaxError(lexer.text, only.start, 'a time', only.end - only.start);
        return new Literal(time, start, end);
      }
    }
    return new Call(name, items, start, end);
  }

  /** Expressions between commas (in a call, also semicolons) up to the closing bracket. */
  private parseSequence(close: string, semicolons: boolean): { items: Expr[]; end: number } {
    const { lexer } = this;
    const items: Expr[] = [];
    if (!this.isPunctuation(close)) {
      do {
        items.push(this.parseNested());
      } while (this.takePunctuation(',') || (semicolons && this.takePunctuation(';')));
    }
    const { end } = lexer;
    if (!this.takePunctuation(close)) lexer.fail(`, or ${close}`);
    return { items, end };
  }

  parseAd(): ClassAd {
    return this.withinStack(() => this.parseBracketedAd());
  }

  private parseBracketedAd(): ClassAd {
    const { lexer } = this;
    const ad = new ClassAd();
    this.expectPunctuation('[');
    for (;;) {
      while (this.takePunctuation(';'));
      if (this.isPunctuation(']')) {
        this.adEnd = lexer.end;
        // Nothing of what follows an ad that stands alone is looked at.
        if (this.nesting > 0 || !this.alone) lexer.next();
        return ad;
      }
      const name = this.expectIdentifier('an attribute name or ]');
      this.expectPunctuation('=');
      ad.insert(name, this.parseNested());
      if (!this.isPunctuation(';') && !this.isPunctuation(']')) lexer.fail('; or ]');
    }
  }

  private isPunctuation(symbol: string): boolean {
    return this.lexer.type === 'punctuation' && this.lexer.symbol === symbol;
  }

  private takePunctuation(symbol: string): boolean {
    if (!this.isPunctuation(symbol)) return false;
    this.lexer.next();
    return true;
  }

  private expectPunctuation(symbol: string): void {
    if (!this.takePunctuation(symbol)) this.lexer.fail(symbol);
  }

  private expectIdentifier(expected: string): string {
    const { lexer } = this;
    if (lexer.type !== 'identifier') lexer.fail(expected);
    const name = lexer.symbol;
    lexer.next();
    return name;
  }
}
