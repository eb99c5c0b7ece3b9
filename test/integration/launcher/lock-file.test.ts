import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { REPOSITORY } from './machine.ts';

const lockFile = z.object({
  packages: z.record(
    z.string(),
    z.object({
      dependencies: z.record(z.string(), z.string()).default({}),
      optionalDependencies: z.record(z.string(), z.string()).default({}),
    }),
  ),
});

/**
 * `npm ci` refuses a lock file in which any package's dependency has no entry, be it for another platform. `npm
 * install` leaves such entries out without a word where its registry does not carry the package.
 */
it('package-lock.json has an entry for every dependency of every package', () => {
  const { packages } = lockFile.parse(
    JSON.parse(readFileSync(join(REPOSITORY, 'package-lock.json'), 'utf8')),
  );
  const missing = Object.entries(packages).flatMap(([place, { dependencies, optionalDependencies }]) =>
    Object.keys({ ...dependencies, ...optionalDependencies }).filter(
      (name) => !visibleFrom(place, name).some((candidate) => candidate in packages),
    ),
  );
  expect(missing).toEqual([]);
});

/** Where Node looks for a package from a folder: its own node_modules, then that of each folder above. */
function visibleFrom(place: string, name: string): string[] {
  const parts = place === '' ? [] : place.split('/');
  return Array.from({ length: parts.length + 1 }, (_, i) =>
    [...parts.slice(0, parts.length - i), 'node_modules', name].join('/'),
  );
}
