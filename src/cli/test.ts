import { glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { UserError } from '../errors.ts';

/** trixie has HTCondor 23.9, sid 25.x. */
type DebianRelease = 'trixie' | 'sid';

const ROOT = resolve(import.meta.dirname, '../..');

const BIOME = 'node_modules/@biomejs/biome/bin/biome';

interface Counts {
  passed: number;
  failed: number;
  skipped: string[];
}

/** What is read of vitest's JSON report. */
const vitestReport = z.object({
  success: z.boolean(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })),
    }),
  ),
});

/**
 * `lark test`: lint and type check (each counts as one test), unit tests, integration tests on real parts. Skipped
 * tests are listed by name. The last line is `N passed, N failed, N skipped`; exits 1 when anything failed.
 * With `--condor`, only the tests that stand a pool, on that of another Debian release.
 */
export async function test(options: { unit?: boolean; condor?: string }): Promise<void> {
  const { condor } = options;
  if (condor !== undefined && condor !== 'trixie' && condor !== 'sid')
    throw new UserError(`--condor ${condor}: the Debian releases with HTCondor are trixie and sid`);
  const folder = await mkdtemp(join(tmpdir(), 'lark-test-'));
  const total: Counts = { passed: 0, failed: 0, skipped: [] };
  const add = (counts: Counts): void => {
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped.push(...counts.skipped);
  };
  try {
    if (condor !== undefined) add(await onCondorOf(condor, folder));
    else await everything();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  if (total.skipped.length > 0) {
    process.stdout.write(`\nSkipped here:\n${total.skipped.map((name) => `  ${name}\n`).join('')}`);
  }
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped.length} skipped\n`);
  process.exitCode = total.failed > 0 ? 1 : 0;

  async function everything(): Promise<void> {
    add(await check('lint', BIOME, ['check', '.']));
    add(await check('type check', 'node_modules/typescript/bin/tsc', ['--noEmit']));
    add(await vitest('unit', folder));
    if (!options.unit) {
      await prepareRealParts();
      add(await vitest('integration', folder));
    }
  }
}

/** The integration tests that stand a pool, on the HTCondor of that Debian release. */
async function onCondorOf(release: DebianRelease, folder: string): Promise<Counts> {
  const tree = await prepareRealParts(release);
  if (tree === undefined) return { passed: 0, failed: 0, skipped: [`all tests on HTCondor of ${release}`] };
  const files: string[] = [];
  for await (const file of glob('{.,packages/*}/test/integration/**/*.test.ts', { cwd: ROOT }))
    if (/testbed\/pool\//.test(await readFile(join(ROOT, file), 'utf8'))) files.push(file);
  return vitest('integration', folder, files, { LARK_CONDOR_ROOT: tree });
}

/** `lark lint` and `lark format`. */
export async function biome(args: string[]): Promise<void> {
  const { exitCode } = await run(BIOME, args);
  process.exitCode = exitCode ?? 1;
}

function heading(text: string): void {
  process.stdout.write(`\n== ${text}\n`);
}

async function check(what: string, script: string, args: string[]): Promise<Counts> {
  heading(what);
  const { exitCode } = await run(script, args);
  process.stdout.write(exitCode === 0 ? `${what}: fine\n` : `${what}: failed\n`);
  return exitCode === 0 ? { passed: 1, failed: 0, skipped: [] } : { passed: 0, failed: 1, skipped: [] };
}

async function vitest(
  project: string,
  folder: string,
  files: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Counts> {
  heading(`${project} tests`);
  const report = join(folder, `${project}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  // Those that must run alone are a project of their own.
  const args = ['run', '--project', `${project}*`, ...reporters, ...files];
  const { exitCode } = await run('node_modules/vitest/vitest.mjs', args, env);
  let read: z.infer<typeof vitestReport>;
  try {
    read = vitestReport.parse(JSON.parse(await readFile(report, 'utf8')));
  } catch (error) {
    process.stdout.write(`vitest left no report of the ${project} tests: ${error}\n`);
    return { passed: 0, failed: 1, skipped: [] };
  }
  const counts: Counts = { passed: 0, failed: 0, skipped: [] };
  for (const file of read.testResults) {
    for (const { fullName, status } of file.assertionResults) {
      if (status === 'passed') counts.passed++;
      else if (status === 'failed') counts.failed++;
      else counts.skipped.push(fullName);
    }
    // A file that could not even be loaded, or whose setup failed, has no failed test of its own.
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'))
      counts.failed++;
  }
  // Errors outside of any test (an unhandled rejection) show in the exit code alone.
  if (exitCode !== 0 && counts.failed === 0) counts.failed++;
  return counts;
}

/**
 * Builds what the integration tests stand on where that takes long, so that its progress is seen. Returns the tree;
 * undefined where no pool can stand.
 */
async function prepareRealParts(release: DebianRelease = 'trixie'): Promise<string | undefined> {
  const { conditions, ensureRootTree } = await import('../../testbed/pool/root-tree.ts');
  const able = conditions();
  heading('real parts');
  if (!able.ok) {
    process.stdout.write(`no HTCondor pool here (${able.why}): its tests will be skipped\n`);
    return undefined;
  }
  const tree = await ensureRootTree({ release, progress: (line) => process.stdout.write(`${line}\n`) });
  process.stdout.write(`HTCondor root tree: ${tree}\n`);
  return tree;
}

function run(script: string, args: string[], env: Record<string, string> = {}) {
  return execa(process.execPath, [join(ROOT, script), ...args], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
    reject: false,
    timeout: 60 * 60_000,
  });
}
