/** The `classad` command. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { explainMatch, formatExplanation } from './analysis.ts';
import { ClassAd } from './classad.ts';
import { ClassAdSyntaxError } from './errors.ts';
import { evaluate } from './evaluate.ts';
import { writeJson } from './formats/json.ts';
import { writeOld } from './formats/old.ts';
import { type Format, readAds } from './formats/stream.ts';
import { writeXmlAd, XML_FOOTER, XML_HEADER } from './formats/xml.ts';
import { matches } from './match.ts';
import { parseExpr, parseNewAd } from './parser.ts';
import { unparseAd, unparseValue } from './unparse.ts';
import { typeOf, type Value } from './values.ts';

const USAGE = `classad eval EXPR [--ad FILE] [--target FILE] [--json]
classad match A B [--explain]
classad convert --from old|new|json|xml --to old|new|json|xml [FILE]
classad batch

eval      evaluates an expression, in the ad of one file (MY) and against that of another (TARGET)
match     whether two ads match by their Requirements; exit code 0 if they do, 1 if not
convert   reads ads in one form from a file or standard input and writes them in another
batch     reads {"expr": "…", "ad": "[…]", "target": "[…]"} from each line of standard input and answers
          {"type": "integer", "value": "3", "unparsed": "3"} for each, or {"error": "…"}

Files hold one ad in any of the four forms; - is standard input. Exit code 2: something could not be read.
`;

/** Standard input and output; `process` is one. */
export interface Streams {
  stdin: AsyncIterable<string | Uint8Array> & NodeJS.ReadableStream;
  stdout: NodeJS.WritableStream;
  stderr: NodeJS.WritableStream;
}

/** What a person called for wrongly, or what cannot be read: one sentence, no stack. */
class UsageError extends Error {}

