/** The two databases on which every store test runs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import type { Database } from '../../../src/store/database.ts';
import { openPglite } from '../../../src/store/pglite.ts';
import { openPostgres } from '../../../src/store/postgres.ts';
import type { StoreLocation } from '../../../src/store/store.ts';
import { findPostgres, startPostgres, type TestPostgres } from '../../support/postgres.ts';

/** A folder that is gone after the file's tests. */
export function temporaryFolder(): () => string {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lark-store-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return () => folder;
}

/** `describe` with a PostgreSQL server of its own; skipped, with the reason in its name, where there can be none. */
export async function describeOnPostgres(
  name: string,
  tests: (server: () => TestPostgres) => void,
): Promise<void> {
  const found = await findPostgres();
  if ('unavailable' in found) {
    describe.skip(`${name} (skipped: ${found.unavailable})`, () => tests(noServer));
    return;
  }
  describe(name, () => {
    let server: TestPostgres | undefined;
    beforeAll(async () => {
      server = await startPostgres(found.bin);
    });
    afterAll(() => server?.stop());
    tests(() => server ?? noServer());
  });
}

function noServer(): never {
  throw new Error('There is no PostgreSQL server.');
}

/** The same tests on PGlite and on PostgreSQL; `newLocation` gives an empty database at every call. */
export async function describeOnBoth(
  name: string,
  tests: (newLocation: () => Promise<StoreLocation>) => void,
): Promise<void> {
  describe(`${name} on PGlite`, () => {
    const folder = temporaryFolder();
    let directories = 0;
    tests(async () => {
      directories += 1;
      return { directory: join(folder(), `store-${directories}`) };
    });
  });
  await describeOnPostgres(`${name} on PostgreSQL`, (server) => {
    tests(async () => ({ databaseUrl: await server().newDatabase() }));
  });
}

/** Below the store: to look at its tables. */
export function openDatabase(location: StoreLocation): Promise<Database> {
  return 'directory' in location
    ? openPglite(location.directory)
    : openPostgres(location.databaseUrl, () => {});
}
