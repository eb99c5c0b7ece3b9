import { describe, expect, test } from 'vitest';
import { UserError } from '../../../../src/errors.ts';
import { classTable, LINK_LOCAL_CLASS } from '../../../../src/worker/accounting/classes.ts';

const campus = { name: 'Campus', cidrs: ['192.0.2.0/24'] };

test('a table has every class once, the default one and LinkLocal at the end', () => {
  expect(classTable({ classes: [campus], defaultClass: 'External' }).names).toEqual([
    'Campus',
    'External',
    LINK_LOCAL_CLASS,
  ]);
  const joined = classTable({ classes: [campus], defaultClass: 'campus' });
  expect(joined.names).toEqual(['Campus', LINK_LOCAL_CLASS]);
  expect(joined.defaultClass).toBe('Campus');
});

test('what the site says of link-local addresses is stronger', () => {
  const { ipv4 } = classTable({
    classes: [{ name: 'Campus', cidrs: ['169.254.0.0/16'] }],
    defaultClass: 'External',
  });
  expect(ipv4[0]?.value).toBe('Campus');
});

describe('refuses', () => {
  test.each([
    [
      'two classes of one CIDR',
      [campus, { name: 'Other', cidrs: ['192.0.2.77/24'] }],
      'External',
      /in Campus and in Other/,
    ],
    [
      'two spellings of one name',
      [campus, { name: 'CAMPUS', cidrs: ['198.51.100.0/24'] }],
      'External',
      /there twice/,
    ],
    ["Lark's own class", [{ ...campus, name: 'linklocal' }], 'External', /Lark's own/],
    ['a name that breaks out', [{ ...campus, name: 'a } flush ruleset' }], 'External', /no class name/],
    ['a default that breaks out', [], 'x;y', /no class name/],
  ])('%s', (_, classes, defaultClass, message) => {
    expect(() => classTable({ classes, defaultClass })).toThrow(UserError);
    expect(() => classTable({ classes, defaultClass })).toThrow(message);
  });
});
