/** Expressions over several lines, as HTCondor's PrettyPrint writes them: lists and ads indented. */
import type { Expr } from './ast.ts';
import { inHTCondorOrder, unparse, unparseName } from './unparse.ts';

const AD_INDENT = 4;
const LIST_INDENT = 3;

export function prettyPrint(expr: Expr): string {
  return print(expr, 0);
}

function print(expr: Expr, indent: number): string {
  const inner = (child: Expr): string => print(child, indent);
  switch (expr.kind) {
    case 'attribute':
      return expr.scope === undefined ? unparse(expr) : `${inner(expr.scope)}.${expr.name}`;
    case 'parentheses':
      return `(${inner(expr.inner)})`;
    case 'unary':
      return ` ${expr.op}${inner(expr.operand)}`;
    case 'binary': {
      const tail: string[] = [];
      let node: Expr = expr;
      while (node.kind === 'binary') {
        tail.push(` ${node.op} ${inner(node.right)}`);
        node = node.left;
      }
      return inner(node) + tail.reverse().join('');
    }
    case 'conditional': {
      const middle = expr.whenTrue === undefined ? ' ?: ' : ` ? ${inner(expr.whenTrue)} : `;
      return inner(expr.condition) + middle + inner(expr.whenFalse);
    }
    case 'subscript':
      return `${inner(expr.container)}[${inner(expr.index)}]`;
    case 'call':
      return `${expr.name}(${expr.args.map(inner).join(',')})`;
    case 'list':
      return block('{', '}', ',', indent + LIST_INDENT, LIST_INDENT, expr.items, print);
    case 'ad':
      return block(
        '[',
        ']',
        '; ',
        indent + AD_INDENT,
        AD_INDENT,
        inHTCondorOrder(expr.ad),
        ([name, value], depth) => {
          return `${unparseName(name)} = ${print(value, depth)}`;
        },
      );
    default:
      return unparse(expr);
  }
}

function block<T>(
  open: string,
  close: string,
  separator: string,
  indent: number,
  step: number,
  items: readonly T[],
  show: (item: T, indent: number) => string,
): string {
  const line = `\n${' '.repeat(indent)}`;
  const itemLine = `\n${' '.repeat(indent + step)}`;
  const shown = items.map((item) => itemLine + show(item, indent + step));
  return `${line}${open}${shown.join(separator)}${line}${close}`;
}
