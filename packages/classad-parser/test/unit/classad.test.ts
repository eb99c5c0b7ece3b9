import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AbsTime,
  ClassAd,
  ERROR,
  evaluate,
  parseExpr,
  parseNewAd,
  Real,
  RelTime,
  typeOf,
  unparseAd,
  writeOld,
} from '../../src/index.ts';

describe('ads', () => {
  it('find names whatever their case and keep their first spelling and order', () => {
    const ad = new ClassAd().set('Name', 'a').set('memory', 1).set('NAME', 'b').setReal('Load', 2);
    expect(ad.names()).toEqual(['Name', 'memory', 'Load']);
    expect(ad.getString('name')).toBe('b');
    expect(ad.getNumber('MEMORY')).toBe(1);
    expect(writeOld(ad)).toBe('Name = "b"\nmemory = 1\nLoad = 2.0\n');
    expect(ad.delete('MEMORY')).toBe(true);
    expect(ad.delete('MEMORY')).toBe(false);
    expect(ad.names()).toEqual(['Name', 'Load']);
    expect(ad.has('memory')).toBe(false);
  });

  it('do not share what is changed in a copy', () => {
    const ad = ClassAd.from({ a: 1, b: 2 });
    const copy = ad.clone().set('a', 3).set('c', 4);
    expect([ad.getNumber('a'), ad.has('c'), copy.getNumber('a')]).toEqual([1, false, 3]);
  });

  it('behave as a map from lower-case names', () => {
    const name = fc.constantFrom('a', 'A', 'b', 'B', 'c', 'Cc', 'cC', 'd');
    const change = fc.oneof(
      fc.record({ name, value: fc.integer() }),
      fc.record({ name, value: fc.constant(undefined) }),
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const ad = new ClassAd();
        const model = new Map<string, number>();
        for (const { name: key, value } of changes) {
          if (value === undefined) expect(ad.delete(key)).toBe(model.delete(key.toLowerCase()));
          else {
            ad.set(key, value);
            model.set(key.toLowerCase(), value);
          }
        }
        expect(ad.size).toBe(model.size);
        for (const [key, value] of model) expect(ad.getNumber(key.toUpperCase())).toBe(value);
        expect(
          ad
            .names()
            .map((one) => one.toLowerCase())
            .sort(),
        ).toEqual([...model.keys()].sort());
      }),
    );
  });

  it('take values of every type', () => {
    const ad = ClassAd.from({
      i: 5,
      r: 1.5,
      big: 2n ** 62n,
      s: 'x"y',
      b: true,
      u: undefined,
      e: ERROR,
      l: [1, 'a', [true]],
      n: ClassAd.from({ x: 1 }),
      t: new AbsTime(0, 3600),
      d: new RelTime(90.5),
    });
    expect([...ad.names()].map((one) => typeOf(ad.evaluate(one)))).toEqual([
      ...[
        'integer',
        'real',
        'integer',
        'string',
        'boolean',
        'undefined',
        'error',
        'list',
        'classad',
        'absoluteTime',
      ],
      // HTCondor evaluates a literal span to its seconds.
      'real',
    ]);
    expect(unparseAd(ad)).toBe(
      '[ b = true; d = relTime("01:30.5"); e = error; i = 5; l = { 1,"a",{ true } }; n = [ x = 1 ];' +
        ' r = 1.500000000000000E+00; s = "x\\"y"; t = absTime("1970-01-01T01:00:00+01:00"); u = undefined;' +
        ' big = 4611686018427387904 ]',
    );
    expect(() => ad.setInteger('i', 2 ** 53)).toThrow('i: 9007199254740992 is not an exact 64-bit integer');
    expect(() => ad.setInteger('i', 2n ** 63n)).toThrow(RangeError);
  });

  it('give numbers, strings and booleans only for attributes that are such', () => {
    const ad = parseNewAd('[ n = 1 + 1; s = strcat("a", n); b = n > 1; u = missing ]');
    expect([ad.getNumber('n'), ad.getString('n'), ad.getBoolean('n')]).toEqual([2, undefined, undefined]);
    expect([ad.getString('s'), ad.getBoolean('b'), ad.getNumber('u')]).toEqual(['a2', true, undefined]);
  });

  it('refuse to write what old syntax cannot hold', () => {
    expect(() => writeOld(ClassAd.from({ a: 'x\ny' }))).toThrow(
      'a: old syntax cannot hold a line break in a string',
    );
    const path = new ClassAd().set('a', 'C:\\').setExpr('b', 'strcat("C:\\\\", "x")');
    expect(() => writeOld(path)).toThrow('b: old syntax cannot hold a string ending in a backslash here');
    expect(writeOld(new ClassAd().set('a', 'C:\\').setExpr('b', '"say \\"hi\\"" == a'))).toBe(
      'a = "C:\\"\nb = "say \\"hi\\"" == a\n',
    );
    expect(() => writeOld(ClassAd.from({ 'a b': 1 }))).toThrow(
      'a b: old syntax cannot hold this attribute name',
    );
  });
});

