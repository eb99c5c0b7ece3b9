import { existsSync } from 'node:fs';
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa, execaSync } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  listing,
  lock,
  type Machine,
  newMachine,
  node,
  npm,
  onPath,
  start,
  stockRegistry,
  until,
} from './machine.ts';

let machine: Machine;
beforeEach(async () => {
  machine = await newMachine();
  await stockRegistry(machine);
});
afterEach(() => machine.remove());

/** As most developers have it: Node 24 and npm are there. */
async function withNode24(): Promise<void> {
  await machine.program('node', node('v24.1.0'));
  await machine.program('npm', npm(machine));
}

/** Lays ready the npm that a fake apt-get installs. */
async function npmToCome(): Promise<void> {
  await writeFile(join(machine.folder, 'npm-to-come'), `#!/bin/sh\n${npm(machine)}`, { mode: 0o755 });
}

const localNode = () => join(machine.clone, '.node/node_modules/node/bin/node');
const told = (result: { stdout?: unknown }) => JSON.parse(String(result.stdout));
const npmRuns = () => machine.journal().filter((line) => line.startsWith('npm ') && !line.endsWith(' done'));

describe('which Node', () => {
  it.each(['v24.0.0', 'v25.3.1', 'v100.0.0'])('%s on PATH is used', async (version) => {
    await withNode24();
    await machine.program('node', node(version));
    expect(told(await start(machine)).ranBy).toBe(join(machine.bin, 'node'));
    expect(existsSync(join(machine.clone, '.node'))).toBe(false);
  });

  it.each(['v23.11.1', 'v18.19.0', 'v9.0.0', 'nonsense'])(
    '%s is too old: Node 24 goes into .node',
    async (version) => {
      await withNode24();
      await machine.program('node', node(version));
      const result = await start(machine, ['x']);
      expect(result.stderr).toContain('installing Node 24 from npm into');
      expect(told(result)).toMatchObject({ ranBy: localNode(), args: ['x'] });
    },
  );

  it('none, but npm: Node 24 goes into .node, and is found again without npm', async () => {
    await machine.program('npm', npm(machine));
    expect(told(await start(machine)).ranBy).toBe(localNode());
    await rm(join(machine.bin, 'npm'));
    const again = await start(machine);
    expect(again.stderr).toBe('');
    expect(told(again).ranBy).toBe(localNode());
  });

  it('no npm and root: Debian brings npm, which is said, and its many words go to a file', async () => {
    await npmToCome();
    await machine.program('id', 'echo 0');
    await machine.program(
      'apt-get',
      `echo "apt-get $1" >>'${machine.folder}/journal'
echo 'Unpacking a great many packages'
[ "$1" = update ] && exit 100 # one of several mirrors is down
cp '${machine.folder}/npm-to-come' '${machine.bin}/npm'`,
    );
    const result = await start(machine);
    expect(told(result).ranBy).toBe(localNode());
    expect(result.stderr).toContain('installing the Debian package npm');
    expect(result.stderr).not.toContain('Unpacking');
    expect(machine.journal().slice(0, 2)).toEqual(['apt-get update', 'apt-get install']);
  });

  it('no npm and root, and packages half installed by a run cut short: they are mended first', async () => {
    await npmToCome();
    await machine.program('id', 'echo 0');
    await machine.program('dpkg', `[ "$*" = '--configure -a' ] && : >'${machine.folder}/configured'; exit 1`);
    await machine.program(
      'apt-get',
      `cd '${machine.folder}'
case "$*" in
  update) ;;
  *--no-remove*--fix-broken*npm) exit 100 ;;
  *--no-remove*--fix-broken) [ -e configured ] && : >mended ;;
  *--no-remove*npm) [ -e mended ] && cp npm-to-come bin/npm ;;
  *) exit 100 ;;
esac`,
    );
    expect(told(await start(machine)).ranBy).toBe(localNode());
  });

  it('no npm and root, but apt-get fails: its last words and one sentence', async () => {
    await machine.program('id', 'echo 0');
    await machine.program('dpkg', '');
    await machine.program('apt-get', 'echo "E: no such mirror" >&2; exit 100');
    const result = await start(machine);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toMatch(/E: no such mirror\nlark: apt-get could not install npm; [^\n]*$/);
  });

  it.each([
    ['not root', 'exit 0', /^lark: Node 24 or newer is needed [^\n]*"apt-get install npm" as root[^\n]*$/],
    ['no apt-get', undefined, /^lark: Node 24 or newer is needed [^\n]*Install Node 24, then[^\n]*$/],
  ])('no npm and %s: one clear sentence', async (_, aptGet, sentence) => {
    await machine.program('id', 'echo 1000');
    if (aptGet) await machine.program('apt-get', aptGet);
    const result = await start(machine);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toMatch(sentence);
  });

  it('Node 24 without npm: one clear sentence', async () => {
    await machine.program('node', node('v24.1.0'));
    const result = await start(machine);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toMatch(/^lark: npm is missing beside [^\n]*$/);
  });
});

