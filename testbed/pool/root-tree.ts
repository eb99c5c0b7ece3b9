import { createHash } from 'node:crypto';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { execa, execaSync } from 'execa';
import { chooseMirror, downloadSettings, proxyEnvironment } from './apt.ts';

/** trixie brings HTCondor 23.9 (the reference), sid the newest feature release. */
export type DebianRelease = 'trixie' | 'sid';

export type Conditions = { ok: true } | { ok: false; why: string };

export interface RootTreeOptions {
  /** Folder that keeps the trees; default `${XDG_CACHE_HOME:-$HOME/.cache}/lark`. */
  cacheDir?: string;
  /** Default `trixie`. */
  release?: DebianRelease;
}

export interface BuildOptions extends RootTreeOptions {
  /** Gets one line of text, without line break, for each step of the build. */
  progress: (line: string) => void;
  /** Ends a build (or the wait for another's build) early. */
  signal?: AbortSignal;
}

const buildScript = fileURLToPath(new URL('build-tree.sh', import.meta.url));
const buildTimeoutMs = 30 * 60_000;
const lockTaken = 75;

/**
 * Whether this machine can build a root tree and stand a pool: Linux, root, and a kernel that lets us make
 * namespaces with an overlay and a bridge in them. Tries it out, which takes some 20 ms and leaves nothing.
 */
export function conditions(): Conditions {
  if (process.platform !== 'linux') return { ok: false, why: 'a pool needs Linux' };
  if (process.getuid?.() !== 0) return { ok: false, why: 'a pool needs root' };
  const trial = execaSync(
    'unshare',
    [
      ...[
        '--mount',
        '--propagation',
        'private',
        '--net',
        '--pid',
        '--uts',
        '--ipc',
        '--fork',
        '--kill-child',
      ],
      ...['sh', '-ec'],
      'mount -t tmpfs none /mnt && mkdir /mnt/lower /mnt/upper /mnt/work /mnt/root &&' +
        ' mount -t overlay none -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root',
    ],
    { reject: false, timeout: 10_000 },
  );
  if (trial.exitCode === 0) return { ok: true };
  const reason = (trial.stderr || trial.shortMessage || 'unknown reason').split('\n')[0];
  return { ok: false, why: `a pool needs namespaces and overlayfs, and this kernel refuses: ${reason}` };
}

/** The folder of a complete root tree of today's recipe, if there is one. Builds nothing. */
export function findRootTree(options: RootTreeOptions = {}): string | undefined {
  const { tree } = places(options);
  return existsSync(tree) ? tree : undefined;
}

/**
 * The folder of a complete root tree, built first where it is missing (about a minute and 600 MB). Several
 * processes may ask at once: one builds, the others wait. An interrupted build is begun anew by the next
 * caller. Rejects with one sentence that names the log file when the build fails.
 */
export async function ensureRootTree(options: BuildOptions): Promise<string> {
  const { cacheDir, release, tree } = places(options);
  options.signal?.throwIfAborted();
  if (existsSync(tree)) return tree;

  await mkdir(cacheDir, { recursive: true });
  const logFile = `${tree}.log`;
  options.progress(`building a root tree with HTCondor (Debian ${release}), once; full output in ${logFile}`);
  const began = Date.now();
  const [mirrors, aptConfig] = await Promise.all([
    outputOf('apt-get', ['indextargets', '--format', '$(REPO_URI)']),
    outputOf('apt-config', ['dump']),
  ]);
  const mirror = chooseMirror(mirrors);
  const environment = {
    ...proxyEnvironment(aptConfig, process.env),
    LARK_APT_CONF: downloadSettings(aptConfig),
    LARK_CA_BUNDLE: mirror.startsWith('https:') ? hostCertificates() : '',
  };
  const build = (lockOptions: string[]) =>
    runBuild({
      argv: [
        ...['flock', ...lockOptions, `${tree}.lock`],
        ...['sh', buildScript, 'host', tree, `${tree}.building`, release, mirror],
      ],
      environment,
      logFile,
      options,
    });

  let outcome = await build(['--nonblock', '--conflict-exit-code', String(lockTaken)]);
  if (outcome.exitCode === lockTaken) {
    options.progress('another process is building it; waiting');
    outcome = await build([]);
  }
  options.signal?.throwIfAborted();
  if (outcome.exitCode !== 0 || !existsSync(tree)) {
    const because = outcome.timedOut ? ` within ${buildTimeoutMs / 60_000} minutes` : '';
    throw new Error(
      `The root tree for the pool could not be built${because}, it failed ${outcome.lastStep}; full output in ${logFile}`,
    );
  }
  options.progress(`root tree ready after ${Math.round((Date.now() - began) / 1000)} s: ${tree}`);
  return tree;
}

/** The name carries a hash of the recipe, so a changed recipe is a tree that does not exist yet. */
function places(options: RootTreeOptions) {
  const release = options.release ?? 'trixie';
  const cacheDir = options.cacheDir ?? join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'lark');
  const recipe = createHash('sha256').update(readFileSync(buildScript)).update(process.arch).digest('hex');
  return { cacheDir, release, tree: join(cacheDir, `condor-${release}-${recipe.slice(0, 12)}`) };
}

interface BuildRun {
  argv: string[];
  environment: Record<string, string>;
  logFile: string;
  options: BuildOptions;
}

/** Runs the build script; it lives for as long as we hold its stdin, so a killed parent ends it too. */
async function runBuild({ argv, environment, logFile, options }: BuildRun) {
  const [command, ...args] = argv as [string, ...string[]];
  const log = createWriteStream(logFile, { flags: 'a' });
  const child = execa(command, args, {
    env: environment,
    stdin: 'pipe',
    all: true,
    buffer: false,
    reject: false,
  });
  const limit = AbortSignal.timeout(buildTimeoutMs);
  const abort = AbortSignal.any(options.signal ? [limit, options.signal] : [limit]);
  // The kill is for a flock that still waits; a build that runs ends with its stdin.
  const end = () => {
    child.stdin.end();
    child.kill();
  };
  abort.addEventListener('abort', end);

  let lastStep = 'at the start';
  const seen = new Set<string>();
  for await (const line of child.iterable({ from: 'all' })) {
    log.write(`${line}\n`);
    const step = progressOf(line);
    if (step === undefined || seen.has(step)) continue;
    seen.add(step);
    lastStep = `while ${step.trim()}`;
    options.progress(step);
  }
  const { exitCode } = await child;
  abort.removeEventListener('abort', end);
  log.end();
  await finished(log);
  return { exitCode, timedOut: limit.aborted, lastStep };
}

/** What a line of the build's output tells people, if anything: our own steps and debootstrap's phases. */
function progressOf(line: string): string | undefined {
  if (line.startsWith('lark: ')) return line.slice('lark: '.length);
  const phase = /^I: (Retrieving|Validating|Extracting|Unpacking|Configuring) /.exec(line)?.[1];
  return phase && `  ${phase.toLowerCase()} packages`;
}

async function outputOf(command: string, args: string[]): Promise<string> {
  const result = await execa(command, args, { reject: false, timeout: 20_000 });
  return result.exitCode === 0 ? result.stdout : '';
}

function hostCertificates(): string {
  const bundle = process.env.SSL_CERT_FILE || '/etc/ssl/certs/ca-certificates.crt';
  return existsSync(bundle) ? bundle : '';
}
