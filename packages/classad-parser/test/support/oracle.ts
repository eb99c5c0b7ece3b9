/** HTCondor's own ClassAd library, in a root tree with HTCondor in it, as a process that answers cases. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface OracleCase {
  expr?: string;
  ad?: string;
  target?: string;
  parseOnly?: boolean;
  old?: string;
  json?: string;
}

export interface OracleAnswer {
  refused?: true;
  /** HTCondor's library crashed. */
  crashed?: true;
  problem?: string;
  unparsed?: string;
  /** The value, as an expression over several lines. */
  value?: string;
  /** The value as a string literal of its text on one line, for lists and ads, and for spans of time split into one. */
  composite?: string;
  old?: string;
  json?: string;
  new?: string;
}

const BATCH = 1000;
const ANSWER_TIMEOUT_MS = 60_000;

/** A root tree with HTCondor: LARK_CONDOR_ROOT, or one Lark's test pool has built. */
export function findCondorRoot(): string | undefined {
  const given = process.env.LARK_CONDOR_ROOT;
  if (given !== undefined && given !== '') return isComplete(given) ? given : undefined;
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'lark');
  if (!existsSync(cache)) return undefined;
  return readdirSync(cache)
    .filter((name) => /^condor-trixie-[0-9a-f]+$/.test(name))
    .map((name) => join(cache, name))
    .find(isComplete);
}

function isComplete(root: string): boolean {
  return existsSync(join(root, 'usr/bin/condor_version')) && existsSync(join(root, 'usr/bin/python3'));
}

/** Why there is no oracle here, or undefined when there is one. */
export function whyNoOracle(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'chroot needs Linux and root';
  return findCondorRoot() === undefined ? 'no root tree with HTCondor' : undefined;
}

export class Oracle {
  private readonly root: string;
  private readonly program = readFileSync(new URL('oracle.py', import.meta.url), 'utf8');
  private child: ChildProcessWithoutNullStreams | undefined;

  constructor(root: string) {
    this.root = root;
  }

  /** The answers to cases, in order. Rejects when the oracle stops answering. */
  async ask(cases: readonly OracleCase[]): Promise<OracleAnswer[]> {
    const answers: OracleAnswer[] = [];
    while (answers.length < cases.length) {
      const batch = cases.slice(answers.length, answers.length + BATCH);
      answers.push(...(await this.askBatch(batch)));
    }
    return answers;
  }

  private askBatch(batch: readonly OracleCase[]): Promise<OracleAnswer[]> {
    this.child ??= this.start();
    const { child } = this;
    return new Promise((resolve, reject) => {
      const answers: OracleAnswer[] = [];
      const lines = createInterface({ input: child.stdout });
      const fail = (problem: string) => {
        clearTimeout(timer);
        this.close();
        reject(new Error(`the oracle ${problem} at ${JSON.stringify(batch[answers.length])}`));
      };
      const timer = setTimeout(() => fail('does not answer'), ANSWER_TIMEOUT_MS);
      const ended = () => fail('ended');
      child.once('close', ended);
      lines.on('line', (line) => {
        timer.refresh();
        answers.push(JSON.parse(line) as OracleAnswer);
        if (answers.length < batch.length) return;
        clearTimeout(timer);
        child.off('close', ended);
        lines.close();
        child.stdout.removeAllListeners();
        resolve(answers);
      });
      child.stdin.write(batch.map((one) => `${JSON.stringify(one)}\n`).join(''));
    });
  }

  private start(): ChildProcessWithoutNullStreams {
    const child = spawn('chroot', [this.root, 'python3', '-B', '-W', 'ignore', '-c', this.program], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', TZ: 'UTC', LANG: 'C.UTF-8', CONDOR_CONFIG: '/dev/null' },
      stdio: 'pipe',
    });
    child.stdin.on('error', () => {});
    child.stderr.resume();
    return child;
  }

  close(): void {
    this.child?.kill('SIGKILL');
    this.child = undefined;
  }
}
