import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { listElements } from '../../../src/spider/sources/elements.ts';

const URL_ = 'http://ls.example.org/lookup/records';

describe('the elements of a long list', () => {
  it('law: are those that JSON.parse gives, however the text is written', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(undefined, 1, '\t'), (list, space) => {
        const text = JSON.stringify(list, undefined, space);
        expect([...listElements(text, URL_)]).toEqual(JSON.parse(text));
        expect([...listElements(`\n ${text} \n`, URL_)]).toEqual(JSON.parse(text));
      }),
    );
  });

  it('law: a list that is cut anywhere gives those before the cut, and says that it was', () => {
    const list = [{ a: ['x\\', '"]', 1.5] }, null, 'b,]"', [[]], {}];
    const text = JSON.stringify(list);
    for (let length = 1; length < text.length; length++) {
      const found: unknown[] = [];
      expect(() => {
        for (const element of listElements(text.slice(0, length), URL_)) found.push(element);
      }).toThrow(URL_);
      expect(found).toEqual(list.slice(0, found.length));
    }
  });

  it.each([
    ['{"message":"POST only"}', 'answered no list'],
    ['', 'an empty body'],
    ['<html><title>503</title>', 'answered HTML (503)'],
    ['[1, 2,]', 'no JSON'],
    ['[1}', 'breaks off'],
    ['[,1]', 'no JSON'],
    ['[1] [2]', 'no JSON'],
    ['[1, {"a" 2}]', 'no JSON'],
  ])('%j is none', (text, message) => {
    expect(() => [...listElements(text, URL_)]).toThrow(message);
  });
});
