/** Expressions and ads of every kind, for comparison with HTCondor. Mostly well-typed, so that values meet, some not. */
import fc from 'fast-check';
import type { OracleCase } from './oracle.ts';

const NAMES = [
  'a',
  'b',
  'c',
  'd',
  'Memory',
  'cpus',
  'Name',
  'list',
  'ads',
  'nested',
  'T',
  'R',
  's1',
  's2',
  'missing',
];

const name = fc.constantFrom(...NAMES);
const integer = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -20, max: 20 }).map(String) },
  { weight: 2, arbitrary: fc.integer().map(String) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '9223372036854775807',
      '-9223372036854775807',
      '9007199254740993',
      '4611686018427387904',
      '2147483648',
      '-2147483649',
      '(-9223372036854775807-1)',
    ),
  },
);
const real = fc.oneof(
  fc.constantFrom(
    '0.0',
    '-0.0',
    '1.0',
    '1.5',
    '2.5',
    '-3.25',
    '1e10',
    '1E-7',
    '.5',
    '1e300',
    '3.14159',
    '9.95',
    '1e-320',
  ),
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .map((value) => (/[.e]/.test(String(value)) ? String(value) : `${value}.0`)),
  fc.constantFrom('real("INF")', 'real("-INF")', 'real("NaN")'),
);
const word = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'A',
    'abc',
    'ABC',
    'foo',
    'foo bar',
    'a,b,c',
    'x, y ,z',
    ' lead',
    '1.2.3',
    '8.9.10',
    '12',
    '-3.5',
  ),
  fc.constantFrom(
    'slot1@host',
    'user@domain',
    'a@b@c',
    'A=1;B=2',
    "A=1 B='x y'",
    'é',
    'a\tb',
    'x\\y',
    'say "hi"',
    '1,2,3',
    '1, 2.5',
  ),
  fc.constantFrom(
    '^a.*c$',
    'b+',
    '(a)(b)?',
    '[A-C]',
    'o',
    'true',
    'FALSE',
    '<=',
    'is',
    '2020-01-02T03:04:05Z',
    '1+02:03:04',
  ),
  fc.string({ unit: fc.constantFrom('a', 'b', 'B', ' ', ',', '1', '0', '.', '_', ';', "'"), maxLength: 8 }),
);
const quote = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('\t', '\\t')}"`;
const string = word.map(quote);
const time = fc.constantFrom(
  'absTime("2020-01-02T03:04:05Z")',
  'absTime("1999-12-31T23:59:59+01:30")',
  'absTime("2024-02-29 12:00:00-06:00")',
  'relTime("1d")',
  'relTime("-2h3m")',
  'relTime("1+02:03:04.5")',
  'relTime("30.25")',
);

const COMPARE = ['<', '<=', '==', '!=', '>=', '>', '=?=', '=!=', 'is', 'isnt'];
const ARITHMETIC = ['+', '-', '*', '/', '%'];
const BITWISE = ['|', '&', '^', '<<', '>>', '>>>'];
const LOGICAL = ['&&', '||'];

interface Layers {
  number: string;
  text: string;
  condition: string;
  list: string;
  ad: string;
  any: string;
}

const call = (names: readonly string[], ...args: fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom(...names), fc.tuple(...args))
    .map(([called, values]) => `${called}(${values.filter((value) => value !== '').join(', ')})`);

const optional = (arbitrary: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ weight: 2, arbitrary: fc.constant('') }, { weight: 1, arbitrary });