describe('npm ci', () => {
  it('runs when package-lock.json changed since it last succeeded, and only then', async () => {
    await withNode24();
    const first = await start(machine);
    const before = listing(machine.clone);
    const second = await start(machine);
    expect([first.stderr, second.stderr]).toEqual(['lark: installing the packages of package-lock.json', '']);
    expect(listing(machine.clone)).toEqual(before);
    expect(npmRuns()).toHaveLength(1);
    await lock(machine.clone, '2.0.0');
    await start(machine);
    await start(machine);
    expect(npmRuns()).toHaveLength(2);
  });

  it('runs under the Node that will run Lark, not the older one on PATH', async () => {
    await withNode24();
    await machine.program('node', node('v20.0.0'));
    await start(machine);
    expect(npmRuns()).toEqual([
      `npm install node=${join(machine.bin, 'node')}`,
      `npm ci node=${localNode()}`,
    ]);
  });

  it('failed: exit 1, nothing on standard output, and again the next time', async () => {
    await withNode24();
    await machine.program('npm', 'echo "npm error no such registry" >&2; exit 7');
    const failed = await start(machine);
    expect(failed).toMatchObject({ exitCode: 1, stdout: '' });
    expect(failed.stderr).toMatch(/npm error no such registry\nlark: npm ci failed; /);
    await withNode24();
    expect(told(await start(machine)).ranBy).toBe(join(machine.bin, 'node'));
  });

  it('of another lock file that failed half-way: going back to the old lock file installs again', async () => {
    await withNode24();
    await start(machine);
    await lock(machine.clone, '2.0.0');
    await machine.program('npm', 'exit 1'); // without clearing node_modules away
    await start(machine);
    await lock(machine.clone, '1.0.0');
    await withNode24();
    await start(machine);
    expect(npmRuns()).toHaveLength(2);
  });
});

describe('interruptions and company', () => {
  /** Starts a first run, and kills it and all it started in the middle of what it has npm do. */
  async function killDuring(step: 'install' | 'ci'): Promise<void> {
    const hold = `${machine.hold}-${step}`;
    await writeFile(hold, '');
    const run = start(machine, [], { detached: true });
    await until(`npm ${step} runs`, () => machine.journal().some((line) => line.startsWith(`npm ${step} `)));
    process.kill(-run.pid!, 'SIGKILL');
    await run;
    await rm(hold);
  }

  it.each(['install', 'ci'] as const)('killed during npm %s: the next run heals', async (step) => {
    await machine.program('npm', npm(machine));
    await killDuring(step);
    const result = await start(machine, ['healed']);
    expect(told(result)).toMatchObject({ ranBy: localNode(), args: ['healed'] });
    expect(listing(machine.clone).filter((file) => file.endsWith('half'))).toEqual([]);
    expect((await start(machine)).stderr).toBe('');
  });

  it('killed during npm install, then Node 24 appears on PATH: the half of an npm in .node is not used', async () => {
    await machine.program('npm', npm(machine));
    await killDuring('install');
    await withNode24();
    expect(told(await start(machine)).ranBy).toBe(join(machine.bin, 'node'));
  });

  it('two first runs at once do the work once, and the second says that it waits', async () => {
    await machine.program('npm', npm(machine));
    const hold = `${machine.hold}-install`;
    await writeFile(hold, '');
    const one = start(machine, ['one']);
    await until('the first installs', () => npmRuns().length === 1);
    const two = start(machine, ['two']);
    let said = '';
    two.stderr!.on('data', (data) => {
      said += data;
    });
    await until('the second waits', () => said.includes('another run is installing; waiting'));
    await rm(hold);
    const results = await Promise.all([one, two]);
    expect(results.map((result) => told(result).args)).toEqual([['one'], ['two']]);
    expect(npmRuns()).toHaveLength(2); // one install, one ci
  });
});

