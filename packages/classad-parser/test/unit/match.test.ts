import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ClassAd,
  evaluate,
  explain,
  explainMatch,
  flatten,
  formatExplanation,
  matches,
  parseExpr,
  parseNewAd,
  parseUserMap,
  rank,
  references,
  rename,
  requirementsHold,
  substitute,
  unparse,
  unparseValue,
  userMapsFrom,
} from '../../src/index.ts';
import { expression } from '../support/generator.ts';

const machine = parseNewAd(
  '[ Name = "m"; Memory = 4096; Arch = "X86_64"; Start = true; Requirements = Start && TARGET.RequestMemory <= Memory ]',
);
const job = parseNewAd(
  '[ Name = "j"; RequestMemory = 1024; Rank = TARGET.Memory / 1024; Requirements = Arch == "x86_64" && TARGET.Memory >= RequestMemory ]',
);

describe('matching', () => {
  it('needs the Requirements of both', () => {
    expect(matches(machine, job)).toBe(true);
    expect(matches(job, machine)).toBe(true);
    const large = job.clone().set('RequestMemory', 8192);
    expect(matches(machine, large)).toBe(false);
    expect(matches(machine, new ClassAd())).toBe(false);
    expect(requirementsHold(large, machine.clone().set('Memory', 16384))).toBe(true);
    expect(requirementsHold(machine, large)).toBe(false);
  });

  it('ranks', () => {
    expect(rank(job, machine)).toBe(4);
    expect(rank(machine, job)).toBe(0);
    expect(rank(parseNewAd('[ Rank = true ]'), job)).toBe(1);
  });

  it('takes numbers for true and false, and nothing else', () => {
    const yes = parseNewAd('[ Requirements = 1 ]');
    for (const [text, expected] of [
      ['1', true],
      ['0.5', true],
      ['0', false],
      ['"yes"', false],
      ['missing', false],
      ['error', false],
    ] as const) {
      expect(matches(yes, parseNewAd(`[ Requirements = ${text} ]`))).toBe(expected);
    }
  });

  it('looks in the other ad for what an ad does not have', () => {
    expect(evaluate(parseExpr('Memory + RequestMemory'), { my: job, target: machine })).toBe(5120);
    expect(evaluate(parseExpr('Name'), { my: job, target: machine })).toBe('j');
    expect(evaluate(parseExpr('TARGET.Start'), { my: job, target: machine })).toBe(true);
    expect(evaluate(parseExpr('TARGET.x'), { my: job })).toBe(undefined);
  });
});

