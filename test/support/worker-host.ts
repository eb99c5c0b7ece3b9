import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A machine of its own for the worker's tests: a process in new network, mount and pid namespaces, with an uplink (a
 * veth to another namespace, "outside"). Nothing of it touches the real machine's network, and all of it is gone with
 * the process.
 */
export class WorkerHost {
  readonly folder: string;
  readonly #keeper: ChildProcess;
  readonly #outside: ChildProcess;

  private constructor(folder: string, keeper: ChildProcess, outside: ChildProcess) {
    this.folder = folder;
    this.#keeper = keeper;
    this.#outside = outside;
  }

  static async start(): Promise<WorkerHost> {
    const folder = mkdtempSync(join(tmpdir(), 'lark-worker-'));
    const keeper = keep(['--net', '--mount', '--uts']);
    const outside = keep(['--net']);
    const host = new WorkerHost(folder, keeper, outside);
    await Promise.all([ready(keeper), ready(outside)]);
    host.run('hostname', 'ep1.example.org');
    host.run('mount', '-t', 'tmpfs', 'tmpfs', '/run');
    host.run('mount', '-t', 'sysfs', 'sysfs', '/sys');
    host.run('ip', 'link', 'set', 'lo', 'up');
    host.run(
      'ip',
      'link',
      'add',
      'up0',
      'type',
      'veth',
      'peer',
      'name',
      'out0',
      'netns',
      String(outside.pid),
    );
    host.bootUplink();
    for (const line of [
      'link set lo up',
      'addr add 192.0.2.254/24 dev out0',
      '-6 addr add 2001:db8::fe/64 dev out0 nodad',
      'link set out0 up',
    ]) {
      host.runOutside('ip', ...line.split(' '));
    }
    return host;
  }

  /** What a start of the machine gives to its uplink. */
  bootUplink(): void {
    for (const line of [
      'addr add 192.0.2.1/24 dev up0',
      '-6 addr add 2001:db8::1/64 dev up0 nodad',
      'link set up0 up',
      'route add default via 192.0.2.254',
      '-6 route add default via 2001:db8::fe',
    ]) {
      this.run('ip', ...line.split(' '));
    }
  }

  /** The command and its arguments that run another command on this machine. */
  get prefix(): string[] {
    return ['nsenter', '-t', String(this.#keeper.pid), '--net', '--mount', '--uts', '--'];
  }

  get outsidePrefix(): string[] {
    return ['nsenter', '-t', String(this.#outside.pid), '--net', '--'];
  }

  run(...command: string[]): string {
    const [program, ...args] = [...this.prefix, ...command];
    return execFileSync(program!, args, {
      encoding: 'utf8',
      timeout: 30_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  runOutside(...command: string[]): string {
    const [program, ...args] = [...this.outsidePrefix, ...command];
    return execFileSync(program!, args, {
      encoding: 'utf8',
      timeout: 30_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** What is left of Lark's jobs on this machine: empty when nothing leaked. */
  leaks(): string[] {
    const nft = this.run('nft', 'list', 'ruleset');
    const links = this.run('ip', '-o', 'link');
    const files = this.run(
      'sh',
      '-c',
      'ls -A /run/lark/leases /run/lark/journal /run/lark/jobs 2>/dev/null; true',
    );
    const classes = this.run(
      'sh',
      '-c',
      'for d in up0 lark-ifb0; do tc class show dev $d 2>/dev/null; done; true',
    );
    return [
      ...(nft.match(/(?<![0-9a-z])lk[0-9a-z]{8}/g) ?? []),
      ...(nft.match(/elements = \{[^}]*(?:10\.44\.|fd6c:6172)[^}]*\}/g) ?? []),
      ...(links.match(/\blk[0-9a-z]{8}\b/g) ?? []),
      ...files.split('\n').filter((line) => !['', 'last'].includes(line) && !line.endsWith(':')),
      ...(classes.match(/^class htb 4c4b:(?!ffff|fffe).*$/gm) ?? []),
    ];
  }

  async stop(): Promise<void> {
    for (const child of [this.#keeper, this.#outside]) {
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.stdin?.end();
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A process that stands for its namespaces until its standard input ends. */
function keep(namespaces: string[]): ChildProcess {
  const script = 'mount --make-rprivate / 2>/dev/null; echo ready; read _';
  return spawn('unshare', [...namespaces, 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout!.once('data', () => resolve());
    child.once('close', () => reject(new Error('a namespace could not be made')));
  });
}

/**
 * A stand-in for condor_starter: root's program of that name, whose working folder is the job's scratch folder with the
 * ads in it, and below which the job's command runs as an ordinary user.
 */
export function startJob(
  host: WorkerHost,
  {
    jobAd,
    command,
    uid = 12_345,
    wrapper = true,
    environment = {},
  }: {
    jobAd: string;
    command: string[];
    uid?: number;
    wrapper?: boolean;
    environment?: Record<string, string>;
  },
): ChildProcess {
  const folder = mkdtempSync(join(host.folder, 'starter-'));
  chmodSync(host.folder, 0o755);
  chmodSync(folder, 0o755);
  const starter = join(folder, 'condor_starter');
  copyFileSync('/bin/bash', starter);
  chmodSync(starter, 0o755);
  mkdirSync(join(folder, 'execute'));
  writeFileSync(join(folder, 'job.ad'), `ClusterId = 7\nProcId = 0\nOwner = "alice"\n${jobAd}\n`);
  writeFileSync(join(folder, 'machine.ad'), 'Name = "slot1_1@ep1.example.org"\n');
  const script = `
    d=${folder}/execute/dir_$$; mkdir $d; cd $d
    cp ${folder}/job.ad .job.ad; cp ${folder}/machine.ad .machine.ad; chown ${uid} .
    export _CONDOR_WRAPPER_ERROR_FILE=$d/.job_wrapper_failure
    setpriv --reuid ${uid} --regid ${uid} --clear-groups "$@" </dev/null &
    wait $!; code=$?
    cat .job_wrapper_failure 2>/dev/null >&2
    exit $code`;
  const path = new URL('../../config/worker/lark-job-wrapper', import.meta.url).pathname;
  const [program, ...args] = [
    ...host.prefix,
    starter,
    '-c',
    script,
    'starter',
    ...(wrapper ? [path] : []),
    ...command,
  ];
  return spawn(program!, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', ...environment },
  });
}

/** Everything that a process wrote, and its exit code. */
export function finished(child: ChildProcess): Promise<{ code: number | null; out: string; err: string }> {
  const texts = { out: '', err: '' };
  child.stdout?.on('data', (chunk) => (texts.out += chunk));
  child.stderr?.on('data', (chunk) => (texts.err += chunk));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...texts })));
}

/** What these tests cannot do without and this machine does not have; undefined where they can run. */
export function missing(...programs: string[]): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  const absent = programs.filter((program) => {
    try {
      execFileSync('sh', ['-c', 'command -v "$1"', 'sh', program], { stdio: 'ignore' });
      return false;
    } catch {
      return true;
    }
  });
  return absent.length === 0 ? undefined : `needs ${absent.join(', ')}`;
}