const layers = fc.letrec<Layers>((tie) => {
  const [number, text, condition, list, ad, any] = (
    ['number', 'text', 'condition', 'list', 'ad', 'any'] as const
  ).map((layer) => tie(layer)) as [
    fc.Arbitrary<string>,
    fc.Arbitrary<string>,
    fc.Arbitrary<string>,
    fc.Arbitrary<string>,
    fc.Arbitrary<string>,
    fc.Arbitrary<string>,
  ];
  const depth = { depthSize: 'small', maxDepth: 4, withCrossShrink: true } as const;
  const binary = (operators: readonly string[], operand: fc.Arbitrary<string>) =>
    fc.tuple(operand, fc.constantFrom(...operators), operand).map(([a, op, b]) => `${a} ${op} ${b}`);
  const reference = fc.oneof(
    { weight: 6, arbitrary: name },
    { weight: 2, arbitrary: name.map((one) => `MY.${one}`) },
    { weight: 2, arbitrary: name.map((one) => `TARGET.${one}`) },
    { weight: 1, arbitrary: name.map((one) => `nested.${one}`) },
    { weight: 1, arbitrary: name.map((one) => `.${one}`) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'parent.a',
        'nested.parent.b',
        'other.a',
        'list[0]',
        'ads[0].a',
        'ads.a',
        'self.b',
      ),
    },
  );
  // Written lists only: of a list some function made, HTCondor keeps a pointer to memory it has given back.
  const contexts = fc.array(fc.oneof(ad, any), { maxLength: 3 }).map((items) => `{${items.join(', ')}}`);
  const delimiters = fc.constantFrom('","', '", "', '" "', '";"', '""');
  return {
    number: fc.oneof(
      depth,
      integer,
      integer,
      real,
      reference,
      binary(ARITHMETIC, number),
      binary(BITWISE, number),
      number.map((one) => `(${one})`),
      fc
        .tuple(fc.constantFrom('-', '+', '~', '-'), number)
        .map(([op, one]) => `${op}${one.startsWith('-') || one.startsWith('+') ? `(${one})` : one}`),
      call(['int', 'real', 'floor', 'ceiling', 'ceil', 'round'], any),
      call(['sum', 'avg', 'min', 'max', 'size'], list),
      call(['size', 'int', 'real'], text),
      call(['quantize'], number, number),
      call(['quantize'], number, list),
      call(
        ['pow'],
        fc.integer({ min: -1000, max: 1000 }).map((base) => (base < 0 ? `(${base})` : `${base}`)),
        fc.integer({ min: 0, max: 5 }).map(String),
      ),
      call(['strcmp', 'stricmp', 'versioncmp'], text, text),
      call(
        ['stringListSize', 'stringListSum', 'stringListAvg', 'stringListMin', 'stringListMax'],
        text,
        optional(delimiters),
      ),
      call(['countMatches'], condition, contexts),
      call(
        [
          'getYear',
          'getMonth',
          'getDayOfMonth',
          'getDayOfWeek',
          'getDayOfYear',
          'getHours',
          'getMinutes',
          'getSeconds',
          'getDays',
        ],
        time,
      ),
    ),
    text: fc.oneof(
      depth,
      string,
      string,
      reference,
      call(['strcat'], any, text, any),
      call(['toUpper', 'toLower', 'string'], any),
      call(['substr'], text, number, optional(number)),
      call(['join'], text, list),
      call(['join'], text, text, any),
      call(
        ['regexps', 'replace', 'replaceAll'],
        string,
        text,
        fc.constantFrom('"x"', '"<\\\\0>"', '"\\\\1"', '""'),
        optional(fc.constantFrom('"i"', '"f"', '"g"', '"fg"')),
      ),
      call(['interval'], number),
      call(
        ['formatTime'],
        fc.oneof(time, integer, ad),
        optional(fc.constantFrom('"%Y-%m-%d"', '"%c"', '"%H:%M:%S %j %U %a %b %p"', '"%y %e %I"')),
      ),
      call(['argsToList', 'envV1ToV2', 'mergeEnvironment'], text),
      call(['mergeEnvironment'], text, any),
      call(['listToArgs'], list),
      call(['unparse', 'unresolved'], name),
      call(['userMap'], string, text),
    ),
    condition: fc.oneof(
      depth,
      fc.constantFrom('true', 'false', 'undefined', 'error'),
      reference,
      binary(COMPARE, number),
      binary(COMPARE, number),
      binary(COMPARE, text),
      binary(COMPARE, any),
      binary(LOGICAL, condition),
      binary(LOGICAL, any),
      condition.map((one) => `!(${one})`),
      call(
        [
          'isUndefined',
          'isError',
          'isString',
          'isInteger',
          'isReal',
          'isBoolean',
          'isList',
          'isClassAd',
          'isAbsTime',
          'isRelTime',
          'bool',
        ],
        any,
      ),
      call(['member', 'identicalMember'], any, list),
      call(
        ['anyCompare', 'allCompare'],
        fc.constantFrom('"<"', '"<="', '"=="', '"!="', '">="', '">"', '"is"', '"isnt"', '"~"'),
        list,
        any,
      ),
      call(['regexp'], string, text, optional(fc.constantFrom('"i"', '"x"', '"s"', '"m"'))),
      call(['regexpMember'], string, list),
      call(
        [
          'stringListMember',
          'stringListIMember',
          'stringListSubsetMatch',
          'stringListISubsetMatch',
          'stringListsIntersect',
        ],
        text,
        text,
        optional(delimiters),
      ),
      call(['stringList_regexpMember'], string, text),
      call(['versionLE', 'versionLT', 'versionGE', 'versionGT', 'versionEQ'], text, text),
      call(['version_in_range'], text, text, text),
    ),
    list: fc.oneof(
      depth,
      fc.array(any, { maxLength: 3 }).map((items) => `{${items.join(', ')}}`),
      fc.array(number, { maxLength: 4 }).map((items) => `{${items.join(', ')}}`),
      fc.array(text, { maxLength: 3 }).map((items) => `{${items.join(', ')}}`),
      fc.array(ad, { maxLength: 2 }).map((items) => `{${items.join(', ')}}`),
      fc.constantFrom('list', 'ads', 'nested.list', 'ads.a', 'TARGET.list'),
      call(['split', 'splitUserName', 'splitSlotName', 'argsToList'], text),
      call(['split'], text, delimiters),
      call(['evalInEachContext'], any, contexts),
    ),
    ad: fc.oneof(
      depth,
      fc
        .uniqueArray(name, { maxLength: 3 })
        .chain((names) =>
          fc
            .tuple(...names.map(() => any))
            .map((values) => `[${names.map((one, i) => `${one} = ${values[i]}`).join('; ')}]`),
        ),
      fc.constantFrom('nested', 'MY', 'TARGET', 'ads[0]', 'self'),
      call(['splitTime'], fc.oneof(time, integer)),
    ),
    any: fc.oneof(
      depth,
      number,
      text,
      condition,
      time,
      list,
      ad,
      fc.tuple(condition, any, any).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
      fc.tuple(any, any).map(([a, b]) => `(${a} ?: ${b})`),
      call(['ifThenElse'], condition, any, any),
      call(['eval'], fc.oneof(text, fc.constantFrom('"a + 1"', '"b"', '"1 +"', '"\\"x\\""'))),
      fc.tuple(list, number).map(([a, b]) => `${a}[${b}]`),
      fc.tuple(ad, string).map(([a, b]) => `${a}[${b}]`),
      fc.tuple(ad, name).map(([a, b]) => `${a}.${b}`),
      binary(ARITHMETIC, fc.oneof(time, number)),
      binary(COMPARE, time),
      call(['absTime', 'relTime', 'string', 'int', 'real'], fc.oneof(time, number)),
      fc
        .tuple(
          fc.constantFrom('nosuch', 'int', 'strcat', 'substr', 'member', 'size'),
          fc.array(any, { maxLength: 2 }),
        )
        .map(([f, args]) => `${f}(${args.join(',')})`),
    ),
  };
});