describe('handing over', () => {
  beforeEach(withNode24);

  it('arguments arrive unchanged', async () => {
    const args = ['a b', '', '*', "it's", '"', '$HOME', '`id`', '\\n', '--', '-x', '~', 'é\n'];
    expect(told(await start(machine, args)).args).toEqual(args);
  });

  it('the exit code comes back', async () => {
    expect((await start(machine, ['exit', '37'])).exitCode).toBe(37);
  });

  it('standard input arrives whole, on a first run too', async () => {
    const input = 'one\ntwo';
    expect(told(await start(machine, ['stdin'], { input })).stdin).toBe(input);
    expect(told(await start(machine, ['stdin'], { input })).stdin).toBe(input);
  });

  it('signals arrive: Lark is the very process that was started', async () => {
    const run = start(machine, ['wait']);
    let said = '';
    run.stdout!.on('data', (data) => {
      said += data;
    });
    await until('Lark runs', () => said.includes('\n'));
    expect(JSON.parse(said).pid).toBe(run.pid);
    run.kill('SIGTERM');
    expect((await run).exitCode).toBe(43);
  });

  it('a link to the launcher, and a link to the link, from another directory', async () => {
    const link = join(machine.folder, 'a link');
    await symlink(machine.launcher, link);
    await symlink('a link', join(machine.folder, 'lark'));
    for (const launcher of [link, './lark']) {
      expect(told(await start(machine, ['x'], { launcher }))).toMatchObject({
        args: ['x'],
        folder: machine.folder,
      });
    }
  });

  it.each([
    ['absent and not to be made', 'a file/x'],
    ['a file', 'a file'],
  ])('NODE_COMPILE_CACHE %s does no harm', async (_, place) => {
    await writeFile(join(machine.folder, 'a file'), '');
    const env = { NODE_COMPILE_CACHE: join(machine.folder, place) };
    const result = await start(machine, ['x'], { env });
    expect(told(result).args).toEqual(['x']);
  });
});

const setpriv = onPath('setpriv');
const isRoot = process.getuid?.() === 0;
/** Without these, root too may write only where the mode allows it. */
const UNPRIVILEGED: readonly [string, ...string[]] = isRoot
  ? [setpriv ?? '', '--inh-caps=-dac_override', '--bounding-set=-dac_override']
  : ['env'];

describe.skipIf(isRoot && !setpriv)('a clone that cannot be written (skipped without setpriv)', () => {
  /** Runs the launcher on the clone without any permission to write; returns what it made there, too. */
  async function runReadOnly(env: Record<string, string> = {}) {
    const folders = ['.', ...listing(machine.clone)].map((path) => join(machine.clone, path));
    for (const path of folders) await chmod(path, 0o555);
    const before = listing(machine.clone);
    const result = await execa(UNPRIVILEGED[0], [...UNPRIVILEGED.slice(1), machine.launcher, 'x'], {
      env: { PATH: machine.bin, ...env },
      extendEnv: false,
      reject: false,
      timeout: 60_000,
    });
    expect(listing(machine.clone)).toEqual(before);
    for (const path of folders) await chmod(path, 0o755);
    return result;
  }

  it('installed: works', async () => {
    await machine.program('npm', npm(machine));
    await start(machine);
    await rm(join(machine.clone, 'node_modules/.compile-cache'), { recursive: true, force: true });
    for (const cache of [undefined, join(machine.clone, 'nowhere')]) {
      const result = await runReadOnly(cache ? { NODE_COMPILE_CACHE: cache } : {});
      expect(result.stderr).toBe('');
      expect(told(result)).toMatchObject({ ranBy: localNode(), args: ['x'] });
    }
  });

  it('not installed: one clear sentence', async () => {
    await withNode24();
    const result = await runReadOnly();
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toMatch(
      /^lark: not everything is installed yet, and [^\n]* is not writable: [^\n]*$/,
    );
  });
});

const realNpm = onPath('npm');
const registryAnswers =
  realNpm !== undefined && execaSync(realNpm, ['ping'], { reject: false, timeout: 20_000 }).exitCode === 0;

describe.skipIf(!registryAnswers)('real npm (skipped where no npm registry answers)', () => {
  it('brings a Node 24 and an npm under which npm ci works', async () => {
    await machine.program('node', node('v20.0.0'));
    // A package of its own folder: npm has something to install, and needs no network for it.
    await mkdir(join(machine.clone, 'packages/part'), { recursive: true });
    await writeFile(
      join(machine.clone, 'packages/part/package.json'),
      '{ "name": "part", "version": "1.0.0" }',
    );
    const part = { link: true, resolved: 'packages/part' };
    await lock(machine.clone, '1.0.0', { 'node_modules/part': part, 'packages/part': { version: '1.0.0' } });
    await symlink(realNpm!, join(machine.bin, 'npm'));
    await symlink(onPath('env')!, join(machine.bin, 'env'));
    const result = await start(machine, ['x'], {
      env: { ...(process.env as Record<string, string>), PATH: machine.bin },
      timeout: 170_000,
    });
    expect(result).toMatchObject({ exitCode: 0 });
    expect(told(result).args).toEqual(['x']);
    expect(execaSync(localNode(), ['--version']).stdout).toMatch(/^v24\./);
    expect((await start(machine)).stderr).toBe('');
  });
});
