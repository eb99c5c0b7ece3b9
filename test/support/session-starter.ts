import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerHost } from './worker-host.ts';

export const WRAPPER = new URL('../../config/worker/lark-job-wrapper', import.meta.url).pathname;

const START = `sh -c 'echo $$ >"$0.pid"; exec "$@"' "$0" "$@"; echo $? >"$0.ended"`;

/** Programs that a starter has started, by the names that the test gave them. */
export interface Program {
  pid: number;
  /** What it has written so far. */
  out(): string;
  err(): string;
  /** What it returned, or 128 and the signal. */
  ended(): Promise<number>;
}

/**
 * A stand-in for a condor_starter of HTCondor 24.7 and newer with NO_JOB_NETWORKING: root's program of that name, which
 * starts the job, and what runs beside it, each in an empty network namespace of its own, as an ordinary user. It kills
 * nothing: what goes when the job does goes by itself.
 */
export class SessionStarter {
  readonly folder: string;
  readonly #child: ChildProcess;
  readonly #programs: { pid: number; isEnded(): boolean }[] = [];
  readonly #uid: number;

  constructor(
    host: WorkerHost,
    { jobAd = '', uid = 12_345, environment = {} as Record<string, string> } = {},
  ) {
    this.#uid = uid;
    this.folder = mkdtempSync(join(host.folder, 'starter-'));
    for (const folder of [host.folder, this.folder]) chmodSync(folder, 0o755);
    const starter = join(this.folder, 'condor_starter');
    copyFileSync('/bin/bash', starter);
    chmodSync(starter, 0o755);
    mkdirSync(join(this.folder, 'execute'));
    writeFileSync(join(this.folder, 'job.ad'), `ClusterId = 7\nProcId = 0\nOwner = "alice"\n${jobAd}\n`);
    writeFileSync(join(this.folder, 'machine.ad'), 'Name = "slot1_1@ep1.example.org"\n');
    // Starts what lies in NAME.argv, and writes down its process id and how it ended.
    const script = `
      f=${this.folder}; d=$f/execute/dir_$$; mkdir $d; cd $d; ln -s $d $f/scratch
      cp $f/job.ad .job.ad; cp $f/machine.ad .machine.ad; chown ${uid} .; chmod 700 .
      export _CONDOR_WRAPPER_ERROR_FILE=$d/.job_wrapper_failure
      while read -r name; do
        mapfile -d '' argv < $f/$name.argv
        sh -c "$1" $f/$name "\${argv[@]}" <$f/$name.in >$f/$name.out 2>$f/$name.err &
      done`;
    const [program, ...args] = [...host.prefix, starter, '--norc', '-c', script, 'starter', START];
    this.#child = spawn(program!, args, {
      stdio: ['pipe', 'ignore', 'ignore'],
      // A process group of its own: a job may signal its whole group, and other tests have jobs of the same user.
      detached: true,
      env: { PATH: process.env.PATH ?? '', ...environment },
    });
  }

  /** The job's scratch folder. */
  get scratch(): string {
    return join(this.folder, 'scratch');
  }

  /** The job, or the job once more. */
  job(name: string, script: string): Promise<Program> {
    return this.#start(name, [WRAPPER, '/bin/bash', '-c', script]);
  }

  /**
   * A session of condor_ssh_to_job: HTCondor's sshd, known by the path of its configuration.
   * @param command in place of a script for the shell
   * @param more arguments
   * @param wrapper with what runs it
   */
  session(
    name: string,
    script: string,
    {
      command = ['/bin/bash', '-c', script, 'sshd'],
      input = '',
      more = [],
      wrapper = [WRAPPER],
    }: { command?: string[]; input?: string; more?: string[]; wrapper?: string[] } = {},
  ): Promise<Program> {
    const config = `${this.scratch}/.condor_ssh_to_job_1/sshd_config`;
    return this.#start(name, [...wrapper, ...command, config, ...more], input);
  }

  /** Ends the starter, and what it started with it. */
  async end(): Promise<void> {
    for (const { pid, isEnded } of this.#programs) if (!isEnded()) kill(pid);
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }

  async #start(name: string, command: readonly string[], input = ''): Promise<Program> {
    const file = (kind: string) => join(this.folder, `${name}.${kind}`);
    const read = (kind: string) => readFileSync(file(kind), 'utf8');
    const line = (kind: string) => (existsSync(file(kind)) && /^\d+\n/.exec(read(kind))?.[0]) || undefined;
    const uid = String(this.#uid);
    const user = ['setpriv', '--reuid', uid, '--regid', uid, '--clear-groups'];
    const words = ['unshare', '--net', '--', ...user, ...command];
    writeFileSync(file('argv'), words.map((word) => `${word}\0`).join(''));
    writeFileSync(file('in'), input);
    for (const kind of ['out', 'err']) writeFileSync(file(kind), '');
    this.#child.stdin!.write(`${name}\n`);
    const pid = Number(await until(() => line('pid'), `${name} to begin`));
    this.#programs.push({ pid, isEnded: () => line('ended') !== undefined });
    return {
      pid,
      out: () => read('out'),
      err: () => read('err'),
      ended: async () => Number(await until(() => line('ended'), `the end of ${name}`)),
    };
  }
}

/** What the check gives as soon as it gives something. */
export async function until<T>(check: () => T | undefined | false, what: string): Promise<T> {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const found = check();
    if (found !== undefined && found !== false) return found;
    await sleep(50);
  }
  throw new Error(`waited a minute for ${what}`);
}

/** With SIGKILL, if it is there still. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
