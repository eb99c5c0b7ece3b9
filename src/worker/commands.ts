import { spawn } from 'node:child_process';

/** A program that failed, or took too long. */
export class CommandError extends Error {
  override name = 'CommandError';
  readonly stderr: string;

  constructor(message: string, stderr: string) {
    super(message);
    this.stderr = stderr;
  }
}

const SECONDS = 1000;
/** Far more than any of these ever takes; a kernel that hangs must not hang the agent. */
const TIME_LIMIT_MS = 10 * SECONDS;
/** Interpreted by nobody: the host's own programs, whatever PATH the agent was started with. */
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/**
 * Runs a program without a shell and gives what it printed. Not execa, which costs a millisecond a process: a set-up is
 * four processes long.
 * @throws CommandError with the first line of what it wrote to standard error
 */
export function runCommand(
  command: string,
  args: readonly string[],
  { input = '', timeLimitMs = TIME_LIMIT_MS, env = ENVIRONMENT as NodeJS.ProcessEnv } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, timeLimitMs);
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    // A program that ends before it read everything says why on standard error.
    child.stdin.on('error', () => {});
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new CommandError(`cannot run ${command}: ${error.message}`, ''));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) return resolve(Buffer.concat(out).toString());
      const stderr = Buffer.concat(err).toString();
      const why = isLate
        ? `took longer than ${timeLimitMs / SECONDS} s`
        : (stderr.trim().split('\n')[0] ?? '');
      reject(
        new CommandError(`${[command, ...args].join(' ')}: ${why || (signal ?? `exit ${code}`)}`, stderr),
      );
    });
    child.stdin.end(input);
  });
}