describe('analysis', () => {
  it('finds the clauses that decide, and the values they see', () => {
    const large = job.clone().set('RequestMemory', 8192);
    const { matches: matched, left, right } = explainMatch(large, machine);
    expect(matched).toBe(false);
    expect(left).toMatchObject({ kind: 'and', value: false });
    expect(left?.clauses.map(({ text, value, decides }) => [text, value, decides])).toEqual([
      ['Arch == "x86_64"', true, false],
      ['TARGET.Memory >= RequestMemory', false, true],
    ]);
    expect(left?.clauses[1]?.attributes).toEqual([
      { reference: 'TARGET.Memory', from: 'target', expression: undefined, value: 4096 },
      { reference: 'RequestMemory', from: 'my', expression: undefined, value: 8192 },
    ]);
    expect(right?.clauses.map(({ decides }) => decides)).toEqual([false, true]);
    expect(formatExplanation(left!)).toContain(
      '> false     TARGET.Memory >= RequestMemory\n        TARGET.Memory is 4096, in the other ad',
    );
  });

  it('follows conditions that have a name, alternatives and choices', () => {
    const ad = parseNewAd(
      '[ A = 1; Ok = A > 2 || missing; Requirements = Ok && (A == 1 ? A < 0 : true) && !(A == 2) ]',
    );
    const why = explain(ad.get('Requirements')!, { my: ad });
    expect(why.clauses.map(({ kind, value }) => [kind, value])).toEqual([
      ['attribute', undefined],
      ['if', false],
      ['not', true],
    ]);
    expect(why.clauses[0]?.clauses[0]).toMatchObject({ kind: 'or', decides: true });
    expect(why.clauses[1]?.clauses.map(({ text, value }) => [text, value])).toEqual([
      ['A == 1', true],
      ['A < 0', false],
    ]);
  });

  it('ends with conditions that refer to themselves', () => {
    const ad = parseNewAd('[ A = B && true; B = A && true; Requirements = A ]');
    expect(explain(ad.get('Requirements')!, { my: ad }).decides).toBe(true);
  });

  it('has one clause decide at least, and gives each the value it has', () => {
    fc.assert(
      fc.property(expression, (text) => {
        const expr = parseExpr(text);
        const why = explain(expr, { my: machine, target: job, random: () => 0, now: new Date(0) });
        const value = evaluate(expr, { my: machine, target: job, random: () => 0, now: new Date(0) });
        expect(unparseValue(why.value)).toBe(unparseValue(value));
        if (why.clauses.length > 0) expect(why.clauses.some(({ decides }) => decides)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe('tools', () => {
  it('find the attributes an expression refers to', () => {
    const expr = parseExpr(
      'Memory > TARGET.RequestMemory && MY.Disk > x + other.y && [ z = 1; w = z + v ].w',
    );
    expect(references(expr, machine)).toEqual({
      my: ['Disk', 'Memory'],
      target: ['RequestMemory', 'y'],
      unresolved: ['v', 'x'],
    });
    expect(references(expr)).toMatchObject({ my: ['Disk'], unresolved: ['Memory', 'v', 'x'] });
  });

  it('rename and substitute', () => {
    const expr = parseExpr('Memory > TARGET.memory * n');
    expect(unparse(rename(expr, { MEMORY: 'Mem' }))).toBe('Mem > TARGET.Mem * n');
    expect(unparse(substitute(expr, { memory: parseExpr('a + b'), N: parseExpr('2') }))).toBe(
      '(a + b) > TARGET.memory * 2',
    );
  });

  it('flatten what is known', () => {
    const flat = (text: string) => unparse(flatten(parseExpr(text), { my: machine }));
    expect(flat('Memory / 1024 > TARGET.x')).toBe('4 > TARGET.x');
    expect(flat('Start && TARGET.x > Memory')).toBe('true && TARGET.x > 4096');
    expect(flat('!Start && TARGET.x > Memory')).toBe('false');
    expect(flat('Memory > 5 ? TARGET.a : TARGET.b')).toBe('TARGET.a');
    expect(flat('time() > Memory')).toBe('time() > 4096');
  });

  it('flatten to what can be read again', () => {
    for (const text of ['absTime(Name)', 'TARGET.x + relTime(Name)'])
      expect(unparse(flatten(parseExpr(text), { my: machine }))).toBe(unparse(parseExpr(text)));
  });

  it('flatten without changing the value', () => {
    fc.assert(
      fc.property(expression, (text) => {
        const world = { my: machine, random: () => 0, now: new Date(0) };
        const expr = parseExpr(text);
        const [whole, flat] = [expr, flatten(expr, world)].map((one) =>
          evaluate(one, { ...world, target: job }),
        );
        expect(unparseValue(flat)).toBe(unparseValue(whole));
      }),
      {
        numRuns: 1000,
        examples: [
          ['isUndefined(unresolved(a)) ? Name : 1'],
          ['ifThenElse(unresolved(a) && false, 0, absTime(Name))'],
        ],
      },
    );
  });
});

describe('user maps', () => {
  const file =
    '# comment\n* alice physics,chemistry\n* /^(.*)@CERN\\.CH$/i cern_\\1\n* "two words" x\nssl alice other\n* broken\n* alice later\n';
  const userMaps = userMapsFrom({ Groups: file });
  const value = (text: string) => evaluate(parseExpr(text), { userMaps });

  it('are read from HTCondor map files', () => {
    const map = parseUserMap(file);
    expect([map('alice'), map('bob@cern.ch'), map('two words'), map('nobody'), map('alice', 'SSL')]).toEqual([
      ...['physics,chemistry', 'cern_bob', 'x', undefined, 'other'],
    ]);
  });

  it('answer userMap', () => {
    expect(value('userMap("groups", "alice")')).toBe('physics,chemistry');
    expect(value('userMap("groups", "nobody")')).toBe(undefined);
    expect(value('userMap("none", "alice")')).toBe(undefined);
    expect(value('userMap("groups", "alice", "CHEMISTRY")')).toBe('chemistry');
    expect(value('userMap("groups", "alice", "math")')).toBe('physics');
    expect(value('userMap("groups", "nobody", "math", "none")')).toBe('none');
    expect(value('userMap("groups.ssl", "alice")')).toBe('other');
    expect(value('split(userMap("groups", "alice"))[1]')).toBe('chemistry');
  });
});