export const expression = layers.any;

const adText = fc
  .uniqueArray(name, { minLength: 2, maxLength: 8 })
  .chain((names) =>
    fc
      .tuple(...names.map(() => layers.any))
      .map((values) => `[${names.map((one, i) => `${one} = ${values[i]}`).join('; ')}]`),
  );

/** An expression with the ads it is evaluated in. */
export const evaluationCase: fc.Arbitrary<OracleCase> = fc.oneof(
  fc.record({ expr: expression, ad: adText }),
  fc.record({ expr: expression, ad: adText, target: adText }),
);

const joined = (fragments: readonly string[], maxLength: number) =>
  fc.array(fc.constantFrom(...fragments), { maxLength }).map((parts) => parts.join(''));

/** String literals with escapes of every kind. */
const literal = joined(
  [
    'a',
    'é',
    '€',
    '\\n',
    '\\t',
    '\\\\',
    '\\"',
    "\\'",
    "'",
    '\\101',
    '\\7',
    '\\18',
    '\\377',
    '\\303\\251',
    '\\q',
    '\\?',
    '\t',
    ' ',
    '" "',
    '"\n"',
  ],
  8,
).map((text) => `"${text}"`);

const digits = joined(['0', '1', '2', '5', '9', '00', '123'], 6);
const numberText = fc
  .tuple(
    fc.constantFrom('', '-', '- ', '+', '.', '-.'),
    digits,
    fc.constantFrom('', '.', '.5', '.25', 'e3', 'E-2', 'e', '.e1', 'K', 'x1'),
    digits,
  )
  .map((parts) => parts.join(''));

