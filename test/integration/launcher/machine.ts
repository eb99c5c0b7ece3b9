import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa, type Options } from 'execa';

export const REPOSITORY = resolve(import.meta.dirname, '../../..');

/** What the launcher may use besides Node, npm and apt-get; all of it is essential on Debian. */
const TOOLS = [
  ...['sh', 'cat', 'cmp', 'cp', 'dirname', 'flock', 'id', 'ln', 'mkdir', 'mv', 'readlink', 'rm', 'sleep'],
  ...['tail', 'uname'],
];

/** Stands for src/cli/main.ts: tells how it was started, then does what its first argument says. */
const MAIN = `
import { text } from 'node:stream/consumers';
const args = process.argv.slice(2);
const told = { args, pid: process.pid, ranBy: process.env.RAN_BY, folder: process.cwd(), stdin: '' };
if (args[0] === 'stdin') told.stdin = await text(process.stdin);
process.stdout.write(JSON.stringify(told) + '\\n');
if (args[0] === 'exit') process.exitCode = Number(args[1]);
if (args[0] === 'wait') {
  process.on('SIGTERM', () => process.exit(43));
  setInterval(() => {}, 1000);
}
`;

/** A machine of the test's own: a PATH with fake programs, and a clone that holds the launcher. */
export interface Machine {
  folder: string;
  /** Folder of programs; the whole PATH. */
  bin: string;
  /** The clone. There are spaces in its path. */
  clone: string;
  launcher: string;
  /** Writes a shell script into `bin`. */
  program(name: string, script: string): Promise<void>;
  /** What the fakes did, one line each, in order. */
  journal(): string[];
  /** Begin of the names of files that make a fake npm stand still while they exist. */
  hold: string;
  remove(): Promise<void>;
}

/** A machine without Node, npm and apt-get, and with nothing installed in the clone. */
export async function newMachine(): Promise<Machine> {
  const folder = await mkdtemp(join(tmpdir(), 'lark-launcher-'));
  const bin = join(folder, 'bin');
  const clone = join(folder, 'a clone  of lark');
  const launcher = join(clone, 'lark');
  await mkdir(join(clone, 'src/cli'), { recursive: true });
  await mkdir(bin);
  await copyFile(join(REPOSITORY, 'lark'), launcher);
  await writeFile(join(clone, 'src/cli/main.ts'), MAIN);
  await lock(clone, '1.0.0');
  for (const tool of TOOLS) await symlink(onPath(tool)!, join(bin, tool));
  const journalFile = join(folder, 'journal');
  return {
    folder,
    bin,
    clone,
    launcher,
    hold: join(folder, 'hold'),
    async program(name, script) {
      await rm(join(bin, name), { force: true });
      await writeFile(join(bin, name), `#!/bin/sh\n${script}`);
      await chmod(join(bin, name), 0o755);
    },
    journal: () => (existsSync(journalFile) ? readFileSync(journalFile, 'utf8').trimEnd().split('\n') : []),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Writes a package.json and a package-lock.json; they differ with the version. */
export async function lock(clone: string, version: string, packages: object = {}): Promise<void> {
  const root = { name: 'empty', version, workspaces: ['packages/*'] };
  await writeFile(join(clone, 'package.json'), JSON.stringify({ ...root, type: 'module' }));
  await writeFile(
    join(clone, 'package-lock.json'),
    JSON.stringify({ ...root, lockfileVersion: 3, requires: true, packages: { '': root, ...packages } }),
  );
}

/** Says that it has the version; as what it is called is told to the program it runs. */
export const node = (version: string): string => `
if [ "$1" = --version ]; then echo ${version}; exit; fi
RAN_BY=$0 exec '${process.execPath}' "$@"
`;

/**
 * An npm that journals what it is asked and by which Node's PATH, and leaves behind what the launcher looks for.
 * Stands still in the middle of an install or a ci while `hold` with "-install" or "-ci" exists.
 */
export function npm({ folder, hold }: Machine): string {
  return `
case $1 in --version) echo 11.0.0; exit ;; esac
echo "npm $1 node=$(command -v node || echo none)" >>'${folder}/journal'
work() {
  rm -rf node_modules
  mkdir -p node_modules
  echo half >node_modules/half
  while [ -e '${hold}'-$1 ]; do sleep 0.02; done
  rm node_modules/half
}
case $1 in
  install)
    work install
    mkdir -p node_modules/node/bin node_modules/npm/bin
    cp '${folder}/node24' node_modules/node/bin/node
    cp '${folder}/npm-cli.js' node_modules/npm/bin/npm-cli.js
    ;;
  ci) work ci ;;
esac
cat >/dev/null # greedy: whatever it is given on standard input is gone
echo "npm $1 done" >>'${folder}/journal'
`;
}

/** Lays ready what the fake npm "installs": a Node 24, and an npm that is a script for Node. */
export async function stockRegistry(machine: Machine): Promise<void> {
  await writeFile(join(machine.folder, 'node24'), `#!/bin/sh\n${node('v24.1.0')}`);
  await chmod(join(machine.folder, 'node24'), 0o755);
  await writeFile(join(machine.folder, 'npm.sh'), npm(machine));
  await writeFile(
    join(machine.folder, 'npm-cli.js'),
    `const { spawnSync } = require('node:child_process');
const { status } = spawnSync('sh', ['${machine.folder}/npm.sh', ...process.argv.slice(2)], { stdio: 'inherit' });
process.exit(status ?? 1);
`,
  );
}

/** Starts the launcher with the machine's PATH as its whole world. */
export function start(machine: Machine, args: string[] = [], options: Options & { launcher?: string } = {}) {
  const { launcher = machine.launcher, env, ...others } = options;
  return execa(launcher, args, {
    env: { PATH: machine.bin, HOME: machine.folder, ...env },
    extendEnv: false,
    reject: false,
    timeout: 60_000,
    cwd: machine.folder,
    stdin: others.input === undefined ? 'ignore' : 'pipe',
    ...others,
  });
}

/** Waits until the condition holds. Throws after 30 s. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await sleep(20);
  }
}

export function onPath(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
}

/** Every path below the folder. */
export function listing(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}