describe('integers', () => {
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const literal = (value: bigint) => (value === -(2n ** 63n) ? '(-9223372036854775807 - 1)' : `(${value})`);
  const exact = (value: unknown) =>
    typeof value === 'number' || typeof value === 'bigint' ? BigInt(value) : value;

  it.each(['+', '-', '*'] as const)('are 64 bits wide and wrap around: %s', (op) => {
    const wrapped = {
      '+': (a: bigint, b: bigint) => a + b,
      '-': (a: bigint, b: bigint) => a - b,
      '*': (a: bigint, b: bigint) => a * b,
    };
    fc.assert(
      fc.property(int64, int64, (a, b) => {
        const value = evaluate(parseExpr(`${literal(a)} ${op} ${literal(b)}`));
        expect(exact(value)).toBe(BigInt.asIntN(64, wrapped[op](a, b)));
      }),
    );
  });

  it('divide toward zero, exactly', () => {
    const operand = fc.oneof(int64, fc.bigInt({ min: -1000n, max: 1000n }));
    fc.assert(
      fc.property(operand, operand, (a, b) => {
        fc.pre(b !== 0n && !(a === -(2n ** 63n) && b === -1n));
        expect(exact(evaluate(parseExpr(`${literal(a)} / ${literal(b)}`)))).toBe(a / b);
        expect(exact(evaluate(parseExpr(`${literal(a)} % ${literal(b)}`)))).toBe(a % b);
        expect(evaluate(parseExpr(`${literal(a)} == ${literal(b)}`))).toBe(a === b);
      }),
    );
    expect(evaluate(parseExpr('1 / 0'))).toBe(ERROR);
  });

  it('are not reals', () => {
    expect(evaluate(parseExpr('1.0 =?= 1'))).toBe(false);
    expect(evaluate(parseExpr('1.0 == 1'))).toBe(true);
    expect(evaluate(parseExpr('1 + 1.0'))).toEqual(new Real(2));
  });
});

describe('the world an evaluation sees', () => {
  it('can be handed in', () => {
    const context = {
      now: new Date('2026-11-21T12:00:00.900Z'),
      random: () => 0.5,
      utcOffsetSeconds: () => 3600,
    };
    expect(evaluate(parseExpr('time()'), context)).toBe(1795262400);
    expect(evaluate(parseExpr('CurrentTime'), { ...context, my: new ClassAd() })).toBe(1795262400);
    expect(evaluate(parseExpr('random(10)'), context)).toBe(3);
    expect(evaluate(parseExpr('random()'), context)).toEqual(new Real(0.5));
    expect(evaluate(parseExpr('formatTime(time(), "%H:%M")'), context)).toBe('13:00');
    expect(evaluate(parseExpr('userHome("ada")'), { userHome: (user) => `/home/${user}` })).toBe('/home/ada');
  });
});