const dateText = joined(
  [
    '2020',
    '-',
    '01',
    '12',
    '31',
    '-02',
    '29',
    'T',
    ' ',
    '09',
    ':',
    '59',
    ':61',
    'Z',
    '+01:00',
    '-0630',
    '+',
    '.5',
    'x',
  ],
  9,
);
const spanText = joined(['1', '23', '59.5', '+', ':', 'd', 'h', 'm', 's', ' ', '-', 'D', '0', '.'], 8);

const pattern = joined(
  [
    ...[
      'a',
      'b',
      'B',
      '1',
      ' ',
      '.',
      '^',
      '$',
      '|',
      '(',
      ')',
      '(?:',
      '(?i)',
      '(?=',
      '(?!',
      '(?<=',
      '(?<!',
      '(?>',
      '[',
      ']',
      '[^',
      '-',
    ],
    ...[
      '*',
      '+',
      '?',
      '{2}',
      '{1,}',
      '{,2}',
      '*?',
      '++',
      '??',
      '\\\\d',
      '\\\\w',
      '\\\\S',
      '\\\\b',
      '\\\\B',
      '\\\\1',
      '\\\\A',
      '\\\\z',
      '\\\\K',
    ],
    ...[
      '[[:alpha:]]',
      '[a-c]',
      '[^b]',
      '(a)',
      '(a|b)',
      '(b)?',
      '\\\\Q.\\\\E',
      '\\\\x41',
      '\\\\.',
      '\\\\/',
      '\\\\R',
      '\\\\h',
      '(?<n>a)',
      '\\\\k<n>',
      '#',
      'é',
    ],
  ],
  7,
);
const subject = joined(['a', 'b', 'B', '1', ' ', 'ab', '.', '\\n', 'é', 'A'], 6);
const options = fc.constantFrom('', 'i', 'm', 's', 'x', 'im', 'f', 'g', 'fg');

/** Calls that look closely at the text they are given. */
export const textCase: fc.Arbitrary<OracleCase> = fc.oneof(
  literal.map((expr) => ({ expr })),
  literal.map((expr) => ({ expr: `strcat(${expr}, size(${expr}), toUpper(${expr}))` })),
  numberText.map((expr) => ({ expr })),
  numberText.map((text) => ({ expr: `{ int("${text}"), real("${text}") }` })),
  dateText.map((text) => ({ expr: `absTime("${text}")` })),
  spanText.map((text) => ({ expr: `string(relTime("${text}")) ` })),
  fc
    .tuple(dateText, fc.constantFrom(...'aAbBcCdDeFGgHIjklmMnpRrStTuUVwWxXyYzZ%sh'))
    .map(([text, code]) => ({ expr: `formatTime(absTime("${text}"), "%${code}")` })),
  fc.tuple(pattern, subject, options).map(([p, s, o]) => ({ expr: `regexp("${p}", "${s}", "${o}")` })),
  fc
    .tuple(pattern, subject, options)
    .map(([p, s, o]) => ({ expr: `regexps("${p}", "${s}", "<\\\\0>", "${o}")` })),
  fc
    .tuple(pattern, subject, options)
    .map(([p, s, o]) => ({ expr: `replaceAll("${p}", "${s}", "\\\\1", "${o}")` })),
  fc
    .tuple(
      joined(['1', '2', '10', '.', '0', '00', 'a', 'b', '-'], 6),
      joined(['1', '2', '10', '.', '0', '00', 'a', 'b', '-'], 6),
    )
    .map(([a, b]) => ({ expr: `versioncmp("${a}", "${b}")` })),
  joined(["'", ' ', 'a', 'b', '=', ';', "''", '$$(x)', '\\t', '|'], 9).map((text) => ({
    expr: `{ string(argsToList("${text}")), envV1ToV2("${text}"), mergeEnvironment("A=1", "${text}") }`,
  })),
);

/** Ads of literals and expressions, by name, for the forms ads are written in. */
export const adAttributes: fc.Arbitrary<string> = adText;