/** Runs the command; gives its exit code. */
export async function main(argv: readonly string[], streams: Streams): Promise<number> {
  const [command, ...rest] = argv;
  try {
    switch (command) {
      case 'eval':
        return await evalCommand(rest, streams);
      case 'match':
        return await matchCommand(rest, streams);
      case 'convert':
        return await convertCommand(rest, streams);
      case 'batch':
        return await batchCommand(streams);
      case '--help':
      case '-h':
        await write(streams, USAGE);
        return 0;
      default:
        throw new UsageError(
          command === undefined ? 'a command is missing' : `there is no command ${command}`,
        );
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const hint = error instanceof UsageError ? '; classad --help tells how to call it' : '';
    streams.stderr.write(`classad: ${error.message}${hint}\n`);
    return 2;
  }
}

function write({ stdout }: Streams, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

/** Arguments by Node's parser, its complaints as ours. */
function parsed<T extends NonNullable<Parameters<typeof parseArgs>[0]>>(
  config: T,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function evalCommand(args: readonly string[], streams: Streams): Promise<number> {
  const { values, positionals } = parsed({
    args: [...args],
    allowPositionals: true,
    options: { ad: { type: 'string' }, target: { type: 'string' }, json: { type: 'boolean' } },
  });
  const [text] = positionals;
  if (text === undefined || positionals.length > 1) throw new UsageError('eval takes one expression');
  const expr = parseExpr(text);
  const my = values.ad === undefined ? undefined : await readOne(values.ad, streams);
  const target = values.target === undefined ? undefined : await readOne(values.target, streams);
  const value = evaluate(expr, { my: my ?? besides(target), target });
  await write(streams, `${values.json ? JSON.stringify(describe(value)) : unparseValue(value, 'old')}\n`);
  return 0;
}

async function matchCommand(args: readonly string[], streams: Streams): Promise<number> {
  const { values, positionals } = parsed({
    args: [...args],
    allowPositionals: true,
    options: { explain: { type: 'boolean' } },
  });
  const [left, right] = positionals;
  if (left === undefined || right === undefined || positionals.length > 2)
    throw new UsageError('match takes two files');
  const [a, b] = [await readOne(left, streams), await readOne(right, streams)];
  const matched = matches(a, b);
  await write(streams, matched ? 'match\n' : 'no match\n');
  if (values.explain) {
    const explanation = explainMatch(a, b);
    for (const [file, side] of [[left, explanation.left] as const, [right, explanation.right] as const]) {
      const shown =
        side === undefined ? 'it has no Requirements, so it matches nothing' : formatExplanation(side, '  ');
      await write(streams, `\nRequirements of ${file}:\n${shown}\n`);
    }
  }
  return matched ? 0 : 1;
}

const FORMATS: readonly string[] = ['old', 'new', 'json', 'xml'];

function formatFrom(option: string | undefined, name: string): Format {
  if (option === undefined || !FORMATS.includes(option))
    throw new UsageError(`--${name} is one of ${FORMATS.join(', ')}`);
  return option as Format;
}

async function convertCommand(args: readonly string[], streams: Streams): Promise<number> {
  const { values, positionals } = parsed({
    args: [...args],
    allowPositionals: true,
    options: { from: { type: 'string' }, to: { type: 'string' } },
  });
  const from = formatFrom(values.from, 'from');
  const to = formatFrom(values.to, 'to');
  if (positionals.length > 1) throw new UsageError('convert takes one file');
  const { before, between, after, ad: writeAd } = WRITERS[to];
  let first = true;
  await write(streams, before);
  for await (const ad of readAds(chunksOf(positionals[0] ?? '-', streams), from)) {
    await write(streams, (first ? '' : between) + writeAd(ad));
    first = false;
  }
  await write(streams, after);
  return 0;
}

const WRITERS: Readonly<
  Record<Format, { before: string; between: string; after: string; ad: (ad: ClassAd) => string }>
> = {
  old: { before: '', between: '\n', after: '', ad: writeOld },
  new: { before: '', between: '', after: '', ad: (ad) => `${unparseAd(ad)}\n` },
  json: { before: '[\n', between: ',\n', after: ']\n', ad: (ad) => `${writeJson(ad)}\n` },
  xml: { before: XML_HEADER, between: '', after: XML_FOOTER, ad: writeXmlAd },
};

async function batchCommand(streams: Streams): Promise<number> {
  for await (const line of createInterface({ input: streams.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() !== '') await write(streams, `${JSON.stringify(answer(line))}\n`);
  }
  return 0;
}

interface Described {
  type: string;
  /** The value as a person writes it: strings without quotes, reals as `1.5`. */
  value: string;
  /** The value as an expression in new syntax. */
  unparsed: string;
}

function answer(line: string): Described | { error: string } {
  try {
    const request: unknown = JSON.parse(line);
    const text = field(request, 'expr');
    if (text === undefined) return { error: 'expr: an expression is missing' };
    const ad = field(request, 'ad');
    const target = field(request, 'target');
    return describe(
      evaluate(parseExpr(text), {
        my: ad === undefined ? besides(target) : parseNewAd(ad),
        target: target === undefined ? undefined : parseNewAd(target),
      }),
    );
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

function field(request: unknown, name: string): string | undefined {
  if (typeof request !== 'object' || request === null) return undefined;
  const value: unknown = Reflect.get(request, name);
  if (value !== undefined && typeof value !== 'string') throw new TypeError(`${name}: a string is expected`);
  return value;
}

function describe(value: Value): Described {
  return {
    type: typeOf(value),
    value: typeof value === 'string' ? value : unparseValue(value, 'old'),
    unparsed: unparseValue(value),
  };
}

function chunksOf(file: string, { stdin }: Streams): AsyncIterable<string | Uint8Array> {
  return file === '-' ? stdin : createReadStream(file);
}

/** The first ad of a file, whichever form it is in. */
async function readOne(file: string, streams: Streams): Promise<ClassAd> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunksOf(file, streams)) parts.push(Buffer.from(chunk));
  const text = Buffer.concat(parts).toString('utf8');
  try {
    for await (const ad of readAds([text], formOf(text))) return ad;
  } catch (error) {
    if (error instanceof ClassAdSyntaxError) throw new Error(`${file}: ${error.message}`);
    throw error;
  }
  throw new Error(`${file}: there is no ad in it`);
}

/** `[ a = 1 ]`, `{ "a": 1 }` (or `[ {`), `<c>`, or lines. */
function formOf(text: string): Format {
  if (/^\s*</.test(text)) return 'xml';
  if (/^\s*(?:\[\s*)?\{\s*["}]/.test(text)) return 'json';
  return /^\s*[[{/]/.test(text) ? 'new' : 'old';
}

/** TARGET means something in an ad only: an expression that has a target and no ad stands in an empty one. */
function besides(target: unknown): ClassAd | undefined {
  return target === undefined ? undefined : new ClassAd();
}
