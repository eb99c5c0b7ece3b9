/** The examples of the README say what is true: each line that ends in `// → value` has that value. */
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { describe, expect, it } from 'vitest';
import * as library from '../../src/index.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');

/** Functions whose body may await. */
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor as new (
  ...args: string[]
) => (library: unknown, check: (actual: unknown, expected: unknown) => void) => Promise<void>;

describe('the README', () => {
  it('has examples', () => {
    expect(examples.length).toBeGreaterThan(5);
  });

  it.each(examples.map((code, i) => [i + 1, code] as const))('example %i', async (_number, code) => {
    const wanted = code.match(/\/\/ →/g)?.length ?? 0;
    const body = code
      .replace(/import \{([^}]*)\} from 'classad-parser';/, 'const {$1} = library;')
      .replace(/^( *)(\S.*);(?: |\n)\/\/ → (.*)$/gm, '$1check($2, $3);');
    let checked = 0;
    const check = (actual: unknown, expected: unknown) => {
      checked += 1;
      expect(actual).toEqual(expected);
    };
    await new AsyncFunction('library', 'check', stripTypeScriptTypes(body))(library, check);
    expect(checked).toBe(wanted);
    expect(checked).toBeGreaterThan(0);
  });
});
